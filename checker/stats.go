package checker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// Stats counts outcomes by function. It is Unknown if a function that was invoked was never ok:
// a run in which every write failed shows nothing about writes.
func Stats() Checker { return stats{} }

type stats struct{}

// Tally counts the outcomes of operations. It is a part of the details of several checkers.
type Tally struct {
	OK   int64 `json:"ok"`
	Fail int64 `json:"fail"`
	Info int64 `json:"info"`
	// OKShare is OK divided by all, 0 to 1.
	OKShare float64 `json:"ok_share"`
	// PerSecond is all operations divided by the duration of the history.
	PerSecond float64 `json:"per_second,omitempty"`
}

func (t *Tally) add(typ history.Type) {
	switch typ {
	case history.OK:
		t.OK++
	case history.Fail:
		t.Fail++
	default:
		t.Info++
	}
	t.OKShare = float64(t.OK) / float64(t.all())
}

func (t *Tally) all() int64 { return t.OK + t.Fail + t.Info }

// StatsDetail is the Detail of Stats.
type StatsDetail struct {
	All Tally `json:"all"`
	// ByFunction has an entry for each function that clients invoked.
	ByFunction map[string]*Tally `json:"by_function"`
	Seconds    float64           `json:"seconds"`
}

func (stats) Name() string { return "stats" }

func (stats) Check(ctx context.Context, src history.Source, _ Budget) (Result, error) {
	var (
		f       findings
		d       = StatsDetail{ByFunction: map[string]*Tally{}}
		elapsed time.Duration
	)
	err := f.clients(ctx, src, func(p history.Pair) error {
		t := d.ByFunction[p.Invoke.F]
		if t == nil {
			t = &Tally{}
			d.ByFunction[p.Invoke.F] = t
		}
		t.add(p.Outcome())
		d.All.add(p.Outcome())
		elapsed = max(elapsed, p.Invoke.Time, p.Complete.Time)
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	if d.All.all() == 0 {
		f.unknown("no client operation was invoked")
	}
	d.Seconds = elapsed.Seconds()
	d.All.rate(elapsed)
	for _, name := range slices.Sorted(maps.Keys(d.ByFunction)) {
		t := d.ByFunction[name]
		t.rate(elapsed)
		if t.OK == 0 {
			f.unknown("no %s was ok (%d failed, %d of unknown outcome)", name, t.Fail, t.Info)
		}
	}
	summary := fmt.Sprintf("%s: %s ok, %s failed, %s unknown", count(d.All.all(), "operation", "operations"),
		thousands(d.All.OK), thousands(d.All.Fail), thousands(d.All.Info))
	return f.result(summary, d)
}

func (t *Tally) rate(elapsed time.Duration) {
	if elapsed > 0 {
		t.PerSecond = float64(t.all()) / elapsed.Seconds()
	}
}
