package checker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// DefaultClockError is how much earlier than it promised a system may end a lease, by its clocks, against the driver's. All clients are on the
// driver, so that times within a history are of one clock; the system's leases are measured by its leader's.
//
// It covers the ticks of elections, too: a leader that is cut off acknowledges renewals until it notices that (etcd asks for a quorum only
// where its clock stood still: server/etcdserver/server.go, ensureLeadership), up to an election and some ticks of a heartbeat after the next
// one gave all leases their time and an election anew.
const DefaultClockError = 300 * time.Millisecond

// TenuresDetail is the Detail of Locks and Elections. Times are nanoseconds.
type TenuresDetail struct {
	Keys int `json:"keys"`
	// Tenures are those that began, Waited the requests that waited in vain.
	Tenures int `json:"tenures"`
	Waited  int `json:"waited"`
	// Ends counts tenures by how they ended.
	Ends map[string]int `json:"ends"`
	// Overlaps are the stretches for which two processes believed that they owned the same thing, where the lease of the first need not have
	// lived any more; their sum, and the longest.
	Overlaps   int           `json:"overlaps"`
	OverlapSum time.Duration `json:"overlap_sum_ns"`
	OverlapMax time.Duration `json:"overlap_max_ns"`
	// Sightings are leaders as observers saw them (Elections).
	Sightings int `json:"sightings,omitempty"`
}

// tenure is a history.Tenure and where it is from.
type tenure struct {
	history.Tenure
	index   int64
	process history.Process
	node    string
}

func (t *tenure) began() bool { return t.FromNS > 0 && len(t.Seen) > 0 }

// who names the tenure in a sentence.
func (t *tenure) who() string {
	return fmt.Sprintf("process %s%s (key of revision %d)", t.process, on(t.node), t.Created)
}

// certainTo is until when it owned for certain: it had not begun to give it back, and its lease lived.
func (t *tenure) certainTo(clockError time.Duration) int64 {
	return min(t.ToNS, t.AliveUntilNS()-int64(clockError))
}

// seenUntil is the last revision at which its key was there for certain.
func (t *tenure) seenUntil() int64 { return max(slices.Max(t.Seen), t.Released-1) }

// tenuresOf reads the tenures of a history, by key.
func (f *findings) tenuresOf(ctx context.Context, src history.Source, functions ...string) (map[string][]tenure, error) {
	out := map[string][]tenure{}
	err := f.clients(ctx, src, func(p history.Pair) error {
		if !slices.Contains(functions, p.Invoke.F) || p.Outcome() != history.OK {
			return nil
		}
		t := tenure{index: p.Complete.Index, process: p.Invoke.Process, node: p.Invoke.Node}
		if err := json.Unmarshal(p.Complete.Value, &t.Tenure); err != nil {
			return fmt.Errorf("operation %d: a tenure: %w: %w", p.Complete.Index, ErrMalformed, err)
		}
		if t.FromNS > 0 && (t.AskedNS > t.FromNS || t.ToNS < t.FromNS || len(t.Seen) == 0) {
			return fmt.Errorf("operation %d: %w: a tenure must be asked for, begin and end in this order, and its key must have been seen", p.Complete.Index, ErrMalformed)
		}
		out[p.Invoke.Key] = append(out[p.Invoke.Key], t)
		return nil
	})
	return out, err
}

// ownership judges the tenures of one key after another.
type ownership struct {
	f     *findings
	d     TenuresDetail
	clock time.Duration
	// overlap is the name of an overlap that is unsafe by design, both that of one that is not.
	overlap, both string
}

// judge looks for two that owned the same thing at once.
//
// By revisions that is exact: of two owners' keys the older one was gone before the younger one's owner owned, so a revision at which
// the older one was there is below every one at which the younger one owned.
//
// By times it is as certain as leases are: whoever has not begun to give back what it owns, and whose lease lives by a renewal that was
// acknowledged, owns it, whatever clocks say within the clock error. What is left of two processes' beliefs is unsafe by design.
func (o *ownership) judge(key string, all []tenure) {
	o.d.Keys++
	var began []tenure
	for i := range all {
		t := &all[i]
		o.early(key, t)
		if !t.began() {
			o.d.Waited++
			continue
		}
		o.d.Tenures++
		o.d.Ends[t.End]++
		began = append(began, *t)
	}
	broken := map[[2]int64]bool{}
	accuse := func(a, b *tenure, why string) {
		if broken[[2]int64{a.index, b.index}] || broken[[2]int64{b.index, a.index}] {
			return
		}
		broken[[2]int64{a.index, b.index}] = true
		o.f.add(Anomaly{Name: o.both, Key: key, Ops: []int64{a.index, b.index}, Why: why})
	}
	o.byRevision(began, accuse)
	o.byTime(began, accuse)
	o.beliefs(key, began, broken)
}

// early tells of a key that was gone although its lease lived and its owner had not given it back.
func (o *ownership) early(key string, t *tenure) {
	if until := t.AliveUntilNS() - int64(o.clock); t.GoneNS > 0 && t.GoneNS < until {
		o.f.add(Anomaly{Name: "lease-expired-early", Key: key, Ops: []int64{t.index}, Why: fmt.Sprintf(
			"%s was told at %s that its key is no more, though its lease had been renewed until %s at least", t.who(),
			time.Duration(t.GoneNS), time.Duration(until+int64(o.clock)))})
	}
}

// byRevision finds older keys that were there when a younger one's owner owned.
func (o *ownership) byRevision(list []tenure, accuse func(a, b *tenure, why string)) {
	slices.SortFunc(list, func(a, b tenure) int { return cmp.Or(cmp.Compare(a.Created, b.Created), cmp.Compare(a.index, b.index)) })
	var last *tenure // of the older ones the one whose key was seen last
	for i := range list {
		t := &list[i]
		if last != nil && last.seenUntil() >= slices.Min(t.Seen) {
			accuse(last, t, fmt.Sprintf("the key of %s was there at revision %d, but %s owned at revision %d already",
				last.who(), last.seenUntil(), t.who(), slices.Min(t.Seen)))
		}
		if last == nil || t.seenUntil() > last.seenUntil() {
			last = t
		}
	}
}

// byTime finds pairs that both owned at one moment for certain.
func (o *ownership) byTime(list []tenure, accuse func(a, b *tenure, why string)) {
	slices.SortFunc(list, byFrom)
	longest := make([]*tenure, len(list)) // of those up to each one the one that owned longest for certain
	for i := range list {
		b := &list[i]
		if longest[i] = b; i > 0 {
			a := longest[i-1]
			if until := min(a.certainTo(o.clock), b.certainTo(o.clock)); until > b.FromNS {
				accuse(a, b, fmt.Sprintf("%s owned from %s to %s at least, and %s from %s on", a.who(), time.Duration(a.FromNS),
					time.Duration(a.certainTo(o.clock)), b.who(), time.Duration(b.FromNS)))
			}
			if a.certainTo(o.clock) > b.certainTo(o.clock) {
				longest[i] = a
			}
		}
		// Whatever became of its lease, b owned at some time while it asked for that.
		before, _ := slices.BinarySearchFunc(list[:i], b.AskedNS, func(t tenure, asked int64) int { return cmp.Compare(t.FromNS, asked+1) })
		if before == 0 {
			continue
		}
		if a := longest[before-1]; a.certainTo(o.clock) >= b.FromNS {
			accuse(a, b, fmt.Sprintf("%s owned from %s to %s at least, and %s came to own between %s and %s", a.who(), time.Duration(a.FromNS),
				time.Duration(a.certainTo(o.clock)), b.who(), time.Duration(b.AskedNS), time.Duration(b.FromNS)))
		}
	}
}

func byFrom(a, b tenure) int {
	return cmp.Or(cmp.Compare(a.FromNS, b.FromNS), cmp.Compare(a.index, b.index))
}

// beliefs measures for how long two believed that they owned, where the lease of one need not have lived.
func (o *ownership) beliefs(key string, list []tenure, broken map[[2]int64]bool) {
	slices.SortFunc(list, byFrom)
	var (
		last  *tenure // of the ones so far the one that believed longest
		until int64   // up to where overlaps were counted
	)
	for i := range list {
		t := &list[i]
		if last != nil {
			from, to := max(t.FromNS, until), min(t.ToNS, last.ToNS)
			if from < to && !broken[[2]int64{last.index, t.index}] && !broken[[2]int64{t.index, last.index}] {
				o.believed(key, last, t, time.Duration(to-from))
				until = to
			}
		}
		if last == nil || t.ToNS > last.ToNS {
			last = t
		}
	}
}

func (o *ownership) believed(key string, a, b *tenure, long time.Duration) {
	o.d.Overlaps++
	o.d.OverlapSum += long
	o.d.OverlapMax = max(o.d.OverlapMax, long)
	o.f.add(Anomaly{Name: o.overlap, Key: key, Ops: []int64{a.index, b.index}, Allowed: true, Why: fmt.Sprintf(
		"%s believed that it owned from %s to %s, though its lease was certain until %s only, and %s owned from %s on: both for %s; a lease alone does not prevent that",
		a.who(), time.Duration(a.FromNS), time.Duration(a.ToNS), time.Duration(a.AliveUntilNS()), b.who(), time.Duration(b.FromNS), long)})
}

// summary is "2 locks, 140 owners, 3 waited in vain; two at once 5 times for 4s in all, at most 1.2s, unsafe by design".
func (d *TenuresDetail) summary(one, many string) string {
	s := fmt.Sprintf("%s, %s, %s waited in vain", count(d.Keys, one, many), count(d.Tenures, "owner", "owners"), thousands(int64(d.Waited)))
	if d.Overlaps == 0 {
		return s + ", never two who believed that they own"
	}
	return fmt.Sprintf("%s; two believed so %s for %s in all, at most %s: unsafe by design", s, count(d.Overlaps, "time", "times"),
		d.OverlapSum.Round(time.Millisecond), d.OverlapMax.Round(time.Millisecond))
}
