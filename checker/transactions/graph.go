package transactions

// Kinds of edges. A kind and its flags are bits, so that a search can say by a mask which edges it follows.
type edgeKind uint8

const (
	ww edgeKind = iota
	wr
	rw
	process
	realtime
	// pass leads out of a hub: it is of the kind of the edge into the hub.
	pass

	kindBits edgeKind = 7
	// Flags on ww, wr and rw: what the order of versions was inferred from, where that is not sound for every model.
	fromReads    edgeKind = 8  // a transaction read one version and wrote the next, or part of what an unknown one wrote was read
	fromProcess  edgeKind = 16 // a process saw one version after the other
	fromRealtime edgeKind = 32 // one version was there before the other's transaction began
)

func (k edgeKind) kind() edgeKind { return k & kindBits }

// level is the weakest order that the edge belongs to.
func (k edgeKind) level() variant {
	switch {
	case k.kind() == realtime || k&fromRealtime != 0:
		return withRealtime
	case k.kind() == process || k&fromProcess != 0:
		return withProcess
	}
	return plain
}

// variant says which orders beside the dependencies a cycle may use.
type variant uint8

const (
	plain variant = iota
	withProcess
	withRealtime
	variants
)

func (v variant) suffix() string { return [...]string{"", "-process", "-realtime"}[v] }

// mask says for each kind of edge whether it is followed.
type mask [64]bool

// maskOf follows the given kinds of dependencies and the orders of a variant. Real time includes the order of processes.
func maskOf(v variant, dependencies ...edgeKind) *mask {
	var m mask
	for _, d := range append(dependencies, process, realtime, pass) {
		for flags := edgeKind(0); flags < 64; flags += fromReads {
			k := d | flags
			m[k] = k.level() <= v
		}
	}
	return &m
}

// edge is a dependency between nodes.
type edge struct {
	from, to int32
	kind     edgeKind
}

// graph has the transactions as its first nodes, then the hubs, with the edges of each node one after the other.
type graph struct {
	txns   int32
	starts []int32
	to     []int32
	kinds  []edgeKind
}

func (g *graph) nodes() int32                     { return int32(len(g.starts) - 1) }
func (g *graph) isHub(node int32) bool            { return node >= g.txns }
func (g *graph) edgesOf(n int32) (from, to int32) { return g.starts[n], g.starts[n+1] }

// newGraph sorts edges by where they begin. In parts, hubs have numbers of their own, below 0.
func newGraph(txns int32, parts []*part) *graph {
	nodes, edges := txns, 0
	for _, p := range parts {
		p.base = nodes
		nodes += p.hubs
		edges += len(p.edges)
	}
	g := &graph{txns: txns, starts: make([]int32, nodes+1), to: make([]int32, edges), kinds: make([]edgeKind, edges)}
	for _, p := range parts {
		for i := range p.edges {
			g.starts[p.node(p.edges[i].from)]++
		}
	}
	sum := int32(0)
	for i, n := range g.starts {
		sum += n
		g.starts[i] = sum
	}
	for _, p := range parts {
		for i := len(p.edges) - 1; i >= 0; i-- {
			e := &p.edges[i]
			from := p.node(e.from)
			g.starts[from]--
			g.to[g.starts[from]], g.kinds[g.starts[from]] = p.node(e.to), e.kind
		}
	}
	return g
}

// part is what was found about some of the keys, or about the order of time.
type part struct {
	edges []edge
	hubs  int32
	base  int32 // the node of the first hub
	found []finding
	// count is how many findings there are by name, listed how many by name and floor.
	count, listed map[string]int
}

func (p *part) add(from, to int32, k edgeKind) { p.edges = append(p.edges, edge{from, to, k}) }

// dependencies counts the edges ww, wr and rw.
func (p *part) dependencies() int {
	n := 0
	for _, e := range p.edges {
		if e.kind.kind() <= rw {
			n++
		}
	}
	return n
}

// hub makes a node that edges pass through.
func (p *part) hub() int32 {
	p.hubs++
	return -p.hubs
}

func (p *part) node(n int32) int32 {
	if n < 0 {
		return p.base - n - 1
	}
	return n
}

// connect adds an edge from every source to every other target, through hubs where that takes fewer. Targets differ from each other.
func (p *part) connect(sources, targets []int32, k edgeKind) {
	if len(sources)*len(targets) <= 2*(len(sources)+len(targets)) {
		for _, s := range sources {
			for _, t := range targets {
				if s != t {
					p.add(s, t, k)
				}
			}
		}
		return
	}
	// before[i] passes to the targets before i, after[i] to those from i on, so that a source that is a target reaches all but itself.
	n := len(targets)
	before, after := make([]int32, n+1), make([]int32, n+1)
	place := make(map[int32]int, n)
	for i, t := range targets {
		place[t] = i
		before[i+1] = p.hub()
		p.add(before[i+1], t, pass)
		if i > 0 {
			p.add(before[i+1], before[i], pass)
		}
	}
	for i := n - 1; i >= 0; i-- {
		after[i] = p.hub()
		p.add(after[i], targets[i], pass)
		if i < n-1 {
			p.add(after[i], after[i+1], pass)
		}
	}
	for _, s := range sources {
		i, both := place[s]
		switch {
		case !both:
			p.add(s, before[n], k)
			continue
		case i > 0:
			p.add(s, before[i], k)
		}
		if i < n-1 {
			p.add(s, after[i+1], k)
		}
	}
}
