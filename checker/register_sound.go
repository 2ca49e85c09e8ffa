package checker

import (
	"cmp"
	"fmt"
	"slices"
)

// soundJudge looks for anomalies of one register that need no search: each is a contradiction between a few operations, so that it
// is one on every longer history too. It takes O(n log n).
type soundJudge struct {
	f *findings
	r *register
	// allowStale: reads may return any state that was current at or before their completion.
	allowStale bool
	// flagged are the operations that an anomaly already blames, by place in r.ops.
	flagged map[int]bool
	// owners are the places of the ok writes of each version; see versions.
	owners map[int64]int
	// topVersion is the highest version, topCount how many operations have it.
	topVersion int64
	topCount   int
}

// newSoundJudge prepares the checks of one register.
func newSoundJudge(f *findings, r *register, allowStale bool) *soundJudge {
	return &soundJudge{f: f, r: r, allowStale: allowStale, flagged: map[int]bool{}, owners: map[int64]int{}}
}

// judge adds what it finds.
func (j *soundJudge) judge() {
	j.values()
	j.versions()
	j.versionOrder()
	j.overwritten()
}

func (j *soundJudge) add(i int, name, why string, ops ...int64) {
	j.flagged[i] = true
	j.f.add(Anomaly{Name: name, Key: j.r.key, Ops: append([]int64{j.r.ops[i].index()}, ops...), Why: why})
}

// addStale adds an anomaly that the promise may allow, if it is a read's.
func (j *soundJudge) addStale(i int, name, why string, ops ...int64) {
	j.flagged[i] = true
	o := &j.r.ops[i]
	j.f.add(Anomaly{
		Name: name, Key: j.r.key, Ops: append([]int64{o.index()}, ops...), Why: why,
		Allowed: j.allowStale && o.kind == regRead,
	})
}

// saw is the value that an operation found in the register, if it tells.
func (o *regOp) saw() (value int32, ok bool) {
	switch {
	case o.unknown():
		return 0, false
	case o.kind == regSwap:
		return o.old, true
	case o.observes():
		return o.value, true
	}
	return 0, false
}

// values finds values that nobody can have written yet, and refusals that contradict themselves.
func (j *soundJudge) values() {
	first := map[int32]int{} // the write of each value that was invoked first
	for i := range j.r.ops {
		if o := &j.r.ops[i]; o.writes() {
			if _, ok := first[o.value]; !ok {
				first[o.value] = i
			}
		}
	}
	failed := map[int32]*regOp{}
	for i := range j.r.failed {
		if o := &j.r.failed[i]; o.writes() && (failed[o.value] == nil || o.call < failed[o.value].call) {
			failed[o.value] = o
		}
	}
	for i := range j.r.ops {
		o := &j.r.ops[i]
		if o.kind == regRefused && o.seen && o.value == o.old {
			j.add(i, "cas-mismatch", j.r.describe(o)+", which is what it expected")
		}
		v, ok := o.saw()
		if !ok || v == 0 {
			continue
		}
		w, written := first[v]
		if written && j.r.ops[w].call < o.ret {
			continue
		}
		what := j.r.describe(o)
		if o.kind == regSwap {
			what += " succeeded"
		}
		switch loser := failed[v]; {
		case loser != nil && loser.call < o.ret:
			j.add(i, "aborted-read", fmt.Sprintf("%s, but the only write of %s before it ended, %d, failed", what, j.r.names.text(v), loser.ret), loser.ret)
		case written:
			j.add(i, "future-read", fmt.Sprintf("%s, but the first write of %s, %d, was invoked after it had completed",
				what, j.r.names.text(v), j.r.ops[w].index()), j.r.ops[w].index())
		default:
			j.add(i, "garbage-read", fmt.Sprintf("%s, but nobody ever wrote %s", what, j.r.names.text(v)))
		}
	}
}

// versions finds versions that stand for two values or two writes, and ones that were read before they were written.
func (j *soundJudge) versions() {
	seen := map[int64]int{}
	for i := range j.r.ops {
		o := &j.r.ops[i]
		if o.version == 0 {
			continue
		}
		switch {
		case o.version > j.topVersion:
			j.topVersion, j.topCount = o.version, 1
		case o.version == j.topVersion:
			j.topCount++
		}
		k, known := seen[o.version]
		if !known {
			seen[o.version] = i
		}
		owner, owned := j.owners[o.version]
		switch {
		case known && j.r.ops[k].value != o.value:
			j.mismatch(i, k, "one version stands for two values")
		case owned && o.writes():
			j.mismatch(i, owner, "two writes were given one version")
		}
		if o.writes() && !owned {
			j.owners[o.version] = i
		}
	}
	for i := range j.r.ops {
		o := &j.r.ops[i]
		w, owned := j.owners[o.version]
		if o.version == 0 || o.writes() || !owned || o.ret > j.r.ops[w].call || j.flagged[i] {
			continue
		}
		j.add(i, "future-read", fmt.Sprintf("%s, but %s was invoked after it had completed", j.r.describe(o), j.r.describe(&j.r.ops[w])), j.r.ops[w].index())
	}
}

func (j *soundJudge) mismatch(i, k int, why string) {
	o, p := &j.r.ops[i], &j.r.ops[k]
	j.add(i, "version-mismatch", fmt.Sprintf("%s; %s: %s", j.r.describe(p), j.r.describe(o), why), p.index())
}

// versionOrder finds operations that were given, or read, a version older than one that had been seen before they began.
func (j *soundJudge) versionOrder() {
	var done []int // places of the operations with versions, by completion
	for i := range j.r.ops {
		if o := &j.r.ops[i]; o.version > 0 && !o.unknown() {
			done = append(done, i)
		}
	}
	slices.SortFunc(done, func(a, b int) int { return cmp.Compare(j.r.ops[a].ret, j.r.ops[b].ret) })
	top, topWrite, next := -1, -1, 0
	for i := range j.r.ops {
		o := &j.r.ops[i]
		for ; next < len(done) && j.r.ops[done[next]].ret < o.call; next++ {
			k := done[next]
			if top < 0 || j.r.ops[k].version > j.r.ops[top].version {
				top = k
			}
			if j.r.ops[k].writes() && (topWrite < 0 || j.r.ops[k].version > j.r.ops[topWrite].version) {
				topWrite = k
			}
		}
		if o.version == 0 || top < 0 || o.version >= j.r.ops[top].version {
			continue
		}
		before := top
		if topWrite >= 0 && j.r.ops[topWrite].version > o.version {
			before = topWrite
		}
		j.older(i, before)
	}
}

// older adds the anomaly of an operation whose version is older than that of one before it.
func (j *soundJudge) older(i, before int) {
	o, b := &j.r.ops[i], &j.r.ops[before]
	why := fmt.Sprintf("%s, but %s had completed before it began", j.r.describe(o), j.r.describe(b))
	switch {
	case o.writes():
		j.add(i, "version-mismatch", why+": versions must rise", b.index())
	case b.writes() && !j.allowStale && j.nobodySaw(before):
		j.addStale(i, "lost-write", why+", and no operation ever saw that version or a later one", b.index())
	default:
		j.addStale(i, "stale-read", why, b.index())
	}
}

// nobodySaw tells whether no other operation has the version of a write, or a later one.
func (j *soundJudge) nobodySaw(write int) bool {
	return j.topCount == 1 && j.r.ops[write].version == j.topVersion
}

// overwritten finds values that had been overwritten for certain, by real time alone, before the operation that saw them began.
func (j *soundJudge) overwritten() {
	fates := j.fates()
	versioned := j.versioned()
	for i := range j.r.ops {
		o := &j.r.ops[i]
		v, ok := o.saw()
		if !ok || j.flagged[i] || versioned && o.version > 0 && o.kind != regSwap {
			continue // its version says more
		}
		list := fates[v]
		n, _ := slices.BinarySearchFunc(list, o.ret, func(f fate, ret int64) int { return cmp.Compare(f.call, ret) })
		if n == 0 || list[n-1].by < 0 || list[n-1].gone > o.call {
			continue // no source at all is a matter of values
		}
		by := &j.r.ops[list[n-1].by]
		why := fmt.Sprintf("%s, but %s had completed before it began, and every write of %s had completed before that one began",
			j.r.describe(o), j.r.describe(by), j.r.names.text(v))
		if v == 0 {
			why = fmt.Sprintf("%s, but %s had completed before it began", j.r.describe(o), j.r.describe(by))
		}
		if o.kind == regSwap {
			j.add(i, "cas-mismatch", why, by.index())
			continue
		}
		j.addStale(i, "stale-read", why, by.index())
	}
}

// versioned tells whether every ok write has a version.
func (j *soundJudge) versioned() bool {
	for i := range j.r.ops {
		if o := &j.r.ops[i]; o.writes() && !o.unknown() && o.version == 0 {
			return false
		}
	}
	return true
}

// fate tells when the value of a write, and of every write of the same value before it, was gone for certain.
type fate struct {
	call int64
	// gone is when something had been written after all of them; never (with by < 0) if one may still be there. Was it the
	// same value, then that write is one of the list, too, and its own fate counts.
	gone int64
	by   int
}

// fates are, for each value, its writes by invocation. The absent value has one at the very beginning.
func (j *soundJudge) fates() map[int32][]fate {
	next := j.nextWrites()
	out := map[int32][]fate{}
	note := func(v int32, call, ret int64) {
		f := fate{call: call, gone: never, by: -1}
		if w := next.after(ret); w >= 0 {
			f.gone, f.by = j.r.ops[w].ret, w
		}
		list := out[v]
		if n := len(list); n > 0 && list[n-1].gone > f.gone {
			f.gone, f.by = list[n-1].gone, list[n-1].by
		}
		out[v] = append(list, f)
	}
	note(0, -1, -1)
	for i := range j.r.ops {
		if o := &j.r.ops[i]; o.writes() {
			note(o.value, o.call, o.ret)
		}
	}
	return out
}

// nextWrites answers which write completes first among those invoked after a moment.
type nextWrites struct {
	calls []int64
	// best is the place of the write that completes first of those from here on.
	best []int
}

func (j *soundJudge) nextWrites() nextWrites {
	var n nextWrites
	for i := range j.r.ops {
		if o := &j.r.ops[i]; o.writes() && !o.unknown() {
			n.calls, n.best = append(n.calls, o.call), append(n.best, i)
		}
	}
	for k := len(n.best) - 2; k >= 0; k-- {
		if j.r.ops[n.best[k+1]].ret < j.r.ops[n.best[k]].ret {
			n.best[k] = n.best[k+1]
		}
	}
	return n
}

// after is the write that completes first among those invoked after a moment, or -1.
func (n nextWrites) after(moment int64) int {
	k, _ := slices.BinarySearch(n.calls, moment)
	if k == len(n.calls) {
		return -1
	}
	return n.best[k]
}
