package main

import (
	"fmt"
	"sync"

	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/results"
)

// tallied is a history that is counted by whoever reads it first to its end, so that a large one need not be read once more for it.
type tallied struct {
	history.Source

	mu   sync.Mutex
	done *tally
}

// tally is what is told of every history beside its checkers' verdicts.
type tally struct {
	counts results.Counts
	// functions are how many operations of each function the clients invoked.
	functions map[string]int64
	// nemesis are the nemesis's operations.
	nemesis history.Slice
}

// Ops yields the operations of the source.
func (t *tallied) Ops() func(yield func(history.Op, error) bool) {
	return func(yield func(history.Op, error) bool) {
		own := tally{functions: map[string]int64{}}
		var f functionCount
		for op, err := range t.Source.Ops() {
			if err == nil {
				own.add(&op, &f)
			}
			if !yield(op, err) || err != nil {
				return
			}
		}
		f.into(own.functions)
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.done == nil {
			t.done = &own
		}
	}
}

// tally is what was counted; the source is read where nobody did to the end.
func (t *tallied) tally() (*tally, error) {
	t.mu.Lock()
	done := t.done
	t.mu.Unlock()
	if done != nil {
		return done, nil
	}
	for _, err := range t.Ops() {
		if err != nil {
			return nil, fmt.Errorf("count operations: %w", err)
		}
	}
	return t.done, nil
}

// functionCount counts invocations of one function, so that a map need not be asked for each.
type functionCount struct {
	name  string
	count int64
}

func (f *functionCount) into(all map[string]int64) {
	if f.count > 0 {
		all[f.name] += f.count
	}
	f.count = 0
}

func (t *tally) add(op *history.Op, f *functionCount) {
	if op.Process == history.Nemesis {
		t.nemesis = append(t.nemesis, *op)
	}
	if !op.Process.IsClient() {
		return
	}
	switch op.Type {
	case history.OK:
		t.counts.OK++
	case history.Fail:
		t.counts.Fail++
	case history.Info:
		t.counts.Info++
	case history.Invoke:
		if op.F != f.name {
			f.into(t.functions)
			f.name = op.F
		}
		f.count++
	}
}

// story lists the faults of a run, in order.
func (t *tally) story() ([]results.Fault, error) {
	windows, err := history.Windows(t.nemesis)
	if err != nil {
		return nil, fmt.Errorf("faults of the run: %w", err)
	}
	out := make([]results.Fault, 0, len(windows))
	for _, w := range windows {
		out = append(out, faultLine(w))
	}
	return out, nil
}
