package checker

import (
	"context"
	"fmt"
	"slices"
)

// Contradiction is how far the operations on one key can be put in order, and which of them contradict each other.
type Contradiction struct {
	Key string `json:"key"`
	// UpTo is the completion up to which everything can be put in order, by index; absent if not even the first one can be explained.
	UpTo *int64 `json:"linearizable_up_to,omitempty"`
	// Stuck is the operation after whose completion nothing can.
	Stuck int64 `json:"stuck"`
	// Ops are operations that contradict each other, Stuck among them, whatever the others did: a write that is not one of them may have taken
	// effect at any time and as often as one likes, a read may have returned anything. Each by its index to people.
	Ops []int64 `json:"ops"`
	// Minimal: without any one of Ops, in that sense, the others can be put in order. Otherwise the budget did not suffice to show it, or they are
	// the first hundred of more: for one, all the writes of a value that was read when it had been overwritten.
	Minimal bool `json:"minimal"`

	ops    []regOp
	stuck  regOp
	before *regOp
}

// contradiction finds where a history stops being linearizable, and the least that shows it; ok is false if it linearizes, or if the
// budget does not suffice.
func (r *register) contradiction(ctx context.Context, ops []regOp, memoryBytes int64) (c Contradiction, ok bool) {
	memoryBytes = min(memoryBytes, provingBytesMax)
	p := &prover{bound: &allowance{ctx: ctx, left: provingSteps + provingStepsPerOperation*int64(len(ops))}, memoryBytes: memoryBytes}
	stuck, before, ok := p.firstStuck(ops)
	if !ok {
		return c, false
	}
	c = Contradiction{Key: r.key, stuck: ops[stuck], Stuck: ops[stuck].index()}
	if before >= 0 {
		c.before = &ops[before]
		upTo := c.before.index()
		c.UpTo = &upTo
	}
	p.ops = prefix(ops, c.stuck.ret)
	p.out = make([]bool, len(p.ops))
	p.leaveOutEarlier()
	p.leaveOutEach()
	c.Minimal = p.bound.spent == "" && !p.unsure
	c.Ops = append(c.Ops, c.Stuck)
	for i := range p.ops {
		if p.out[i] {
			continue
		}
		c.ops = append(c.ops, p.ops[i])
		if p.ops[i].call != c.stuck.call && len(c.Ops) < provedMax {
			c.Ops = append(c.Ops, p.ops[i].index())
		}
	}
	c.Minimal = c.Minimal && len(c.Ops) == len(c.ops)
	return c, true
}

// What is spent on an explanation: the verdict is known by then.
const (
	provingBytesMax          = 8 << 20
	provingSteps             = 1 << 20
	provingStepsPerOperation = 256
	// provedMax bounds the operations that are listed.
	provedMax = 100
)

// prover looks for the least part of a history that does not linearize. To leave an operation out is to say less: then one that linearized
// still does. So halving finds how much of the beginning can be left out, and an operation that was needed once is needed to the end.
type prover struct {
	bound       *allowance
	memoryBytes int64
	ops         []regOp
	// out are the operations that are left out, by place.
	out []bool
	// unsure: some search was not finished.
	unsure bool
}

// firstStuck finds the shortest prefix that does not linearize: the place of its last completion, and of the one before, -1 for none.
func (p *prover) firstStuck(ops []regOp) (stuck, before int, ok bool) {
	order := byReturn(ops)
	found := linearizeWithin(p.bound, ops, nil, p.memoryBytes)
	if found.verdict != Invalid {
		return 0, 0, false
	}
	high := slices.Index(order, found.stuck)
	// Of operations with versions that are still open the sweep knew the versions; of a prefix they are not known. The prefix that ends with
	// order[low] linearizes (none does for -1), the one that ends with order[high] does not.
	low := high - 1
	if slices.ContainsFunc(ops, func(o regOp) bool { return o.version > 0 }) {
		low, high = high-1, len(order)-1
	}
	for high-low > 1 {
		middle := low + (high-low)/2
		switch linearizeWithin(p.bound, withoutUnseen(prefix(ops, ops[order[middle]].ret)), nil, p.memoryBytes).verdict {
		case Valid:
			low = middle
		case Invalid:
			high = middle
		case Unknown:
			return 0, 0, false
		}
	}
	if low < 0 {
		return order[high], -1, true
	}
	return order[high], order[low], true
}

// contradict tells whether what is not left out still does not linearize.
func (p *prover) contradict() bool {
	var (
		kept    []regOp
		endless []effect
		known   = map[effect]bool{}
	)
	for i := range p.ops {
		o := &p.ops[i]
		switch e := (effect{o.kind, o.old, o.value}); {
		case !p.out[i]:
			kept = append(kept, *o)
		case o.writes() && !known[e]:
			known[e] = true
			endless = append(endless, e)
		}
	}
	v := linearizeWithin(p.bound, kept, endless, p.memoryBytes).verdict
	p.unsure = p.unsure || v == Unknown
	return v == Invalid
}

// leaveOutEarlier leaves out as much as it can of what completed first.
func (p *prover) leaveOutEarlier() {
	order := byReturn(p.ops)
	low, high := 0, len(order) // without the first low there is a contradiction, without the first high there is none
	for high-low > 1 {
		middle := low + (high-low)/2
		p.leaveOut(order[:middle], true)
		p.leaveOut(order[middle:], false)
		if p.contradict() {
			low = middle
		} else {
			high = middle
		}
	}
	p.leaveOut(order[:low], true)
	p.leaveOut(order[low:], false)
}

func (p *prover) leaveOut(places []int, out bool) {
	for _, i := range places {
		p.out[i] = out
	}
}

// leaveOutEach leaves out what it can of the rest, many at once while there are many.
func (p *prover) leaveOutEach() {
	for size := len(p.ops); size > 0; size /= 2 {
		var left []int
		for i := range p.ops {
			if !p.out[i] {
				left = append(left, i)
			}
		}
		if size > len(left)/2 && size > 1 {
			continue
		}
		for chunk := range slices.Chunk(left, size) {
			p.leaveOut(chunk, true)
			if !p.contradict() {
				p.leaveOut(chunk, false)
			}
			if p.bound.spent != "" {
				return
			}
		}
	}
}

// unexplained is the anomaly of a register whose operations contradict each other.
func (c *Contradiction) unexplained(r *register) Anomaly {
	a := Anomaly{Name: "nonlinearizable", Key: r.key, Ops: c.Ops}
	a.Why = fmt.Sprintf("no order of the operations on %s explains that %s", r.name(), r.describe(&c.stuck))
	if c.before != nil {
		a.Why += fmt.Sprintf("; everything up to %s can be put in order", r.describe(c.before))
	}
	switch {
	case len(c.ops) > namedMax || !c.Minimal:
		a.Why += fmt.Sprintf("; %s alone contradict each other", count(len(c.ops), "operation", "operations"))
	case len(c.ops) > 1:
		a.Why += "; the contradiction needs no more than"
		for i := range c.ops {
			if i > 0 {
				a.Why += ","
			}
			a.Why += " " + r.describe(&c.ops[i])
		}
	}
	return a
}

// namedMax bounds the operations that a sentence names.
const namedMax = 8
