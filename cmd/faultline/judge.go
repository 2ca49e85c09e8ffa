package main

import (
	"context"
	"fmt"
	"time"

	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/results"
)

// Budgets of a whole check. A checker that needs more says Unknown.
const (
	checkTime        = 5 * time.Minute
	checkMemoryBytes = 4 << 30
)

// commonCheckers are those that every run has beside its workload's own.
func commonCheckers(min checker.Minimum, requested []string) []checker.Checker {
	return []checker.Checker{
		checker.Stats(),
		checker.Errors(),
		checker.Logs(),
		checker.Members(),
		checker.Availability(),
		checker.Exercise(min, requested),
	}
}

// judge runs the checkers over a history and composes what they say.
func judge(ctx context.Context, src history.Source, checkers []checker.Checker) (results.Results, error) {
	watch := startWatch()
	found, err := checker.Run(ctx, src, checkers, checker.Budget{Time: checkTime, MemoryBytes: checkMemoryBytes})
	if err != nil {
		return results.Results{}, fmt.Errorf("check: %w", err)
	}
	r := results.Results{Complete: src.Complete(), Checkers: found}
	r.Verdict = checker.Overall(found)
	if !src.Complete() {
		// What was lost may have held a violation: a prefix can convict, never acquit.
		r.Verdict = checker.Compose(r.Verdict, checker.Unknown)
	}
	if r.Counts, err = count(src); err != nil {
		return results.Results{}, err
	}
	if r.Faults, err = story(src); err != nil {
		return results.Results{}, err
	}
	r.Elapsed.Check = watch.elapsed()
	return r, nil
}

func count(src history.Source) (results.Counts, error) {
	var c results.Counts
	for op, err := range src.Ops() {
		if err != nil {
			return c, fmt.Errorf("count operations: %w", err)
		}
		if !op.Process.IsClient() {
			continue
		}
		switch op.Type {
		case history.OK:
			c.OK++
		case history.Fail:
			c.Fail++
		case history.Info:
			c.Info++
		case history.Invoke:
		}
	}
	return c, nil
}

// story lists the faults of a run, in order.
func story(src history.Source) ([]results.Fault, error) {
	windows, err := history.Windows(src)
	if err != nil {
		return nil, fmt.Errorf("faults of the run: %w", err)
	}
	out := make([]results.Fault, 0, len(windows))
	for _, w := range windows {
		out = append(out, faultLine(w))
	}
	return out, nil
}
