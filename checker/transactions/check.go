package transactions

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/faultline/faultline/harness/history"
)

// Options say what to check, and within which bounds.
type Options struct {
	Kind Kind
	// Model is the consistency model asked for, by any of its names; empty: strict-serializable.
	Model string
	// MemoryBytes bounds what the check may take, about; 0: 1 GiB.
	MemoryBytes int64
}

// Anomaly is something that a model proscribes, with the transactions that prove it.
type Anomaly struct {
	Name string
	Key  string
	// Ops are the transactions by the indexes that Why calls them by.
	Ops []int64
	Why string
	// Allowed: the model asked for does not proscribe it.
	Allowed bool
	// RulesOut are the weakest models that it rules out.
	RulesOut []string
	cycle    *cycle
}

// Report is what was found.
type Report struct {
	Anomalies []Anomaly
	// Found counts anomalies by name, beyond the ones listed.
	Found map[string]int
	// Broken: the model asked for proscribes one of the anomalies.
	Broken bool
	// Unknown says why it can't be told that the model holds.
	Unknown []string
	// RuledOut are the weakest models that do not hold; Holds the strongest that nothing speaks against.
	RuledOut, Holds []string
	Model           string
	Transactions    int // ok
	Keys            int
	Edges           int // dependencies

	table *table
	out   modelSet
}

// RulesOut tells whether an anomaly rules out the model of a name.
func (r *Report) RulesOut(model string) bool {
	i, err := lookup(model)
	return err == nil && r.out.has(i)
}

const memoryDefault = 1 << 30

// Check judges a history. An error is an unreadable history, a malformed transaction, or an unknown model.
func Check(ctx context.Context, src history.Source, o Options) (Report, error) {
	if o.Model == "" {
		o.Model = StrictSerializable
	}
	model, err := lookup(o.Model)
	if err != nil {
		return Report{}, err
	}
	if o.MemoryBytes <= 0 {
		o.MemoryBytes = memoryDefault
	}
	r := Report{Model: Models[model].Name, Found: map[string]int{}}
	t, err := gather(ctx, src, o.Kind, o.MemoryBytes)
	r.table, r.Transactions, r.Keys = t, t.oks, len(t.keys.names)
	switch {
	case errors.Is(err, errMemory), errors.Is(err, errTime):
		r.Unknown = append(r.Unknown, err.Error())
		return r, nil
	case err != nil:
		return r, err
	case t.oks == 0:
		r.Unknown = append(r.Unknown, "nothing to check: no transaction was ok")
		return r, nil
	}
	visit := appendKey
	if o.Kind == RWRegister {
		visit = registerKey
	}
	parts, err := eachKey(ctx, t, visit)
	if err == nil {
		parts, err = r.cycles(ctx, parts, o.MemoryBytes, model)
	}
	if err != nil {
		r.Unknown = append(r.Unknown, err.Error())
	}
	r.judge(model, parts)
	if r.Edges == 0 {
		r.Unknown = append(r.Unknown, "empty-transaction-graph: no transaction depends on another")
	}
	return r, nil
}

// cycles builds the graph of what was found about the keys, and adds a part with its cycles.
func (r *Report) cycles(ctx context.Context, parts []*part, memory int64, model int) ([]*part, error) {
	t := r.table
	nodes := 2 * len(t.txns)
	for _, p := range parts {
		r.Edges += p.dependencies()
		nodes += int(p.hubs)
	}
	const edgeBytes, nodeBytes, eventBytes = 12 + 5, 4 * 4, 8 + 4
	edges := int64(r.Edges + 4*len(t.txns))
	if t.bytes()+edges*edgeBytes+int64(nodes)*nodeBytes+int64(2*len(t.txns))*eventBytes > memory {
		return parts, errMemory
	}
	times := &part{}
	events := t.timeline()
	processEdges(t, events, times)
	realtimeEdges(events, times)
	parts = append(parts, times)
	g := newGraph(int32(len(t.txns)), parts)
	for _, p := range parts {
		p.edges = nil
	}
	cycles := &part{}
	undecided, reasons, err := cyclesOf(ctx, t, g, cycles)
	if undecided.has(model) {
		r.Unknown = append(r.Unknown, reasons...)
	}
	return append(parts, cycles), err
}

// judge turns findings into anomalies, and those into models.
func (r *Report) judge(model int, parts []*part) {
	out := modelSet(0)
	listed := map[string]int{}
	for _, p := range parts {
		for name, n := range p.count {
			r.Found[name] += n
		}
		for i := range p.found {
			f := &p.found[i]
			if listed[f.name+f.floor]++; listed[f.name+f.floor] > listedMax {
				continue
			}
			set := ruledOut(f.name)
			if f.floor != "" {
				floor, _ := lookup(f.floor)
				set &= atLeast(floor)
			}
			set |= f.also
			out |= set
			a := Anomaly{Name: f.name, Key: f.key, Why: f.why, Allowed: !set.has(model), RulesOut: set.weakest(), cycle: f.cycle}
			for _, x := range f.txns {
				a.Ops = append(a.Ops, r.table.txns[x].name)
			}
			r.Broken = r.Broken || !a.Allowed
			r.Anomalies = append(r.Anomalies, a)
		}
	}
	if n := r.Found["duplicate-writes"]; n > 0 {
		r.Unknown = append(r.Unknown, fmt.Sprintf("duplicate-writes: %d values were written twice, so that versions can't be told apart", n))
	}
	slices.SortStableFunc(r.Anomalies, func(a, b Anomaly) int { return cmp.Compare(rank(&a), rank(&b)) })
	r.out = out
	r.RuledOut, r.Holds = out.weakest(), (every() &^ out).strongest()
}

// rank orders anomalies: what breaks the promise first, then by how much it rules out.
func rank(a *Anomaly) int {
	n := 0
	if a.Allowed {
		n = 1000
	}
	if len(a.RulesOut) > 0 {
		i, _ := lookup(a.RulesOut[0])
		n += i
	}
	return n
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
