package monitors

import (
	"cmp"
	"slices"
)

// Queue judges a FIFO queue that is empty at first: Enqueue, Dequeue, Empty and Take. Each value may be enqueued once.
//
// An enqueue of unknown outcome happened if its value was dequeued, and is left out otherwise: nobody misses it. Dequeues of unknown
// outcome are first taken to have done nothing; if that does not linearize, each of them is taken to have removed as many values as is
// convenient, and if even that does not, nothing can. What is between the two is Undecided. A Take is exact: it took its value just when that is
// convenient, which is no more than that nobody misses the value from then on.
func Queue(ops []Op) Result {
	q, r, ok := newQueue(ops)
	if !ok {
		return r
	}
	strict := q.judge(Never)
	if strict.Verdict == Linearizable || q.taking == Never {
		return strict
	}
	if relaxed := q.judge(q.taking); relaxed.Verdict == Violated {
		return relaxed
	}
	return undecided("it depends on what dequeues of unknown outcome took")
}

// queued is the life of a value: places of its operations, -1 for none. maybe is the first Take of it.
type queued struct{ in, out, maybe int }

type queue struct {
	ops []Op
	// values are those that were enqueued for certain, by the return of their enqueue.
	values  []queued
	empties []int
	// taking is the first call of a dequeue of unknown outcome, or Never.
	taking int64
	// gone is the latest moment from which on a value of no known dequeue may be gone.
	gone int64
}

// newQueue joins dequeues to enqueues; ok is false if that settles it.
func newQueue(ops []Op) (q *queue, settled Result, ok bool) {
	q = &queue{ops: ops, taking: Never}
	at := make(map[int64]int, len(ops)/2)
	for i := range ops {
		if ops[i].Kind != Enqueue {
			continue
		}
		if _, twice := at[ops[i].Value]; twice {
			return nil, undecided(notUnique), false
		}
		at[ops[i].Value] = len(q.values)
		q.values = append(q.values, queued{i, -1, -1})
	}
	for i := range ops {
		switch o := &ops[i]; {
		case o.Kind == Empty && !o.unknown():
			q.empties = append(q.empties, i)
		case o.Kind == Take:
			if k, known := at[o.Value]; known && (q.values[k].maybe < 0 || o.Call < ops[q.values[k].maybe].Call) {
				q.values[k].maybe = i
			}
		case o.Kind != Dequeue:
		case o.unknown():
			q.taking = min(q.taking, o.Call)
		default:
			k, known := at[o.Value]
			switch {
			case !known:
				return nil, violated(RuleSource, i), false
			case q.values[k].out >= 0:
				return nil, violated(RuleOnce, i, q.values[k].out, q.values[k].in), false
			case o.Return < ops[q.values[k].in].Call:
				return nil, violated(RuleSource, i, q.values[k].in), false
			}
			q.values[k].out = i
		}
	}
	q.values = slices.DeleteFunc(q.values, func(v queued) bool { return v.out < 0 && ops[v.in].unknown() })
	slices.SortFunc(q.values, func(a, b queued) int { return cmp.Compare(ops[a.in].Return, ops[b.in].Return) })
	return q, Result{}, true
}

// judge takes values without a known dequeue to stay until a moment.
func (q *queue) judge(gone int64) Result {
	q.gone = gone
	if r := q.order(); r.Verdict == Violated {
		return r
	}
	if r := q.emptiness(); r.Verdict == Violated {
		return r
	}
	return Result{Verdict: Linearizable}
}

// leaves is the earliest moment at which a value may have left.
func (q *queue) leaves(v queued) int64 {
	switch {
	case v.out >= 0:
		return q.ops[v.out].Call
	case v.maybe >= 0:
		return min(q.gone, q.ops[v.maybe].Call)
	}
	return q.gone
}

// order finds a value that was enqueued before another one, and certainly left after it.
func (q *queue) order() Result {
	last := make([]int, len(q.values)) // of the values up to here, the one that leaves last
	for k := range q.values {
		last[k] = k
		if k > 0 && q.leaves(q.values[last[k-1]]) >= q.leaves(q.values[k]) {
			last[k] = last[k-1]
		}
	}
	for _, b := range q.values {
		if b.out < 0 {
			continue
		}
		n, _ := slices.BinarySearchFunc(q.values, q.ops[b.in].Call, func(v queued, t int64) int { return cmp.Compare(q.ops[v.in].Return, t) })
		if n == 0 {
			continue
		}
		a := q.values[last[n-1]]
		switch {
		case q.leaves(a) <= q.ops[b.out].Return:
		case a.out < 0 && a.maybe >= 0:
			return violated(RuleLost, b.out, a.in, b.in, a.maybe)
		case a.out < 0:
			return violated(RuleLost, b.out, a.in, b.in)
		default:
			return violated(RuleOrder, b.out, a.out, a.in, b.in)
		}
	}
	return Result{}
}

// emptiness finds an operation that found the queue empty, though from its call to its return one value or another was there for certain.
// A value is, from the return of its enqueue to the call of its dequeue; one after the other may cover the operation.
func (q *queue) emptiness() Result {
	type span struct {
		from, to int64
		value    queued
	}
	var spans []span
	for _, v := range q.values {
		if from, to := q.ops[v.in].Return, q.leaves(v); from < to {
			spans = append(spans, span{from, to, v})
		}
	}
	// Of the spans that begin before a moment the one that ends last is all that matters: spans are already sorted by their beginning.
	best := make([]int, len(spans))
	for k := range spans {
		best[k] = k
		if k > 0 && spans[best[k-1]].to >= spans[k].to {
			best[k] = best[k-1]
		}
	}
	// reach is where the chain of spans ends that a span is part of.
	next := func(moment int64) int {
		n, _ := slices.BinarySearchFunc(spans, moment, func(s span, t int64) int { return cmp.Compare(s.from, t) })
		if n == 0 {
			return -1
		}
		return best[n-1]
	}
	reach := make([]int64, len(spans))
	order := make([]int, len(spans))
	for k := range order {
		order[k] = k
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(spans[b].to, spans[a].to) })
	for _, k := range order {
		reach[k] = spans[k].to
		if n := next(spans[k].to); n >= 0 && spans[n].to > spans[k].to {
			reach[k] = reach[n]
		}
	}
	for _, i := range q.empties {
		o := &q.ops[i]
		k := next(o.Call)
		if k < 0 || reach[k] <= o.Return {
			continue
		}
		witness := []int{i}
		for at := k; ; at = next(spans[at].to) {
			witness = append(witness, spans[at].value.in)
			if spans[at].value.out >= 0 {
				witness = append(witness, spans[at].value.out)
			} else if spans[at].value.maybe >= 0 {
				witness = append(witness, spans[at].value.maybe)
			}
			if spans[at].to > o.Return {
				return violated(RuleEmpty, witness...)
			}
		}
	}
	return Result{}
}
