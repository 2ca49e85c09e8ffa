package main

import (
	"cmp"
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

// judge runs the checkers over a history and composes what they say. asked says that they were asked for by name, and that they must therefore know
// what the history has.
func judge(ctx context.Context, src history.Source, checkers []checker.Checker, asked asking) (results.Results, error) {
	watch := startWatch()
	counted := &tallied{Source: src}
	found, err := checker.Run(ctx, counted, checkers, checker.Budget{Time: checkTime, MemoryBytes: checkMemoryBytes})
	if err != nil && asked != notAsked {
		// Values that make no sense to a checker are best explained by functions that it does not know.
		if t, countErr := counted.tally(); countErr == nil {
			err = cmp.Or(unknown(checkers, t, asked), err)
		}
	}
	if err != nil {
		return results.Results{}, fmt.Errorf("check: %w", err)
	}
	t, err := counted.tally()
	if err != nil {
		return results.Results{}, err
	}
	if err := unknown(checkers, t, asked); err != nil {
		return results.Results{}, err
	}
	r := results.Results{Complete: src.Complete(), Checkers: found, Counts: t.counts}
	r.Verdict = checker.Overall(found)
	if !src.Complete() {
		// What was lost may have held a violation: a prefix can convict, never acquit.
		r.Verdict = checker.Compose(r.Verdict, checker.Unknown)
	}
	if r.Faults, err = t.story(); err != nil {
		return results.Results{}, err
	}
	r.Elapsed.Check = watch.elapsed()
	return r, nil
}

// asking is how the checkers of a history were chosen.
type asking uint8

const (
	notAsked    asking = iota // they are those of the history's own workload
	askedOfRun                // by name, for a run of a workload that has others as well
	askedOfFile               // by name, for a file of which nothing else is known
)

// unknown refuses checkers that were asked about operations that they do not know.
func unknown(checkers []checker.Checker, t *tally, asked asking) error {
	if asked == notAsked {
		return nil
	}
	if err := checker.Ask(checkers, t.functions, asked == askedOfFile); err != nil {
		return usageError{err}
	}
	return nil
}
