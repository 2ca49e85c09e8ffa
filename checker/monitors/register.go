package monitors

import (
	"cmp"
	"slices"
)

// Register judges a register that holds 0 at first: Read, Write, Swap and Differs. Each value but 0 may be written once, by a Write or a
// Swap, and 0 never.
//
// A write of unknown outcome happened if its value was seen, and is left out otherwise. Differs is looked at only in what it can't settle:
// where all else linearizes and there is one, the result is Undecided.
func Register(ops []Op) Result {
	g, r, ok := newRegister(ops)
	if !ok {
		return r
	}
	zones, r := g.zones()
	if r.Verdict == Violated {
		return r
	}
	if r := g.apart(zones); r.Verdict == Violated {
		return r
	}
	if g.differs {
		return undecided("operations that saw another value, and did not tell which")
	}
	return Result{Verdict: Linearizable}
}

// cluster is a value: what wrote it and what saw it, by place, -1 for none.
type cluster struct {
	writer int32
	// next is the Swap that replaced the value.
	next int32
	// early is the read that returned first, late the one that was called last.
	early, late int32
}

type registerMonitor struct {
	ops      []Op
	clusters []cluster // the first is the initial value's
	at       map[int64]int32
	differs  bool
}

// newRegister puts operations to their values; ok is false if that settles it.
func newRegister(ops []Op) (g *registerMonitor, settled Result, ok bool) {
	g = &registerMonitor{ops: ops, clusters: []cluster{{-1, -1, -1, -1}}, at: map[int64]int32{0: 0}}
	for i := range ops {
		if o := &ops[i]; o.Kind == Write || o.Kind == Swap {
			if _, twice := g.at[o.Value]; twice {
				return nil, undecided(notUnique), false
			}
			g.at[o.Value] = int32(len(g.clusters))                         //nolint:gosec // a place in memory
			g.clusters = append(g.clusters, cluster{int32(i), -1, -1, -1}) //nolint:gosec // as above
		}
	}
	var happened []int32 // swaps whose old value is still to be put in its place
	for i := range ops {
		o := &ops[i]
		switch {
		case o.Kind == Differs && !o.unknown():
			g.differs = true
		case o.Kind == Read && !o.unknown():
			c, known := g.at[o.Value]
			if !known {
				return nil, violated(RuleSource, i), false
			}
			g.saw(c, int32(i)) //nolint:gosec // as above
		case o.Kind == Swap && !o.unknown():
			happened = append(happened, int32(i)) //nolint:gosec // as above
		}
	}
	for k := range g.clusters {
		if w := g.clusters[k].writer; k > 0 && g.clusters[k].early >= 0 && ops[w].Kind == Swap && ops[w].unknown() {
			happened = append(happened, w)
		}
	}
	for n := 0; n < len(happened); n++ {
		i := happened[n]
		c, known := g.at[ops[i].Old]
		if !known {
			return nil, violated(RuleSource, g.proved(i)...), false
		}
		old := &g.clusters[c]
		if old.next >= 0 {
			return nil, violated(RuleOnce, g.proved(i, old.next, old.writer)...), false
		}
		if w := old.writer; w >= 0 && old.early < 0 && ops[w].Kind == Swap && ops[w].unknown() {
			happened = append(happened, w)
		}
		old.next = i
	}
	return g, Result{}, true
}

// saw notes a read.
func (g *registerMonitor) saw(c, i int32) {
	k := &g.clusters[c]
	if k.early < 0 || g.ops[i].Return < g.ops[k.early].Return {
		k.early = i
	}
	if k.late < 0 || g.ops[i].Call > g.ops[k.late].Call {
		k.late = i
	}
}

// places are those of some operations that there are, each once.
func places(of ...int32) []int {
	var out []int
	listed := map[int32]bool{-1: true}
	for _, i := range of {
		if !listed[i] {
			listed[i] = true
			out = append(out, int(i))
		}
	}
	return out
}

// proved are places, with those of what shows that each write of unknown outcome among them happened.
func (g *registerMonitor) proved(of ...int32) []int {
	for n := 0; n < len(of); n++ {
		i := of[n]
		if i < 0 || !g.ops[i].unknown() {
			continue
		}
		if c := &g.clusters[g.at[g.ops[i].Value]]; c.early >= 0 {
			of = append(of, c.early)
		} else {
			of = append(of, c.next)
		}
	}
	return places(of...)
}

// zone is a run of values that follow upon each other for certain, each replaced by a Swap. done is the first return of any of
// its operations, begun the last call; -1 for their places is the beginning of the register.
type zone struct {
	done, begun     int64
	doneBy, begunBy int32
	root            int32 // the first cluster
}

// zones makes them, and checks the order within them.
func (g *registerMonitor) zones() ([]zone, Result) {
	var zones []zone
	covered := 0
	happened := 0
	for k := range g.clusters {
		c := &g.clusters[k]
		w := c.writer
		if w >= 0 && g.ops[w].unknown() && c.early < 0 && c.next < 0 {
			continue // left out
		}
		happened++
		if w >= 0 && g.ops[w].Kind == Swap {
			continue
		}
		z, length, r := g.zone(int32(k)) //nolint:gosec // a place in memory
		if r.Verdict == Violated {
			return nil, r
		}
		covered += length
		zones = append(zones, z)
	}
	if covered < happened {
		return nil, g.cycle()
	}
	return zones, Result{}
}

// zone walks from a value that is no Swap's.
func (g *registerMonitor) zone(root int32) (z zone, length int, r Result) {
	z = zone{done: Never, begun: -1, doneBy: -1, begunBy: -1, root: root}
	if root == 0 {
		z.done = -1
	}
	for k := root; ; {
		c := &g.clusters[k]
		length++
		for _, pair := range [...][2]int32{{c.writer, c.writer}, {c.early, c.late}} {
			early, late := pair[0], pair[1]
			if early < 0 {
				continue
			}
			if g.ops[early].Return < z.begun {
				return z, length, violated(RuleOrder, g.between(root, early, z.begunBy)...)
			}
			if g.ops[early].Return < z.done {
				z.done, z.doneBy = g.ops[early].Return, early
			}
			if g.ops[late].Call > z.begun {
				z.begun, z.begunBy = g.ops[late].Call, late
			}
		}
		if c.next < 0 {
			return z, length, Result{}
		}
		k = g.at[g.ops[c.next].Value]
	}
}

// cycle is the result for swaps that only each other explain.
func (g *registerMonitor) cycle() Result {
	reached := make([]bool, len(g.clusters))
	for k := range g.clusters {
		w := g.clusters[k].writer
		if w >= 0 && g.ops[w].Kind == Swap {
			continue
		}
		for at := int32(k); ; { //nolint:gosec // a place in memory
			reached[at] = true
			next := g.clusters[at].next
			if next < 0 {
				break
			}
			at = g.at[g.ops[next].Value]
		}
	}
	for k := range g.clusters {
		if reached[k] || g.clusters[k].next < 0 {
			continue
		}
		// Who follows the next ones of what is not reached from the beginning goes round, or comes to an end behind the round.
		var witness []int32
		for at := int32(k); !reached[at] && g.clusters[at].next >= 0; { //nolint:gosec // as above
			reached[at] = true
			witness = append(witness, g.clusters[at].next)
			at = g.at[g.ops[g.clusters[at].next].Value]
		}
		return violated(RuleSource, g.proved(witness...)...)
	}
	return Result{Verdict: Undecided}
}

// between are operations and the writers of the values between theirs, from the first to the last.
func (g *registerMonitor) between(root int32, of ...int32) []int {
	wanted := map[int32]bool{}
	for _, i := range of {
		if i >= 0 {
			wanted[i] = true
		}
	}
	var out, held []int32
	out = append(out, of...)
	left := len(wanted)
	for k := root; left > 0; {
		c := &g.clusters[k]
		before := left
		for i := range wanted {
			if v := g.ops[i]; i == c.writer || v.Kind == Read && g.at[v.Value] == k {
				left--
			}
		}
		held = append(held, c.writer)
		if left < before {
			out = append(out, held...)
			held = nil
		}
		if c.next < 0 {
			break
		}
		k = g.at[g.ops[c.next].Value]
	}
	return g.proved(out...)
}

// apart finds two zones of which each has something that had completed before something of the other one began. A zone with done < begun
// spans that time for certain; so no two of those may overlap, and none may enclose a zone of the other kind.
func (g *registerMonitor) apart(zones []zone) Result {
	spans := slices.DeleteFunc(slices.Clone(zones), func(z zone) bool { return z.done >= z.begun })
	slices.SortFunc(spans, func(a, b zone) int { return cmp.Compare(a.done, b.done) })
	for k := 1; k < len(spans); k++ {
		if spans[k].done < spans[k-1].begun {
			return g.entangled(spans[k-1], spans[k])
		}
	}
	for _, z := range zones {
		if z.done < z.begun {
			continue
		}
		n, _ := slices.BinarySearchFunc(spans, z.begun, func(s zone, t int64) int { return cmp.Compare(s.done, t) })
		if n > 0 && z.done < spans[n-1].begun {
			return g.entangled(spans[n-1], z)
		}
	}
	return Result{}
}

// entangled is the result for two zones.
func (g *registerMonitor) entangled(a, b zone) Result {
	witness := g.between(a.root, a.begunBy, a.doneBy)
	for _, i := range g.between(b.root, b.begunBy, b.doneBy) {
		if !slices.Contains(witness, i) {
			witness = append(witness, i)
		}
	}
	return violated(RuleOrder, witness...)
}
