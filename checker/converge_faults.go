package checker

import (
	"cmp"
	"slices"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// merged are the episodes with those of one object joined that lie closer together than the time for which it must hold, unless
// a fault or a change of what is declared came in between.
func (w *watching) merged() []*episode {
	byID := map[objectID]*episode{}
	var out []*episode
	for _, e := range w.tracks.episodes {
		p := byID[e.objectID]
		if p == nil || e.declared || e.from.Time-p.to.Time >= w.q.hold() || w.q.nextStart(p.to.Time) <= e.from.Time {
			one := *e
			byID[e.objectID] = &one
			out = append(out, &one)
			continue
		}
		p.to, p.last, p.mismatch, p.redeclared = e.to, e.last, e.mismatch, max(p.redeclared, e.redeclared)
	}
	return out
}

// faults measures the time to converge of each fault.
func (d *ConvergeDetail) faults(q *quietPoint, episodes []*episode) {
	d.Faults = []FaultConvergence{}
	for i := range q.windows {
		w := &q.windows[i]
		if w.Skipped != "" {
			continue
		}
		f := FaultConvergence{ID: w.ID, Family: w.Family, Variant: w.Variant, Nodes: w.Nodes, StartNS: w.StartInvoke.Time, Open: w.Open}
		if !w.Open {
			f.StopNS = w.StopComplete.Time
			f.measure(q, w, episodes)
		}
		d.Faults = append(d.Faults, f)
	}
}

func (f *FaultConvergence) measure(q *quietPoint, w *history.Window, episodes []*episode) {
	next := q.nextStart(f.StopNS)
	known := time.Duration(0)
	for _, e := range episodes {
		if !owns(w, next, e) {
			continue
		}
		f.Objects++
		to := time.Duration(never)
		if !e.open() {
			to = e.to.Time
		}
		switch {
		case to > next, e.redeclared > f.StopNS:
			f.Interrupted++
		case e.open():
			f.Left++
			m := q.mismatched(e)
			f.Last = &m
		default:
			if took := to - f.StopNS; took > known || f.Last == nil {
				m := q.mismatched(e)
				known, f.Last = took, &m
			}
		}
	}
	if f.Left == 0 && (f.Objects == 0 || f.Interrupted < f.Objects) {
		if f.ConvergedNS = &known; known > 0 {
			f.With = q.beside(w)
		}
	}
}

// beside are the faults that were in force when one ended, and went on.
func (q *quietPoint) beside(w *history.Window) []string {
	var out []string
	for i := range q.windows {
		v := &q.windows[i]
		if v.ID != w.ID && v.Skipped == "" && v.StartInvoke.Time <= w.StopComplete.Time && (v.Open || v.StopComplete.Time > w.StopComplete.Time) {
			out = append(out, v.ID)
		}
	}
	return out
}

// owns tells whether an episode is laid at a fault's door: the object did not match when the fault ended, or began not to match
// before the next fault, without a change of what is declared of it.
func owns(w *history.Window, next time.Duration, e *episode) bool {
	stop := w.StopComplete.Time
	if !e.open() && e.to.Time <= stop {
		return false
	}
	return e.from.Time <= stop || e.from.Time < next && !e.declared
}

// longestMax is how many of the longest episodes are listed.
const longestMax = 20

// episodes fills in what is told of them by kind and component.
func (d *ConvergeDetail) episodes(q *quietPoint, episodes []*episode, end time.Duration) {
	d.Kinds, d.Components = map[string]*KindConvergence{}, map[string]*ComponentConvergence{}
	for _, e := range episodes {
		if d.Kinds[e.kind] == nil {
			d.Kinds[e.kind] = &KindConvergence{}
		}
		d.Kinds[e.kind].add(e)
		c := d.component(e.mismatch.Component)
		c.add(e)
		if e.open() {
			d.Drifts++
		} else {
			d.Blips++
		}
	}
	for _, k := range d.Kinds {
		k.measure()
	}
	for _, c := range d.Components {
		c.measure()
	}
	length := func(e *episode) time.Duration {
		if e.open() {
			return end - e.from.Time
		}
		return e.to.Time - e.from.Time
	}
	sorted := slices.Clone(episodes)
	slices.SortStableFunc(sorted, func(a, b *episode) int { return cmp.Compare(length(b), length(a)) })
	for _, e := range sorted[:min(len(sorted), longestMax)] {
		d.Longest = append(d.Longest, q.mismatched(e))
	}
}

func (d *ConvergeDetail) component(name string) *ComponentConvergence {
	c := d.Components[name]
	if c == nil {
		c = &ComponentConvergence{Verdict: "converged"}
		d.Components[name] = c
	}
	return c
}
