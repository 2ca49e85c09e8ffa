package generator

import (
	"container/heap"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// Play runs a generator against an imagined system, to see what it yields: complete tells what becomes of
// an invocation and how long that takes. It returns every operation, invocations and completions, in order, with indexes
// and times, up to a number of invocations. Time is imagined too. It is for tests.
func Play(g Generator, concurrency, invocations int,
	complete func(op history.Op) (completion history.Op, after time.Duration),
) ([]history.Op, error) {
	var (
		out  []history.Op
		open openOps
		now  = time.Duration(1)
		d    = NewDispatcher(g, concurrency)
	)
	record := func(op history.Op) history.Op {
		op.Index, op.Time = int64(len(out)), now
		out = append(out, op)
		return op
	}
	for invoked := 0; ; {
		op, _, status, err := d.Next(now)
		if err != nil {
			return out, err
		}
		switch {
		case status == Ready && invoked < invocations:
			invoked++
			done, after := complete(record(op))
			heap.Push(&open, openOp{now + after, len(out), done})
			continue
		case status == Pending && op.Time > 0 && (len(open) == 0 || op.Time < open[0].at):
			now = op.Time
			continue
		case status == Ready || len(open) == 0:
			return out, nil
		}
		next := heap.Pop(&open).(openOp) // of openOps
		now = next.at
		if err := d.Complete(now, record(next.op)); err != nil {
			return out, err
		}
	}
}

// OK completes every operation as it was invoked, after a time. It is for Play.
func OK(after time.Duration) func(history.Op) (history.Op, time.Duration) {
	return func(op history.Op) (history.Op, time.Duration) {
		op.Type = history.OK
		return op, after
	}
}

type openOp struct {
	at    time.Duration
	order int
	op    history.Op
}

type openOps []openOp

func (o openOps) Len() int { return len(o) }
func (o openOps) Less(i, j int) bool {
	return o[i].at < o[j].at || (o[i].at == o[j].at && o[i].order < o[j].order)
}
func (o openOps) Swap(i, j int) { o[i], o[j] = o[j], o[i] }
func (o *openOps) Push(x any)   { *o = append(*o, x.(openOp)) } // heap's contract
func (o *openOps) Pop() any {
	last := (*o)[len(*o)-1]
	*o = (*o)[:len(*o)-1]
	return last
}
