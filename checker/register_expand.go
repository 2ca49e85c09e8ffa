package checker

import "math/bits"

// bytes is what a state takes at most, in the three sets and their hash tables, each of which may have grown to twice what it holds.
func (l stateLayout) bytes() int64 {
	const copies, table = 2 * (1 + 2*widthSlack), 2
	return copies * 8 * int64(l.stride()+table)
}

// widthSlack is how many times the width a set may have while it is made.
const widthSlack = 4

// sees tells whether an operation that observes can take effect in a state, and changes nothing then.
func (s *sweep) sees(c []uint64, o *regOp) bool {
	switch {
	case o.kind == regRefused && !o.seen:
		return valueOf(c) != o.old
	case valueOf(c) != o.value, o.kind == regRefused && o.value == o.old:
		return false
	}
	return o.version == 0 || c[0]&looseFlag == 0 && c[1] == uint64(o.version) //nolint:gosec // versions are not negative
}

// expand puts everything that can come right after a state of the closure into the closure; or, where it settles the operation of the
// slot that has to be complete now, into the next set.
func (s *sweep) expand(i, slot int) {
	state := s.from
	copy(state, s.closure.at(i))
	unseen := state[0]&unseenFlag != 0
	done, optional := s.layout.done(state), s.layout.optional(state)
	for w := range s.layout.slotWords {
		for set := (s.plain[w] | s.swaps[w]) &^ done[w]; set != 0; set &= set - 1 {
			k := w<<6 + bits.TrailingZeros64(set)
			o := s.open[k]
			if unseen && o.kind == regWrite || s.another(done, optional, k) {
				continue
			}
			if next, ok := s.write(state, o); ok {
				s.layout.done(next).set(k)
				s.layout.optional(next).unset(k)
				s.afterWrite(next, o, slot, o.kind == regWrite && k != slot)
			}
		}
		if !s.versioned {
			continue
		}
		for set := s.observers[w] &^ done[w]; set != 0; set &= set - 1 {
			if next, ok := s.pin(state, s.open[w<<6+bits.TrailingZeros64(set)]); ok {
				s.observe(next)
				s.keep(next, slot)
			}
		}
	}
	for k := range s.classes {
		e := &s.classes[k]
		used := s.layout.used(state, k)
		if !e.endless && used >= e.invoked || unseen && e.kind == regWrite || intersects(e.same, done) {
			continue
		}
		o := regOp{kind: e.kind, old: e.old, value: e.new, ret: never}
		if next, ok := s.write(state, &o); ok {
			if !e.endless {
				s.layout.use(next, k)
			}
			s.afterWrite(next, &o, slot, true)
		}
	}
}

// another tells whether another open operation does the same as that of a slot, completes earlier, and is better to use: it has to take
// effect, or the one of the slot need not.
func (s *sweep) another(done, optional slotSet, slot int) bool {
	free := optional.has(slot)
	for w, set := range s.earlier[slot] {
		set &^= done[w]
		if !free {
			set &^= optional[w]
		}
		if set != 0 {
			return true
		}
	}
	return false
}

// intersects tells whether a slot of a set is not done.
func intersects(set, done slotSet) bool {
	for w := range set {
		if set[w]&^done[w] != 0 {
			return true
		}
	}
	return false
}

// write is the state after a write, in the sweep's scratch space; nothing is done or used up yet.
func (s *sweep) write(state []uint64, o *regOp) (next []uint64, ok bool) {
	if o.kind == regSwap && valueOf(state) != o.old {
		return nil, false
	}
	next = s.work
	copy(next, state)
	next[0] = uint64(uint32(o.value))      //nolint:gosec // half a word
	switch version := uint64(o.version); { //nolint:gosec // versions are not negative
	case !s.versioned:
	case version == 0:
		next[0] |= looseFlag
		next[1]++
	case version <= state[1]:
		return nil, false
	default:
		next[1] = version
		if s.late(next, o) {
			return nil, false
		}
	}
	return next, true
}

// late tells whether an operation that is open and not done has a version that the register is past, beside the one that got it there.
func (s *sweep) late(c []uint64, by *regOp) bool {
	done := s.layout.done(c)
	for w := range done {
		for set := (s.plain[w] | s.swaps[w] | s.observers[w]) &^ done[w]; set != 0; set &= set - 1 {
			if o := s.open[w<<6+bits.TrailingZeros64(set)]; o != by && o.version > 0 && uint64(o.version) < c[1] { //nolint:gosec // as above
				return true
			}
		}
	}
	return false
}

// pin is the state in which an observer fixes a version that was not known, in the sweep's scratch space.
func (s *sweep) pin(state []uint64, o *regOp) (next []uint64, ok bool) {
	if o.version == 0 || state[0]&looseFlag == 0 || valueOf(state) != o.value || o.kind == regRefused && o.value == o.old ||
		uint64(o.version) < state[1] { //nolint:gosec // versions are not negative
		return nil, false
	}
	next = s.work
	copy(next, state)
	next[0] &^= looseFlag | unseenFlag
	next[1] = uint64(o.version) //nolint:gosec // as above
	return next, !s.late(next, o)
}

// observe lets everything that is open and can see a state take effect, and tells whether there was any.
func (s *sweep) observe(c []uint64) (any bool) {
	done := s.layout.done(c)
	for w := range done {
		for set := s.observers[w] &^ done[w]; set != 0; set &= set - 1 {
			if k := bits.TrailingZeros64(set); s.sees(c, s.open[w<<6+k]) {
				done[w] |= 1 << k
				any = true
			}
		}
	}
	return any
}

// afterWrite completes the state after a write and keeps it. One that needs not take effect now, must be seen.
func (s *sweep) afterWrite(c []uint64, o *regOp, slot int, mustBeSeen bool) {
	if o.kind == regWrite && !s.versioned {
		done, optional := s.layout.done(c), s.layout.optional(c)
		for w := range optional {
			optional[w] |= s.plain[w] &^ done[w]
		}
	}
	seen := s.observe(c)
	if mustBeSeen && !seen && (!s.versioned || o.unknown()) {
		if !s.swappable(c) {
			return
		}
		c[0] |= unseenFlag
	}
	s.keep(c, slot)
}

// swappable tells whether some compare-and-set, or an observer that would fix the version, can see a state.
func (s *sweep) swappable(c []uint64) bool {
	done, v := s.layout.done(c), valueOf(c)
	for w := range done {
		set := s.swaps[w]
		if s.versioned {
			set |= s.observers[w]
		}
		for set &^= done[w]; set != 0; set &= set - 1 {
			if o := s.open[w<<6+bits.TrailingZeros64(set)]; o.kind == regSwap && o.old == v || o.observes() && o.value == v {
				return true
			}
		}
	}
	for k := range s.classes {
		if e := &s.classes[k]; e.kind == regSwap && e.old == v && (e.endless || s.layout.used(c, k) < e.invoked) {
			return true
		}
	}
	return false
}

// keep puts the state in the scratch space where it belongs.
func (s *sweep) keep(c []uint64, slot int) {
	if s.layout.done(c).has(slot) {
		s.settled(c, slot)
		return
	}
	if s.layout.optional(c).has(slot) && !s.layout.optional(s.from).has(slot) {
		s.settled(c, slot)
	}
	if s.closure.len() >= widthSlack*s.width {
		s.narrowed = true
		return
	}
	s.closure.add(c)
}

// dropDominated drops the states of the next set in which nothing is possible that is not possible in another one as well.
func (s *sweep) dropDominated() {
	const compared, comparedMax = 1 << 16, 256
	n := s.next.len()
	if n < 2 {
		return
	}
	near := min(comparedMax, max(8, compared/n)) // comparing all with all would cost more than it saves
	left := make([]int, 0, n)
	for i := range n {
		dominated := false
		for k := max(0, i-near); k < min(n, i+near) && !dominated; k++ {
			// Of two that are as good as each other there is only one: they would be equal.
			dominated = k != i && s.dominates(s.next.at(k), s.next.at(i))
		}
		if !dominated {
			left = append(left, i)
		}
	}
	if len(left) < n {
		s.next.keep(left)
	}
}

// dominates tells whether everything that is possible in state b is so in state a: the same value and compare-and-sets, at least what b has
// seen, writes that are optional where b's are not or are used up, and no more operations of unknown outcome used up.
func (s *sweep) dominates(a, b []uint64) bool {
	if a[0] != b[0] || a[1] != b[1] {
		return false
	}
	doneA, doneB, optionalA, optionalB := s.layout.done(a), s.layout.done(b), s.layout.optional(a), s.layout.optional(b)
	for w := range doneA {
		differs := doneA[w] ^ doneB[w]
		if differs&s.swaps[w] != 0 || doneB[w]&^doneA[w]&s.observers[w] != 0 ||
			(differs|(optionalA[w]^optionalB[w]))&s.plain[w]&^optionalA[w] != 0 {
			return false
		}
	}
	for k := range s.classes {
		if s.layout.used(a, k) > s.layout.used(b, k) {
			return false
		}
	}
	return true
}
