package checker

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// kindOfViews is what episodes of whole views have as their kind.
const kindOfViews = "view"

// objectID names an object, or a view.
type objectID struct{ kind, name string }

// track is what was seen of one object over time, in the quorum's view; or of a whole view.
type track struct {
	objectID

	uid    string
	gone   bool
	owners []history.Owner
	// bad: it does not match now, for mismatches, since the episode's beginning.
	bad        bool
	mismatches []history.Mismatch
	episode    *episode
	// declared is when what is declared of it changed last, written when its version did, changed when its content did; writes
	// counts since the quiet point.
	declared, written, changed time.Duration
	writes                     int64
	// states and wants are what it has been since the quiet point: its content, and the declared part of it.
	states, wants states
}

// episode is a time during which an object did not match.
type episode struct {
	objectID

	mismatch history.Mismatch // the first one of the last sample of it
	from, to history.Moment   // of the samples: the first that shows it, the first that shows it no more
	last     history.Moment   // the last that shows it
	// declared: it began with a change of what is declared of the object. redeclared is when that changed last while it went on.
	declared   bool
	redeclared time.Duration
}

func (e *episode) open() bool { return !e.to.Known }

// states is a sequence of states, no two neighbours alike.
type states struct {
	list []uint64
	at   []time.Duration
}

// statesMax bounds a sequence; a system that changes more often has long shown whether states repeat.
const statesMax = 4096

func (s *states) add(state uint64, at time.Duration) {
	if n := len(s.list); n > 0 && s.list[n-1] == state || n >= statesMax {
		return
	}
	s.list, s.at = append(s.list, state), append(s.at, at)
}

// repeat tells whether two states or more came again, of those that it was in after a time, and when that was last.
func (s *states) repeat(after time.Duration) (last time.Duration, ok bool) {
	seen, again := map[uint64]bool{}, map[uint64]bool{}
	for i, state := range s.list {
		if i+1 < len(s.at) && s.at[i+1] <= after {
			continue
		}
		if seen[state] {
			again[state], last = true, s.at[i]
		}
		seen[state] = true
	}
	return last, len(again) >= 2
}

// tracks is everything that was seen of objects.
type tracks struct {
	q        *quietPoint
	byID     map[objectID]*track
	bad      int // how many are
	episodes []*episode
	// before is when the quorum's view was judged before; moved: what is declared of some object that was there then has changed since.
	before time.Duration
	moved  bool
	// goneAt is when the last object that belongs to an owner was removed, by its UID.
	goneAt map[string]time.Duration
}

func newTracks(q *quietPoint) *tracks {
	return &tracks{q: q, byID: map[objectID]*track{}, before: -1, goneAt: map[string]time.Duration{}}
}

func (t *tracks) track(id objectID) *track {
	k := t.byID[id]
	if k == nil {
		k = &track{objectID: id}
		t.byID[id] = k
	}
	return k
}

// write notes that an object of the quorum's view is another than before.
func (t *tracks) write(op *history.Op, before, now history.Object, exists bool) {
	id := objectID{now.Kind, now.Name}
	if !exists {
		id = objectID{before.Kind, before.Name}
	}
	k := t.track(id)
	quiet := t.q.over(op.Index)
	if quiet && len(k.states.list) == 0 && before.Name != "" {
		k.states.add(contentOf(&before), k.changed)
		k.wants.add(wantOf(&before), k.declared)
	}
	if !exists {
		t.remove(k, op, before, quiet)
		return
	}
	k.gone = false
	changed := before.Generation != now.Generation || wantOf(&before) != wantOf(&now)
	if before.Name == "" || changed {
		k.declared = op.Time
		t.moved = t.moved || before.Name != "" && wantOf(&before) != wantOf(&now)
		if k.bad {
			k.episode.redeclared = op.Time
		}
	}
	k.uid, k.owners = now.UID, now.Owners
	if before.Version != now.Version {
		k.written = op.Time
		if quiet {
			k.writes++
		}
	}
	if before.Name == "" || contentOf(&before) != contentOf(&now) {
		k.changed = op.Time
	}
	if quiet {
		k.states.add(contentOf(&now), op.Time)
		k.wants.add(wantOf(&now), op.Time)
	}
}

func (t *tracks) remove(k *track, op *history.Op, before history.Object, quiet bool) {
	k.gone, k.written, k.changed = true, op.Time, op.Time
	for _, o := range before.Owners {
		t.goneAt[o.UID] = op.Time
	}
	if quiet {
		k.states.add(0, op.Time)
	}
}

// contentOf sums up what an object is, without what only counts or names changes.
func contentOf(o *history.Object) uint64 {
	c := *o
	c.Version, c.Generation, c.Observed, c.UID, c.Owners = 0, 0, 0, "", nil
	return hashOf(&c)
}

// wantOf sums up what is declared of it.
func wantOf(o *history.Object) uint64 { return hashOf(&history.Object{Want: o.Want}) }

func hashOf(o *history.Object) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, o.Finalizers, o.Deleting, o.Want, o.Have, o.Attr) // maps are printed in the order of their keys
	return h.Sum64()
}

// judged takes the mismatches of the quorum's view, all of them.
func (t *tracks) judged(at history.Moment, mismatches []history.Mismatch) {
	wrong := map[objectID][]history.Mismatch{}
	for _, m := range mismatches {
		id := objectID{m.Kind, m.Name}
		wrong[id] = append(wrong[id], m)
	}
	for _, id := range sortedIDs(wrong) {
		t.set(at, id, wrong[id])
	}
	for id, k := range t.byID {
		if id.kind == kindOfViews {
			continue
		}
		if k.bad && wrong[id] == nil {
			t.set(at, id, nil)
		}
		if k.gone && !k.bad && len(k.states.list) == 0 {
			delete(t.byID, id)
		}
	}
	t.before = at.Time
}

func sortedIDs[V any](m map[objectID]V) []objectID {
	return slices.SortedFunc(maps.Keys(m), func(a, b objectID) int { return compareIDs(a, b) })
}

// set notes what does not match of one object at a moment; nothing: it matches.
func (t *tracks) set(at history.Moment, id objectID, mismatches []history.Mismatch) {
	k := t.track(id)
	switch {
	case len(mismatches) > 0:
		if !k.bad {
			k.bad = true
			t.bad++
			k.episode = &episode{objectID: id, from: at, declared: id.kind != kindOfViews && k.declared > t.before, redeclared: k.declared}
			t.episodes = append(t.episodes, k.episode)
		}
		k.mismatches, k.episode.mismatch, k.episode.last = mismatches, mismatches[0], at
	case k.bad:
		k.bad, k.mismatches, k.episode.to = false, nil, at
		t.bad--
	}
}

func compareIDs(a, b objectID) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.name, b.name))
}

// dependents are the tracks that belong to each owner, by its UID.
func (t *tracks) dependents() map[string][]*track {
	out := map[string][]*track{}
	for _, id := range sortedIDs(t.byID) {
		for _, o := range t.byID[id].owners {
			out[o.UID] = append(out[o.UID], t.byID[id])
		}
	}
	return out
}

// lastChange is when the object, or anything that belongs to it, was last written, and when that last changed what it is.
func (t *tracks) lastChange(k *track, dependents map[string][]*track, depth int) (written, changed time.Duration) {
	written, changed = k.written, k.changed
	if k.uid == "" || depth == 0 {
		return written, changed
	}
	written, changed = max(written, t.goneAt[k.uid]), max(changed, t.goneAt[k.uid])
	for _, d := range dependents[k.uid] {
		w, c := t.lastChange(d, dependents, depth-1)
		written, changed = max(written, w), max(changed, c)
	}
	return written, changed
}
