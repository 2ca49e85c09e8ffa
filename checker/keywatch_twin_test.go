package checker

import (
	"slices"
	"testing"

	"github.com/faultline/faultline/harness/history"
)

// possible is the checker's dumb twin: it tries every way in which the changes of unknown outcome may have happened or not, and holds
// each view against the store that this gives, by the letter of the promises.
func (w *tinyKeys) possible() bool {
	at := map[int64]*tinyKeyChange{}
	var unknown []*tinyKeyChange
	newest := int64(1)
	for i := range w.changes {
		ch := &w.changes[i]
		switch {
		case ch.outcome == history.Info:
			unknown = append(unknown, ch)
		case ch.outcome == history.OK && ch.happened > 0:
			at[ch.happened] = ch
		}
	}
	for _, ch := range w.changes {
		newest = max(newest, ch.happened)
	}
	return w.place(unknown, at, newest+3)
}

func (w *tinyKeys) place(unknown []*tinyKeyChange, at map[int64]*tinyKeyChange, newest int64) bool {
	if len(unknown) == 0 {
		l := perform(at, newest)
		return l != nil && w.agrees(l)
	}
	if w.place(unknown[1:], at, newest) {
		return true
	}
	for r := int64(2); r <= newest; r++ {
		if at[r] != nil {
			continue
		}
		at[r] = unknown[0]
		if w.place(unknown[1:], at, newest) {
			delete(at, r)
			return true
		}
		delete(at, r)
	}
	return false
}

// agrees tells whether all views are true of a store.
func (w *tinyKeys) agrees(l *tinyLog) bool {
	acknowledged := int64(0)
	for _, ch := range w.changes {
		if ch.outcome == history.OK {
			acknowledged = max(acknowledged, ch.happened)
		}
	}
	for _, r := range w.ranges {
		state, ok := l.states[min(r.revision, l.newest)]
		if !ok || r.revision < acknowledged || len(state) != len(r.states) {
			return false
		}
		for _, s := range r.states {
			if state[s.Key] != s {
				return false
			}
		}
	}
	for i := range w.streams {
		if !w.streamAgrees(&w.streams[i], l) {
			return false
		}
	}
	return true
}

// part is what a stream delivered of one revision; whole: all that it is going to.
type part struct {
	revision int64
	events   []history.KeyEvent
	whole    bool
}

// parts cuts a stream into revisions; false: its order or its notifications are not as promised.
func parts(s *history.KeyStream) (out []part, upTo int64, ok bool) {
	continues := false
	for _, r := range s.Responses {
		if r.Progress {
			if r.Revision < upTo {
				return nil, 0, false
			}
			upTo = r.Revision
			continue
		}
		for i, e := range r.Events {
			n := len(out)
			switch {
			case e.Mod <= upTo || n > 0 && e.Mod < out[n-1].revision:
				return nil, 0, false
			case n > 0 && e.Mod == out[n-1].revision:
				if i == 0 && !continues {
					return nil, 0, false
				}
				out[n-1].events = append(out[n-1].events, e)
			default:
				out = append(out, part{e.Mod, []history.KeyEvent{e}, true})
			}
		}
		if len(r.Events) > 0 {
			continues = r.Fragment
		}
	}
	if continues {
		out[len(out)-1].whole = false
	}
	return out, upTo, true
}

func (w *tinyKeys) streamAgrees(s *history.KeyStream, l *tinyLog) bool {
	delivered, upTo, ok := parts(s)
	if !ok {
		return false
	}
	begin := s.Start
	if begin == 0 {
		begin = s.CreatedAt + 1
		if len(delivered) > 0 {
			begin = min(begin, delivered[0].revision)
		}
	}
	end, last := upTo, int64(0)
	byRevision := map[int64]part{}
	for _, p := range delivered {
		byRevision[p.revision] = p
		last = p.revision
		if p.revision < begin || p.revision > l.newest {
			return false
		}
		if p.whole {
			end = max(end, p.revision)
		} else {
			end, last = max(end, p.revision-1), p.revision-1
			if !w.within(s, p.events, l.events[p.revision], false) {
				return false
			}
		}
	}
	for r := begin; r <= min(end, l.newest); r++ {
		if !w.within(s, byRevision[r].events, l.events[r], true) {
			return false
		}
	}
	switch s.Ended {
	case history.KeyEndClosed:
		return false
	case history.KeyEndCompacted:
		return slices.Contains(w.compacted, s.Compacted) && max(s.Start, last+1) < s.Compacted || len(delivered) == 0 && s.Start < s.Compacted && slices.Contains(w.compacted, s.Compacted)
	}
	return true
}

// within tells whether events are some of a revision's that a stream asked for, or all of them.
func (w *tinyKeys) within(s *history.KeyStream, got, of []history.KeyEvent, all bool) bool {
	asked := map[string]history.KeyEvent{}
	for _, e := range of {
		if s.Covers(e.Key) && (e.Number == 0 || !s.NoPuts) && (e.Number != 0 || !s.NoDeletes) {
			asked[e.Key] = e
		}
	}
	if all && len(got) != len(asked) || len(got) > len(asked) {
		return false
	}
	for _, e := range got {
		want, ok := asked[e.Key]
		delete(asked, e.Key)
		if e.Number == 0 {
			e.Created, e.Version = 0, 0 // a deletion's mean nothing
		}
		if !ok || e.KeyState != want.KeyState {
			return false
		}
		if !s.Previous {
			continue
		}
		compacted := slices.ContainsFunc(w.compacted, func(c int64) bool { return c >= e.Mod })
		switch {
		case e.Previous == nil && want.Previous == nil, e.Previous == nil && compacted:
		case e.Previous == nil || want.Previous == nil:
			return false
		default:
			had := *e.Previous
			had.Key = ""
			if had != *want.Previous {
				return false
			}
		}
	}
	return true
}

// against compares the checker with its twin on one world. Where nothing is unknown they must agree; what may or may not have happened the
// checker weighs view by view, so it may miss what only all of it together rules out, but must never accuse what is possible.
func against(t *testing.T, seed uint64) (invalid, missed bool) {
	t.Helper()
	unknowns := int(seed % 3)
	w := newTinyKeys(seed, unknowns)
	h := w.history()
	possible := w.possible()
	verdict, names := verdictOf(t, KeyWatches(), h)
	switch {
	case verdict == Invalid && possible:
		t.Fatalf("seed %d: %v, but there is a store that shows all this:\n%s", seed, names, history.Format(h))
	case verdict != Invalid && !possible && unknowns == 0:
		t.Fatalf("seed %d: not found invalid, but no store shows this:\n%s", seed, history.Format(h))
	case !w.lied && !possible:
		t.Fatalf("seed %d: the twin does not believe a true world:\n%s", seed, history.Format(h))
	}
	return !possible, !possible && verdict != Invalid
}

// A share of the worlds that only all unknown outcomes together rule out may be missed.
const missedShareMax = 0.05

func TestKeyWatchesAgainstTheTwin(t *testing.T) {
	invalid, missed := 0, 0
	const worlds = 30000
	for seed := range uint64(worlds) {
		i, m := against(t, seed)
		if i {
			invalid++
		}
		if m {
			missed++
		}
	}
	t.Logf("%d worlds, %d invalid, %d of these missed", worlds, invalid, missed)
	if invalid < worlds/4 || float64(missed) > missedShareMax*float64(invalid) {
		t.Errorf("of %d worlds %d are invalid and %d of these are missed", worlds, invalid, missed)
	}
}

func FuzzKeyWatches(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { against(t, seed) })
}
