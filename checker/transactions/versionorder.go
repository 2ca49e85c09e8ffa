package transactions

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/faultline/faultline/harness/history"
)

// versionOrder is what can be inferred about the order of one register's versions: a graph whose nodes are the versions and, as hubs, the
// barriers of real time. There are three ways to know that one version came before another:
//
//   - a transaction read the one and wrote the other: else that would be a G1c, so this needs read committed;
//   - a process left the one and then found or wrote the other;
//   - a transaction that left the one had completed before another, that found or wrote the other, began.
//
// The first state comes before every other. The second and third need models with sessions or with real time.
type versionOrder struct {
	w  *worker
	vs *versions
	p  part
	// next are the versions that follow one, by what that was inferred from.
	next map[edgeKind]map[int32][]int32
	// first are the versions that only the first state comes before, by what was read.
	first []int32
	// sound is the strongest level whose order has no contradiction; the ones above are not used.
	sound variant
	g     *graph
	comp  []int32 // by node: the version that a node is the same as, or -1
}

func newVersionOrder(w *worker, vs *versions) *versionOrder {
	o := &versionOrder{w: w, vs: vs, next: map[edgeKind]map[int32][]int32{fromReads: {}, fromProcess: {}}}
	o.fromReads()
	o.fromProcesses()
	o.fromRealtime()
	o.g = newGraph(int32(len(vs.all)), []*part{&o.p})
	o.contradictions()
	return o
}

func (o *versionOrder) add(from, to int32, flag edgeKind) {
	if from != to {
		o.p.add(from, to, ww|flag)
		o.next[flag][from] = append(o.next[flag][from], to)
	}
}

func (o *versionOrder) fromReads() {
	later := make([]bool, len(o.vs.all))
	for _, t := range o.vs.touches {
		if t.in >= 0 && t.in != t.out {
			o.add(t.in, t.out, fromReads)
			later[t.out] = later[t.out] || t.in != 0
		}
	}
	for v := 1; v < len(later); v++ {
		if !later[v] {
			o.first = append(o.first, int32(v))
			o.p.add(0, int32(v), ww)
		}
	}
}

func (o *versionOrder) fromProcesses() {
	last := map[history.Process]int32{}
	for _, t := range o.vs.touches {
		p := o.w.t.txns[t.txn].process
		if before, ok := last[p]; ok {
			o.add(before, t.found(), fromProcess)
		}
		last[p] = t.out
	}
}

// found is the version that was there when the transaction took effect, or the one it wrote if it did not look.
func (t touch) found() int32 {
	if t.in >= 0 {
		return t.in
	}
	return t.out
}

// fromRealtime adds a chain of barriers, see realtimeEdges.
func (o *versionOrder) fromRealtime() {
	begins := slices.Clone(o.vs.touches)
	txns := o.w.t.txns
	slices.SortFunc(begins, func(a, b touch) int { return int(txns[a.txn].invoke - txns[b.txn].invoke) })
	left := make([]bool, len(o.vs.all)) // a barrier comes after it
	barrier, end := int32(0), 0
	var ends []touch // in the order of completions
	for _, t := range o.vs.touches {
		if txns[t.txn].ok() {
			ends = append(ends, t)
		}
	}
	for _, begin := range begins {
		var ended []int32
		for ; end < len(ends) && txns[ends[end].txn].complete < txns[begin.txn].invoke; end++ {
			if v := ends[end].out; !left[v] {
				left[v] = true
				ended = append(ended, v)
			}
		}
		if len(ended) > 0 {
			next := o.p.hub()
			if barrier != 0 {
				o.p.add(barrier, next, pass)
			}
			for _, v := range ended {
				o.p.add(v, next, ww|fromRealtime)
			}
			barrier = next
		}
		if barrier != 0 {
			o.p.add(barrier, begin.found(), pass)
		}
	}
}

// contradictions finds versions that must each have come before the other, at the weakest level that has some. Below it the order is sound.
func (o *versionOrder) contradictions() {
	c := newComponents(o.g)
	o.comp = make([]int32, o.g.nodes())
	for i := range o.comp {
		if o.comp[i] = int32(i); o.g.isHub(int32(i)) {
			o.comp[i] = -1
		}
	}
	o.sound = withRealtime
	for v := plain; v < variants; v++ {
		var cyclic []int32
		c.find(maskOf(v, ww), nil, func(nodes []int32) {
			count := int32(0)
			for _, n := range nodes {
				if !o.g.isHub(n) {
					count++
					o.merge(nodes, n)
				}
			}
			if count > 1 && cyclic == nil {
				cyclic = slices.Sorted(slices.Values(nodes))
			}
		})
		if cyclic == nil {
			continue
		}
		o.cyclic(cyclic, v)
		if o.sound = v - 1; v == plain {
			o.next[fromReads], o.next[fromProcess] = nil, nil
			o.sound, o.first = plain, nil
		}
		return
	}
}

// merge notes that barriers stand between reads of one version: they are the same as it.
func (o *versionOrder) merge(nodes []int32, v int32) {
	for _, n := range nodes {
		if o.g.isHub(n) {
			o.comp[n] = v
		}
	}
}

func (o *versionOrder) cyclic(nodes []int32, v variant) {
	floor := [...]string{"read-committed", "strong-session-snapshot-isolation", "strong-snapshot-isolation"}[v]
	o.w.out.findIn("cyclic-versions", floor, func() finding {
		s := newSearch(context.Background(), o.g)
		c := s.any(nodes, v)
		f := finding{key: o.w.keyName()}
		var words []string
		for i, n := range c.txns {
			why := [...]string{"by a transaction that read the one and wrote the other", "in the order of a process", "in real time"}[c.steps[i].level()]
			if c.steps[i] == ww {
				why = "as the state before the first write"
			}
			words = append(words, fmt.Sprintf("%s before %s %s", o.text(n), o.text(c.txns[(i+1)%len(c.txns)]), why))
			f.txns = append(f.txns, o.witnesses(n)...)
		}
		f.why = fmt.Sprintf("the versions of %s go around in a circle: %s", o.w.keyName(), strings.Join(words, ", "))
		return f
	})
}

func (o *versionOrder) text(v int32) string {
	text := o.w.t.texts.text(o.vs.all[v].value)
	if by := o.vs.all[v].writer; by >= 0 {
		text += " (" + o.w.t.name(by) + "'s)"
	}
	return text
}

// witnesses are who wrote a version and the last that read it.
func (o *versionOrder) witnesses(v int32) []int32 {
	var out []int32
	if by := o.vs.all[v].writer; by >= 0 {
		out = append(out, by)
	}
	if r := o.vs.all[v].readers; len(r) > 0 {
		out = append(out, r[len(r)-1])
	}
	return out
}

// writers are who wrote some versions, each once.
func (o *versionOrder) writers(vs []int32) []int32 {
	var out []int32
	for _, v := range vs {
		if by := o.vs.all[v].writer; by >= 0 {
			out = append(out, by)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// realtimeEdges translates the barriers: each is a hub between transactions too, except for those that are the same as a version, which is what
// its writer stands for.
func (o *versionOrder) realtimeEdges() {
	hubs := make([]int32, o.g.nodes())
	for n := range hubs {
		if o.g.isHub(int32(n)) && o.comp[n] < 0 {
			hubs[n] = o.w.out.hub()
		}
	}
	outs := make([][]int32, o.g.nodes()) // by version, or by barrier
	for n := range o.g.nodes() {
		from := n
		if o.comp[n] >= 0 {
			from = o.comp[n]
		}
		a, b := o.g.edgesOf(n)
		for e := a; e < b; e++ {
			to, k := o.g.to[e], o.g.kinds[e]
			if o.comp[to] >= 0 {
				to = o.comp[to]
			}
			if to == from || k.kind() != pass && k&fromRealtime == 0 {
				continue
			}
			entry := hubs[to]
			if entry == 0 {
				if entry = o.vs.all[to].writer; entry < 0 {
					continue
				}
			}
			outs[from] = append(outs[from], entry)
		}
	}
	for n, targets := range outs {
		slices.Sort(targets)
		targets = slices.Compact(targets)
		switch {
		case len(targets) == 0:
		case hubs[n] != 0:
			for _, t := range targets {
				o.w.out.add(hubs[n], t, pass)
			}
		default:
			o.after(&o.vs.all[n], targets)
		}
	}
}

// after adds the edges from a version to what came after it in real time. A transaction that read it and wrote the next must not reach itself
// through a hub, so it only gets the edges that lead to a transaction at once.
func (o *versionOrder) after(v *version, targets []int32) {
	if v.writer >= 0 {
		o.w.out.connect([]int32{v.writer}, targets, ww|fromRealtime)
	}
	updater := make(map[int32]bool, len(v.updaters))
	for _, u := range v.updaters {
		updater[u] = true
	}
	var others, direct []int32
	for _, r := range v.readers {
		if !updater[r] {
			others = append(others, r)
		}
	}
	for _, t := range targets {
		if t >= 0 {
			direct = append(direct, t)
		}
	}
	o.w.out.connect(others, targets, rw|fromRealtime)
	o.w.out.connect(v.updaters, direct, rw|fromRealtime)
}
