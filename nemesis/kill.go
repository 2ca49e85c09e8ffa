package nemesis

import (
	"context"
	"fmt"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/harness/history"
)

// kill ends processes with SIGKILL and starts them again. Start's proof: the very process that ran is gone. Stop's: another one
// runs in its place.
type kill struct{ strike }

func newKill(s Scope, words choice) (action, error) {
	k, err := newStrike("kill", s, words)
	return &kill{k}, err
}

func (k *kill) start(ctx context.Context, f *field, fault *history.Fault) error {
	if err := k.aim(ctx, f, fault, running, stopped); err != nil {
		return err
	}
	return k.signal(ctx, f, fault, control.SIGKILL, exited)
}

// stop starts what was killed. All at once: a system that lost its majority is not well before that many are back.
func (k *kill) stop(ctx context.Context, f *field, fault *history.Fault) error {
	nodes := k.nodes()
	found, err := k.look(ctx, f, nodes)
	if err != nil {
		return fmt.Errorf("list the processes: %w", err)
	}
	proof := StrikeProof{}
	for i, node := range nodes {
		if !k.mended[node] && found[i].Status == running && !same(k.hit[i].Before, found[i]) {
			proof.UndoneByWatchdog = append(proof.UndoneByWatchdog, node)
		}
	}
	err = f.each(nodes, func(_ int, n harness.Node) error {
		return f.System.StartComponent(ctx, n.Name(), k.component)
	})
	if err != nil {
		return fmt.Errorf("start %s again: %w", k.component, err)
	}
	if found, err = k.look(ctx, f, nodes); err != nil {
		return fmt.Errorf("list the processes: %w", err)
	}
	var bad []string
	for i, node := range nodes {
		k.mended[node] = true
		k.hit[i].Now = found[i]
		if found[i].Status != running || same(k.hit[i].Before, found[i]) {
			bad = append(bad, fmt.Sprintf("%s %s", node, describe(found[i])))
		}
	}
	proof.Processes = k.hit
	fault.Proof = encode(proof)
	switch {
	case len(proof.UndoneByWatchdog) > 0:
		return doubt("on %v %s ran again before it was to be started", proof.UndoneByWatchdog, k.component)
	case len(bad) > 0:
		return doubt("%s should run as a new process: %v", k.component, bad)
	}
	return nil
}
