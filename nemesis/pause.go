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
	k, err := newStrike("pause", s, words, s.Components, anyTarget)
	return &pause{k}, err
}

func (p *pause) start(ctx context.Context, f *field, fault *history.Fault) error {
	if err := p.aim(ctx, f, fault, running); err != nil {
		return err
	}
	proof, err := p.signal(ctx, f, control.SIGSTOP, stopped)
	fault.Proof = encode(proof)
	return err
}

func (p *pause) stop(ctx context.Context, f *field, fault *history.Fault) error {
	proof, err := p.resume(ctx, f)
	fault.Proof = encode(proof)
	return err
}

// resume lets go on what is still stopped.
func (p *pause) resume(ctx context.Context, f *field) (StrikeProof, error) {
	proof := StrikeProof{Processes: p.hit}
	found, err := p.lookAgain(ctx, f)
	if err != nil {
		return proof, err
	}
	continued := make([]bool, len(p.hit))
	err = p.eachHit(f, func(i int, n harness.Node) error {
		// A process that another fault ended meanwhile is not this one's to continue.
		if found[i].Status != stopped || !same(p.hit[i].Before, found[i]) {
			p.hit[i].Now = found[i]
			return nil
		}
		now, err := n.Signal(ctx, p.hit[i].Before.Name, control.SIGCONT)
		if err == nil {
			p.hit[i].Now, continued[i] = now, true
		}
		return err
	})
	var bad []string
	for i, h := range p.hit {
		mended := p.mended[h.process()] || continued[i]
		p.mended[h.process()] = mended
		switch {
		case h.Now.Status == exited || !same(h.Before, h.Now): // ended meanwhile
		case !mended && h.Now.Status == running:
			proof.UndoneByWatchdog = append(proof.UndoneByWatchdog, h.Node)
		case h.Now.Status != running:
			bad = append(bad, p.describe(h))
		}
	}
	switch {
	case err != nil:
		return proof, fmt.Errorf("send SIGCONT to %s: %w", p.what(), err)
	case len(proof.UndoneByWatchdog) > 0:
		return proof, doubt("on %v %s ran again before it was to be continued", proof.UndoneByWatchdog, p.what())
	case len(bad) > 0:
		return proof, doubt("%s should run again: %v", p.what(), bad)
	}
	return proof, nil
}
