package checker

import (
	"cmp"
	"slices"
	"sort"
)

// fit tries to complete the chain to a linearization and tells whether it did. False says nothing: the choice was greedy.
func (c *chain) fit() bool {
	latest := int64(-1)
	for i := 1; i < len(c.slots); i++ {
		s := &c.slots[i]
		made, ok := c.make(i)
		if !ok {
			return false
		}
		s.made = max(latest, s.made, made)
		if s.made > s.due {
			return false
		}
		s.called = max(s.called, s.made)
		// Everything in earlier slots comes before everything here.
		latest = s.called
	}
	return c.fitFloats()
}

// make finds what makes slot i: its owner, or unknown writes, and what it takes to set the value that a compare-and-set
// expects. made is the latest invocation of the unknown writes it took.
func (c *chain) make(i int) (made int64, ok bool) {
	s, before := &c.slots[i], &c.slots[i-1]
	room := s.version - before.version // how many writes there are versions for
	if s.owner < 0 {
		return c.takeMaker(s.value, before.value, s.due, min(room, makersMax))
	}
	o := &c.r.ops[s.owner]
	if o.kind == regWrite || o.old == before.value {
		return -1, true
	}
	return c.takeMaker(o.old, before.value, s.due, min(room-1, makersMax))
}

// makersMax bounds how many unknown writes in a row are tried to explain one value.
const makersMax = 4

// takeMaker uses up unknown operations that were invoked before a moment and lead from one value to another: a
// compare-and-set, which fits in fewer places, else a plain write, else a compare-and-set from a value that others lead to.
func (c *chain) takeMaker(value, before int32, due, room int64) (made int64, ok bool) {
	if room < 1 {
		return 0, false
	}
	for _, e := range [...]effect{{regSwap, before, value}, {regWrite, 0, value}} {
		if call, ok := c.take(e, due); ok {
			return call, true
		}
	}
	if room == 1 {
		return 0, false
	}
	for _, old := range c.swapsTo[value] {
		e := effect{regSwap, old, value}
		call, ok := c.take(e, due)
		if !ok {
			continue
		}
		if made, ok := c.takeMaker(old, before, due, room-1); ok {
			return max(made, call), true
		}
		c.supply[e] = append([]int64{call}, c.supply[e]...)
	}
	return 0, false
}

// take uses up an unknown operation that was invoked before a moment.
func (c *chain) take(e effect, due int64) (call int64, ok bool) {
	calls := c.supply[e]
	if len(calls) == 0 || calls[0] >= due {
		return 0, false
	}
	c.supply[e] = calls[1:]
	return calls[0], true
}

// fitFloats puts each observer without a version into the earliest slot that it can have seen. Earlier is never worse: it only
// leaves more slots to the observers that must not come before it.
func (c *chain) fitFloats() bool {
	type placed struct {
		ret  int64
		slot int
	}
	var done []placed // of the floats placed so far, the ones with a higher slot than every one that completed before them
	for _, i := range c.floats {
		o := &c.r.ops[i]
		call := c.readCall(o)
		// The first slot after which nothing had to be done before o was invoked.
		from := sort.Search(len(c.slots)-1, func(k int) bool { return c.slots[k+1].due > call })
		k, _ := slices.BinarySearchFunc(done, call, func(p placed, call int64) int { return cmp.Compare(p.ret, call) })
		if k > 0 {
			from = max(from, done[k-1].slot)
		}
		at := c.place(o, from)
		if at < 0 {
			return false
		}
		k, _ = slices.BinarySearchFunc(done, o.ret, func(p placed, ret int64) int { return cmp.Compare(p.ret, ret) })
		if k > 0 && done[k-1].slot >= at {
			continue
		}
		end := k
		for end < len(done) && done[end].slot <= at {
			end++
		}
		done = slices.Replace(done, k, end, placed{o.ret, at})
	}
	return true
}

// place is the first slot from a given one on that an observer without a version can have seen, or -1.
func (c *chain) place(o *regOp, from int) int {
	for k := from; k < len(c.slots) && c.slots[k].made < o.ret; k++ {
		same := c.slots[k].value == o.value
		if o.kind == regRefused && !o.seen {
			same = c.slots[k].value != o.old
		}
		if same {
			return k
		}
	}
	return -1
}
