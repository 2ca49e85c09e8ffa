package checker

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// quietPoint is what the history says of faults, changes of what is declared, and the wait for convergence.
type quietPoint struct {
	windows []history.Window
	// at is when the last fault had healed and the last change was done; after names what that was.
	at    history.Moment
	after string
	// open are faults that nothing ended for certain.
	open []string
	// declared are operations that changed what is declared, or may have; unknown those of them whose outcome is not known.
	declared, unknown int64
	await, healthy    *history.Pair
	asked             history.Convergence
}

// quietOf finds the quiet point.
func quietOf(ctx context.Context, f *findings, src history.Source) (*quietPoint, error) {
	q := &quietPoint{after: "the beginning"}
	ws, err := history.Windows(src)
	if err != nil {
		return nil, fmt.Errorf("read the faults: %w", err)
	}
	q.windows = ws
	for i := range ws {
		switch w := &ws[i]; {
		case w.Skipped != "":
		case w.Open:
			q.open = append(q.open, fault(w))
		default:
			q.passed(w.StopComplete, "the last fault")
		}
	}
	n := 0
	for p, err := range history.Pairs(src) {
		if err != nil {
			return nil, fmt.Errorf("read the history: %w", err)
		}
		if n++; n&1023 == 0 && ctx.Err() != nil {
			f.unknown("%s", errStopped)
			return q, nil
		}
		if err := q.note(p); err != nil {
			return nil, err
		}
	}
	return q, nil
}

func (q *quietPoint) passed(m history.Moment, what string) {
	if m.Known && (!q.at.Known || m.Index > q.at.Index) {
		q.at, q.after = m, what
	}
}

func (q *quietPoint) note(p history.Pair) error {
	switch {
	case p.Invoke.Process == history.Nemesis && p.Invoke.F == history.FAwaitHealthy:
		q.healthy = &p
	case p.Invoke.Process == history.Nemesis && p.Invoke.F == history.FAwaitConverged:
		q.await = &p
		value := p.Invoke.Value
		if p.HasComplete && !isNull(p.Complete.Value) {
			value = p.Complete.Value
		}
		if err := json.Unmarshal(orNull(value), &q.asked); err != nil {
			return fmt.Errorf("%w: operation %d: a wait for convergence: %w", ErrMalformed, indexOf(p), err)
		}
	case p.Invoke.Process.IsClient() && p.Invoke.F != fRead && p.Outcome() != history.Fail:
		q.declared++
		last := p.Invoke
		if p.HasComplete {
			last = p.Complete
		}
		if p.Outcome() != history.OK {
			q.unknown++
		}
		q.passed(history.Moment{Known: true, Index: last.Index, Time: last.Time}, "the last change")
	}
	return nil
}

func orNull(v json.RawMessage) json.RawMessage {
	if v == nil {
		return json.RawMessage("null")
	}
	return v
}

// bound and hold are those of the wait; 0 where there was none.
func (q *quietPoint) bound() time.Duration { return time.Duration(q.asked.BoundMS) * time.Millisecond }

func (q *quietPoint) hold() time.Duration { return time.Duration(q.asked.HoldMS) * time.Millisecond }

// binds tells whether not to have converged within the bound is a violation.
func (q *quietPoint) binds() bool {
	return q.asked.Stated || q.asked.RetryMS > 0 && q.asked.BoundMS > q.asked.RetryMS
}

// over tells whether a sample is from after the quiet point.
func (q *quietPoint) over(index int64) bool { return !q.at.Known || index > q.at.Index }

// nextStart is when the next fault after t began, or later than everything.
func (q *quietPoint) nextStart(t time.Duration) time.Duration {
	next := time.Duration(never)
	for i := range q.windows {
		if w := &q.windows[i]; w.Skipped == "" && w.StartInvoke.Time > t {
			next = min(next, w.StartInvoke.Time)
		}
	}
	return next
}
