package transactions

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// cyclesOf names the cycles of the graph: for each strongly connected component and class the shortest, in the weakest order that has it.
// A class that rules out no model beside what was found in the same component is left out. Models are undecided for which a search was given up.
// errTime: some components were not looked at.
func cyclesOf(ctx context.Context, t *table, g *graph, p *part) (undecided modelSet, reasons []string, err error) {
	outer := newComponents(g)
	var all [][]int32
	outer.find(maskOf(withRealtime, ww, wr, rw), nil, func(nodes []int32) {
		nodes = slices.Clone(nodes)
		slices.Sort(nodes)
		all = append(all, nodes)
	})
	if len(all) == 0 {
		return 0, nil, nil
	}
	slices.SortFunc(all, func(a, b []int32) int { return cmp.Compare(a[0], b[0]) })
	h := hunt{t: t, g: g, p: p, inner: outer, set: newNodeSet(g), search: newSearch(ctx, g)}
	for _, nodes := range all {
		h.component(nodes)
		if ctx.Err() != nil {
			return h.undecided, h.reasons, errTime
		}
	}
	return h.undecided, h.reasons, nil
}

// hunt looks for the cycles of one component after the other.
type hunt struct {
	t      *table
	g      *graph
	p      *part
	inner  *components
	set    *nodeSet
	search *search
	// out are the models that the cycles of the component rule out.
	out modelSet
	// lengths are those of the cycles that were named of each class; 0: none.
	lengths   [classes]int
	undecided modelSet
	reasons   []string
}

func (h *hunt) component(nodes []int32) {
	h.out, h.lengths = 0, [classes]int{}
	for v := plain; v < variants; v++ {
		for c := g0; c < classes; c++ {
			if h.redundant(c, v) {
				continue
			}
			h.class(nodes, c, v)
		}
		// Every cycle there is rules out serializability in its order; none may be overlooked because the search was bounded.
		h.certain(nodes, v)
	}
}

// redundant tells whether a cycle of the class would say nothing that was not said about this component.
func (h *hunt) redundant(c class, v variant) bool {
	if v == plain && c <= gSingle {
		return false
	}
	if ruledOut(c.name()+v.suffix())&^h.out != 0 {
		return false
	}
	// A long way through processes is hard to follow where real time shows the same at once.
	return v != withRealtime || h.lengths[c] < longCycle
}

// longCycle is a cycle that a shorter one is worth naming beside.
const longCycle = 5

// parts are the components of some nodes under a mask.
func (h *hunt) parts(nodes []int32, m *mask) [][]int32 {
	h.set.set(nodes)
	var out [][]int32
	h.inner.find(m, h.set, func(found []int32) {
		found = slices.Clone(found)
		slices.Sort(found)
		out = append(out, found)
	})
	slices.SortFunc(out, func(a, b []int32) int { return cmp.Compare(a[0], b[0]) })
	return out
}

func (h *hunt) class(nodes []int32, c class, v variant) {
	for _, inside := range h.parts(nodes, maskOf(v, c.dependencies()...)) {
		found, spent := h.search.shortest(inside, c, v)
		if found != nil && (h.lengths[c] == 0 || len(found.txns) < h.lengths[c] || v == plain) {
			h.lengths[c] = len(found.txns)
			h.found(found)
		} else if found == nil && spent {
			h.undecided |= ruledOut(c.name() + v.suffix())
			h.reasons = append(h.reasons, fmt.Sprintf("the search for %s among %d transactions was given up after %d steps",
				c.name()+v.suffix(), len(inside), h.search.work))
		}
	}
}

// certain makes sure that a component with cycles has one that is named.
func (h *hunt) certain(nodes []int32, v variant) {
	serializable, _ := lookup([...]string{"serializable", "strong-session-serializable", StrictSerializable}[v])
	if h.out.has(serializable) {
		return
	}
	for _, inside := range h.parts(nodes, maskOf(v, ww, wr, rw)) {
		if found := h.search.any(inside, v); found != nil {
			h.found(found)
			return
		}
	}
}

func (h *hunt) found(found *cycle) {
	c, v := found.classify()
	name := c.name() + v.suffix()
	floor := found.floor()
	out := ruledOut(name)
	if floor != "" {
		i, _ := lookup(floor)
		out &= atLeast(i)
	}
	also := h.t.amongUpdates(found, v)
	h.out |= out | also
	h.p.findIn(name, floor, func() finding {
		return finding{txns: found.txns, why: h.t.explain(found), also: also, cycle: found}
	})
}

// amongUpdates are the models that a cycle rules out because all of its transactions write: Adya's update serializability (PL-3U) has transactions
// that only read see orders of their own, but the others must be serializable (no G-update).
func (t *table) amongUpdates(c *cycle, v variant) modelSet {
	if v != plain {
		return 0
	}
	for _, x := range c.txns {
		writes := false
		for _, m := range t.microsOf(x) {
			writes = writes || m.n == wrote
		}
		if !writes {
			return 0
		}
	}
	i, _ := lookup("update-serializable")
	return atLeast(i)
}
