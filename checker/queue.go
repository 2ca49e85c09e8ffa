package checker

import (
	"cmp"
	"context"
	"fmt"

	"github.com/faultline/faultline/checker/monitors"
	"github.com/faultline/faultline/harness/history"
)

// Queue judges whether queues are linearizable and first-in-first-out: enqueues (f "enqueue", any JSON but null), and dequeues (f
// "dequeue", null → the element, or null where the queue was empty). Each Op.Key is a queue of its own, empty at first. A dequeue of
// unknown outcome may carry the element that it may have taken, and else may have taken whatever was in front.
//
// Where the elements of a queue are unique this is decided by their times alone (package monitors); where they are not, or where it depends on what
// nameless dequeues took, small queues are searched with Porcupine, and larger ones are Unknown.
//
//   - unexpected: an element came out that nobody had put in by then. duplicated: it came out twice.
//   - out-of-order: an element came out after one that was put in later. passed-over: it never came out, though one that was put in later did.
//   - false-empty: a queue was found empty that never was at that time.
//   - nonlinearizable: none of these, and yet no order of the operations explains what came out.
func Queue() Checker { return fifo{} }

type fifo struct{}

// QueueDetail is the Detail of Queue.
type QueueDetail struct {
	Queues     int   `json:"queues"`
	Operations int64 `json:"operations"`
	// BySearch are the queues that their times did not decide.
	BySearch int `json:"by_search"`
}

// fifoOf is one queue: operations for the monitor, and their names to people.
type fifoOf struct {
	key     string
	ops     []monitors.Op
	indexes []int64
}

func (fifo) Name() string { return "queue" }

func (fifo) Check(ctx context.Context, src history.Source, b Budget) (Result, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	var (
		f      findings
		d      QueueDetail
		names  = newNames()
		queues = map[string]*fifoOf{}
	)
	err := f.clients(ctx, src, func(p history.Pair) error {
		if p.Invoke.F != fEnqueue && p.Invoke.F != fDequeue || p.Outcome() == history.Fail {
			return nil
		}
		q := queues[p.Invoke.Key]
		if q == nil {
			q = &fifoOf{key: p.Invoke.Key}
			queues[p.Invoke.Key] = q
		}
		d.Operations++
		return q.take(names, p)
	})
	if err != nil {
		return Result{}, err
	}
	for _, key := range sortedKeys(queues) {
		d.Queues++
		q := queues[key]
		r := monitors.Queue(q.ops)
		switch r.Verdict {
		case monitors.Violated:
			f.add(q.anomaly(names, r))
		case monitors.Undecided:
			d.BySearch++
			q.search(ctx, &f, r.Why, cmp.Or(b.MemoryBytes, defaultMemoryBytes)/queueSearchShare)
		case monitors.Linearizable:
		}
	}
	if d.Queues == 0 {
		f.unknown("nothing to check: no enqueue and no dequeue")
	}
	return f.result(fmt.Sprintf("%s, %s, %d by search", count(d.Queues, "queue", "queues"), count(d.Operations, "operation", "operations"), d.BySearch), d)
}

// take reads an operation that was ok or is of unknown outcome.
func (q *fifoOf) take(n *names, p history.Pair) error {
	ok := p.Outcome() == history.OK
	o := monitors.Op{Call: p.Invoke.Index, Return: monitors.Never}
	value := p.Invoke.Value
	if ok {
		o.Return = p.Complete.Index
	}
	if p.Invoke.F == fDequeue && p.HasComplete {
		value = p.Complete.Value
	}
	o.Value = int64(n.id(value))
	switch {
	case p.Invoke.F == fEnqueue && isNull(value):
		return fmt.Errorf("operation %d: %w: nothing is enqueued", p.Invoke.Index, ErrMalformed)
	case p.Invoke.F == fEnqueue:
		o.Kind = monitors.Enqueue
	case ok && isNull(value):
		o.Kind = monitors.Empty
	case !ok && !isNull(value):
		o.Kind = monitors.Take
	default:
		o.Kind = monitors.Dequeue
	}
	q.ops, q.indexes = append(q.ops, o), append(q.indexes, indexOf(p))
	return nil
}

// queueRules are the names of what breaks a monitor's rules, and what is said of the witnesses.
var queueRules = map[monitors.Rule][2]string{
	monitors.RuleSource: {"unexpected", "dequeue %d got %s, which nobody had put in by then"},
	monitors.RuleOnce:   {"duplicated", "dequeue %d got %s, which had come out before"},
	monitors.RuleOrder:  {"out-of-order", "dequeue %d got %s before an element that had been put in earlier came out"},
	monitors.RuleLost:   {"passed-over", "dequeue %d got %s, though an element that had been put in earlier never came out"},
	monitors.RuleEmpty:  {"false-empty", "dequeue %d found the queue empty, but at every moment of it elements were there%.0s"},
}

// anomaly explains what a monitor found.
func (q *fifoOf) anomaly(n *names, r monitors.Result) Anomaly {
	rule := queueRules[r.Rule]
	a := Anomaly{Name: cmp.Or(rule[0], "nonlinearizable"), Key: q.key}
	for _, w := range r.Witness {
		a.Ops = append(a.Ops, q.indexes[w])
	}
	first := q.ops[r.Witness[0]]
	a.Why = fmt.Sprintf(cmp.Or(rule[1], "operation %d of %s"), a.Ops[0], n.text(int32(first.Value))) //nolint:gosec // an id of names
	if len(a.Ops) > 1 {
		a.Why += " (" + listed(a.Ops[1:]) + ")"
	}
	return a
}
