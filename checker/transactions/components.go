package transactions

// components finds the strongly connected components with more than one node, by Tarjan's algorithm (Depth-First Search and Linear Graph
// Algorithms, 1972), among some nodes (nil: all) and the edges that the mask follows. Nodes of a component are in order.
type components struct {
	g     *graph
	index []int32 // when a node was found, from 1; 0: not yet
	low   []int32
	stack []int32
	calls []call
}

// call is a node on the way down, and its next edge.
type call struct{ node, edge int32 }

func newComponents(g *graph) *components {
	return &components{g: g, index: make([]int32, g.nodes()), low: make([]int32, g.nodes())}
}

// done marks nodes whose component is complete: later than every other.
const done = int32(1<<31 - 1)

// find visits the components. inside restricts the search to some nodes and is not changed; nil: all.
func (c *components) find(m *mask, inside *nodeSet, visit func(nodes []int32)) {
	next := int32(1)
	roots := func(yield func(int32)) {
		if inside != nil {
			for _, n := range inside.nodes {
				c.index[n] = 0
			}
			for _, n := range inside.nodes {
				yield(n)
			}
			return
		}
		clear(c.index)
		for n := range c.g.nodes() {
			yield(n)
		}
	}
	roots(func(root int32) {
		if c.index[root] == 0 {
			next = c.from(root, next, m, inside, visit)
		}
	})
}

func (c *components) enter(n, next int32) {
	c.index[n], c.low[n] = next, next
	c.stack = append(c.stack, n)
	c.calls = append(c.calls, call{n, c.g.starts[n]})
}

func (c *components) from(root, next int32, m *mask, inside *nodeSet, visit func([]int32)) int32 {
	g := c.g
	c.enter(root, next)
	next++
	for len(c.calls) > 0 {
		at := &c.calls[len(c.calls)-1]
		n := at.node
		if at.edge < g.starts[n+1] {
			e := at.edge
			at.edge++
			to := g.to[e]
			if !m[g.kinds[e]] || inside != nil && !inside.has(to) {
				continue
			}
			switch found := c.index[to]; {
			case found == 0:
				c.enter(to, next)
				next++
			case found != done:
				c.low[n] = min(c.low[n], found)
			}
			continue
		}
		c.calls = c.calls[:len(c.calls)-1]
		if len(c.calls) > 0 {
			parent := c.calls[len(c.calls)-1].node
			c.low[parent] = min(c.low[parent], c.low[n])
		}
		if c.low[n] == c.index[n] {
			c.close(n, visit)
		}
	}
	return next
}

// close takes the component that n is the root of from the stack.
func (c *components) close(n int32, visit func([]int32)) {
	i := len(c.stack) - 1
	for c.index[c.stack[i]] = done; c.stack[i] != n; c.index[c.stack[i]] = done {
		i--
	}
	if len(c.stack)-i > 1 {
		visit(c.stack[i:])
	}
	c.stack = c.stack[:i]
}

// nodeSet is a set of nodes that is cheap to ask and to empty.
type nodeSet struct {
	nodes []int32
	in    []bool
}

func newNodeSet(g *graph) *nodeSet { return &nodeSet{in: make([]bool, g.nodes())} }

func (s *nodeSet) has(n int32) bool { return s.in[n] }

func (s *nodeSet) set(nodes []int32) {
	for _, n := range s.nodes {
		s.in[n] = false
	}
	s.nodes = append(s.nodes[:0], nodes...)
	for _, n := range s.nodes {
		s.in[n] = true
	}
}
