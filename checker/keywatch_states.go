package checker

import (
	"fmt"

	"github.com/faultline/faultline/harness/history"
)

// created judges what a state says of when its key was created and how often it was changed since.
func (r *keyReplay) created(s *history.KeyState, what string) {
	if s.Number == 0 {
		return
	}
	if bad := r.c.line(s.Key).created(s, r.s.ret); bad != nil {
		r.add(bad.name, what+bad.why, bad.ops...)
	}
}

// created is what disproves a state's Created and Version, if anything does.
func (l *keyLine) created(s *history.KeyState, ret int64) *disproof {
	wrong := func(ops []int64, format string, args ...any) *disproof {
		return &disproof{"wrong-created", fmt.Sprintf(" as version %d of what was created at %d", s.Version, s.Created) + fmt.Sprintf(format, args...), ops}
	}
	if s.Created <= 0 || s.Created > s.Mod || s.Version < 1 || (s.Version == 1) != (s.Created == s.Mod) {
		return wrong(nil, ", which contradicts itself")
	}
	from, to := l.place(s.Created), l.place(s.Mod)
	if n := l.deletions[to] - l.deletions[from]; n > 0 {
		for _, i := range l.items[from:to] {
			if i.number == 0 {
				return wrong([]int64{i.by}, ", but in between there was %s", i)
			}
		}
	}
	known := int64(to - from + 1)
	puts, deletions := l.mayBe(s.Key, ret)
	if s.Version < known || s.Version > known+int64(puts) {
		return wrong(nil, ", but since then it was put %d times, or up to %d more", known, puts)
	}
	if s.Version == known && s.Created < s.Mod && (from == to || l.items[from].revision != s.Created) {
		return wrong(nil, ", but nobody put it then")
	}
	if before := l.before(s.Created); before != nil && before.number != 0 && deletions == 0 {
		return wrong([]int64{before.by}, ", but it was there before: %s", before)
	}
	return nil
}

// previous judges what an event says of the state before.
func (r *keyReplay) previous(e *history.KeyEvent, what string) {
	if !r.s.Previous {
		return
	}
	line, p := r.c.line(e.Key), e.Previous
	if p == nil {
		if (e.Number == 0 || e.Version > 1) && !r.j.h.compacted(e.Mod, r.s.ret) {
			r.add("wrong-previous", what+" without what was before, which was not compacted")
		}
		return
	}
	r.j.d.Previous++
	before := *p
	before.Key = e.Key
	if p.Number == 0 || p.Mod >= e.Mod {
		r.add("wrong-previous", fmt.Sprintf("%s, with %s as what was before", what, toldOf(&before)))
		return
	}
	if last := line.before(e.Mod); last == nil || last.revision != p.Mod {
		if last != nil && line.at[p.Mod] != nil { // else it was disproved by itself
			r.add("wrong-previous", fmt.Sprintf("%s, with %s as what was before, but there was %s", what, toldOf(&before), last), last.by)
		}
		return
	}
	r.created(&before, what+", and as what was before "+toldOf(&before))
	if e.Number != 0 && (e.Created != p.Created || e.Version != p.Version+1) {
		r.add("wrong-previous", fmt.Sprintf("%s as version %d of what was created at %d, with version %d of what was created at %d as what was before",
			what, e.Version, e.Created, p.Version, p.Created))
	}
}

// forgotten tells whether a revision may be gone by a compaction that was asked for before a moment.
func (h *keyHistory) forgotten(revision, before int64) bool { return h.compacted(revision+1, before) }

// ended judges why a stream ended.
func (r *keyReplay) ended() {
	s := r.s
	switch s.Ended {
	case history.KeyEndClosed, history.KeyEndCanceled:
		r.add("silent-end", fmt.Sprintf("%s was ended by the server, without a reason", s))
	case history.KeyEndCompacted:
		r.compacted()
	}
	r.j.unforeseen.add(s.Ended, s.ret)
}

// compacted judges a cancellation for a compaction.
func (r *keyReplay) compacted() {
	s := r.s
	owed := s.Start // a watch from now on may have begun a little before what its confirmation says
	if r.last > 0 {
		owed = max(owed, r.last+1)
		if r.fragment {
			owed--
		}
	}
	if owed >= s.Compacted {
		r.add("false-compaction", fmt.Sprintf("%s was canceled for the compaction of what was before %d, but it was owed only what was from %d on", s, s.Compacted, owed))
		return
	}
	if r.j.h.unknownCompaction {
		return
	}
	for _, c := range r.j.h.compactions {
		if c.revision == s.Compacted && c.call < s.ret {
			return
		}
	}
	r.add("false-compaction", fmt.Sprintf("%s was canceled for a compaction at %d, which nobody had asked for", s, s.Compacted))
}

// rangeRead judges a read of a whole collection.
func (j *keyJudge) rangeRead(r *keyRange) {
	c := j.h.of(r.collection)
	fail := func(name, why string, ops ...int64) {
		j.f.add(Anomaly{Name: name, Key: r.collection, Ops: append([]int64{r.ret}, ops...), Why: fmt.Sprintf("range %d, at revision %d, %s", r.ret, r.revision, why)})
	}
	if w, ok := j.h.made.before(r.call); ok && w.version > r.revision {
		fail("stale-read", fmt.Sprintf("began after %d had completed at revision %d", w.ret, w.version), w.ret)
	}
	shows := map[string]*history.KeyState{}
	for i := range r.states {
		s := &r.states[i]
		shows[s.Key] = s
		if bad := c.line(s.Key).created(s, r.ret); bad != nil {
			fail(bad.name, "shows "+toldOf(s)+bad.why, bad.ops...)
		}
	}
	for _, key := range sortedKeys(c.lines) {
		line, s := c.lines[key], shows[key]
		last := line.before(r.revision + 1)
		switch {
		case s != nil && s.Mod > r.revision:
			fail("wrong-snapshot", "shows "+toldOf(s))
		case s != nil && last != nil && last.revision > s.Mod:
			fail("wrong-snapshot", fmt.Sprintf("shows %s, but there was %s", toldOf(s), last), last.by)
		case s == nil && last != nil && last.number != 0:
			if _, deletions := line.mayBe(key, r.ret); deletions == 0 {
				fail("wrong-snapshot", fmt.Sprintf("lacks %s", last), last.by)
			} else {
				c.gone(looseDeletion{key, last.revision, r.revision, [2]int64{last.by, r.ret}})
			}
		}
	}
}
