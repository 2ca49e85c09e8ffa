package nemesis

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/harness/history"
)

// Strike is the Detail of the completions of faults that strike processes.
type Strike struct {
	Draw
	// Component is the one that was struck; empty where every process of a node is.
	Component string `json:"component,omitempty"`
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

// process is where a Struck runs, and its name.
func (h Struck) process() process { return process{h.Node, h.Before.Name} }

// process is a place for a process: a node, and its name there.
type process struct{ node, name string }

// The states that a node reports.
const (
	running = "running"
	stopped = "stopped"
	exited  = "exited"
)

// strike is what faults that strike processes on several nodes have in common.
type strike struct {
	family string
	scope  Scope
	words  choice
	// names are the processes to strike on each node, in the order in which they are started again.
	names []string
	// open are the targets to draw from, and components the components, where the request names none.
	open, components []string
	// hit are the processes struck, listed before they are; mended are those for which stop did its work.
	hit    []Struck
	mended map[process]bool
}

// newStrike strikes one of these components: the one named, or one drawn. The targets are those that may be drawn.
func newStrike(family string, s Scope, words choice, components, targets []string) (strike, error) {
	k := strike{family: family, scope: s, words: words, mended: map[process]bool{}}
	switch c := words[component]; {
	case c != "":
		k.names = []string{c}
	case len(components) == 0:
		return k, refuse(ErrImpossible, "%s needs a system with components: it has none", family)
	default:
		k.names, k.components = components[:1], components
	}
	return k, k.target(targets)
}

// target checks the target named, or finds those that may be drawn.
func (k *strike) target(targets []string) error {
	if t := k.words[target]; t != "" {
		return k.possible(t)
	}
	for _, t := range targets {
		if k.possible(t) == nil {
			k.open = append(k.open, t)
		}
	}
	if len(k.open) == 0 {
		return k.possible("one")
	}
	return nil
}

func (k *strike) possible(t string) error {
	n := len(k.scope.Nodes)
	switch {
	case n == 0:
		return refuse(ErrImpossible, "%s needs a node", k.family)
	case t == "minority" && minorityOf(n) == 0:
		return refuse(ErrImpossible, "%s:minority needs 3 nodes or more, and there are %d", k.family, n)
	case t == "leader" && !k.scope.Leader && len(k.led()) == 0:
		return refuse(ErrImpossible, "%s:leader needs a system that can tell its leader", k.family)
	}
	return nil
}

// led are the components that may be struck and elect leaders of their own.
func (k *strike) led() []string {
	from := k.components
	if len(from) == 0 {
		from = k.names
	}
	return slices.DeleteFunc(slices.Clone(from), func(c string) bool { return !slices.Contains(k.scope.Electing, c) })
}

func (k *strike) draw(d deck, i int) ([]string, Draw) {
	t := k.words[target]
	if t == "" {
		t = d.pick("target", i, k.open)
	}
	c := k.names[0]
	if from := k.components; len(from) > 0 {
		if t == "leader" && !k.scope.Leader {
			from = k.led()
		}
		c = d.pick("component", i, from)
	}
	return []string{t, c}, Draw{Order: d.order(i, k.scope.Nodes)}
}

// what is struck, in texts.
func (k *strike) what() string { return strings.Join(k.names, ", ") }

// aim finds the processes to strike: those of the target's nodes that are in one of the given states. One, a minority
// and a majority are the first nodes in the order drawn that have any. None is moot.
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
		leader, err := f.leaderOf(ctx, k.names[0])
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
		if len(fault.Nodes) < most && k.take(node, found[i], states) {
			fault.Nodes = append(fault.Nodes, node)
		}
	}
	if len(k.hit) == 0 {
		return skip("no %s is %s on %v", k.what(), states[0], nodes)
	}
	slices.Sort(fault.Nodes)
	fault.Detail = encode(Strike{d, k.words[component]})
	return nil
}

// take adds the processes of a node that are in one of these states to those to strike; it tells whether there are any.
func (k *strike) take(node string, found map[string]control.ProcessState, states []string) bool {
	before := len(k.hit)
	for _, name := range k.names {
		if p, ok := found[name]; ok && slices.Contains(states, p.Status) {
			k.hit = append(k.hit, Struck{Node: node, Before: p, Now: p})
		}
	}
	return len(k.hit) > before
}

// look tells the state of the processes to strike on each node, by name.
func (k *strike) look(ctx context.Context, f *field, nodes []string) ([]map[string]control.ProcessState, error) {
	found := make([]map[string]control.ProcessState, len(nodes))
	err := f.each(nodes, func(i int, n harness.Node) error {
		found[i] = map[string]control.ProcessState{}
		all, err := n.Processes(ctx)
		for _, p := range all {
			if slices.Contains(k.names, p.Name) {
				found[i][p.Name] = p
			}
		}
		return err
	})
	return found, err
}

// lookAgain tells what each process that is hit is now; the zero state where there is none any more.
func (k *strike) lookAgain(ctx context.Context, f *field) ([]control.ProcessState, error) {
	nodes := k.nodes()
	found, err := k.look(ctx, f, nodes)
	if err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	now := make([]control.ProcessState, len(k.hit))
	for i, h := range k.hit {
		now[i] = found[slices.Index(nodes, h.Node)][h.Before.Name]
	}
	return now, nil
}

// eachHit does something for every process that is hit, at once.
func (k *strike) eachHit(f *field, do func(i int, n harness.Node) error) error {
	var nodes []string
	for _, h := range k.hit {
		nodes = append(nodes, h.Node)
	}
	return f.each(nodes, do)
}

// signal sends a signal to every process that is hit, and proves that each is in the state wanted and still the
// same process.
func (k *strike) signal(ctx context.Context, f *field, sig control.Signal, want string) (StrikeProof, error) {
	err := k.eachHit(f, func(i int, n harness.Node) error {
		now, err := n.Signal(ctx, k.hit[i].Before.Name, sig)
		if err == nil {
			k.hit[i].Now = now
		}
		return err
	})
	proof := StrikeProof{Processes: k.hit}
	if err != nil {
		return proof, fmt.Errorf("send SIG%s to %s: %w", sig, k.what(), err)
	}
	var bad []string
	for _, h := range k.hit {
		if h.Now.Status != want || !same(h.Before, h.Now) {
			bad = append(bad, k.describe(h))
		}
	}
	if len(bad) > 0 {
		return proof, doubt("%s should be %s: %v", k.what(), want, bad)
	}
	return proof, nil
}

// nodes are those with a process that is hit, each once.
func (k *strike) nodes() []string {
	var nodes []string
	for _, h := range k.hit {
		if !slices.Contains(nodes, h.Node) {
			nodes = append(nodes, h.Node)
		}
	}
	return nodes
}

// same tells whether two states are of one process.
func same(a, b control.ProcessState) bool {
	return a.PID == b.PID && a.StartTicks == b.StartTicks
}

// describe says what a process that is hit is now.
func (k *strike) describe(h Struck) string {
	place := h.Node
	if len(k.names) > 1 {
		place += " " + h.Before.Name
	}
	return fmt.Sprintf("%s %s (pid %d, started at tick %d)", place, h.Now.Status, h.Now.PID, h.Now.StartTicks)
}
