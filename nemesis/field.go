package nemesis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/faultline/faultline/harness"
)

// field is where faults act: the Env of a run, and the bounds of the proofs.
type field struct {
	Env
	scope Scope
	// probe bounds one connection attempt through a cut; count, how long counters may take to show the effect.
	probe, count time.Duration
	// wait is how long a fault may wait for its moment, or for its effect to show.
	wait time.Duration
	// force is what the faults in force do that others must know of. It belongs to whoever's turn it is.
	force *force
}

// force is what faults do that may overlap.
type force struct {
	// moves counts how often a fault started a process again at another server: whoever killed it finds it running.
	moves map[process]int
	// held counts the faults that keep a process dead, and owed are those that one of them would have started, had no other held them.
	held map[process]int
	owed map[process]bool
	// cut are the links inside of nodes that are cut: "n1 apiserver-etcd", and by which fault.
	cut map[string]string
}

func newForce() *force {
	return &force{map[process]int{}, map[process]int{}, map[process]bool{}, map[string]string{}}
}

func (f *field) node(name string) (harness.Node, error) {
	for _, n := range f.Nodes {
		if n.Name() == name {
			return n, nil
		}
	}
	return nil, fmt.Errorf("no node %q in this run (it has %v)", name, f.scope.Nodes)
}

// each does something on several nodes at once, on all of them whatever happens on one, and joins the errors.
func (f *field) each(names []string, do func(i int, n harness.Node) error) error {
	errs := make([]error, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		n, err := f.node(name)
		if err != nil {
			errs[i] = err
			continue
		}
		wg.Go(func() {
			if err := do(i, n); err != nil {
				errs[i] = fmt.Errorf("node %s: %w", name, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// leaderTimeout bounds the question who leads: where nobody answers, nobody leads.
const leaderTimeout = 5 * time.Second

// leader asks the system for its leader; that there is none makes the fault moot.
func (f *field) leader(ctx context.Context) (string, error) { return f.leaderOf(ctx, "") }

// leaderOf asks for the leader of a component; for one that elects none, for the system's.
func (f *field) leaderOf(ctx context.Context, component string) (string, error) {
	var ask func(context.Context) (string, error)
	if l, ok := f.System.(harness.Leader); ok {
		ask = l.Leader
	}
	if l, ok := f.System.(harness.ComponentLeader); ok && slices.Contains(f.scope.Electing, component) {
		ask = func(ctx context.Context) (string, error) { return l.LeaderOf(ctx, component) }
	}
	if ask == nil {
		return "", skip("%s can't tell its leader", f.System.Name())
	}
	ctx, cancel := context.WithTimeout(ctx, leaderTimeout)
	defer cancel()
	name, err := ask(ctx)
	if err != nil {
		return "", skip("no leader is known: %v", err)
	}
	if _, err := f.node(name); err != nil {
		return "", skip("the leader %q is no node of this run", name)
	}
	return name, nil
}

func encode(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		// Only a type that can't be JSON gets here: a mistake in this package.
		panic(err)
	}
	return b
}
