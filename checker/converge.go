package checker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/faultline/faultline/harness/history"
)

// Names of anomalies that Converge gives, beside "slow": what is observed still changes, towards nothing that was seen before, and is past its bound.
const (
	anomalyStalled     = "stalled"
	anomalyOscillating = "oscillating"
	anomalyDivergent   = "divergent"
	anomalyOrphaned    = "orphaned"
	anomalyDuplicated  = "duplicated"
	anomalySlow        = "slow"
)

// ConvergeOptions say what converges.
type ConvergeOptions struct {
	// Rules tell what does not match in a view's objects.
	Rules history.Rules
	// Server is the component that the nodes' views are the caches of, as reports name it.
	Server string
}

// Converge judges whether what is observed follows what is declared: after the last fault has healed and the last change of what is
// declared it must match within a bound, and hold. It reads the samples (history.FSample), what clients declared, the faults, and
// the nemesis's history.FAwaitConverged, which has the bound. All functions of clients but read change what is declared.
//
// The time runs from the quiet point: the later of the end of the last fault and of the last operation that changes what is declared. The system
// converged if from some moment on all objects of the quorum's view match by the rules, and every server's view can be
// read, is not behind the quorum's, and shows nothing wrong that the quorum's does not, for as long as asked (less one interval between samples,
// which is as exact as samples are). An object that does not match at the end, when the bound is over, is
//
//   - orphaned, if its owner is gone or somebody's finalizer keeps it; duplicated, if it is one too many;
//   - oscillating, if states that it had in the quiet come again (A B A B, by its content without versions and generations);
//   - stalled, if neither it nor what it owns has changed for at least half of the bound;
//   - slow otherwise.
//
// A server's view that has been behind the quorum's for at least half of the bound at the end is divergent.
//
// These are violations only if the bound was the user's (Convergence.Stated) or exceeds the longest time after which the system
// tries again (RetryMS). Otherwise they are listed as allowed, and the verdict is Unknown, with the trend. Objects that were seen to be without the
// declared state of an operation of unknown outcome have the bound from then on.
//
// What ceases to match once everything had held within the wait has the bound from then on: sooner, it is Unknown.
//
// Whenever two views showed one kind at one revision they must have shown the same objects in the same versions: a comparison of
// one moment needs no time to come true. Once the quiet point is over and the system is well, an object that two views showed
// otherwise at one revision, twice in separate samples, is divergent whatever the bound; once only is Unknown. Before the quiet point
// it is listed as allowed: faults may have voided what the views rest on.
//
// Unknown is also: an incomplete history; faults not proved to have ended; a system that did not get well; views that can't be
// read; nothing declared; no samples; or, where the store is observed, a kind in which a view was never compared with it after the quiet point.
func Converge(o ConvergeOptions) (Checker, error) {
	if o.Rules == nil {
		return nil, errors.New("convergence needs rules that tell what matches")
	}
	if o.Server == "" {
		o.Server = "server"
	}
	return converge{o}, nil
}

type converge struct{ o ConvergeOptions }

func (converge) Name() string { return "convergence" }

func (c converge) Check(ctx context.Context, src history.Source, b Budget) (Result, error) {
	var f findings
	q, err := quietOf(ctx, &f, src)
	if err != nil {
		return Result{}, err
	}
	w := newWatching(c.o, q, b)
	if err := w.read(ctx, &f, src); err != nil {
		return Result{}, err
	}
	j := convergeJudge{f: &f, w: w, q: q, o: c.o, d: &ConvergeDetail{}, complete: src.Complete()}
	j.judge()
	return f.result(j.summary(), j.d)
}

// read takes in all samples.
func (w *watching) read(ctx context.Context, f *findings, src history.Source) error {
	n := 0
	for op, err := range src.Ops() {
		if err != nil {
			return fmt.Errorf("read the history: %w", err)
		}
		if n++; n&1023 == 0 && ctx.Err() != nil {
			f.unknown("%s", errStopped)
			break
		}
		if op.Process != history.Evidence || op.F != history.FSample {
			continue
		}
		var s history.Sample
		if err := json.Unmarshal(op.Value, &s); err != nil {
			return fmt.Errorf("%w: operation %d: a sample: %w", ErrMalformed, op.Index, err)
		}
		if s.View == "" || s.Kind == "" {
			return fmt.Errorf("%w: operation %d: a sample without a view or a kind", ErrMalformed, op.Index)
		}
		if !w.add(&op, &s) {
			f.unknown("out of memory while reading the samples, at operation %d", op.Index)
			break
		}
	}
	w.finish()
	return nil
}
