package checker

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/faultline/faultline/harness/history"
)

// faults is what the nemesis did in a run.
type faults struct {
	// windows are in the order in which they began, the skipped ones included.
	windows []history.Window
	// healthy is the last operation await-healthy; nil if there is none.
	healthy *history.Pair
	// watchdogs are what watchdogs undid, a sentence each, with the node's name.
	watchdogs []string
}

// faultsOf reads what the nemesis did.
func (f *findings) faultsOf(ctx context.Context, src history.Source) (faults, error) {
	ws, err := history.Windows(src)
	if err != nil {
		return faults{}, fmt.Errorf("read the faults: %w", err)
	}
	all := faults{windows: ws}
	err = f.nemesis(ctx, src, func(p history.Pair) error {
		if p.Invoke.F == history.FAwaitHealthy {
			all.healthy = &p
		}
		return nil
	})
	if err != nil {
		return all, err
	}
	all.watchdogs, err = watchdogsOf(src)
	return all, err
}

// watchdogsOf reads what watchdogs undid before the driver did.
func watchdogsOf(src history.Source) ([]string, error) {
	var out []string
	for op, err := range src.Ops() {
		if err != nil {
			return nil, err
		}
		if op.Process == history.Evidence && op.F == history.FWatchdog {
			out = append(out, op.Node+": "+string(op.Value))
		}
	}
	return out, nil
}

// proved tells whether the fault took effect for certain.
func proved(w *history.Window) bool { return w.Proved && !isNull(w.Proof) }

// during is the stretch in which a proved fault was in force for certain.
func during(w *history.Window) span {
	s := span{w.StartComplete.Index, never}
	if w.StopInvoke.Known {
		s.to = w.StopInvoke.Index
	}
	return s
}

// after is the stretch from a fault's end to the next start in its family, or to the end of the history. Families
// overlap: what is asked is whether anybody looked once this fault was over.
func (a faults) after(w *history.Window) (span, bool) {
	if !w.StopComplete.Known {
		return span{}, false
	}
	s := span{w.StopComplete.Index, never}
	for i := range a.windows {
		v := &a.windows[i]
		if v.Family == w.Family && v.Skipped == "" && v.ID != w.ID && v.StartInvoke.Index >= w.StartInvoke.Index && v.Overlaps(s.from, never-1) {
			s.to = min(s.to, max(s.from, v.StartInvoke.Index))
		}
	}
	return s, true
}

// unwell are the reasons why the system may not have been well from an index on.
func (a faults) unwell(from int64) (why []string) {
	for i := range a.windows {
		if w := &a.windows[i]; w.Overlaps(from, never-1) {
			why = append(why, fault(w)+" was not proved to have ended by then")
		}
	}
	if h := a.healthy; h != nil && h.Outcome() != history.OK {
		why = append(why, "the system did not get well again: "+cmp.Or(h.Complete.Error, "the wait for that did not end"))
	}
	return why
}

// mayAct are the stretches in which some fault may have been in force.
func (a faults) mayAct() spanList {
	var out spanList
	for _, w := range a.windows {
		if w.Skipped != "" {
			continue
		}
		s := span{w.StartInvoke.Index, never}
		if w.StopComplete.Known {
			s.to = w.StopComplete.Index
		}
		if n := len(out); n > 0 && s.from <= out[n-1].to {
			out[n-1].to = max(out[n-1].to, s.to)
			continue
		}
		out = append(out, s)
	}
	return out
}

// restarts are the stretches in which a fault may have been in force that makes a member forget what it had applied.
func (a faults) restarts() spanList {
	a.windows = slices.DeleteFunc(slices.Clone(a.windows), func(w history.Window) bool { return slices.Contains(steadyFaults, w.Family) })
	return a.mayAct()
}

// span is a stretch of a history between two indexes.
type span struct{ from, to int64 }

// spanList is a list of spans that do not overlap, in order.
type spanList []span

func (l spanList) overlaps(from, to int64) bool {
	i, _ := slices.BinarySearchFunc(l, from, func(s span, from int64) int {
		if s.to < from {
			return -1
		}
		return 1
	})
	return i < len(l) && l[i].from < to
}

// contains tells whether one span holds all of from to to.
func (l spanList) contains(from, to int64) bool {
	i, _ := slices.BinarySearchFunc(l, from, func(s span, from int64) int {
		if s.to < from {
			return -1
		}
		return 1
	})
	return i < len(l) && l[i].from < from && to < l[i].to
}
