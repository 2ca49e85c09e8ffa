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

// kindView is what a view shows of the objects of one kind.
type kindView struct {
	objects map[string]history.Object
	// at is the revision that they are of, index and time are the sample's.
	at    int64
	index int64
	time  time.Duration
	// sum is of all names and versions, whatever their order.
	sum uint64
}

// seenView is a view: its newest state, and what was found of it.
type seenView struct {
	name  string
	kinds map[string]*kindView
	// round has the kinds sampled since the view was judged last, first and last are the oldest and the newest of these samples; changed: not
	// all is as it was then.
	round       map[string]bool
	first, last history.Moment
	changed     bool
	// broken is why the view could not be read; empty if it could.
	broken     string
	brokenFrom time.Duration
	mismatches []history.Mismatch
	// judgedFrom and judgedAt are the oldest and the newest sample that it was judged by.
	judgedFrom, judgedAt history.Moment
	// behind is for how long the quorum has shown more than the view does, by the samples of this round; 0: it has not. behindAtEnd is
	// that when the view was judged last.
	behind, behindAtEnd time.Duration
	behindKind          string
	detail              *ConvergeView
}

func newSeenView(name string) *seenView {
	return &seenView{name: name, kinds: map[string]*kindView{}, round: map[string]bool{}, detail: &ConvergeView{Points: [][2]int64{}}}
}

// apply makes a sample's changes and tells which objects are others than before, by name.
func (v *seenView) apply(op *history.Op, s *history.Sample) (k *kindView, before map[string]history.Object) {
	k = v.kinds[s.Kind]
	if k == nil {
		k = &kindView{objects: map[string]history.Object{}}
		v.kinds[s.Kind] = k
	}
	before = map[string]history.Object{}
	gone := s.Gone
	if s.Whole {
		gone = without(k.objects, s.Changed)
	}
	for _, name := range gone {
		if old, ok := k.objects[name]; ok {
			before[name] = old
			k.sum -= sumOf(&old)
			delete(k.objects, name)
		}
	}
	for i := range s.Changed {
		o := s.Changed[i]
		if old, ok := k.objects[o.Name]; ok {
			k.sum -= sumOf(&old)
			before[o.Name] = old
		} else {
			before[o.Name] = history.Object{}
		}
		k.sum += sumOf(&o)
		k.objects[o.Name] = o
	}
	k.at, k.index, k.time = op.Revision, op.Index, op.Time
	v.changed = v.changed || len(before) > 0
	return k, before
}

// without are the names of objects that are not in a list.
func without(objects map[string]history.Object, list []history.Object) []string {
	keep := make(map[string]bool, len(list))
	for i := range list {
		keep[list[i].Name] = true
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		if !keep[name] {
			out = append(out, name)
		}
	}
	return out
}

func sumOf(o *history.Object) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\x00%d", o.Name, o.Version)
	return h.Sum64()
}

// all are the view's objects, ordered by kind and name.
func (v *seenView) all() []history.Object {
	var out []history.Object
	for _, kind := range slices.Sorted(maps.Keys(v.kinds)) {
		objects := v.kinds[kind].objects
		for _, name := range slices.Sorted(maps.Keys(objects)) {
			out = append(out, objects[name])
		}
	}
	return out
}

// lag remembers when a quorum list first showed a newer state of a kind.
type lag struct{ shown []shownAt }

type shownAt struct {
	version int64
	at      time.Duration
	index   int64
}

// shownMax bounds how many are remembered; a view that is behind older ones seems to be behind for less long.
const shownMax = 4096

// show notes the newest version of a quorum list.
func (l *lag) show(k *kindView) {
	newest := int64(0)
	for name := range k.objects {
		newest = max(newest, k.objects[name].Version)
	}
	if n := len(l.shown); n > 0 && newest <= l.shown[n-1].version {
		return
	}
	if len(l.shown) == shownMax {
		l.shown = slices.Delete(l.shown, 0, shownMax/2)
	}
	l.shown = append(l.shown, shownAt{newest, k.time, k.index})
}

// behind is for how long a quorum list has shown more than a view at a revision does at a time. What the newest quorum
// list was the first to show, which is from the same round, does not count.
func (l *lag) behind(k *kindView, newestQuorum int64) time.Duration {
	i, _ := slices.BinarySearchFunc(l.shown, k.at+1, func(s shownAt, version int64) int { return cmp.Compare(s.version, version) })
	if i == len(l.shown) || l.shown[i].index >= newestQuorum {
		return 0
	}
	return k.time - l.shown[i].at
}

// sortedViews are the names of views, in order.
func sortedViews(views map[string]*seenView) []string { return slices.Sorted(maps.Keys(views)) }
