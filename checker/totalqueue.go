package checker

import (
	"context"
	"fmt"

	"github.com/faultline/faultline/harness/history"
)

// TotalQueue judges queues by what goes in and what comes out, whatever the order, as Jepsen's total-queue: enqueues (f "enqueue", any JSON but null), and dequeues (f
// "dequeue", null → the element, or null where the queue was empty). Each Op.Key is a queue of its own, empty at first; elements
// need not be unique. A dequeue of unknown outcome may carry the element that it may have taken as its value; without one it may have
// taken any.
//
//   - lost: the queue was empty though elements had been acknowledged that nobody took, and more of them than dequeues of unknown outcome
//     account for.
//   - unexpected: an element came out that nobody put in, or only who was told that it failed. future-read: it came out before it was put in.
//   - duplicated: an element came out more often than it was put in.
//
// Elements that came out though their enqueue was of unknown outcome are counted as recovered. A complete history without a dequeue that
// found the queue empty, once all was acknowledged, can't show losses, and is Unknown.
func TotalQueue() Checker { return totalQueue{} }

type totalQueue struct{}

// TotalQueueDetail is the Detail of TotalQueue, elements of all queues together, each as often as it was put in.
type TotalQueueDetail struct {
	Queues       int   `json:"queues"`
	Attempts     int64 `json:"attempts"`
	Acknowledged int64 `json:"acknowledged"`
	Dequeued     int64 `json:"dequeued"`
	Recovered    int64 `json:"recovered"`
	// Unknown are dequeues of unknown outcome, Missing the acknowledged elements that they may have taken.
	Unknown int64 `json:"unknown"`
	Missing int64 `json:"missing"`
	// Lost are those beyond.
	Lost       int64 `json:"lost"`
	Unexpected int64 `json:"unexpected"`
	Duplicated int64 `json:"duplicated"`
}

// queued is what is known of one element of one queue.
type queued struct {
	// acked are the completions of acknowledged enqueues, in order, and how many of them came out.
	acked []int64
	// attempts may have put it in; first is the first one's invocation, failedBy one that failed, or -1.
	attempts        int
	first, failedBy int64
	// out are the completions of the dequeues that got it, maybe the invocations of those that may have.
	out   []int64
	maybe []int64
}

// totalOf is one queue.
type totalOf struct {
	key      string
	elements map[int32]*queued
	// nameless are the invocations of dequeues that may have taken anything.
	nameless []int64
	// empty is the dequeue with the last invocation that found the queue empty, and it.
	empty, emptyIndex, emptyRet int64
	lastAcked                   int64
}

func (totalQueue) Name() string { return "total-queue" }

func (totalQueue) Check(ctx context.Context, src history.Source, _ Budget) (Result, error) {
	j := totalJudge{names: newNames()}
	queues := map[string]*totalOf{}
	err := j.f.clients(ctx, src, func(p history.Pair) error {
		if p.Invoke.F != fEnqueue && p.Invoke.F != fDequeue {
			return nil
		}
		q := queues[p.Invoke.Key]
		if q == nil {
			q = &totalOf{key: p.Invoke.Key, elements: map[int32]*queued{}, empty: -1, lastAcked: -1}
			queues[p.Invoke.Key] = q
		}
		if p.Invoke.F == fEnqueue {
			return j.enqueue(q, p)
		}
		j.dequeue(q, p)
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	for _, key := range sortedKeys(queues) {
		j.judge(queues[key], src.Complete())
	}
	switch {
	case len(queues) == 0:
		j.f.unknown("nothing to check: no enqueue and no dequeue")
	case !src.Complete():
		j.f.unknown("the history is incomplete: what is lost shows when the queues are empty at its end")
	}
	d := j.d
	return j.f.result(fmt.Sprintf("%s: %s acknowledged, %s out, %s recovered, %s lost, %s missing after %s", count(d.Queues, "queue", "queues"),
		thousands(d.Acknowledged), thousands(d.Dequeued), thousands(d.Recovered), thousands(d.Lost), thousands(d.Missing),
		count(d.Unknown, "unknown dequeue", "unknown dequeues")), d)
}

func (q *totalOf) element(id int32) *queued {
	e := q.elements[id]
	if e == nil {
		e = &queued{first: never, failedBy: -1}
		q.elements[id] = e
	}
	return e
}

// totalJudge gathers and judges queues.
type totalJudge struct {
	f     findings
	d     TotalQueueDetail
	names *names
}

func (j *totalJudge) enqueue(q *totalOf, p history.Pair) error {
	if isNull(p.Invoke.Value) {
		return fmt.Errorf("operation %d: %w: nothing is enqueued", p.Invoke.Index, ErrMalformed)
	}
	e := q.element(j.names.id(p.Invoke.Value))
	j.d.Attempts++
	if p.Outcome() == history.Fail {
		e.failedBy = p.Complete.Index
		return nil
	}
	e.attempts++
	e.first = min(e.first, p.Invoke.Index)
	if p.Outcome() == history.OK {
		j.d.Acknowledged++
		e.acked = append(e.acked, p.Complete.Index)
		q.lastAcked = max(q.lastAcked, p.Complete.Index)
	}
	return nil
}

func (j *totalJudge) dequeue(q *totalOf, p history.Pair) {
	switch {
	case p.Outcome() == history.Fail:
	case p.Outcome() == history.OK && isNull(p.Complete.Value):
		if p.Invoke.Index > q.empty {
			q.empty, q.emptyIndex, q.emptyRet = p.Invoke.Index, p.Complete.Index, p.Complete.Index
		}
	case p.Outcome() == history.OK:
		j.d.Dequeued++
		e := q.element(j.names.id(p.Complete.Value))
		e.out = append(e.out, p.Complete.Index)
	case p.HasComplete && !isNull(p.Complete.Value):
		j.d.Unknown++
		e := q.element(j.names.id(p.Complete.Value))
		e.maybe = append(e.maybe, p.Invoke.Index)
	default:
		j.d.Unknown++
		q.nameless = append(q.nameless, p.Invoke.Index)
	}
}
