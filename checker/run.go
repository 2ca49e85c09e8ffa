package checker

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// defaultMemoryBytes is what a check may use where its budget does not say.
const defaultMemoryBytes = 1 << 30

// Run judges a history by several checkers at the same time, all of them within the total budget, and returns their results
// in the order of the checkers. One checker alone reads the source as it goes; for several it is kept in memory where a quarter of the budget
// suffices for that. A zero Time sets no limit; a zero MemoryBytes means 1 GiB.
//
// A checker that panics is Unknown, with the panic as its reason: one broken checker must not hide what
// another one found. An error is the harness's (a history that can't be read); the results of the
// checkers that did not fail are returned with it.
func Run(ctx context.Context, src history.Source, checkers []Checker, total Budget) ([]Result, error) {
	if total.MemoryBytes <= 0 {
		total.MemoryBytes = defaultMemoryBytes
	}
	if total.Time > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, total.Time)
		defer cancel()
	}
	if len(checkers) > 1 {
		src = keep(ctx, src, total.MemoryBytes/4)
	}

	workers := min(runtime.GOMAXPROCS(0), max(1, len(checkers)))
	each := Budget{Time: total.Time, MemoryBytes: total.MemoryBytes / 4 * 3 / int64(workers)}
	results := make([]Result, len(checkers))
	errs := make([]error, len(checkers))
	next := make(chan int)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range next {
				results[i], errs[i] = checkOne(ctx, src, checkers[i], each)
			}
		})
	}
	for i := range checkers {
		next <- i
	}
	close(next)
	wg.Wait()
	return results, errors.Join(errs...)
}

// Overall composes the verdicts of results.
func Overall(results []Result) Verdict {
	vs := make([]Verdict, len(results))
	for i, r := range results {
		vs[i] = r.Verdict
	}
	return Compose(vs...)
}

// checkOne runs one checker, measures it, and turns its panic into a reason.
func checkOne(ctx context.Context, src history.Source, c Checker, b Budget) (r Result, err error) {
	began := now()
	defer func() {
		if p := recover(); p != nil {
			r = Result{Verdict: Unknown, Reasons: []string{fmt.Sprintf("the checker panicked: %v at %s", p, panicSite(debug.Stack()))}}
			err = nil
		}
		r.Checker, r.Elapsed = c.Name(), now().Sub(began)
		if r.Verdict == Unknown && len(r.Reasons) == 0 {
			r.Reasons = []string{"the checker gave no reason"}
		}
	}()
	if r, err = c.Check(ctx, src, b); err != nil {
		r = Result{Verdict: Unknown, Reasons: []string{err.Error()}}
		err = fmt.Errorf("check %s: %w", c.Name(), err)
	}
	return r, err
}

// panicSite is the first frame of this module below the panic, for a reason that can be acted on.
func panicSite(stack []byte) string {
	lines := strings.Split(string(stack), "\n")
	for i, l := range lines {
		if !strings.HasPrefix(l, "panic(") {
			continue
		}
		for _, l := range lines[i+2:] {
			if strings.HasPrefix(l, "\t") && strings.Contains(l, ".go:") {
				at, _, _ := strings.Cut(strings.TrimSpace(l), " ")
				return at[strings.LastIndexByte(at, '/')+1:]
			}
		}
	}
	return "an unknown place"
}

// kept is a history that was read once and stays in memory for all checkers, in pieces, so that nothing has to be copied as it grows.
type kept struct {
	pieces   [][]history.Op
	complete bool
}

func (k *kept) Complete() bool { return k.complete }

func (k *kept) Ops() func(yield func(history.Op, error) bool) {
	return func(yield func(history.Op, error) bool) {
		for _, piece := range k.pieces {
			for i := range piece {
				if !yield(piece[i], nil) {
					return
				}
			}
		}
	}
}

const pieceOps = 4096

func (k *kept) add(op history.Op) {
	last := len(k.pieces) - 1
	if last < 0 || len(k.pieces[last]) == pieceOps {
		k.pieces = append(k.pieces, make([]history.Op, 0, pieceOps))
		last++
	}
	k.pieces[last] = append(k.pieces[last], op)
}

// keep reads src into memory if it fits, so that it is decoded once and not once for each
// checker. A history that is too large, or that can't be read, is left for the checkers to read.
func keep(ctx context.Context, src history.Source, bytesMax int64) history.Source {
	switch src.(type) {
	case history.Slice, *history.Memory:
		return src
	}
	const opBytes = 144 // an Op, and a little for its names, which are shared
	var (
		all  = &kept{complete: src.Complete()}
		size int64
	)
	for op, err := range src.Ops() {
		if err != nil || ctx.Err() != nil {
			return src
		}
		if size += opBytes + int64(len(op.Value)+len(op.Error)); size > bytesMax {
			return src
		}
		all.add(op)
	}
	return all
}

// now is the wall clock, for Result.Elapsed alone: no verdict depends on it.
func now() time.Time { return time.Now() } //nolint:forbidigo // the one place of this package that measures
