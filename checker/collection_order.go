package checker

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// moment is when a version had certainly been made: the completion of what made or showed it.
type moment struct {
	ret     int64
	at      time.Duration
	version int64
	node    string
}

// floor answers which is the highest version that had been made before a moment.
type floor struct {
	// moments are by ret; highest is the place of the highest version up to each.
	moments []moment
	highest []int
}

// add notes a version. They come in the order of ret.
func (f *floor) add(m moment) {
	i := len(f.moments)
	f.moments = append(f.moments, m)
	if i > 0 && f.moments[f.highest[i-1]].version >= m.version {
		i = f.highest[i-1]
	}
	f.highest = append(f.highest, i)
}

// before is the highest version of what had completed before an index.
func (f *floor) before(call int64) (m moment, ok bool) {
	n, _ := slices.BinarySearchFunc(f.moments, call, func(m moment, call int64) int { return cmp.Compare(m.ret, call) })
	if n == 0 {
		return moment{}, false
	}
	return f.moments[f.highest[n-1]], true
}

// floorBefore is the highest version known before an index, by anyone: what is made later has a higher one.
func (cs *collections) floorBefore(call int64) (version, index int64) {
	w, _ := cs.writes.before(call)
	v, _ := cs.views.before(call)
	if v.version > w.version {
		return v.version, v.ret
	}
	return w.version, w.ret
}

// ceiling answers which is the lowest version of the changes that were invoked after a moment.
type ceiling struct {
	calls  []int64
	lowest []int64
}

func (c *ceiling) after(ret int64) int64 {
	n, _ := slices.BinarySearch(c.calls, ret)
	if n == len(c.calls) {
		return 0
	}
	return c.lowest[n]
}

// ceilingOf is made of all changes of which the client told the version.
func ceilingOf(all []*change) ceiling {
	slices.SortFunc(all, func(a, b *change) int { return cmp.Compare(a.call, b.call) })
	c := ceiling{calls: make([]int64, len(all)), lowest: make([]int64, len(all))}
	for i := len(all) - 1; i >= 0; i-- {
		c.calls[i], c.lowest[i] = all[i].call, all[i].version
		if i+1 < len(all) {
			c.lowest[i] = min(c.lowest[i], c.lowest[i+1])
		}
	}
	return c
}

// settle puts the changes in order, by what clients and views tell together.
func (cs *collections) settle() {
	var acks []*change
	cs.inOrder(func(c *collection) {
		for _, ch := range c.changes {
			if ch.version > 0 {
				acks = append(acks, ch)
			}
		}
	})
	cs.acks = ceilingOf(acks)
	cs.inOrder(func(c *collection) {
		for _, ch := range c.changes {
			if ch.version == 0 && ch.ret != never {
				ch.high = cs.acks.after(ch.ret)
			}
		}
		c.learn()
		c.order()
		c.inferDeletions()
	})
}

// learn takes from the views the versions of changes of unknown outcome, and of deletions.
func (c *collection) learn() {
	for _, s := range c.snapshots {
		for _, m := range s.members {
			c.learnOf(m.object, m.version, m.number, s.ret, s.what)
		}
	}
	deletions := map[string]map[int64]bool{}
	for _, s := range c.streams {
		what := s.String()
		for _, list := range [...][]member{membersOf(s.Initial, 0), membersOf(s.Final, 0)} {
			for _, m := range list {
				c.learnOf(m.object, m.version, m.number, s.ret, what)
			}
		}
		for _, e := range s.Events {
			if e.Type == history.EventAdded || e.Type == history.EventModified {
				c.learnOf(e.Object, e.Version, e.Number, s.ret, what)
			}
			if !s.deletes(e) || deletions[e.Object][e.Version] {
				continue
			}
			if deletions[e.Object] == nil {
				deletions[e.Object] = map[int64]bool{}
			}
			deletions[e.Object][e.Version] = true
			if d := c.deleterOf(e.Object, e.Version, s.ret); d == nil || d.version == e.Version {
				continue
			}
			c.changes = append(c.changes, &change{
				f: fDelete, object: e.Object, version: e.Version, call: -1, ret: never, index: -1, seenBy: s.ret, seen: what,
			})
		}
	}
}

// learnOf takes the version of a change of unknown outcome from a view that shows it.
func (c *collection) learnOf(object string, version, number, ret int64, what string) {
	ch := c.byNumber[number]
	if ch == nil || ch.version > 0 || ch.object != object || ch.call > ret || version <= ch.low {
		return
	}
	ch.version, ch.seenBy, ch.seen = version, ret, what
}

// deleterOf is a delete that may have made a deletion that was shown before an index, rather one that is known to have; nil if there
// is none.
func (c *collection) deleterOf(object string, version, ret int64) (found *change) {
	o := c.items[object]
	if o == nil {
		return nil
	}
	for _, ch := range o.deletes {
		switch {
		case ch.call > ret:
		case ch.version == version:
			return ch
		case ch.version == 0 && ch.low < version && (ch.high == 0 || version < ch.high):
			found = ch
		}
	}
	return found
}

// order fills exact and loose.
func (c *collection) order() {
	byVersion := func(a, b *change) int {
		return cmp.Or(cmp.Compare(a.version, b.version), cmp.Compare(a.index, b.index))
	}
	for _, ch := range c.changes {
		o := c.item(ch.object)
		switch {
		case ch.version > 0:
			o.exact = append(o.exact, ch)
			c.exact = append(c.exact, ch)
		case ch.deletes():
			o.loose = append(o.loose, ch)
			c.loose = append(c.loose, ch)
		}
	}
	c.names = sortedKeys(c.items)
	slices.SortFunc(c.exact, byVersion)
	for _, o := range c.items {
		slices.SortFunc(o.exact, byVersion)
	}
}

// inferDeletions adds deletions that a snapshot proves: the object had been there, and is not. It does so only where some
// delete may have done it; where none may, the snapshot is wrong.
func (c *collection) inferDeletions() {
	type gone struct {
		object  string
		version int64
	}
	first := map[gone]*change{}
	for _, s := range c.snapshots {
		has := s.names()
		for _, name := range c.names {
			if has[name] {
				continue
			}
			o := c.items[name]
			last := o.at(s.revision)
			if last == nil || last.deletes() || !o.mayBeGone(last.version, s.revision, s.ret) {
				continue
			}
			g := gone{name, last.version}
			if known := first[g]; known == nil || s.revision+1 < known.high {
				first[g] = &change{
					f: fDelete, object: name, low: last.version, high: s.revision + 1, call: -1, ret: never, index: -1, seenBy: s.ret, seen: s.what,
				}
			}
		}
	}
	for _, ch := range first { // in any order: c.loose is sorted, and whether there is one does not depend on it
		o := c.items[ch.object]
		o.loose = append(o.loose, ch)
		c.loose = append(c.loose, ch)
	}
	slices.SortFunc(c.loose, func(a, b *change) int {
		return cmp.Or(cmp.Compare(a.low, b.low), cmp.Compare(a.index, b.index), cmp.Compare(a.object, b.object))
	})
}

// names are the objects that a snapshot shows.
func (s *snapshot) names() map[string]bool {
	has := make(map[string]bool, len(s.members))
	for _, m := range s.members {
		has[m.object] = true
	}
	return has
}

// at is the newest change of an object of those that are known to have a version up to a revision; nil if there is none.
func (o *item) at(revision int64) *change {
	n, _ := slices.BinarySearchFunc(o.exact, revision+1, func(c *change, v int64) int { return cmp.Compare(c.version, v) })
	if n == 0 {
		return nil
	}
	return o.exact[n-1]
}

// mayBeGone tells whether some deletion may have removed an object's version up to a revision, and before an index.
func (o *item) mayBeGone(version, revision, ret int64) bool {
	return slices.ContainsFunc(o.loose, func(d *change) bool {
		upTo := revision
		if d.high > 0 {
			upTo = min(upTo, d.high-1)
		}
		return d.index >= 0 && d.call < ret && max(d.low, version) < upTo
	})
}

// mustBeGone is a deletion that certainly removed an object's version up to a revision; nil if there is none.
func (o *item) mustBeGone(version, revision int64) *change {
	for _, d := range o.loose {
		if d.sure() && d.low >= version && d.high > 0 && d.high <= revision+1 {
			return d
		}
	}
	return nil
}

// goneBefore is a deletion that had removed an object's version before an index; nil if there is none.
func (o *item) goneBefore(version, call int64) *change {
	for _, d := range o.loose {
		if d.ret < call && d.low >= version {
			return d
		}
	}
	return nil
}

// wrong is what is wrong with something that a view shows.
type wrong struct {
	name string
	why  string
	ops  []int64
}

// origin judges whether somebody wrote what a view shows of an object, and gave it that version; nil: yes.
func (c *collection) origin(object string, version, number, ret int64) *wrong {
	ch := c.byNumber[number]
	switch loser := c.failed[number]; {
	case ch != nil && ch.object != object:
		return &wrong{"garbage-read", fmt.Sprintf("%d was never written to it, but by %s", number, ch), []int64{ch.index}}
	case ch != nil && ch.call > ret:
		return &wrong{"future-read", fmt.Sprintf("%s was invoked only later", ch), []int64{ch.index}}
	case ch != nil && ch.version == version:
		return nil
	case ch != nil && ch.version == 0:
		return &wrong{"version-mismatch", fmt.Sprintf("version %d had been used before %s was invoked", version, ch), []int64{ch.index}}
	case ch != nil:
		return &wrong{"version-mismatch", fmt.Sprintf("it has version %d, but that is not the one of %s", version, ch), []int64{ch.proof()}}
	case loser != nil && loser.object == object && loser.call < ret:
		return &wrong{"aborted-read", fmt.Sprintf("%s failed", loser), []int64{loser.index}}
	}
	return &wrong{"garbage-read", fmt.Sprintf("nobody ever wrote %d to it", number), nil}
}
