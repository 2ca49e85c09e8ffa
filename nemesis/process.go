package nemesis

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/harness/history"
)

// Strike is the Detail of the completions of faults that strike processes.
type Strike struct {
	Draw
	Component string `json:"component"`
}

// StrikeProof is the Proof of a fault that strikes processes: each process before, and as it is now.
type StrikeProof struct {
	Processes []Struck `json:"processes"`
	// UndoneByWatchdog are nodes where the fault was gone before the nemesis undid it.
	UndoneByWatchdog []string `json:"undone_by_watchdog,omitempty"`
}

// Struck is one process of a StrikeProof. Before is the process that was struck; process ids and start times name a
// process for good, so a changed pair proves another process.
type Struck struct {
	Node   string               `json:"node"`
	Before control.ProcessState `json:"before"`
	Now    control.ProcessState `json:"now"`
}

// The states that a node reports.
const (
	running = "running"
	stopped = "stopped"
	exited  = "exited"
)

// strike is what faults that strike one component on several nodes have in common.
type strike struct {
	family    string
	scope     Scope
	words     choice
	component string
	// open are the targets to draw from, where the request names none.
	open []string
	// hit are the processes struck, listed before they are; mended are the nodes on which stop did its work.
	hit    []Struck
	mended map[string]bool
}

func newStrike(family string, s Scope, words choice) (strike, error) {
	k := strike{family: family, scope: s, words: words, component: words[component], mended: map[string]bool{}}
	if k.component == "" {
		if len(s.Components) == 0 {
			return k, refuse(ErrImpossible, "%s needs a system with components: it has none", family)
		}
		k.component = s.Components[0]
	}
	if t := words[target]; t != "" {
		return k, k.possible(t)
	}
	for _, t := range []string{"one", "minority", "majority", "leader", all} {
		if k.possible(t) == nil {
			k.open = append(k.open, t)
		}
	}
	if len(k.open) == 0 {
		return k, k.possible("one")
	}
	return k, nil
}

func (k *strike) possible(t string) error {
	n := len(k.scope.Nodes)
	switch {
	case n == 0:
		return refuse(ErrImpossible, "%s needs a node", k.family)
	case t == "minority" && minorityOf(n) == 0:
		return refuse(ErrImpossible, "%s:minority needs 3 nodes or more, and there are %d", k.family, n)
	case t == "leader" && !k.scope.Leader:
		return refuse(ErrImpossible, "%s:leader needs a system that can tell its leader", k.family)
	}
	return nil
}

func (k *strike) draw(d deck, i int) ([]string, Draw) {
	t := k.words[target]
	if t == "" {
		t = d.pick("target", i, k.open)
	}
	return []string{t, k.component}, Draw{Order: d.order(i, k.scope.Nodes)}
}

// aim finds the processes to strike: those of the target's nodes that are in one of the given states. One, a minority
// and a majority are the first such nodes in the order drawn. None is moot.
func (k *strike) aim(ctx context.Context, f *field, fault *history.Fault, states ...string) error {
	var d Draw
	if err := json.Unmarshal(fault.Detail, &d); err != nil {
		return skip("its choices can't be read: %v", err)
	}
	nodes, n := d.Order, len(d.Order)
	most := n
	switch t := k.words[target]; t {
	case all:
	case "one":
		most = 1
	case "minority":
		most = minorityOf(n)
	case "majority":
		most = majorityOf(n)
	case "leader":
		leader, err := f.leader(ctx)
		if err != nil {
			return err
		}
		nodes = []string{leader}
	default:
		nodes = []string{t}
	}
	found, err := k.look(ctx, f, nodes)
	if err != nil {
		// Nothing was done yet, so a node that can't be asked makes the fault moot, not unknown.
		return skip("the processes can't be listed: %v", err)
	}
	for i, node := range nodes {
		if len(k.hit) < most && slices.Contains(states, found[i].Status) {
			k.hit = append(k.hit, Struck{Node: node, Before: found[i], Now: found[i]})
			fault.Nodes = append(fault.Nodes, node)
		}
	}
	if len(k.hit) == 0 {
		return skip("no %s is %s on %v", k.component, states[0], nodes)
	}
	slices.Sort(fault.Nodes)
	fault.Detail = encode(Strike{d, k.component})
	return nil
}

// look tells the state of the component on each node; the zero state where there is none.
func (k *strike) look(ctx context.Context, f *field, nodes []string) ([]control.ProcessState, error) {
	found := make([]control.ProcessState, len(nodes))
	err := f.each(nodes, func(i int, n harness.Node) error {
		all, err := n.Processes(ctx)
		for _, p := range all {
			if p.Name == k.component {
				found[i] = p
			}
		}
		return err
	})
	return found, err
}

// signal sends a signal to every process that is hit, and proves that each is in the state wanted and still the
// same process.
func (k *strike) signal(ctx context.Context, f *field, fault *history.Fault, sig control.Signal, want string) error {
	err := f.each(k.nodes(), func(i int, n harness.Node) error {
		now, err := n.Signal(ctx, k.component, sig)
		if err == nil {
			k.hit[i].Now = now
		}
		return err
	})
	fault.Proof = encode(StrikeProof{Processes: k.hit})
	if err != nil {
		return fmt.Errorf("send SIG%s to %s: %w", sig, k.component, err)
	}
	var bad []string
	for _, h := range k.hit {
		if h.Now.Status != want || !same(h.Before, h.Now) {
			bad = append(bad, fmt.Sprintf("%s %s", h.Node, describe(h.Now)))
		}
	}
	if len(bad) > 0 {
		return doubt("%s should be %s: %v", k.component, want, bad)
	}
	return nil
}

func (k *strike) nodes() []string {
	var nodes []string
	for _, h := range k.hit {
		nodes = append(nodes, h.Node)
	}
	return nodes
}

// same tells whether two states are of one process.
func same(a, b control.ProcessState) bool {
	return a.PID == b.PID && a.StartTicks == b.StartTicks
}

func describe(p control.ProcessState) string {
	return fmt.Sprintf("%s (pid %d, started at tick %d)", p.Status, p.PID, p.StartTicks)
}
