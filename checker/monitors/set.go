package monitors

import (
	"cmp"
	"slices"
)

// Set judges a set that is empty at first: Add, Remove, Contains and Lacks. Each value may be added once and removed once.
//
// An addition of unknown outcome happened if its value was seen or removed, and is left out otherwise. A removal of unknown outcome is
// tried both ways.
func Set(ops []Op) Result {
	byValue := make([]int, len(ops))
	for i := range ops {
		byValue[i] = i
	}
	slices.SortStableFunc(byValue, func(a, b int) int { return cmp.Compare(ops[a].Value, ops[b].Value) })
	out := Result{Verdict: Linearizable}
	for len(byValue) > 0 {
		n := 1
		for n < len(byValue) && ops[byValue[n]].Value == ops[byValue[0]].Value {
			n++
		}
		switch r := judgeElement(ops, byValue[:n]); r.Verdict {
		case Violated:
			return r
		case Undecided:
			out = r
		case Linearizable:
		}
		byValue = byValue[n:]
	}
	return out
}

// element is the life of one value in a set: places of its operations, -1 for none.
type element struct {
	ops         []Op
	add, remove int
	// seenFirst is the Contains, or the Remove, that returned first; seenLast the one that was called last.
	seenFirst, seenLast int
	lacks               []int
}

func judgeElement(ops []Op, places []int) Result {
	e := element{ops: ops, add: -1, remove: -1, seenFirst: -1, seenLast: -1}
	for _, i := range places {
		switch o := &ops[i]; {
		case o.Kind == Add && e.add >= 0 || o.Kind == Remove && e.remove >= 0 && o.unknown():
			return undecided(notUnique)
		case o.Kind == Remove && e.remove >= 0 && ops[e.remove].unknown():
			return undecided(notUnique)
		case o.Kind == Remove && e.remove >= 0:
			// Found to be wrong below, unless values repeat.
			return e.removedTwice(places, i)
		case o.Kind == Add:
			e.add = i
		case o.Kind == Remove:
			e.remove = i
		case o.unknown():
		case o.Kind == Contains:
			e.saw(i)
		case o.Kind == Lacks:
			e.lacks = append(e.lacks, i)
		}
	}
	if e.remove < 0 || !ops[e.remove].unknown() {
		return e.judge()
	}
	done := e.judge()
	if done.Verdict == Linearizable {
		return done
	}
	e.remove = -1
	return e.judge()
}

// removedTwice is the result for two removals that succeeded: wrong, if there is but one addition.
func (e *element) removedTwice(places []int, again int) Result {
	adds, add := 0, -1
	for _, i := range places {
		if e.ops[i].Kind == Add {
			adds++
			add = i
		}
	}
	switch adds {
	case 0:
		return violated(RuleSource, again)
	case 1:
		return violated(RuleOnce, again, e.remove, add)
	}
	return undecided(notUnique)
}

// saw notes an operation that found the element.
func (e *element) saw(i int) {
	if e.seenFirst < 0 || e.ops[i].Return < e.ops[e.seenFirst].Return {
		e.seenFirst = i
	}
	if e.seenLast < 0 || e.ops[i].Call > e.ops[e.seenLast].Call {
		e.seenLast = i
	}
}

// judge chooses the addition as late and the removal as early as what saw the element allows. What did not see it has to begin before the
// one or end after the other; if the two can meet, any such operation can be put beside them.
func (e *element) judge() Result {
	first := e.seenFirst // what must come after the addition, and returns first
	if e.remove >= 0 && (first < 0 || e.ops[e.remove].Return < e.ops[first].Return) {
		first = e.remove
	}
	switch {
	case first < 0 && (e.add < 0 || e.ops[e.add].unknown()):
		return Result{Verdict: Linearizable} // never there
	case first >= 0 && e.add < 0:
		return violated(RuleSource, first)
	case first >= 0 && e.ops[first].Return < e.ops[e.add].Call:
		return violated(RuleSource, first, e.add)
	}
	latest, lateBy := e.ops[e.add].Return, e.add
	if first >= 0 && e.ops[first].Return < latest {
		latest, lateBy = e.ops[first].Return, first
	}
	earliest, earlyBy := int64(Never), -1
	if e.remove >= 0 {
		earliest, earlyBy = e.ops[e.remove].Call, e.remove
		if e.seenLast >= 0 && e.ops[e.seenLast].Call > e.ops[e.remove].Return {
			return violated(RulePresence, e.seenLast, e.remove, e.add)
		}
		if e.ops[e.add].Call > earliest {
			earliest, earlyBy = e.ops[e.add].Call, e.add
		}
		if e.seenLast >= 0 && e.ops[e.seenLast].Call > earliest {
			earliest, earlyBy = e.ops[e.seenLast].Call, e.seenLast
		}
	}
	for _, i := range e.lacks {
		if o := &e.ops[i]; o.Call > latest && o.Return < earliest {
			witness := []int{i, e.add}
			for _, k := range []int{lateBy, earlyBy, e.remove} {
				if k >= 0 && !slices.Contains(witness, k) {
					witness = append(witness, k)
				}
			}
			return violated(RulePresence, witness...)
		}
	}
	return Result{Verdict: Linearizable}
}
