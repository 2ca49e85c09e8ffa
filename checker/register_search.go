package checker

import (
	"context"
	"slices"

	"github.com/anishathalye/porcupine"
)

// outcome is what a search found.
type outcome struct {
	verdict Verdict
	// spent is why an Unknown one was stopped.
	spent  string
	states int64
}

// search decides whether operations of a register linearize, with Porcupine (Athalye; the algorithm is that of Wing and Gong, and Lowe), in
// memoryBytes and until ctx ends.
func (r *register) search(ctx context.Context, ops []regOp, memoryBytes int64) outcome {
	m := newMeter(ctx, len(ops), memoryBytes)
	before := m.left
	ok := porcupine.CheckOperations(r.model(regState{}, m), operations(ops))
	out := outcome{Invalid, m.spent, before - m.left}
	switch {
	case ok:
		out.verdict, out.spent = Valid, ""
	case m.spent != "":
		out.verdict = Unknown
	}
	return out
}

// searchable are the operations that a search needs: without the reads, where the promise puts no bound on how old they
// may be, and without unknown writes whose value nobody can have seen.
func (r *register) searchable(allowStale bool) []regOp {
	ops := slices.Clone(r.ops[len(r.told):]) // what could have been read at any time would be tried everywhere
	if allowStale {
		ops = slices.DeleteFunc(ops, func(o regOp) bool { return o.kind == regRead })
	}
	return withoutUnseen(ops)
}

// withoutUnseen leaves out unknown operations whose value no other operation that is left can have seen. Such an operation can be taken
// out of any linearization: what follows it is a write, or one that sees another value. A search would try it everywhere.
func withoutUnseen(ops []regOp) []regOp {
	owned := map[int64]bool{}
	for i := range ops {
		if o := &ops[i]; o.writes() && o.version > 0 {
			owned[o.version] = true
		}
	}
	seen := map[int32]int64{} // the last completion of what may have seen each value written by an unknown operation
	other := int64(-1)        // the last completion of what saw that the value was another one than it expected
	for i := range ops {
		o := &ops[i]
		if v, ok := o.saw(); ok && (o.kind == regSwap || !owned[o.version]) {
			seen[v] = max(seen[v], o.ret)
		}
		if o.kind == regRefused && !o.seen {
			other = max(other, o.ret)
		}
	}
	keep := make([]bool, len(ops))
	for changed := true; changed; {
		changed = false
		for i := range ops {
			o := &ops[i]
			if keep[i] || o.unknown() && seen[o.value] < o.call && other < o.call {
				continue
			}
			keep[i], changed = true, true
			if o.unknown() && o.kind == regSwap {
				seen[o.old] = never
			}
		}
	}
	out := make([]regOp, 0, len(ops))
	for i := range ops {
		if keep[i] {
			out = append(out, ops[i])
		}
	}
	return out
}

// prefix are the operations as they were known right after the completion with an index: what was open then has an unknown outcome.
func prefix(ops []regOp, last int64) []regOp {
	var out []regOp
	for _, o := range ops {
		switch {
		case o.call > last:
			continue
		case o.ret > last && !o.unknown():
			if !o.writes() {
				continue
			}
			o.ret, o.version = never, 0
		}
		out = append(out, o)
	}
	return out
}

// stuck is where a history stops being linearizable.
type stuck struct {
	// op is the first completion after which no order of the operations explains what was seen, by place in the operations searched.
	op int
	// before is the place of the completion before it; -1 if op's is the first.
	before int
}

// firstStuck finds the shortest prefix that does not linearize, by halving; ok is false if the budget does not suffice.
func (r *register) firstStuck(ctx context.Context, ops []regOp, memoryBytes int64) (s stuck, ok bool) {
	var order []int // places of the completed operations, by completion
	for i := range ops {
		if !ops[i].unknown() {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		if ops[a].ret < ops[b].ret {
			return -1
		}
		return 1
	})
	// The prefix that ends with order[low] linearizes (none does for -1), the one that ends with order[high] does not.
	low, high := -1, len(order)-1
	for high-low > 1 {
		middle := low + (high-low)/2
		found := r.search(ctx, withoutUnseen(prefix(ops, ops[order[middle]].ret)), memoryBytes)
		switch found.verdict {
		case Valid:
			low = middle
		case Invalid:
			high = middle
		case Unknown:
			return stuck{}, false
		}
	}
	s = stuck{order[high], -1}
	if low >= 0 {
		s.before = order[low]
	}
	return s, true
}
