package checker

import (
	"cmp"
	"slices"
)

// chain is a register's history put in the order of its versions. Where every ok write has a version, they fix the order
// of the writes and what each read saw; only operations of unknown outcome, and observers without a version, remain to be fitted in.
// Fitting them greedily takes O(n log n). It finds a linearization, or a contradiction that no choice can resolve, or
// neither: then only a search can tell.
//
// An order of operations is a linearization if no operation comes before another one that had completed before it was invoked.
// That is a condition on pairs, so everything below compares the invocations of what comes earlier (slot.called)
// with the completions of what comes later (slot.due).
type chain struct {
	r     *register
	slots []slot
	// floats are the places of ok observers without a version, by call.
	floats []int
	// supply are the writes of unknown outcome that can still be used, by what they do.
	supply map[effect][]int64
	// swapsTo are the expected values of the unknown compare-and-sets that set a value.
	swapsTo map[int32][]int32
	// allowStale: reads may return states of before their invocation.
	allowStale bool
}

// slot is a version of the register: the write that made it and everything that saw it.
type slot struct {
	version int64
	value   int32
	// owner is the place of the ok write that made it; -1 for one that only reads tell of; the first slot, the absent value, has none either.
	owner int
	// observer is the place of the observer that completed first, or -1.
	observer int
	// made is the latest invocation of what makes the slot and of everything in earlier slots.
	made int64
	// called is made, and the latest invocation of what observes the slot.
	called int64
	// due is the earliest completion of anything in this slot and the later ones.
	due int64
}

// effect is what a write of unknown outcome does: sets a value, from any one or, for a compare-and-set, from one value.
type effect struct {
	kind     regKind
	old, new int32
}

// chainOf orders a register by versions; ok is false if it has a write that was given none.
func chainOf(r *register, allowStale bool) (c *chain, ok bool) {
	c = &chain{r: r, supply: map[effect][]int64{}, swapsTo: map[int32][]int32{}, allowStale: allowStale}
	slots := map[int64]*slot{0: {owner: -1, observer: -1, made: -1, called: -1, due: never}}
	for i := range r.ops {
		o := &r.ops[i]
		switch {
		case o.unknown():
			e := effect{o.kind, o.old, o.value}
			if o.kind == regSwap && c.supply[e] == nil {
				c.swapsTo[o.value] = append(c.swapsTo[o.value], o.old)
			}
			c.supply[e] = append(c.supply[e], o.call)
			continue
		case o.version == 0 && o.writes():
			return nil, false
		case o.version == 0:
			c.floats = append(c.floats, i)
			continue
		}
		s := slots[o.version]
		if s == nil {
			s = &slot{version: o.version, value: o.value, owner: -1, observer: -1, made: -1, called: -1, due: never}
			slots[o.version] = s
		}
		s.take(r, i, c.readCall(o))
	}
	for _, s := range slots {
		c.slots = append(c.slots, *s)
	}
	slices.SortFunc(c.slots, func(a, b slot) int { return cmp.Compare(a.version, b.version) })
	for i := len(c.slots) - 2; i >= 0; i-- {
		c.slots[i].due = min(c.slots[i].due, c.slots[i+1].due)
	}
	return c, true
}

// take adds an operation to its slot; call is from when on it can take effect.
func (s *slot) take(r *register, i int, call int64) {
	o := &r.ops[i]
	s.due = min(s.due, o.ret)
	if o.writes() {
		s.owner, s.value, s.made = i, o.value, call
		return
	}
	s.called = max(s.called, call)
	if s.observer < 0 || o.ret < r.ops[s.observer].ret {
		s.observer = i
	}
}

// readCall is from when on an observer may look: a read of a promise that allows stale ones, from the beginning.
func (c *chain) readCall(o *regOp) int64 {
	if c.allowStale && o.kind == regRead {
		return -1
	}
	return o.call
}

// certain adds the anomalies that no choice of unknown operations can resolve: versions that nobody can have written, and
// compare-and-sets whose guard cannot have held. The versions themselves must be free of contradictions.
func (c *chain) certain(j *soundJudge) {
	c.phantoms(j)
	for i := 1; i < len(c.slots); i++ {
		s, before := &c.slots[i], &c.slots[i-1]
		if s.owner < 0 || c.r.ops[s.owner].kind != regSwap || c.r.ops[s.owner].old == before.value {
			continue
		}
		o := &c.r.ops[s.owner]
		if s.version-before.version > 1 && c.canMake(o.old, s.due) {
			continue
		}
		why := c.r.describe(o) + " succeeded, but the register was absent before it"
		var others []int64
		if k := before.tells(); k >= 0 {
			why = c.r.describe(o) + " succeeded, but the version before it holds " + c.r.names.text(before.value) + ": " + c.r.describe(&c.r.ops[k])
			others = append(others, c.r.ops[k].index())
		}
		j.add(s.owner, "cas-mismatch", why, others...)
	}
}

// tells is the place of an operation that shows the slot's value, or -1.
func (s *slot) tells() int {
	if s.owner >= 0 {
		return s.owner
	}
	return s.observer
}

// canMake tells whether some unknown operation may have set a value before a moment.
func (c *chain) canMake(value int32, before int64) bool {
	for e, calls := range c.supply {
		if e.new == value && calls[0] < before {
			return true
		}
	}
	return false
}

// phantoms adds the versions that were read and that neither an ok write nor any of unknown outcome can have made. An unknown
// write makes one version at most; the later a version is due, the more writes can have made it, so that handing them out
// in the order of versions wastes none.
func (c *chain) phantoms(j *soundJudge) {
	makers := map[int32][]int64{}
	for e, calls := range c.supply {
		makers[e.new] = append(makers[e.new], calls...)
	}
	for _, calls := range makers {
		slices.Sort(calls)
	}
	for i := 1; i < len(c.slots); i++ {
		s := &c.slots[i]
		if s.owner >= 0 {
			continue
		}
		if left := makers[s.value]; len(left) > 0 && left[0] < s.due {
			makers[s.value] = left[1:]
			continue
		}
		name, why, others := c.phantom(s)
		j.add(s.observer, name, c.r.describe(&c.r.ops[s.observer])+why, others...)
	}
}

// phantom names a version that nobody can have written.
func (c *chain) phantom(s *slot) (name, why string, others []int64) {
	seen := &c.r.ops[s.observer]
	for i := range c.r.failed {
		if o := &c.r.failed[i]; o.writes() && o.value == s.value && o.call < seen.ret {
			return "aborted-read", ", but no write of that value was given that version, and " + c.r.describe(o) + " failed", []int64{o.index()}
		}
	}
	for i := len(c.slots) - 1; i > 0; i-- {
		if w := &c.slots[i]; w.owner >= 0 && w.version < s.version && w.value == s.value {
			o := &c.r.ops[w.owner]
			return "duplicate-write", ", but no write was given that version: the last one of that value is " + c.r.describe(o), []int64{o.index()}
		}
	}
	return "garbage-read", ", but no write was given that version, and none of unknown outcome can have made it", nil
}
