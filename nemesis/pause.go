package nemesis

import (
	"context"
	"fmt"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/harness/history"
)

// pause freezes processes with SIGSTOP and lets them go on with SIGCONT. Start's proof: the kernel shows the process as stopped.
// Stop's: it was still stopped, and runs now.
type pause struct{ strike }

func newPause(s Scope, words choice) (action, error) {
	k, err := newStrike("pause", s, words)
	return &pause{k}, err
}

func (p *pause) start(ctx context.Context, f *field, fault *history.Fault) error {
	if err := p.aim(ctx, f, fault, running); err != nil {
		return err
	}
	return p.signal(ctx, f, fault, control.SIGSTOP, stopped)
}

func (p *pause) stop(ctx context.Context, f *field, fault *history.Fault) error {
	nodes := p.nodes()
	found, err := p.look(ctx, f, nodes)
	if err != nil {
		return fmt.Errorf("list the processes: %w", err)
	}
	proof := StrikeProof{}
	continued := make([]bool, len(nodes))
	err = f.each(nodes, func(i int, n harness.Node) error {
		// A process that another fault ended meanwhile is not this one's to continue.
		if found[i].Status != stopped || !same(p.hit[i].Before, found[i]) {
			p.hit[i].Now = found[i]
			return nil
		}
		now, err := n.Signal(ctx, p.component, control.SIGCONT)
		if err == nil {
			p.hit[i].Now, continued[i] = now, true
		}
		return err
	})
	var bad []string
	for i, node := range nodes {
		now := p.hit[i].Now
		p.mended[node] = p.mended[node] || continued[i]
		switch {
		case now.Status == exited || !same(p.hit[i].Before, now): // ended meanwhile
		case !p.mended[node] && now.Status == running:
			proof.UndoneByWatchdog = append(proof.UndoneByWatchdog, node)
		case now.Status != running:
			bad = append(bad, fmt.Sprintf("%s %s", node, describe(now)))
		}
	}
	proof.Processes = p.hit
	fault.Proof = encode(proof)
	switch {
	case err != nil:
		return fmt.Errorf("send SIGCONT to %s: %w", p.component, err)
	case len(proof.UndoneByWatchdog) > 0:
		return doubt("on %v %s ran again before it was to be continued", proof.UndoneByWatchdog, p.component)
	case len(bad) > 0:
		return doubt("%s should run again: %v", p.component, bad)
	}
	return nil
}
