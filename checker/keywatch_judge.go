package checker

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/faultline/faultline/harness/history"
)

// keyJudge judges the views of one history.
type keyJudge struct {
	f          findings
	d          KeyWatchDetail
	h          *keyHistory
	unforeseen unforeseenEnds
}

// claims takes in what all views show, so that each can be held against all others.
func (j *keyJudge) claims() {
	for _, c := range j.h.collided {
		j.f.add(Anomaly{
			Name: "duplicate-revision", Key: c[0].collection, Ops: []int64{c[0].index, c[1].index},
			Why: fmt.Sprintf("%s and %s were both acknowledged as revision %d", c[0], c[1], c[0].revision),
		})
	}
	for _, w := range j.h.committed {
		s := history.KeyState{Key: w.key, Number: w.number, Mod: w.revision}
		if _, bad := j.h.claim(w.collection, s, never, w.index); bad != nil {
			j.disprove(w.collection, w.index, "the store told of "+toldOf(&s), bad)
		}
	}
	for _, s := range j.h.streams {
		for i := range s.Responses {
			for k := range s.Responses[i].Events {
				j.claimEvent(s, &s.Responses[i].Events[k])
			}
		}
	}
	for _, r := range j.h.ranges {
		for i := range r.states {
			if _, bad := j.h.claim(r.collection, r.states[i], r.ret, r.ret); bad != nil {
				j.disprove(r.collection, r.ret, fmt.Sprintf("range %d shows %s", r.ret, toldOf(&r.states[i])), bad)
			}
		}
	}
}

func (j *keyJudge) claimEvent(s *keyStream, e *history.KeyEvent) {
	if _, bad := j.h.claim(s.collection, e.KeyState, s.ret, s.ret); bad != nil {
		j.disprove(s.collection, s.ret, s.delivered(e), bad)
	}
	if e.Previous == nil {
		return
	}
	before := *e.Previous
	before.Key = e.Key
	if before.Number == 0 || before.Mod >= e.Mod {
		return // see previous
	}
	if _, bad := j.h.claim(s.collection, before, s.ret, s.ret); bad != nil {
		bad.name = "wrong-previous"
		j.disprove(s.collection, s.ret, fmt.Sprintf("%s, with %s as what was before", s.delivered(e), toldOf(&before)), bad)
	}
}

func (j *keyJudge) disprove(collection string, by int64, what string, bad *disproof) {
	j.f.add(Anomaly{Name: bad.name, Key: collection, Ops: append([]int64{by}, bad.ops...), Why: what + ", but " + bad.why})
}

// toldOf is a state to people.
func toldOf(s *history.KeyState) string {
	if s.Number == 0 {
		return fmt.Sprintf("the deletion of %s at revision %d", s.Key, s.Mod)
	}
	return fmt.Sprintf("%d in %s at revision %d", s.Number, s.Key, s.Mod)
}

func (s *keyStream) String() string { return fmt.Sprintf("watch %d (%s)", s.ret, s.From) }

func (s *keyStream) delivered(e *history.KeyEvent) string {
	return fmt.Sprintf("%s delivered %s", s, toldOf(&e.KeyState))
}

// stream judges one stream.
func (j *keyJudge) stream(s *keyStream) {
	j.d.Streams[s.From]++
	j.d.Ends[endOf(s.Ended)]++
	r := &keyReplay{j: j, c: j.h.of(s.collection), s: s, told: map[keyPlace]bool{}, broken: map[string]bool{}}
	r.begin = s.Start
	if s.Start == 0 {
		r.begin = s.CreatedAt + 1
		// What is confirmed may be a newer revision than the one at which the watch began: then its first event tells.
		for _, resp := range s.Responses {
			if len(resp.Events) > 0 {
				r.begin = min(r.begin, resp.Events[0].Mod)
				break
			}
		}
	}
	for i := range s.Responses {
		r.response(&s.Responses[i])
	}
	if !r.disordered && (s.Start > 0 || s.CreatedAt > 0) {
		r.complete()
	}
	r.ended()
}

type keyPlace struct {
	revision int64
	key      string
}

// keyReplay goes through one stream.
type keyReplay struct {
	j *keyJudge
	c *keyCollection
	s *keyStream
	// begin is the first revision that is owed.
	begin int64
	// first and last are the revisions of the first and last event, progress the newest notification's.
	first, last, progress int64
	// fragment: the last response with events goes on in the next one.
	fragment bool
	told     map[keyPlace]bool
	// broken are the anomalies that this stream has: of each name the first one is told.
	broken     map[string]bool
	disordered bool
}

func (r *keyReplay) add(name, why string, ops ...int64) {
	if r.broken[name] {
		return
	}
	r.broken[name] = true
	r.j.f.add(Anomaly{Name: name, Key: r.s.collection, Ops: append([]int64{r.s.ret}, ops...), Why: why})
}

// response judges one message by the ones before.
func (r *keyReplay) response(resp *history.KeyResponse) {
	if resp.Progress {
		r.j.d.Progress++
		if resp.Revision < r.progress {
			r.add("wrong-progress", fmt.Sprintf("%s was told that all was delivered up to %d, and then only up to %d", r.s, r.progress, resp.Revision))
		}
		r.progress = max(r.progress, resp.Revision)
		return
	}
	if resp.Fragment {
		r.j.d.Fragments++
	}
	for i := range resp.Events {
		r.j.d.Events++
		r.event(&resp.Events[i], i == 0 && !r.fragment)
	}
	if len(resp.Events) > 0 {
		r.fragment = resp.Fragment
	}
}

// event judges one event; opens: it is the first of a response that does not go on with the one before.
func (r *keyReplay) event(e *history.KeyEvent, opens bool) {
	what := r.s.delivered(e)
	if !r.s.Covers(e.Key) || r.s.NoPuts && e.Number != 0 || r.s.NoDeletes && e.Number == 0 {
		r.add("unfiltered-event", what+", which it had not asked for")
		return
	}
	if e.Mod < r.begin {
		r.add("early-event", fmt.Sprintf("%s, though it was to begin at %d", what, r.begin))
	}
	if r.disordered {
		return // what follows an event out of order says nothing
	}
	place := keyPlace{e.Mod, e.Key}
	switch {
	case r.told[place]:
		r.add("duplicate-event", what+", which it had delivered before")
		return
	case e.Mod <= r.progress:
		r.add("wrong-progress", fmt.Sprintf("%s, after it had said that all was delivered up to %d", what, r.progress))
	case e.Mod < r.last:
		r.add("reordered-event", fmt.Sprintf("%s, after revision %d", what, r.last))
		r.disordered = true
	case e.Mod == r.last && opens:
		r.add("torn-transaction", fmt.Sprintf("%s in another response than the rest of that revision", what))
	}
	r.told[place] = true
	r.first = cmp.Or(r.first, e.Mod)
	r.last = max(r.last, e.Mod)
	r.created(&e.KeyState, what)
	r.previous(e, what)
}

// complete finds events that the stream owed and did not deliver.
func (r *keyReplay) complete() {
	end := r.last
	if r.fragment {
		end-- // the rest of that revision may have been under way
	}
	end = max(end, r.progress)
	from, _ := slices.BinarySearchFunc(r.c.items, r.begin, func(i *keyItem, v int64) int { return cmp.Compare(i.revision, v) })
	for _, item := range r.c.items[from:] {
		if item.revision > end {
			break
		}
		if !r.s.Covers(item.key) || r.s.NoPuts && item.number != 0 || r.s.NoDeletes && item.number == 0 {
			continue
		}
		r.j.d.Owed++
		if !r.told[keyPlace{item.revision, item.key}] {
			r.lost(item)
		}
	}
	byLow := func(a, b looseDeletion) int { return cmp.Or(cmp.Compare(a.low, b.low), cmp.Compare(a.key, b.key)) }
	for _, d := range slices.SortedFunc(maps.Values(r.c.loose), byLow) {
		if d.low+1 < r.begin || d.high > end || !r.s.Covers(d.key) || r.s.NoDeletes {
			continue
		}
		r.j.d.Owed++
		r.add("lost-event", fmt.Sprintf("%s lacks a deletion of %s between revisions %d and %d, that operations %d and %d show",
			r.s, d.key, d.low, d.high+1, d.by[0], d.by[1]), d.by[0], d.by[1])
	}
}

// lost names what it is that a stream lacks.
func (r *keyReplay) lost(item *keyItem) {
	why := fmt.Sprintf("%s, from revision %d on, lacks %s", r.s, r.begin, item)
	for key := range r.c.lines {
		if r.told[keyPlace{item.revision, key}] {
			r.add("torn-transaction", why+", though it delivered the rest of that revision", item.by)
			return
		}
	}
	if (r.first == 0 || item.revision < r.first) && r.j.h.forgotten(item.revision, r.s.ret) {
		r.add("untold-compaction", why+": it was compacted, and the stream was not canceled for that", item.by)
		return
	}
	if r.progress >= item.revision && r.last < item.revision {
		why += fmt.Sprintf(", though it said that all was delivered up to %d", r.progress)
	}
	r.add("lost-event", why, item.by)
}
