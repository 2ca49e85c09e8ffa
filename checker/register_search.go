package checker

import (
	"context"
	"slices"

	"github.com/faultline/faultline/checker/monitors"
)

// search decides whether operations of a register linearize, in memoryBytes and until ctx ends: by the times of their values where these are
// unique and there are no versions, else by sweeps.
func (r *register) search(ctx context.Context, ops []regOp, memoryBytes int64) outcome {
	if o, ok := byValues(ops); ok {
		return o
	}
	return linearize(ctx, ops, nil, memoryBytes)
}

// byValues asks the monitor of registers; ok is false if it can't tell.
func byValues(ops []regOp) (o outcome, ok bool) {
	kinds := [...]monitors.Kind{regRead: monitors.Read, regWrite: monitors.Write, regSwap: monitors.Swap, regRefused: monitors.Read}
	out := make([]monitors.Op, len(ops))
	for i := range ops {
		o := &ops[i]
		if o.version > 0 {
			return outcome{}, false
		}
		out[i] = monitors.Op{Call: o.call, Return: o.ret, Kind: kinds[o.kind], Value: int64(o.value), Old: int64(o.old)}
		switch {
		case o.kind == regRefused && !o.seen:
			out[i].Kind = monitors.Differs
		case o.kind == regRefused && o.value == o.old:
			return outcome{}, false // what it was refused on is what it expected
		}
	}
	switch monitors.Register(out).Verdict {
	case monitors.Linearizable:
		return outcome{verdict: Valid, stuck: -1}, true
	case monitors.Violated:
		return outcome{verdict: Invalid, stuck: -1}, true
	case monitors.Undecided:
	}
	return outcome{}, false
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
