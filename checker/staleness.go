package checker

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Staleness is how far reads were behind the newest acknowledged write when they were invoked: at least so far.
type Staleness struct {
	Reads int `json:"reads"`
	// Stale are the reads that were behind; the quantiles are over all reads.
	Stale int `json:"stale"`
	// Revisions is how many revisions of the store (of the key's value, for single objects) lay in between.
	Revisions Quantiles `json:"revisions"`
	// BehindMS is for how long the oldest write that was not reflected had been acknowledged, in milliseconds.
	BehindMS Quantiles `json:"behind_ms"`

	revisions, behind []int64
}

// Quantiles are of something that was measured.
type Quantiles struct {
	P50 int64 `json:"p50"`
	P95 int64 `json:"p95"`
	P99 int64 `json:"p99"`
	Max int64 `json:"max"`
}

// add notes a read that showed one version when another one had been acknowledged, the first one that it lacks for some time.
func (s *Staleness) add(shown, newest int64, behind time.Duration) {
	s.Reads++
	if newest > shown {
		s.Stale++
	}
	s.revisions = append(s.revisions, max(0, newest-shown))
	s.behind = append(s.behind, behind.Milliseconds())
}

// settle computes the quantiles.
func (s *Staleness) settle() {
	s.Revisions, s.BehindMS = quantiles(s.revisions), quantiles(s.behind)
}

func (s *Staleness) String() string {
	return fmt.Sprintf("%s of %s stale, behind by p50 %d ms, p99 %d ms, at most %d ms and %s",
		thousands(int64(s.Stale)), thousands(int64(s.Reads)), s.BehindMS.P50, s.BehindMS.P99, s.BehindMS.Max,
		count(s.Revisions.Max, "revision", "revisions"))
}

func quantiles(values []int64) Quantiles {
	if len(values) == 0 {
		return Quantiles{}
	}
	slices.Sort(values)
	at := func(percent int) int64 { return values[(len(values)-1)*percent/100] }
	return Quantiles{P50: at(50), P95: at(95), P99: at(99), Max: values[len(values)-1]}
}

// since is for how long, at a moment, a version higher than one had been there.
func (f *floor) since(version, call int64, at time.Duration) time.Duration {
	// The highest version so far rises with ret: the first moment that is above can be found by halving.
	n, _ := slices.BinarySearchFunc(f.highest, version+1, func(i int, v int64) int {
		if f.moments[i].version < v {
			return -1
		}
		return 1
	})
	if n == len(f.moments) || f.moments[n].ret >= call {
		return 0
	}
	return max(0, at-f.moments[n].at)
}

// within is a context that ends with the budget's time.
func (b Budget) within(ctx context.Context) (context.Context, context.CancelFunc) {
	if b.Time > 0 {
		return context.WithTimeout(ctx, b.Time)
	}
	return context.WithCancel(ctx)
}
