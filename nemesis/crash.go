package nemesis

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// crash kills the leader of a component right after its n-th write: in the middle of what it had begun. Start's proof is that of a kill,
// with the write; so is stop's.
type crash struct{ kill }

// CrashProof is its Proof.
type CrashProof struct {
	StrikeProof
	// Write is the last one before the end.
	Write string `json:"write,omitempty"`
}

func newCrash(s Scope, words choice) (action, error) {
	var can []string
	for _, w := range s.Writers {
		if slices.Contains(s.Components, w) && slices.Contains(s.Electing, w) {
			can = append(can, w)
		}
	}
	switch c := words[component]; {
	case len(can) == 0:
		return nil, refuse(ErrImpossible, "crash-mid-reconcile needs a system that can tell when the leader of a component writes")
	case c != "" && !slices.Contains(can, c):
		return nil, refuse(ErrImpossible, "crash-mid-reconcile can't tell when the leader of %s writes: only that of %v", c, can)
	}
	k, err := newStrike("crash-mid-reconcile", s, choice{target: "leader", component: words[component]}, can[:1], nil)
	return &crash{kill{strike: k}}, err
}

func (c *crash) draw(d deck, i int) ([]string, Draw) {
	return []string{c.names[0]}, Draw{Order: d.order(i, c.scope.Nodes), N: d.number("writes", i, changesMax)}
}

// start finds out whom to kill before it waits, so that little is to be asked any more when the write comes.
func (c *crash) start(ctx context.Context, f *field, fault *history.Fault) error {
	var d Draw
	if err := json.Unmarshal(fault.Detail, &d); err != nil || d.N < 1 {
		return skip("its choices can't be read: %s, %v", fault.Detail, err)
	}
	writer, ok := f.System.(harness.WriteWatcher)
	if !ok {
		return skip("%s can't tell what its components write", f.System.Name())
	}
	if err := c.aim(ctx, f, fault, running); err != nil {
		return err
	}
	trigger := c.trigger(ctx, f, d.N)
	defer trigger()
	waiting, cancel := context.WithTimeout(ctx, f.wait)
	defer cancel()
	what, err := writer.AwaitWrite(waiting, c.names[0], d.N)
	if err != nil {
		c.hit, fault.Nodes = nil, nil
		return skip("%s did not write %d times within %v: %v", c.names[0], d.N, f.wait, err)
	}
	// One that loses its lease ends by itself, and another process is in its place.
	now, err := c.lookAgain(ctx, f)
	if err == nil && !same(c.hit[0].Before, now[0]) {
		err = errors.New("it ended and was started again")
	}
	if err != nil {
		c.hit, fault.Nodes = nil, nil
		return skip("the leader of %s before its write is not known to be there any more: %v", c.names[0], err)
	}
	proof, err := c.end(ctx, f)
	fault.Proof = encode(CrashProof{proof, what})
	return err
}

// trigger churns objects, where that can be done, if nobody has given the component a reason to write for half of the time. Call done when
// the write has come or comes no more: what was begun is brought to its end. An object gives reason for one write or more, unless it is gone
// before it was seen: hence twice as many as writes are awaited.
func (c *crash) trigger(ctx context.Context, f *field, n int) (done func()) {
	churner, ok := f.System.(harness.Churner)
	if !ok {
		return func() {}
	}
	return after(ctx, f.wait/2, func() {
		ctx, cancel := context.WithTimeout(ctx, f.wait)
		defer cancel()
		_, _ = churner.Churn(ctx, 2*n) // if it fails, no write comes
	})
}

func (c *crash) stop(ctx context.Context, f *field, fault *history.Fault) error {
	proof, err := c.restart(ctx, f)
	fault.Proof = encode(proof)
	return err
}

// after does something when a time is over, unless its context ends or stop is called before. stop waits until it is done.
func after(ctx context.Context, d time.Duration, do func()) (stop func()) {
	waiting, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if elapsed(waiting, d) {
			do()
		}
	}()
	return func() {
		cancel()
		<-done
	}
}
