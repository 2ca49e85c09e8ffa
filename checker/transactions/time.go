package transactions

import (
	"cmp"
	"slices"

	"github.com/faultline/faultline/harness/history"
)

// event is the beginning or the end of a transaction.
type event struct {
	txn int32
	end bool
}

// timeline are the events of all transactions that may have happened, in their order.
func (t *table) timeline() []event {
	type at struct {
		index int64
		event
	}
	top := int64(0)
	for i := range t.txns {
		x := &t.txns[i]
		top = max(top, x.invoke)
		if x.ok() {
			top = max(top, x.complete)
		}
	}
	if top < int64(16*len(t.txns)+64) { // indexes are dense: no need to sort
		places := make([]int32, top+1)
		for i := range t.txns {
			if x := &t.txns[i]; !x.failed() {
				places[x.invoke] = int32(i) + 1
				if x.ok() {
					places[x.complete] = -int32(i) - 1
				}
			}
		}
		out := make([]event, 0, 2*len(t.txns))
		for _, p := range places {
			if p > 0 {
				out = append(out, event{p - 1, false})
			} else if p < 0 {
				out = append(out, event{-p - 1, true})
			}
		}
		return out
	}
	all := make([]at, 0, 2*len(t.txns))
	for i := range t.txns {
		if x := &t.txns[i]; !x.failed() {
			all = append(all, at{x.invoke, event{int32(i), false}})
			if x.ok() {
				all = append(all, at{x.complete, event{int32(i), true}})
			}
		}
	}
	slices.SortFunc(all, func(a, b at) int { return cmp.Compare(a.index, b.index) })
	out := make([]event, len(all))
	for i, a := range all {
		out[i] = a.event
	}
	return out
}

// realtimeEdges are a chain of barriers, one wherever an invocation follows a completion: each passes to the transactions that begin
// before the next one, and to the next one. Two transactions are in the order of real time exactly if a path through barriers
// leads from the one to the other; there are at most twice as many edges as events.
func realtimeEdges(events []event, p *part) {
	barrier := int32(0) // none yet
	var ended []int32
	for _, e := range events {
		if e.end {
			ended = append(ended, e.txn)
			continue
		}
		if len(ended) > 0 {
			next := p.hub()
			if barrier != 0 {
				p.add(barrier, next, pass)
			}
			for _, t := range ended {
				p.add(t, next, realtime)
			}
			barrier, ended = next, ended[:0]
		}
		if barrier != 0 {
			p.add(barrier, e.txn, pass)
		}
	}
}

// processEdges lead from each ok transaction to the next one of its process.
func processEdges(t *table, events []event, p *part) {
	last := map[history.Process]int32{}
	for _, e := range events {
		x := &t.txns[e.txn]
		switch {
		case e.end:
			last[x.process] = e.txn
		default:
			if before, ok := last[x.process]; ok {
				p.add(before, e.txn, process)
			}
		}
	}
}
