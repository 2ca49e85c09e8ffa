package checker

import (
	"cmp"
	"fmt"
	"slices"
	"sort"

	"github.com/faultline/faultline/harness/history"
)

// declaredJudge turns what happened to objects into anomalies.
type declaredJudge struct {
	f         *findings
	d         DeclaredDetail
	objects   map[string]*object
	finalFrom int64 // index of the mark of the final reads, or never
	complete  bool
	vanishing []string
}

func (j *declaredJudge) add(o *object, name string, ops []int64, format string, args ...any) {
	j.f.add(Anomaly{Name: name, Key: o.key, Ops: ops, Why: fmt.Sprintf(format, args...)})
}

// judge adds the anomalies of one object.
func (j *declaredJudge) judge(o *object) {
	if len(o.writes) > 0 {
		j.d.Objects++
	}
	acked := slices.ContainsFunc(o.writes, (*declaration).applied)
	from := j.finalFrom
	if from == never {
		from = o.lastWrite
	}
	if j.complete && acked && o.lastRead <= from {
		j.f.unknown("the object %q has no ok final read: whether a declaration of it is lost is not known", o.key)
	}
	b := newBounds(o)
	for _, r := range o.reads {
		j.read(o, b, r)
	}
	if !slices.Contains(j.vanishing, o.kind) {
		for _, r := range o.absent {
			j.absence(o, r)
		}
	}
	for change, w := range o.byChange {
		if _, seen := b.seen[change]; seen && w.maybe() {
			j.d.Recovered++
		}
	}
}

// bounds are what is known of the versions of an object's writes.
type bounds struct {
	// byVersion are the acknowledged writes.
	byVersion []*declaration
	// byReturn are the same by completion, newest the highest version among the first so many.
	byReturn []*declaration
	newest   []*declaration
	// seen is, by change, the lowest version at which a read found it: the write's own is not higher.
	seen map[int64]int64
}

func newBounds(o *object) bounds {
	b := bounds{seen: map[int64]int64{}}
	for _, w := range o.writes {
		if w.applied() && w.version != 0 {
			b.byVersion = append(b.byVersion, w)
		}
	}
	b.byReturn = slices.Clone(b.byVersion)
	slices.SortFunc(b.byVersion, func(x, y *declaration) int { return cmp.Compare(x.version, y.version) })
	slices.SortFunc(b.byReturn, func(x, y *declaration) int { return cmp.Compare(x.ret, y.ret) })
	var top *declaration
	for _, w := range b.byReturn {
		if top == nil || w.version > top.version {
			top = w
		}
		b.newest = append(b.newest, top)
	}
	for _, r := range o.reads {
		if v, ok := b.seen[r.got.Change]; !ok || r.version < v {
			b.seen[r.got.Change] = r.version
		}
	}
	return b
}

// before is the acknowledged write with the highest version among those that completed before an index; nil: there is none.
func (b *bounds) before(index int64) *declaration {
	n := sort.Search(len(b.byReturn), func(i int) bool { return b.byReturn[i].ret >= index })
	if n == 0 {
		return nil
	}
	return b.newest[n-1]
}

// upTo are the acknowledged writes up to a version.
func (b *bounds) upTo(version int64) []*declaration {
	n := sort.Search(len(b.byVersion), func(i int) bool { return b.byVersion[i].version > version })
	return b.byVersion[:n]
}

// read judges a read that found the object.
func (j *declaredJudge) read(o *object, b bounds, r *declaration) {
	if w := b.before(r.call); w != nil && r.version < w.version {
		j.add(o, "stale-read", []int64{r.index, w.index}, "read %d of %s%s has version %d, but %s %d was acknowledged with version %d before it began",
			r.index, o.key, on(r.node), r.version, w.f, w.index, w.version)
		return
	}
	j.deleted(o, r)
	w := j.origin(o, r)
	if w == nil {
		return
	}
	if w.applied() && w.version > r.version {
		j.add(o, "future-read", []int64{r.index, w.index}, "read %d of %s has version %d and change %d, which %s %d made only with version %d",
			r.index, o.key, r.version, r.got.Change, w.f, w.index, w.version)
		return
	}
	at := b.seen[r.got.Change]
	if w.applied() && w.version != 0 {
		at = w.version
	}
	if newer := b.upTo(r.version); len(newer) > 0 {
		if n := newer[len(newer)-1]; n.version > at {
			j.add(o, "lost-update", []int64{r.index, n.index, w.index},
				"read %d of %s has version %d and is as %s %d left it, but %s %d was acknowledged with version %d, and nothing since went back to that",
				r.index, o.key, r.version, w.f, w.index, n.f, n.index, n.version)
			return
		}
	}
	j.content(o, b, r, w)
}

// origin is the write whose change a read found; nil, and an anomaly, where there is none that could be.
func (j *declaredJudge) origin(o *object, r *declaration) *declaration {
	w := o.byChange[r.got.Change]
	if w != nil && w.call < r.ret {
		return w
	}
	if w != nil {
		j.add(o, "future-read", []int64{r.index, w.index}, "read %d of %s has change %d, which %s %d declared only later",
			r.index, o.key, r.got.Change, w.f, w.index)
		return nil
	}
	for _, w := range o.failed {
		if w.asked.Change == r.got.Change && w.call < r.ret {
			j.add(o, "aborted-read", []int64{r.index, w.index}, "read %d of %s has change %d, but %s %d, which would have made it, failed",
				r.index, o.key, r.got.Change, w.f, w.index)
			return nil
		}
	}
	j.add(o, "garbage-read", []int64{r.index}, "read %d of %s has change %d, which nobody declared", r.index, o.key, r.got.Change)
	return nil
}

// deleted judges whether a read found what had been deleted.
func (j *declaredJudge) deleted(o *object, r *declaration) {
	if r.got.Deleting || r.got.UID == "" {
		return
	}
	for _, d := range o.deletes {
		if d.applied() && d.ret < r.call && d.got.UID == r.got.UID {
			j.add(o, "lost-delete", []int64{r.index, d.index}, "read %d of %s finds the object that delete %d had deleted (UID %s), and it is not being deleted",
				r.index, o.key, d.index, r.got.UID)
			return
		}
	}
}

// absence judges a read that did not find the object.
func (j *declaredJudge) absence(o *object, r *declaration) {
	e := o.evidence(r)
	if e == nil || j.mayBeGone(o, r) {
		return
	}
	why := fmt.Sprintf("%s %d of %s%s does not find it, although %s %d had it before that began, and neither it nor an owner of it was deleted",
		r.f, r.index, o.key, on(r.node), e.f, e.index)
	for _, later := range o.reads {
		if later.call > r.ret && (later.got.UID == "" || later.got.UID == e.got.UID) {
			j.add(o, "stale-read", []int64{r.index, e.index, later.index}, "%s; the later read %d has it", why, later.index)
			return
		}
	}
	j.add(o, "lost", []int64{r.index, e.index}, "%s", why)
}

// evidence is the last operation before a read that shows that the object was there, and not being deleted; nil: there is none.
func (o *object) evidence(r *declaration) *declaration {
	var last *declaration
	for _, list := range [][]*declaration{o.writes, o.reads} {
		for _, e := range list {
			if e.applied() && !e.got.Deleting && e.ret < r.call && (last == nil || e.call > last.call) {
				last = e
			}
		}
	}
	return last
}

// mayBeGone tells whether a delete of an object or of an owner may have taken it away before a read ended.
func (j *declaredJudge) mayBeGone(o *object, r *declaration) bool {
	for _, d := range o.deletes {
		if d.call < r.ret && (d.maybe() || !o.madeAgain(d, r)) {
			return true
		}
	}
	return j.ownerMayBeGone(o, r, map[string]bool{o.key: true})
}

// ownerMayBeGone does so for the owners. What belongs to an owner that is deleted goes at any time later, even if one of
// the same name is made in the meantime.
func (j *declaredJudge) ownerMayBeGone(o *object, r *declaration, visited map[string]bool) bool {
	for key := range o.owners {
		owner := j.objects[key]
		if owner == nil || visited[key] {
			continue
		}
		visited[key] = true
		if slices.ContainsFunc(owner.deletes, func(d *declaration) bool { return d.call < r.ret }) || j.ownerMayBeGone(owner, r, visited) {
			return true
		}
	}
	return false
}

// madeAgain tells whether an object was there after its deletion d, and before r, for certain: made by a create after it, or seen as another one.
func (o *object) madeAgain(d, r *declaration) bool {
	between := func(e *declaration) bool { return e.call > d.ret && e.ret < r.call }
	for _, w := range o.writes {
		if w.f == fCreate && w.applied() && between(w) {
			return true
		}
	}
	return slices.ContainsFunc(o.reads, func(e *declaration) bool {
		return between(e) && !e.got.Deleting && d.got.UID != "" && e.got.UID != "" && e.got.UID != d.got.UID
	})
}

// content judges whether a read found the parts that were declared.
func (j *declaredJudge) content(o *object, b bounds, r, w *declaration) {
	for _, f := range declaredFields {
		seen, there := f.of(&r.got)
		if !there {
			continue
		}
		allowed, any := o.allowed(b, r, w, f)
		if any || len(allowed) == 0 {
			continue
		}
		if !slices.ContainsFunc(allowed, func(a *declaration) bool { v, _ := f.of(&a.got); return v == seen }) {
			v, _ := f.of(&allowed[0].got)
			j.add(o, "garbage-read", []int64{r.index, allowed[0].index}, "read %d of %s has %s %s, but by its change %d it is as %s %d left it, and %s %d declared %s",
				r.index, o.key, f.name, seen, r.got.Change, w.f, w.index, allowed[0].f, allowed[0].index, v)
		}
	}
}

// allowed are the writes that may have given a field the value that a read found, where w is the newest write; any: it may be anything.
func (o *object) allowed(b bounds, r, w *declaration, f declaredField) (list []*declaration, any bool) {
	if w.sets(f) {
		_, known := f.of(&w.got)
		return []*declaration{w}, !known
	}
	if w.applied() && w.version != 0 {
		for _, a := range slices.Backward(b.upTo(w.version)) {
			if a.sets(f) {
				list = append(list, a)
				break
			}
		}
	}
	for _, a := range o.writes {
		if !a.sets(f) || a.call > r.ret || (a.applied() && len(list) > 0 && w.applied()) {
			continue
		}
		if _, known := f.of(&a.got); !known {
			return nil, true
		}
		list = append(list, a)
	}
	return list, false
}

// declaredField is a part of the declared state that reads are compared by.
type declaredField struct {
	name string
	by   []string
	of   func(d *history.Declaration) (string, bool)
}

var declaredFields = []declaredField{
	{"replicas", []string{fCreate, fScale}, func(d *history.Declaration) (string, bool) {
		if d.Replicas == nil {
			return "", false
		}
		return fmt.Sprint(*d.Replicas), true
	}},
	{"image", []string{fCreate, fRollout, fRollback}, func(d *history.Declaration) (string, bool) { return d.Image, d.Image != "" }},
	{"count", []string{fCreate}, func(d *history.Declaration) (string, bool) { return fmt.Sprint(d.Count), d.Count != 0 }},
}

// sets tells whether a write gives a field a value.
func (d *declaration) sets(f declaredField) bool { return slices.Contains(f.by, d.f) }

// order judges the order of acknowledged writes: what completed before another began has an older version.
func (j *declaredJudge) order() {
	type write struct {
		*declaration
		o *object
	}
	var all []write
	for _, o := range j.objects {
		for _, w := range o.writes {
			if w.applied() && w.version != 0 {
				all = append(all, write{w, o})
			}
		}
	}
	slices.SortFunc(all, func(a, b write) int { return cmp.Compare(a.ret, b.ret) })
	newest := make([]write, len(all))
	for i, w := range all {
		newest[i] = w
		if i > 0 && newest[i-1].version > w.version {
			newest[i] = newest[i-1]
		}
	}
	for _, w := range all {
		n := sort.Search(len(all), func(i int) bool { return all[i].ret >= w.call })
		if n > 0 && newest[n-1].version >= w.version {
			p := newest[n-1]
			j.add(w.o, "incompatible-order", []int64{w.index, p.index}, "%s %d of %s was given version %d, but %s %d of %s was given version %d before it began",
				w.f, w.index, w.o.key, w.version, p.f, p.index, p.o.key, p.version)
		}
	}
}
