package nemesis

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// Bounds of the waits.
const (
	// membersTimeout bounds how long members are asked until they can be compared.
	membersTimeout = 10 * time.Second
	// awaitDefault is the bound of an await-healthy that names none.
	awaitDefault = time.Minute
)

// Await is the value of an await-healthy operation.
type Await struct {
	// BoundMS is how long to wait, in milliseconds.
	BoundMS int64 `json:"bound_ms"`
	// Healthy is in the completion: every member was well within the bound. If not, Error says what was not.
	Healthy bool `json:"healthy,omitempty"`
}

func (b *breaker) invokeAwait(ctx context.Context, op history.Op) history.Op {
	await := Await{BoundMS: awaitDefault.Milliseconds()}
	if len(op.Value) > 0 {
		if err := json.Unmarshal(op.Value, &await); err != nil {
			return complete(op, skip("its value is not a bound: %v", err))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(await.BoundMS)*time.Millisecond)
	defer cancel()
	err := b.System.AwaitHealthy(ctx)
	await.Healthy = err == nil
	op.Value = encode(await)
	if err != nil {
		err = fmt.Errorf("not healthy within %d ms: %w", await.BoundMS, err)
	}
	return complete(op, err)
}

// invokeMembers asks the members until they can be compared: each answered, and their revisions and compacted revisions
// agree. It gives the last answer anyway; whether unequal ones are a violation is the checker's business.
func (b *breaker) invokeMembers(ctx context.Context, op history.Op) history.Op {
	m, ok := b.System.(harness.Membership)
	if !ok {
		return complete(op, skip("%s has no members to compare", b.System.Name()))
	}
	bounded, cancel := context.WithTimeout(ctx, membersTimeout)
	defer cancel()
	var last []history.MemberState
	var err error
	_, _ = until(bounded, 10*pollEvery, func() (bool, error) {
		var states []history.MemberState
		if states, err = m.Members(bounded); err == nil || last == nil {
			last = states
		}
		return err == nil && comparable(states), nil
	})
	op.Value = encode(last)
	if last == nil && err != nil {
		return complete(op, fmt.Errorf("ask the members: %w", err))
	}
	return complete(op, nil)
}

func comparable(states []history.MemberState) bool {
	for _, s := range states {
		if s.Error != "" || s.Revision != states[0].Revision || s.CompactRevision != states[0].CompactRevision {
			return false
		}
	}
	return true
}

// mismatchesMax bounds what of a state that did not converge is kept in the history.
const mismatchesMax = 50

// invokeAwaitConverged waits until what is observed has matched what is declared for as long as is asked. Not to converge is
// an outcome like another: whether it is a violation is the checker's business.
func (b *breaker) invokeAwaitConverged(ctx context.Context, op history.Op) history.Op {
	var c history.Convergence
	if err := json.Unmarshal(op.Value, &c); err != nil {
		return complete(op, skip("its value is no bound and hold: %v", err))
	}
	system, ok := b.System.(harness.Converger)
	if !ok {
		return complete(op, skip("%s has no declared state to converge to", b.System.Name()))
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(c.BoundMS)*time.Millisecond)
	defer cancel()
	mismatches, err := system.AwaitConverged(ctx, time.Duration(c.HoldMS)*time.Millisecond)
	switch {
	case err != nil:
		err = fmt.Errorf("not converged within %d ms: %w", c.BoundMS, err)
	case len(mismatches) > 0:
		m := mismatches[0]
		err = fmt.Errorf("not converged within %d ms: %d mismatches, as %s %s: %s", c.BoundMS, len(mismatches), m.Kind, m.Name, m.Why)
	case ctx.Err() != nil:
		err = fmt.Errorf("not converged within %d ms: it matched at the end, but not yet for %d ms", c.BoundMS, c.HoldMS)
	}
	c.Converged = err == nil
	c.Mismatches = mismatches[:min(len(mismatches), mismatchesMax)]
	op.Value = encode(c)
	return complete(op, err)
}
