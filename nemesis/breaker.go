package nemesis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// Bounds of what the nemesis does.
const (
	// actTimeout bounds the start or stop of a fault.
	actTimeout = 30 * time.Second
	// waitMax bounds how long a fault waits for its moment, and for its effect to show: while it does, no other fault starts or stops.
	waitMax = 10 * time.Second
	// healTimeout bounds the heal operation.
	healTimeout = time.Minute
)

// Healed is the value of a heal's completion.
type Healed struct {
	// Faults were still in force and are undone, with their proofs as at a stop.
	Faults []history.Fault `json:"faults,omitempty"`
	// Undone is what each node undid beside.
	Undone map[string][]string `json:"undone,omitempty"`
}

// inForce is a fault that was started and is not known to be undone.
type inForce struct {
	action action
	fault  history.Fault
}

// breaker is the Nemesis: it performs one operation at a time, and remembers what is in force.
type breaker struct {
	field
	// turn is taken by whoever acts.
	turn chan struct{}
	// inForce is owned by the one whose turn it is.
	inForce map[string]*inForce

	mu sync.Mutex
	// cancel ends the operation that is being performed; healers counts those who wait to heal.
	cancel  context.CancelFunc
	healers int
}

func newBreaker(env Env, s Scope, o Options) *breaker {
	probe := time.Second
	if o.Interval > 0 {
		// A fault lasts half of its interval: the proof should take a small part of that.
		probe = min(probe, max(o.Interval/10, 200*time.Millisecond))
	}
	return &breaker{
		field:   field{Env: env, scope: s, probe: probe, count: 2 * probe, wait: waitMax, force: newForce()},
		turn:    make(chan struct{}, 1),
		inForce: map[string]*inForce{},
	}
}

// Invoke performs an operation of the nemesis and returns its completion.
func (b *breaker) Invoke(ctx context.Context, op history.Op) history.Op {
	if err := b.take(ctx); err != nil {
		return complete(op, skip("its turn did not come: %v", err))
	}
	defer b.give()
	ctx, cancel := b.interruptible(ctx)
	defer cancel()

	switch op.F {
	case history.FHeal:
		return b.invokeHeal(ctx, op)
	case history.FAwaitHealthy:
		return b.invokeAwait(ctx, op)
	case history.FAwaitConverged:
		return b.invokeAwaitConverged(ctx, op)
	case history.FMembers:
		return b.invokeMembers(ctx, op)
	case history.FFinalReads:
		return complete(op, nil)
	}
	if family, start, ok := history.FamilyOf(op.F); ok {
		return b.invokeFault(ctx, op, family, start)
	}
	return complete(op, skip("the nemesis does not know the function %q", op.F))
}

// take waits for the turn to act.
func (b *breaker) take(ctx context.Context) error {
	select {
	case b.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *breaker) give() { <-b.turn }

// interruptible is the context of an operation that whoever comes to heal may end.
func (b *breaker) interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cancel = cancel
	if b.healers > 0 {
		cancel()
	}
	return ctx, cancel
}

// interrupt ends the operation that is being performed, and any that begins before done is called.
func (b *breaker) interrupt() (done func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.healers++
	if b.cancel != nil {
		b.cancel()
	}
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.healers--
	}
}

func complete(op history.Op, err error) history.Op {
	op.Type = outcome(err)
	op.Error = ""
	if err != nil {
		op.Error = oneLine(err)
	}
	return op
}

func (b *breaker) invokeFault(ctx context.Context, op history.Op, family string, start bool) history.Op {
	ctx, cancel := context.WithTimeout(ctx, actTimeout)
	defer cancel()
	var fault history.Fault
	if err := json.Unmarshal(op.Value, &fault); err != nil {
		return complete(op, skip("its value is not a fault: %v", err))
	}
	fault.Family = family
	var err error
	if start {
		err = b.start(ctx, &fault)
	} else {
		err = b.stop(ctx, &fault)
	}
	op.Value = encode(fault)
	return complete(op, err)
}

func (b *breaker) start(ctx context.Context, fault *history.Fault) error {
	if ctx.Err() != nil {
		return skip("the run is ending: %v", ctx.Err())
	}
	if fault.ID == "" || b.inForce[fault.ID] != nil {
		return skip("a fault needs an id of its own, and %q is none", fault.ID)
	}
	var words []string
	if fault.Variant != "" {
		words = strings.Split(fault.Variant, "+")
	}
	a, err := prepare(fault.Family, words, b.scope)
	if err != nil {
		return skip("%v", err)
	}
	// Remembered before it acts: what was begun must be undone however it ends.
	b.inForce[fault.ID] = &inForce{a, *fault}
	err = a.start(ctx, &b.field, fault)
	if isMoot(err) {
		delete(b.inForce, fault.ID)
		return err
	}
	b.inForce[fault.ID].fault = *fault
	return err
}

func (b *breaker) stop(ctx context.Context, fault *history.Fault) error {
	in := b.inForce[fault.ID]
	if in == nil {
		return skip("%q is not in force", fault.ID)
	}
	*fault = in.fault
	err := in.action.stop(ctx, &b.field, fault)
	if undone(err) {
		delete(b.inForce, fault.ID)
	}
	return err
}

func (b *breaker) invokeHeal(ctx context.Context, op history.Op) history.Op {
	ctx, cancel := context.WithTimeout(ctx, healTimeout)
	defer cancel()
	healed, err := b.heal(ctx)
	op.Value = encode(healed)
	return complete(op, err)
}

// Heal undoes every fault that is in force or may be, on every node, whatever fails on one. It ends an operation that
// is being performed, and takes its turn. Safe to call at any time, more than once.
func (b *breaker) Heal(ctx context.Context) error {
	defer b.interrupt()()
	if err := b.take(ctx); err != nil {
		return fmt.Errorf("heal: the nemesis is still busy: %w", err)
	}
	defer b.give()
	_, err := b.heal(ctx)
	return err
}

// heal stops each fault in force, which gives its proof, and then has every node undo whatever is left.
func (b *breaker) heal(ctx context.Context) (Healed, error) {
	var healed Healed
	first, cancel := share(ctx, actTimeout)
	defer cancel()
	for _, id := range slices.Sorted(maps.Keys(b.inForce)) {
		fault := b.inForce[id].fault
		if err := b.stop(first, &fault); undone(err) {
			healed.Faults = append(healed.Faults, fault)
		}
	}

	names := b.scope.Nodes
	left := make([][]string, len(names))
	err := b.each(names, func(i int, n harness.Node) (err error) {
		left[i], err = n.Heal(ctx)
		return err
	})
	for i, name := range names {
		if len(left[i]) > 0 {
			if healed.Undone == nil {
				healed.Undone = map[string][]string{}
			}
			healed.Undone[name] = left[i]
		}
	}
	// What could not be stopped above: a node that has healed itself since can be asked again, a killed process is
	// started again here.
	var again []error
	for _, id := range slices.Sorted(maps.Keys(b.inForce)) {
		fault := b.inForce[id].fault
		if e := b.stop(ctx, &fault); !undone(e) {
			again = append(again, fmt.Errorf("%s: %w", id, e))
			continue
		}
		fault.Proof = nil
		healed.Faults = append(healed.Faults, fault)
	}
	if err = errors.Join(append([]error{err}, again...)...); err != nil {
		return healed, fmt.Errorf("heal: %w", err)
	}
	return healed, nil
}
