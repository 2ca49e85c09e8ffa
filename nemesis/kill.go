package nemesis

import (
	"context"
	"fmt"
	"slices"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/harness/history"
)

// kill ends processes with SIGKILL and starts them again. Start's proof: the very process that ran is gone. Stop's: another one
// runs in its place.
type kill struct {
	strike
	// moves are how often each process had been moved when it was killed; see force.moves.
	moves map[process]int
	// holds are the processes that are to stay dead until stop, whoever else would start them.
	holds []process
	// released are those that it held, once stop was called.
	released []process
}

// anyTarget are the targets that a bare kill or pause draws from.
var anyTarget = []string{"one", "minority", "majority", "leader", all}

func newKill(s Scope, words choice) (action, error) {
	k, err := newStrike("kill", s, words, s.Components, anyTarget)
	return &kill{strike: k}, err
}

func (k *kill) start(ctx context.Context, f *field, fault *history.Fault) error {
	if err := k.aim(ctx, f, fault, running, stopped); err != nil {
		return err
	}
	proof, err := k.end(ctx, f)
	fault.Proof = encode(proof)
	return err
}

// end kills the processes that are hit.
func (k *kill) end(ctx context.Context, f *field) (StrikeProof, error) {
	k.moves = map[process]int{}
	for _, h := range k.hit {
		k.moves[h.process()] = f.force.moves[h.process()]
		if !slices.Contains(k.holds, h.process()) {
			k.holds = append(k.holds, h.process())
		}
	}
	for _, p := range k.holds {
		f.force.held[p]++
	}
	return k.signal(ctx, f, control.SIGKILL, exited)
}

func (k *kill) stop(ctx context.Context, f *field, fault *history.Fault) error {
	proof, err := k.restart(ctx, f)
	fault.Proof = encode(proof)
	return err
}

// restart starts what was killed, but for what another fault holds: that one starts it. All nodes at once: a system that lost its majority
// is not well before that many are back. On one node in the order of the names.
func (k *kill) restart(ctx context.Context, f *field) (StrikeProof, error) {
	proof := StrikeProof{Processes: k.hit}
	before, err := k.lookAgain(ctx, f)
	if err != nil {
		return proof, err
	}
	for i, h := range k.hit {
		// One that another fault moved runs since then, by that.
		moved := f.force.moves[h.process()] > k.moves[h.process()]
		if !k.mended[h.process()] && !moved && before[i].Status == running && !same(h.Before, before[i]) {
			proof.UndoneByWatchdog = append(proof.UndoneByWatchdog, h.Node)
		}
	}
	proof.UndoneByWatchdog = slices.Compact(proof.UndoneByWatchdog)
	due := k.release(f.force)
	if err := k.startAgain(ctx, f, due); err != nil {
		return proof, fmt.Errorf("start %s again: %w", k.what(), err)
	}
	now, err := k.lookAgain(ctx, f)
	if err != nil {
		return proof, err
	}
	var bad []string
	for i := range k.hit {
		h := &k.hit[i]
		h.Now, k.mended[h.process()] = now[i], true
		if slices.Contains(due, h.process()) && (h.Now.Status != running || same(h.Before, h.Now)) {
			bad = append(bad, k.describe(*h))
		}
	}
	switch {
	case len(proof.UndoneByWatchdog) > 0:
		return proof, doubt("on %v %s ran again before it was to be started", proof.UndoneByWatchdog, k.what())
	case len(bad) > 0:
		return proof, doubt("%s should run as a new process: %v", k.what(), bad)
	}
	return proof, nil
}

// release lets go of what this fault holds, and tells what is to be started: what it killed, and what others left to it.
func (k *kill) release(f *force) (due []process) {
	for _, p := range k.holds {
		f.held[p]--
	}
	for _, h := range k.hit {
		if !k.mended[h.process()] {
			f.owed[h.process()] = true
		}
	}
	k.released = append(k.released, k.holds...)
	k.holds = nil
	for _, p := range k.released {
		if f.held[p] == 0 && f.owed[p] {
			due = append(due, p)
		}
	}
	return due
}

func (k *kill) startAgain(ctx context.Context, f *field, due []process) error {
	var nodes []string
	for _, p := range due {
		if !slices.Contains(nodes, p.node) {
			nodes = append(nodes, p.node)
		}
	}
	err := f.each(nodes, func(_ int, n harness.Node) error {
		for _, name := range k.names {
			if !slices.Contains(due, process{n.Name(), name}) {
				continue
			}
			if err := f.System.StartComponent(ctx, n.Name(), name); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		for _, p := range due {
			delete(f.force.owed, p)
		}
	}
	return err
}
