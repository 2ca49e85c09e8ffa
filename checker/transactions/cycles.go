package transactions

import (
	"context"
	"slices"
)

// cycle is a way from a transaction back to itself. Step i leads from txns[i] to the next one.
type cycle struct {
	txns  []int32
	steps []edgeKind
}

// class is what the dependencies of a cycle are.
type class uint8

const (
	g0 class = iota
	g1c
	gSingle
	gNonadjacent
	g2
	classes
)

func (c class) name() string {
	return [...]string{"G0", "G1c", "G-single-item", "G-nonadjacent-item", "G2-item"}[c]
}

// dependencies are the kinds of edges that cycles of the class are made of.
func (c class) dependencies() []edgeKind { return []edgeKind{ww, wr, rw}[:min(c, gSingle)+1] }

// begin is the kind of edge that a search for the class begins with: one that each such cycle has.
func (c class) begin() edgeKind { return c.dependencies()[min(c, gSingle)] }

// classify names a cycle by its steps, as Adya and Elle do: by the kinds of dependencies, whether anti-dependencies (rw) are
// adjacent, and whether it needs the order of processes or of real time.
func (c *cycle) classify() (class, variant) {
	count, adjacent, reads, level := 0, false, false, plain
	for i, s := range c.steps {
		level = max(level, s.level())
		reads = reads || s.kind() == wr
		if s.kind() == rw {
			count++
			adjacent = adjacent || c.steps[(i+1)%len(c.steps)].kind() == rw
		}
	}
	switch {
	case count > 1 && adjacent:
		return g2, level
	case count > 1:
		return gNonadjacent, level
	case count == 1:
		return gSingle, level
	case reads:
		return g1c, level
	}
	return g0, level
}

// floor is the weakest model that the cycle's edges can be inferred in; empty: any.
func (c *cycle) floor() string {
	floor := ""
	for _, s := range c.steps {
		switch {
		case s&fromRealtime != 0:
			return "strong-snapshot-isolation"
		case s&fromProcess != 0:
			floor = "strong-session-snapshot-isolation"
		case s&fromReads != 0 && floor == "":
			floor = "read-committed"
		}
	}
	return floor
}

// turn begins the cycle at its least transaction, so that the same cycle always looks the same.
func (c *cycle) turn() {
	least := 0
	for i, t := range c.txns {
		if t < c.txns[least] {
			least = i
		}
	}
	c.txns = append(slices.Clone(c.txns[least:]), c.txns[:least]...)
	c.steps = append(slices.Clone(c.steps[least:]), c.steps[:least]...)
}

// workMax bounds how many edges a search for the shortest cycle of one class in one component looks at, totalMax all such searches. What is not
// found within them is decided by searches that need no such bound, but may be named more coarsely.
const (
	workMax  = 4 << 20
	totalMax = 1 << 30
)

// state is what a search remembers of the way to a node, as bits.
type state uint8

const (
	afterRW state = 1 << iota // the last dependency is rw
	moreRW                    // rw was followed beside the first edge
	varied                    // an edge of the variant was followed
)

// visit is a node that the search has come to.
type visit struct {
	node   int32
	before int32 // place of the visit before, or -1
	kind   edgeKind
	state  state
}

// search finds short cycles within a component.
type search struct {
	g      *graph
	inside *nodeSet
	seen   []uint8 // the states in which each node was visited
	visits []visit
	work   int // edges that were looked at, in this search and in all
	total  int
	ctx    context.Context
}

func newSearch(ctx context.Context, g *graph) *search {
	return &search{ctx: ctx, g: g, inside: newNodeSet(g), seen: make([]uint8, g.nodes())}
}

// shortest finds the shortest cycle of a class and variant among nodes; nil if there is none, or none was found within the bound: spent
// tells which. Nodes must be in order, so that of equally short ones the first is found, always the same.
func (s *search) shortest(nodes []int32, c class, v variant) (best *cycle, spent bool) {
	s.inside.set(nodes)
	s.work = 0
	defer func() { s.total += s.work }()
	m := maskOf(v, c.dependencies()...)
	most := int(^uint(0) >> 1)
	for _, n := range nodes {
		if s.g.isHub(n) {
			continue
		}
		from, to := s.g.edgesOf(n)
		for e := from; e < to; e++ {
			k := s.g.kinds[e]
			if k.kind() != c.begin() || !m[k] || !s.inside.has(s.g.to[e]) {
				continue
			}
			if s.work > workMax || s.total+s.work > totalMax || s.ctx.Err() != nil {
				return best, true
			}
			if found := s.back(n, e, c, v, m, most); found != nil && len(found.txns) < most {
				best, most = found, len(found.txns)
				if most == 2 {
					return best, false
				}
			}
		}
	}
	return best, false
}

// back looks for the shortest way from the end of an edge to its beginning, shorter than most.
func (s *search) back(start, first int32, c class, v variant, m *mask, most int) *cycle {
	defer s.clear()
	k := s.g.kinds[first]
	st := state(0)
	if k.kind() == rw {
		st |= afterRW
	}
	if k.level() > plain {
		st |= varied
	}
	s.visits = append(s.visits[:0], visit{start, -1, 0, 0}, visit{s.g.to[first], 0, k, st})
	s.seen[s.g.to[first]] |= 1 << st
	level := []int32{1} // visits as many transactions away from the start
	for length := 1; len(level) > 0 && length < most; length++ {
		var next []int32
		for i := 0; i < len(level); i++ { // hubs add to the level that they are of
			at := level[i]
			from := s.visits[at]
			a, b := s.g.edgesOf(from.node)
			for e := a; e < b; e++ {
				s.work++
				to, k := s.g.to[e], s.g.kinds[e]
				if !m[k] || !s.inside.has(to) {
					continue
				}
				st, ok := step(from.state, k, c)
				if !ok {
					continue
				}
				if to == start {
					if accepts(st, c, v) {
						if found := s.way(at, k); found != nil {
							return found
						}
					}
					continue
				}
				if s.seen[to]&(1<<st) != 0 {
					continue
				}
				s.seen[to] |= 1 << st
				s.visits = append(s.visits, visit{to, at, k, st})
				if here := int32(len(s.visits) - 1); s.g.isHub(from.node) {
					level = append(level, here)
				} else {
					next = append(next, here)
				}
			}
		}
		level = next
	}
	return nil
}

// step is the state behind an edge; false: the class has no such cycle.
func step(st state, k edgeKind, c class) (state, bool) {
	if k.kind() == pass {
		return st, true
	}
	if k.kind() == rw {
		if c == gSingle || c == gNonadjacent && st&afterRW != 0 {
			return 0, false
		}
		st |= moreRW | afterRW
	} else {
		st &^= afterRW
	}
	if k.level() > plain {
		st |= varied
	}
	return st, true
}

// accepts tells whether a way that is back at its beginning is of the class and the variant.
func accepts(st state, c class, v variant) bool {
	if c == gNonadjacent && st&afterRW != 0 || (c == gNonadjacent || c == g2) && st&moreRW == 0 {
		return false
	}
	return v == plain || st&varied != 0
}

func (s *search) clear() {
	for _, v := range s.visits {
		s.seen[v.node] = 0
	}
}

// way is the cycle that ends with an edge of a kind from a visit; nil if it comes to a transaction twice.
func (s *search) way(at int32, last edgeKind) *cycle {
	var txns []int32
	var steps []edgeKind
	k := last
	for at >= 0 {
		v := s.visits[at]
		if k.kind() != pass {
			steps = append(steps, k)
		}
		if !s.g.isHub(v.node) {
			txns = append(txns, v.node)
		}
		k, at = v.kind, v.before
	}
	slices.Reverse(txns)
	slices.Reverse(steps)
	distinct := slices.Clone(txns)
	slices.Sort(distinct)
	if len(slices.Compact(distinct)) != len(txns) {
		return nil
	}
	c := &cycle{txns, steps}
	c.turn()
	return c
}

// any finds a short cycle among nodes that are strongly connected, whatever its class.
func (s *search) any(nodes []int32, v variant) *cycle {
	s.inside.set(nodes)
	m := maskOf(v, ww, wr, rw)
	for _, n := range nodes {
		if s.g.isHub(n) {
			continue
		}
		from, to := s.g.edgesOf(n)
		for e := from; e < to; e++ {
			if !m[s.g.kinds[e]] || !s.inside.has(s.g.to[e]) {
				continue
			}
			if c := s.back(n, e, classes, plain, m, int(^uint(0)>>1)); c != nil {
				return c
			}
		}
	}
	return nil
}
