package checker

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// renewals tell when a server may have begun its cache anew, and by how much what it shows may go back then.
//
// A server that loses what its cache is fed by reads the whole state from the store again. Meanwhile it may answer reads from the store
// itself: these may see more than the state that was read for the cache, which is shown from then on until the cache has caught up. So a server
// may go back, but only to a state that was the newest before the read that saw more, by no longer than it takes to fill the cache.
type renewals struct {
	// unsettled are the stretches in which a fault was in force, or had been shortly before.
	unsettled spanList
	windows   []history.Window
	// doubts counts the reads of which it is not known whether they may have gone back, doubt says so of the first.
	doubts int
	doubt  string
}

const (
	// settleTime is how long after a fault's end a server may still begin its cache anew: until its connections to the store are found
	// broken and made again.
	settleTime = 15 * time.Second
	// renewalTime is how long it takes, where nothing is short, from where the store read the state to where the cache shows it. How
	// long it takes a busy server nobody promises: whether a state that is older by up to settleTime is such a one is not known.
	renewalTime = time.Second
)

// excused tells whether a server may have gone back.
type excused int

const (
	notExcused excused = iota
	maybeExcused
	certainlyExcused
)

// renewalsOf reads the faults of a history.
func (f *findings) renewalsOf(ctx context.Context, src history.Source) (renewals, error) {
	all, err := f.faultsOf(ctx, src)
	if err != nil {
		return renewals{}, err
	}
	r := renewals{windows: slices.Clone(all.windows)}
	settled, err := indexesAt(src, all.windows)
	if err != nil {
		return r, err
	}
	for i := range all.windows {
		if w := &all.windows[i]; w.StopComplete.Known {
			w.StopComplete.Index = settled[w.StopComplete.Time+settleTime]
		}
	}
	r.unsettled = all.mayAct()
	return r, nil
}

// indexesAt are, for the times at which the faults have settled, the indexes of the last operations before them.
func indexesAt(src history.Source, windows []history.Window) (map[time.Duration]int64, error) {
	indexes := map[time.Duration]int64{}
	var times []time.Duration
	for _, w := range windows {
		if w.StopComplete.Known {
			times = append(times, w.StopComplete.Time+settleTime)
			indexes[w.StopComplete.Time+settleTime] = never - 1
		}
	}
	slices.Sort(times)
	for op, err := range src.Ops() {
		if err != nil {
			return nil, fmt.Errorf("read the history: %w", err)
		}
		for len(times) > 0 && op.Time >= times[0] {
			indexes[times[0]] = min(indexes[times[0]], op.Index-1)
			times = times[1:]
		}
		if len(times) == 0 {
			break
		}
	}
	return indexes, nil
}

// excuse tells whether one server may have gone back between a read and a later one that ended at an index, because it began its cache anew. since
// tells for how long, at a moment, there had been something newer than what the later read saw.
func (r *renewals) excuse(before *viewer, until int64, since func(at time.Duration) time.Duration) excused {
	if !r.unsettled.overlaps(before.call, until) {
		return notExcused
	}
	// Where a fault held up the read, or the server, what counts is the time before it.
	at := before.callAt
	for i := range r.windows {
		if w := &r.windows[i]; w.Overlaps(before.call, before.ret) {
			at = min(at, w.StartInvoke.Time)
		}
	}
	switch took := since(at); {
	case took <= renewalTime:
		return certainlyExcused
	case took <= settleTime:
		return maybeExcused
	}
	return notExcused
}

// judge adds the anomaly of a read that went back.
func (r *renewals) judge(f *findings, a Anomaly, e excused) {
	a.Allowed = e != notExcused
	f.add(a)
	if e == maybeExcused {
		if r.doubts++; r.doubts == 1 {
			r.doubt = a.Why
		}
	}
}

// tell gives the reads of which it is not known whether they may have gone back as a reason to be Unknown.
func (r *renewals) tell(f *findings) {
	if r.doubts > 0 {
		f.unknown("%s by more than %s, up to %s, near a fault: whether the server was filling its cache anew for so long is not known; the first: %s",
			count(r.doubts, "read went back", "reads went back"), renewalTime, settleTime, r.doubt)
	}
}
