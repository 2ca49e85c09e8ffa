package nemesis

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/harness/history"
)

// newNode makes the fault that ends everything that the system runs on a node at once, as a power cut does but for the node itself,
// and starts it again at the end. It is a kill of many processes, and proved as one.
func newNode(s Scope, words choice) (action, error) {
	k := strike{family: "node", scope: s, words: words, mended: map[process]bool{}, names: slices.Concat(s.Companions, s.Components)}
	if len(k.names) < 2 {
		return nil, refuse(ErrImpossible, "node needs a system that runs several processes on each node: it runs %v, so use kill", k.names)
	}
	if err := k.target([]string{"one", "minority", "leader"}); err != nil {
		return nil, err
	}
	return &wholeNode{kill{strike: k}}, nil
}

// wholeNode is a kill that leaves no component to be named.
type wholeNode struct{ kill }

func (n *wholeNode) draw(d deck, i int) ([]string, Draw) {
	t := n.words[target]
	if t == "" {
		t = d.pick("target", i, n.open)
	}
	return []string{t}, Draw{Order: d.order(i, n.scope.Nodes)}
}

// start holds also what does not run now: a node without power starts nothing.
func (n *wholeNode) start(ctx context.Context, f *field, fault *history.Fault) error {
	if err := n.aim(ctx, f, fault, running, stopped); err != nil {
		return err
	}
	for _, node := range fault.Nodes {
		for _, name := range n.names {
			n.holds = append(n.holds, process{node, name})
		}
	}
	proof, err := n.end(ctx, f)
	fault.Proof = encode(proof)
	return errors.Join(err, n.silence(ctx, f, fault.Nodes))
}

// silence sees to it that nothing runs any more on the nodes, nor is about to: what had ended by itself a moment ago would be started
// again by the node's supervisor.
func (n *wholeNode) silence(ctx context.Context, f *field, nodes []string) error {
	found, err := n.look(ctx, f, nodes)
	if err != nil {
		return fmt.Errorf("list the processes: %w", err)
	}
	return f.each(nodes, func(i int, node harness.Node) error {
		for _, p := range found[i] {
			if p.Status == exited && !p.Restarting {
				continue
			}
			now, err := node.Signal(ctx, p.Name, control.SIGKILL)
			if err != nil {
				return fmt.Errorf("end %s, which was not among those that ran: %w", p.Name, err)
			}
			if now.Status != exited || now.Restarting {
				return doubt("%s goes on: %s", p.Name, now.Status)
			}
		}
		return nil
	})
}
