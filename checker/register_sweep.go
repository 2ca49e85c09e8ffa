package checker

import (
	"cmp"
	"math/bits"
	"slices"
)

// sweep decides whether operations on a register linearize by going through their invocations and completions once, with the set of
// all states that the register can be in (just-in-time linearization: Lowe, "Testing for Linearizability", 2017, after Wing and Gong,
// 1993). Nothing is put in order before a completion demands it, so that the set says what is possible at one moment, and neither
// time nor memory grows with what came before. What keeps the set small:
//
//   - An operation that only observes takes effect as soon as it can: it changes nothing.
//   - A plain write that is open while another one takes effect may have done so unseen right before it. It becomes optional: its completion
//     demands nothing any more, and it can be used as long as it is open. Likewise each operation of unknown outcome, for ever.
//   - A write that need not take effect now does so only if something sees it.
//   - Of open operations that do the same, the one that completes first is used first; those of unknown outcome are counted only.
//   - A state in which nothing is possible that is not possible in another one is dropped.
//
// Where the set gets too large, only the most promising states are kept. A state that is left at the end is a proof all the same; if none
// is, the sweep is repeated with more of them.
type sweep struct {
	ops    []regOp
	layout stateLayout
	// versioned: some operation has a version. Then a write is not hidden by another one, for versions may tell them apart.
	versioned bool

	// open are the operations of known outcome in flight, by slot.
	open []*regOp
	free []int
	// observers, plain and swaps are the slots of each kind that are in use.
	observers, plain, swaps slotSet
	// earlier are, by slot, the slots of operations that do the same and complete earlier.
	earlier []slotSet
	classes []effectClass
	classOf map[effect]int

	states, next, closure *stateSet
	// from, work and after are scratch space: the state that is expanded, one that comes after it, and that without what is complete.
	from, work, after []uint64
	width             int
	bound             *allowance
	// narrowed: states were dropped because there were too many.
	narrowed bool
}

// effectClass are the operations of unknown outcome that do the same.
type effectClass struct {
	effect
	// invoked are how many there are by now; endless: as many as one likes.
	invoked uint32
	endless bool
	// same are the slots of operations of known outcome that do it, too.
	same slotSet
}

// slotSet is a set of slots.
type slotSet []uint64

func (s slotSet) set(i int)      { s[i>>6] |= 1 << (i & 63) }
func (s slotSet) unset(i int)    { s[i>>6] &^= 1 << (i & 63) }
func (s slotSet) has(i int) bool { return s[i>>6]>>(i&63)&1 == 1 }

// stateLayout says where what is in the words of a state: the value and flags; the version; for each slot whether its operation is done, and
// whether it is optional; then how many operations of each class are used up, 32 bits each.
type stateLayout struct{ slotWords, classes int }

const (
	looseFlag  = 1 << 32 // the version is the least possible one: a write without a version made it
	unseenFlag = 1 << 33 // what wrote the value is of use only if the next operation sees it
	headWords  = 2
)

func (l stateLayout) stride() int             { return headWords + 2*l.slotWords + (l.classes+1)/2 }
func (l stateLayout) done(c []uint64) slotSet { return c[headWords : headWords+l.slotWords] }
func (l stateLayout) optional(c []uint64) slotSet {
	return c[headWords+l.slotWords : headWords+2*l.slotWords]
}

func (l stateLayout) used(c []uint64, k int) uint32 {
	return uint32(c[headWords+2*l.slotWords+k/2] >> (32 * (k & 1))) //nolint:gosec // half a word
}

func (l stateLayout) use(c []uint64, k int) { c[headWords+2*l.slotWords+k/2] += 1 << (32 * (k & 1)) }

func valueOf(c []uint64) int32 { return int32(uint32(c[0])) } //nolint:gosec // half a word

// newSweep prepares a sweep over operations sorted by call, in which at most width states are kept. endless are what may take effect at any
// time and as often as one likes, beside the operations.
func newSweep(ops []regOp, endless []effect, width int, bound *allowance) *sweep {
	s := &sweep{ops: ops, classOf: map[effect]int{}, width: width, bound: bound}
	for _, e := range endless {
		s.class(e).endless = true
	}
	for i := range ops {
		o := &ops[i]
		s.versioned = s.versioned || o.version > 0
		if o.unknown() {
			s.class(effect{o.kind, o.old, o.value})
		}
	}
	s.layout = stateLayout{slotWords: (concurrency(ops) + 63) / 64, classes: len(s.classes)}
	for k := range s.classes {
		s.classes[k].same = make(slotSet, s.layout.slotWords)
	}
	s.observers, s.plain, s.swaps = make(slotSet, s.layout.slotWords), make(slotSet, s.layout.slotWords), make(slotSet, s.layout.slotWords)
	stride := s.layout.stride()
	s.states, s.next, s.closure, s.work = newStateSet(stride), newStateSet(stride), newStateSet(stride), make([]uint64, stride)
	s.from, s.after = make([]uint64, stride), make([]uint64, stride)
	s.states.add(s.work)
	return s
}

func (s *sweep) class(e effect) *effectClass {
	k, ok := s.classOf[e]
	if !ok {
		k = len(s.classes)
		s.classOf[e] = k
		s.classes = append(s.classes, effectClass{effect: e})
	}
	return &s.classes[k]
}

// byReturn are the places of the operations of known outcome, by completion.
func byReturn(ops []regOp) []int {
	var out []int
	for i := range ops {
		if !ops[i].unknown() {
			out = append(out, i)
		}
	}
	slices.SortFunc(out, func(a, b int) int { return cmp.Compare(ops[a].ret, ops[b].ret) })
	return out
}

// concurrency is how many operations of known outcome are open at once, at most.
func concurrency(ops []regOp) int {
	most, open, returns := 0, 0, byReturn(ops)
	for i := range ops {
		for len(returns) > 0 && ops[returns[0]].ret < ops[i].call {
			returns = returns[1:]
			open--
		}
		if !ops[i].unknown() {
			open++
			most = max(most, open)
		}
	}
	return most
}

// run is the place of the first operation after whose completion no state is left, or -1. done is false if the budget did not suffice.
func (s *sweep) run() (stuck int, done bool) {
	slot := make([]int, len(s.ops))
	next := 0
	for _, i := range byReturn(s.ops) {
		for ; next < len(s.ops) && s.ops[next].call < s.ops[i].ret; next++ {
			slot[next] = s.invoke(&s.ops[next])
		}
		ok := s.complete(slot[i])
		if !s.bound.goesOn(s.states.len()) {
			return -1, false
		}
		if !ok {
			return i, true
		}
	}
	return -1, true
}

// invoke opens an operation.
func (s *sweep) invoke(o *regOp) (slot int) {
	if o.unknown() {
		s.class(effect{o.kind, o.old, o.value}).invoked++
		return -1
	}
	if len(s.free) == 0 {
		s.free = append(s.free, len(s.open))
		s.open = append(s.open, nil)
		s.earlier = append(s.earlier, make(slotSet, s.layout.slotWords))
	}
	slot = s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	s.open[slot] = o
	clear(s.earlier[slot])
	switch o.kind {
	case regWrite:
		s.plain.set(slot)
		s.joinClass(slot, true)
	case regSwap:
		s.swaps.set(slot)
		s.joinClass(slot, true)
	case regRead, regRefused, regEnd:
		s.observers.set(slot)
		for i := range s.states.len() {
			if c := s.states.at(i); s.sees(c, o) {
				s.layout.done(c).set(slot)
			}
		}
	}
	return slot
}

// joinClass notes which open operations do the same as the one of a slot, or takes it out again.
func (s *sweep) joinClass(slot int, joins bool) {
	o := s.open[slot]
	if o.version > 0 {
		return // what has a version can't stand in for another one
	}
	if k, ok := s.classOf[effect{o.kind, o.old, o.value}]; ok {
		if joins {
			s.classes[k].same.set(slot)
		} else {
			s.classes[k].same.unset(slot)
		}
	}
	for i, p := range s.open {
		switch {
		case p == nil || i == slot || p.version > 0 || p.kind != o.kind || p.value != o.value || p.old != o.old:
		case !joins:
			s.earlier[i].unset(slot)
		case p.ret < o.ret:
			s.earlier[slot].set(i)
		default:
			s.earlier[i].set(slot)
		}
	}
}

// complete closes the operation of a slot and drops the states in which it can't have taken effect; false: none is left.
func (s *sweep) complete(slot int) bool {
	s.next.reset()
	s.closure.reset()
	for i := range s.states.len() {
		c := s.states.at(i)
		if s.layout.done(c).has(slot) {
			s.settled(c, slot)
			continue
		}
		if s.layout.optional(c).has(slot) {
			s.settled(c, slot) // but it may also take effect now, for the last time
		}
		s.closure.add(c)
	}
	for i := 0; i < s.closure.len() && s.bound.goesOn(1); i++ {
		s.expand(i, slot)
	}
	if o := s.open[slot]; o.writes() {
		s.joinClass(slot, false)
	}
	s.observers.unset(slot)
	s.plain.unset(slot)
	s.swaps.unset(slot)
	s.open[slot] = nil
	s.free = append(s.free, slot)
	s.dropDominated()
	if s.next.len() > s.width {
		s.narrowed = true
		s.next.keepBest(s.width, s.promise)
	}
	s.states, s.next = s.next, s.states
	return s.states.len() > 0
}

// settled puts a state into the next set, without the slot.
func (s *sweep) settled(c []uint64, slot int) {
	if s.next.len() >= widthSlack*s.width {
		s.narrowed = true
		return
	}
	copy(s.after, c)
	s.layout.done(s.after).unset(slot)
	s.layout.optional(s.after).unset(slot)
	s.after[0] &^= unseenFlag
	s.next.add(s.after)
}

// promise is how much is still possible in a state.
func (s *sweep) promise(c []uint64) int {
	n := 0
	for w := range s.layout.slotWords {
		n += bits.OnesCount64(s.layout.optional(c)[w]) + bits.OnesCount64(s.layout.done(c)[w]&s.observers[w])
	}
	for k := range s.classes {
		n -= 2 * int(s.layout.used(c, k))
	}
	return n
}
