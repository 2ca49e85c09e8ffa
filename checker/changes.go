package checker

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/faultline/faultline/harness/history"
)

// Changes judges the writes of collections (f "create", "update", "delete"; history.ObjectChange) by the versions that the system gave them: they are
// linearizable whatever lists and watches promise. What lists and watches show counts as having happened.
//
//   - version-mismatch: a change was given a version that is not newer than one that had been acknowledged, or seen by anyone, before it was
//     invoked; or two changes were given one version.
//   - lost-update: an update that asked for one version was acknowledged, though the object had been changed since.
//   - cas-mismatch: a create was acknowledged though the object was there, an update or delete though it was not; or one of them was refused though
//     nothing can have been in its way.
//
// A change of unknown outcome happened where a view shows it, and otherwise may have.
func Changes() Checker { return changes{} }

type changes struct{}

// ChangesDetail is the Detail of Changes.
type ChangesDetail struct {
	Collections  int `json:"collections"`
	Objects      int `json:"objects"`
	Acknowledged int `json:"acknowledged"`
	Refused      int `json:"refused"`
	// Unknown are changes of unknown outcome, Settled those of them that some view shows.
	Unknown int `json:"unknown"`
	Settled int `json:"settled"`
}

func (changes) Name() string { return "changes" }

func (changes) Check(ctx context.Context, src history.Source, b Budget) (Result, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	j := &changesJudge{}
	cs, err := j.f.collectionsOf(ctx, src, b)
	if err != nil {
		return Result{}, err
	}
	j.cs = cs
	cs.inOrder(func(c *collection) {
		if ctx.Err() != nil {
			j.f.unknown("out of time: the changes of %q were left out of the check", c.key)
			return
		}
		j.judge(c)
	})
	if j.d.Acknowledged == 0 {
		j.f.unknown("nothing to check: no change was acknowledged")
	}
	return j.f.result(fmt.Sprintf("%s of %s: %s acknowledged, %s refused, %s of unknown outcome (%s settled by what was seen)",
		count(j.d.Objects, "object", "objects"), count(j.d.Collections, "collection", "collections"), thousands(int64(j.d.Acknowledged)),
		thousands(int64(j.d.Refused)), thousands(int64(j.d.Unknown)), thousands(int64(j.d.Settled))), j.d)
}

// changesJudge judges the writes of one history.
type changesJudge struct {
	f  findings
	d  ChangesDetail
	cs *collections
}

func (j *changesJudge) add(c *collection, name string, ops []int64, format string, args ...any) {
	j.f.add(Anomaly{Name: name, Key: c.key, Ops: ops, Why: fmt.Sprintf(format, args...)})
}

// judge adds what is wrong with the writes of one collection.
func (j *changesJudge) judge(c *collection) {
	j.count(c)
	for _, ch := range c.changes {
		if ch.ret == never || ch.version == 0 || ch.version > ch.low {
			continue
		}
		_, by := j.cs.floorBefore(ch.call)
		j.add(c, "version-mismatch", []int64{ch.index, by}, "%s, but version %d had been seen (%d) before it began: versions must rise", ch, ch.low, by)
	}
	for i := 1; i < len(c.exact); i++ {
		if a, b := c.exact[i-1], c.exact[i]; a.version == b.version {
			j.add(c, "version-mismatch", []int64{b.proof(), a.proof()}, "%s and %s have one version", a, b)
		}
	}
	for _, name := range c.names {
		j.chain(c, c.items[name])
	}
	for _, r := range c.refusals {
		j.refused(c, r)
	}
}

func (j *changesJudge) count(c *collection) {
	j.d.Collections++
	j.d.Objects += len(c.items)
	j.d.Refused += len(c.refusals)
	for _, ch := range c.changes {
		switch {
		case ch.index < 0:
		case ch.ret != never:
			j.d.Acknowledged++
		default:
			j.d.Unknown++
			if ch.seen != "" {
				j.d.Settled++
			}
		}
	}
}

// chain judges each change of an object by the one before it.
func (j *changesJudge) chain(c *collection, o *item) {
	for i, ch := range o.exact {
		if ch.f == fDelete && ch.index < 0 {
			continue // seen by a stream, which Watches judges
		}
		var before *change
		if i > 0 {
			before = o.exact[i-1]
		}
		there := before != nil && !before.deletes()
		// Deletions of unknown version may lie between, and creates that nobody saw.
		switch {
		case ch.f == fCreate && there && !o.mayBeGoneBetween(before.version, ch):
			j.add(c, "cas-mismatch", []int64{ch.proof(), before.proof()}, "%s succeeded, but there was %s", ch, before)
		case ch.f != fCreate && !there && !c.mayBeThere(o, before, ch):
			if before == nil {
				j.add(c, "cas-mismatch", []int64{ch.proof()}, "%s succeeded, but nobody can have created %s before", ch, o.name)
			} else {
				j.add(c, "cas-mismatch", []int64{ch.proof(), before.proof()}, "%s succeeded, but %s had removed it", ch, before)
			}
		case ch.expect > 0 && before != nil && before.version > ch.expect:
			j.add(c, "lost-update", []int64{ch.proof(), before.proof()}, "%s asked for version %d, but there was %s", ch, ch.expect, before)
		case ch.expect > 0 && (before == nil || before.version < ch.expect) && !c.mayBeThere(o, before, ch):
			j.add(c, "cas-mismatch", []int64{ch.proof()}, "%s asked for version %d, which nobody can have written", ch, ch.expect)
		}
	}
}

// mayBeGoneBetween tells whether some deletion may lie between an object's version and a later change of it.
func (o *item) mayBeGoneBetween(version int64, ch *change) bool {
	return o.mayBeGone(version, ch.version-1, cmp.Or(ch.ret, never))
}

// mayBeThere tells whether a create of unknown outcome, or an update after one, may lie between a change of an object and a later one.
func (c *collection) mayBeThere(o *item, before, ch *change) bool {
	return slices.ContainsFunc(o.writes, func(w *change) bool {
		return w.version == 0 && w != ch && w.call < ch.ret && w.low < ch.version-1 && (before == nil || ch.version-before.version > 1)
	})
}

// refused judges a refusal by what the object can have been at some moment of it.
func (j *changesJudge) refused(c *collection, r *refusal) {
	o := c.items[r.object]
	switch r.why {
	case refusedExists:
		if !o.everMaybe(r) {
			j.add(c, "cas-mismatch", []int64{r.index}, "%s was refused because it existed, but nobody can have created it", &r.change)
		} else if d := o.absentSince(r); d != nil {
			j.add(c, "cas-mismatch", []int64{r.index, d.index}, "%s was refused because it existed, but nobody can have created it since %s", &r.change, d)
		}
	case refusedAbsent, refusedConflict:
		j.inTheWay(c, o, r)
	}
}

// Why changes are refused, beside refusedAbsent.
const (
	refusedExists   = "exists"
	refusedConflict = "conflict"
)

// everMaybe tells whether a create of the object may have happened before a refusal completed.
func (o *item) everMaybe(r *refusal) bool {
	return o != nil && slices.ContainsFunc(o.writes, func(w *change) bool { return w.f == fCreate && w.call < r.ret })
}

// absentSince is a deletion that had been acknowledged before a refusal was invoked, and after which no create can have happened until the
// refusal completed; nil if there is none.
func (o *item) absentSince(r *refusal) *change {
	for _, d := range o.deletes {
		if d.ret < r.call && !slices.ContainsFunc(o.writes, func(w *change) bool { return w.f == fCreate && w.call < r.ret && w.ret > d.call }) {
			return d
		}
	}
	return nil
}

// inTheWay judges a refusal of an object that was said to be absent, or to have another version than the expected one: if one of its versions
// was there from before the refusal was invoked until after it had completed, it was neither.
func (j *changesJudge) inTheWay(c *collection, o *item, r *refusal) {
	if o == nil {
		if r.why == refusedConflict {
			j.add(c, "cas-mismatch", []int64{r.index}, "%s was refused for its version, but nobody can have created it", &r.change)
		}
		return
	}
	// The newest change that had completed before; everything that may have happened since must have been invoked before it ended.
	var newest *change
	for _, w := range o.exact {
		if w.ret < r.call && (newest == nil || w.version > newest.version) {
			newest = w
		}
	}
	if newest == nil || newest.deletes() || r.why == refusedConflict && newest.version != r.expect {
		return
	}
	for _, w := range append(slices.Clone(o.writes), o.deletes...) {
		if w != newest && w.call < r.ret && w.ret > newest.call && (w.version == 0 || w.version > newest.version) {
			return // it may have been in the way
		}
	}
	j.add(c, "cas-mismatch", []int64{r.index, newest.index}, "%s was refused (%s), but there was %s all the time", &r.change, r.why, newest)
}
