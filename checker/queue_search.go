package checker

import (
	"context"
	"fmt"
	"slices"

	"github.com/anishathalye/porcupine"

	"github.com/faultline/faultline/checker/monitors"
)

// queueSearchMax bounds the operations of a queue that is searched; the search of one may take this part of the budget's memory.
const (
	queueSearchMax   = 200
	queueSearchShare = 16
)

// search decides what times do not, if the queue is small.
func (q *fifoOf) search(ctx context.Context, f *findings, why string, memoryBytes int64) {
	if len(q.ops) > queueSearchMax {
		f.unknown("the queue %q is not decided: %s, and its %d operations are too many to search", q.key, why, len(q.ops))
		return
	}
	m := newMeter(ctx, len(q.ops), memoryBytes)
	switch ok := porcupine.CheckOperations(queueModel(m), q.searchable()); {
	case ok:
	case m.spent != "":
		f.unknown("the queue %q is not decided: %s, and the search ran %s", q.key, why, m.spent)
	default:
		f.add(Anomaly{
			Name: "nonlinearizable", Key: q.key, Ops: slices.Clone(q.indexes[:min(len(q.indexes), listedMax)]),
			Why: fmt.Sprintf("no order of the %d operations of the queue explains what came out", len(q.ops)),
		})
	}
}

// searchable are the operations, those of unknown outcome open to the end, with small numbers for their elements: a state of the queue is a
// string of these.
func (q *fifoOf) searchable() []porcupine.Operation {
	end := int64(0)
	small := map[int64]int64{}
	for _, o := range q.ops {
		end = max(end, o.Call)
		if o.Return != monitors.Never {
			end = max(end, o.Return)
		}
		if _, known := small[o.Value]; !known {
			small[o.Value] = int64(len(small) + 1)
		}
	}
	ops := make([]porcupine.Operation, len(q.ops))
	for i, o := range q.ops {
		back := min(o.Return, end+1)
		o.Value = small[o.Value]
		ops[i] = porcupine.Operation{ClientId: i, Input: o, Call: o.Call, Return: back}
	}
	return ops
}

// queueModel is a first-in-first-out queue. What of unknown outcome did not happen is put at the end, where it does no harm: a dequeue takes
// nothing from an empty queue, and a Take nothing where its value is not in front.
func queueModel(m *meter) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return "" },
		Step: func(state, input, _ any) (bool, any) {
			if !m.allows() {
				return false, state
			}
			queue, ok := stepQueue(state.(string), input.(monitors.Op))
			if ok {
				m.kept()
			}
			return ok, queue
		},
	}
}

// stepQueue is what an operation makes of a queue, and whether it can have returned what it did.
func stepQueue(queue string, o monitors.Op) (next string, ok bool) {
	value := string(rune(o.Value)) //nolint:gosec // at most queueSearchMax
	first := ""
	for _, r := range queue {
		first = string(r)
		break
	}
	switch mine := first == value; {
	case o.Kind == monitors.Enqueue:
		return queue + value, true
	case o.Kind == monitors.Empty:
		return queue, queue == ""
	case o.Kind == monitors.Take && !mine:
		return queue, true
	case o.Return == monitors.Never || mine:
		return queue[len(first):], true
	}
	return queue, false
}
