package checker

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// judge adds the anomalies of one queue.
func (j *totalJudge) judge(q *totalOf, complete bool) {
	j.d.Queues++
	ids := slices.SortedFunc(maps.Keys(q.elements), func(a, b int32) int {
		return cmp.Or(cmp.Compare(q.elements[a].first, q.elements[b].first), cmp.Compare(a, b))
	})
	for _, id := range ids {
		j.origin(q, id, q.elements[id])
	}
	if complete && q.lastAcked >= 0 && q.empty < q.lastAcked {
		j.f.unknown("no dequeue found the queue %q empty after the last acknowledged enqueue (%d): what is lost is not known", q.key, q.lastAcked)
	}
	j.losses(q, ids)
}

// origin judges whether what came out had been put in, and as often.
func (j *totalJudge) origin(q *totalOf, id int32, e *queued) {
	text := j.names.text(id)
	j.d.Recovered += int64(max(0, min(len(e.out), e.attempts)-len(e.acked)))
	switch {
	case len(e.out) == 0:
		return
	case e.attempts == 0 && e.failedBy >= 0:
		j.d.Unexpected++
		j.add(q, "unexpected", []int64{e.out[0], e.failedBy}, "dequeue %d of %s got %s, but its enqueue %d failed", e.out[0], q.name(), text, e.failedBy)
	case e.attempts == 0:
		j.d.Unexpected++
		j.add(q, "unexpected", []int64{e.out[0]}, "dequeue %d of %s got %s, which nobody enqueued", e.out[0], q.name(), text)
	case len(e.out) > e.attempts:
		j.d.Duplicated++
		j.add(q, "duplicated", slices.Clone(e.out), "%s came out of %s %d times (%s), and was put in %d times at most", text, q.name(), len(e.out),
			listed(e.out), e.attempts)
	case e.out[0] < e.first:
		j.d.Unexpected++
		j.add(q, "future-read", []int64{e.out[0], e.first}, "dequeue %d of %s got %s, which was enqueued only later (%d)", e.out[0], q.name(), text, e.first)
	}
}

// losses finds acknowledged elements that nobody took, though the queue was found empty after them.
func (j *totalJudge) losses(q *totalOf, ids []int32) {
	var missing []int32
	var ops []int64
	for _, id := range ids {
		e := q.elements[id]
		before, _ := slices.BinarySearch(e.acked, q.empty)
		named := 0
		for _, call := range e.maybe {
			if call < q.emptyRet {
				named++
			}
		}
		// Which of equal elements came out does not matter.
		owed := before - len(e.out)
		if owed <= 0 {
			continue
		}
		j.d.Missing += int64(min(owed, named))
		for _, at := range e.acked[len(e.acked)-max(0, owed-named):] {
			missing, ops = append(missing, id), append(ops, at)
		}
	}
	taken := 0
	for _, call := range q.nameless {
		if call < q.emptyRet {
			taken++
		}
	}
	if len(missing) <= taken {
		j.d.Missing += int64(len(missing))
		return
	}
	lost := len(missing) - taken
	j.d.Lost += int64(lost)
	j.d.Missing += int64(taken)
	why := fmt.Sprintf("dequeue %d found %s empty, but %s was acknowledged (%d) and came out nowhere", q.emptyIndex, q.name(), j.names.text(missing[0]), ops[0])
	if len(missing) > 1 {
		why = fmt.Sprintf("dequeue %d found %s empty, but %s were acknowledged (%s) and came out nowhere", q.emptyIndex, q.name(),
			count(len(missing), "element", "elements"), listed(ops))
	}
	if taken > 0 {
		why += fmt.Sprintf("; only %d dequeues of unknown outcome may have taken some", taken)
	}
	j.add(q, "lost", append([]int64{q.emptyIndex}, ops[:min(len(ops), listedMax)]...), "%s", why)
}

func (j *totalJudge) add(q *totalOf, name string, ops []int64, format string, args ...any) {
	j.f.add(Anomaly{Name: name, Key: q.key, Ops: ops, Why: fmt.Sprintf(format, args...)})
}

func (q *totalOf) name() string { return cmp.Or(q.key, "the queue") }

// listed is a list of the first few numbers.
func listed(ops []int64) string {
	text := ""
	for i, op := range ops[:min(len(ops), listedMax)] {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprint(op)
	}
	if len(ops) > listedMax {
		text += ", …"
	}
	return text
}
