package checker

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/faultline/faultline/harness/history"
)

// watchJudge judges the watches of one history.
type watchJudge struct {
	f          findings
	d          WatchDetail
	cs         *collections
	unforeseen unforeseenEnds
}

// unforeseenEnds are the errors that no list knows and that ended streams.
type unforeseenEnds struct{ ends []*unforeseenEnd }

// unforeseenEnd is why a stream ended, alike but for numbers, how often, and the first such stream.
type unforeseenEnd struct {
	alike, text string
	times       int
	first       int64
}

// endUnexpected begins the End of a stream that an error ended that no list of the client knows.
const endUnexpected = "error: " + PrefixUnexpected

// add notes why a stream ended, if it is one of these.
func (u *unforeseenEnds) add(end string, by int64) {
	if !strings.HasPrefix(end, endUnexpected) {
		return
	}
	text := clip(end)
	alike := withoutNumbers(text)
	for _, e := range u.ends {
		if e.alike == alike {
			e.times++
			return
		}
	}
	if len(u.ends) < listedMax {
		u.ends = append(u.ends, &unforeseenEnd{alike, text, 1, by})
	}
}

// reasons says that they leave a verdict open.
func (u *unforeseenEnds) reasons(f *findings) {
	for _, e := range u.ends {
		f.unknown("a stream ended by an error that no list knows: %s (%s, the first is watch %d)", e.text, count(e.times, "time", "times"), e.first)
	}
}

// judge adds what is wrong with one stream. covered are the changes that some stream owed.
func (j *watchJudge) judge(c *collection, s *stream, covered map[*change]bool) {
	j.d.Streams[s.From]++
	j.d.Ends[endOf(s.End)]++
	j.unforeseen.add(s.End, s.ret)
	j.d.Initial += len(s.Initial)
	r := &replay{j: j, c: c, s: s, present: map[string]bool{}, delivered: map[int64]string{}}
	r.initial()
	for i := range s.Events {
		if s.Events[i].Type == history.EventBookmark {
			j.d.Bookmarks++
		} else {
			j.d.Events++
		}
	}
	if s.From == history.WatchInform {
		r.final()
		return
	}
	// What follows an event out of order says nothing: the first one is told.
	for i := 0; i < len(s.Events) && !r.disordered; i++ {
		r.event(&s.Events[i])
	}
	if !r.disordered {
		r.complete(covered)
	}
}

// endOf is why a stream ended, without what differs each time.
func endOf(end string) string {
	if len(end) > 5 && end[:5] == "error" {
		return "error"
	}
	return end
}

// replay goes through one stream.
type replay struct {
	j *watchJudge
	c *collection
	s *stream
	// present tells of each object that the stream told of whether it was there then; whole: of all objects.
	present map[string]bool
	whole   bool
	// begin is the revision that the stream began after, 0 if that is not known; then only what follows the first event is owed, save
	// creates and updates if the initial state is whole.
	begin int64
	// last is the highest version of an event, bookmark the last one's, first the first event's.
	last, bookmark, first int64
	// delivered are the objects of the events, by version.
	delivered  map[int64]string
	disordered bool
}

func (r *replay) add(name, why string, ops ...int64) {
	r.j.f.add(Anomaly{Name: name, Key: r.c.key, Ops: append([]int64{r.s.ret}, ops...), Why: why})
}

// initial judges the state that the stream began with.
func (r *replay) initial() {
	s := r.s
	r.begin = max(s.After, s.InitialAt)
	r.whole = s.InitialDone
	r.last = r.begin
	newest := int64(0)
	for _, m := range s.Initial {
		r.present[m.Object] = true
		newest = max(newest, m.Version)
	}
	if s.From != history.WatchInform {
		r.last = max(r.last, newest)
	}
	v := &snapshot{viewer: s.viewer, what: "the initial state of " + s.String(), revision: cmp.Or(s.InitialAt, newest), members: membersOf(s.Initial, 0)}
	switch {
	case s.InitialAt > 0 && s.InitialDone:
		if bad := r.c.compare(v); bad != nil {
			r.add(bad.name, bad.why, bad.ops...)
			return
		}
		r.j.age(r.c, s, v)
	case len(s.Initial) > 0:
		r.members(v)
	}
}

// members judges objects of which it is not known at which one revision they were there.
func (r *replay) members(v *snapshot) {
	for _, m := range v.members {
		if bad := r.c.origin(m.object, m.version, m.number, v.ret); bad != nil {
			r.add(bad.name, fmt.Sprintf("%s shows %s as %d at version %d, but %s", v.what, m.object, m.number, m.version, bad.why), bad.ops...)
			return
		}
	}
}

// age judges how old an initial state of a known revision is. What a stream is resumed from where its process had seen nothing is a quorum list.
func (j *watchJudge) age(c *collection, s *stream, v *snapshot) {
	if w, ok := j.cs.writes.before(s.call); ok && w.version > v.revision {
		j.f.add(Anomaly{
			Name: "stale-read", Key: c.key, Ops: []int64{s.ret, w.ret}, Allowed: s.From != history.WatchList && s.From != history.WatchResume,
			Why: fmt.Sprintf("%s is of revision %d, but %d had completed at version %d before it began", v.what, v.revision, w.ret, w.version),
		})
	}
}

// final judges what an informer's store held at the end.
func (r *replay) final() {
	if r.s.FinalAt == 0 {
		return
	}
	r.j.d.Finals++
	v := &snapshot{viewer: r.s.viewer, what: "the store of the informer of " + r.s.String(), revision: r.s.FinalAt, members: membersOf(r.s.Final, 0)}
	if bad := r.c.compare(v); bad != nil {
		r.add(bad.name, bad.why, bad.ops...)
	}
}

// event judges one event by itself and by the ones before.
func (r *replay) event(e *history.Event) {
	if e.Type == history.EventBookmark {
		r.bookmark = max(r.bookmark, e.Version)
		return
	}
	what := fmt.Sprintf("%s delivered %s %s at version %d", r.s, e.Type, e.Object, e.Version)
	if !r.inOrder(e, what) {
		r.disordered = true
		return
	}
	if r.first == 0 {
		r.first = e.Version
	}
	r.last, r.delivered[e.Version] = e.Version, e.Object
	was, known := r.present[e.Object]
	known = known || r.whole
	switch e.Type {
	case history.EventDeleted:
		r.deleted(e, what)
		if known && !was {
			r.add("wrong-event-type", what+", but by what the stream had told before it was not there")
		}
	case history.EventAdded, history.EventModified:
		r.written(e, what, was, known)
	default:
		r.add("wrong-event-type", what+", which is no type of event")
	}
	r.present[e.Object] = e.Type != history.EventDeleted
}

// inOrder judges an event's place in the stream.
func (r *replay) inOrder(e *history.Event, what string) bool {
	before, twice := r.delivered[e.Version]
	switch {
	case twice && before == e.Object:
		r.add("duplicate-event", what+", which it had delivered before")
	case e.Version <= r.bookmark:
		r.add("wrong-bookmark", fmt.Sprintf("%s, after a bookmark at %d had said that everything up to there had been delivered", what, r.bookmark))
	case e.Version <= r.begin:
		r.add("duplicate-event", fmt.Sprintf("%s, though it began after revision %d", what, r.begin))
	case e.Version <= r.last:
		r.add("reordered-event", fmt.Sprintf("%s, after version %d", what, r.last))
	default:
		return true
	}
	return false
}

// written judges an event of an object that was created or updated.
func (r *replay) written(e *history.Event, what string, was, known bool) {
	if bad := r.c.origin(e.Object, e.Version, e.Number, r.s.ret); bad != nil {
		name := bad.name
		if name != "version-mismatch" {
			name = "phantom-event"
		}
		r.add(name, fmt.Sprintf("%s as %d, but %s", what, e.Number, bad.why), bad.ops...)
		return
	}
	ch := r.c.byNumber[e.Number]
	switch added := e.Type == history.EventAdded; {
	case added != (ch.f == fCreate):
		r.add("wrong-event-type", fmt.Sprintf("%s, but that was %s", what, ch), ch.proof())
	case known && added && was:
		r.add("wrong-event-type", what+", but by what the stream had told before it was there already")
	case known && !added && !was:
		r.add("wrong-event-type", what+", but by what the stream had told before it was not there")
	}
}

// deleted judges a deletion.
func (r *replay) deleted(e *history.Event, what string) {
	if r.c.deleterOf(e.Object, e.Version, r.s.ret) == nil {
		r.add("phantom-event", what+", but nobody can have deleted it then")
		return
	}
	// It had that content by its newest change, or by one of unknown outcome that nothing else shows.
	if w := r.c.byNumber[e.Number]; e.Number == 0 || w != nil && w.object == e.Object && w.version == 0 && w.call < r.s.ret && w.low < e.Version-1 {
		return
	}
	if last := r.c.items[e.Object].at(e.Version - 1); last != nil && !last.deletes() && last.number != e.Number {
		r.add("version-mismatch", fmt.Sprintf("%s with content %d, but before that there was %s", what, e.Number, last), last.proof())
	}
}

// complete finds changes that the stream owed and did not deliver.
func (r *replay) complete(covered map[*change]bool) {
	end := max(r.last, r.bookmark)
	// From where on creates and updates are owed, and deletions.
	writes, deletions := r.begin, r.begin
	if r.begin == 0 {
		if r.first == 0 {
			return
		}
		writes, deletions = r.first, r.first
		if r.whole {
			writes = r.newestInitial()
		}
	}
	c := r.c
	from, _ := slices.BinarySearchFunc(c.exact, writes+1, func(ch *change, v int64) int { return cmp.Compare(ch.version, v) })
	for _, ch := range c.exact[from:] {
		if ch.version > end {
			break
		}
		if ch.version <= deletions && !r.outlasts(ch) {
			continue
		}
		r.owe(ch, covered)
		if object, ok := r.delivered[ch.version]; !ok || object != ch.object {
			r.lost(ch, ch.version)
		}
	}
	r.looseDeletions(deletions, end, covered)
}

// outlasts tells whether what a change wrote was still there right before the first event: then the stream began with it, or delivered it.
func (r *replay) outlasts(ch *change) bool {
	o := r.c.items[ch.object]
	return !ch.deletes() && o.at(r.first-1) == ch && !o.mayBeGone(ch.version, r.first-1, r.s.ret)
}

// newestInitial is the newest version of the initial state.
func (r *replay) newestInitial() (newest int64) {
	for _, m := range r.s.Initial {
		newest = max(newest, m.Version)
	}
	return newest
}

func (r *replay) owe(ch *change, covered map[*change]bool) {
	r.j.d.Owed++
	if ch.index >= 0 {
		covered[ch] = true
	}
}

// looseDeletions judges the deletions that certainly lie within the stream, though it is not known where.
func (r *replay) looseDeletions(begin, end int64, covered map[*change]bool) {
	var told map[string][]int64 // of the deleted events, by object
	for _, d := range r.c.loose {
		if !d.sure() || d.low < begin || d.high == 0 || d.high-1 > end {
			continue
		}
		if told == nil {
			told = map[string][]int64{}
			for i := range r.s.Events {
				if e := &r.s.Events[i]; e.Type == history.EventDeleted {
					told[e.Object] = append(told[e.Object], e.Version)
				}
			}
		}
		r.owe(d, covered)
		if !slices.ContainsFunc(told[d.object], func(v int64) bool { return d.low < v && v < d.high }) {
			r.lost(d, d.high-1)
		}
	}
}

// lost adds a change that was not delivered; upTo is the highest version that it may have.
func (r *replay) lost(ch *change, upTo int64) {
	if upTo > r.last {
		r.add("wrong-bookmark", fmt.Sprintf("%s had a bookmark at %d, but did not deliver %s", r.s, r.bookmark, ch), ch.proof())
		return
	}
	r.add("lost-event", fmt.Sprintf("%s went on to version %d without %s", r.s, r.last, ch), ch.proof())
}
