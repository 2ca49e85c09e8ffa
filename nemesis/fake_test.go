package nemesis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/harness/history"
)

// world is a system and its nodes in memory: its rules catch what its Dial sends, its processes have ids and start times. It can
// be told to misbehave.
type world struct {
	mu     sync.Mutex
	nodes  []*fakeNode
	leader string
	sick   error

	// blunt rules are accepted and have no effect; mute resets drop.
	blunt, mute bool
	// unhealable nodes can't be reached at all.
	dead map[string]bool
	// immortal processes survive signals.
	immortal bool
	// restless processes are replaced by new ones just before a signal.
	restless bool
	// block, where not nil, holds up every Cut until it is closed or the context ends.
	block chan struct{}
	// entered is told of each Cut that is held up.
	entered chan struct{}
	// restarts counts StartComponent.
	restarts   int
	components []string
	// extra are links beside those of etcd.
	extra []harness.Link
}

const clientsAddr = "10.0.0.254"

var errUnreachable = errors.New("ssh: connection lost")

func newWorld(n int) *world {
	w := &world{leader: "n1", dead: map[string]bool{}, components: []string{"etcd"}}
	for i := 1; i <= n; i++ {
		node := &fakeNode{w: w, name: "n" + strconv.Itoa(i), addr: "10.0.0." + strconv.Itoa(i), pid: 100 * i, cuts: map[string][]*fakeRule{}, caught: map[string][]control.CutCount{}}
		node.procs = map[string]control.ProcessState{}
		w.nodes = append(w.nodes, node)
		w.spawn(node, "etcd")
	}
	return w
}

func (w *world) spawn(n *fakeNode, component string) {
	n.pid++
	n.procs[component] = control.ProcessState{Name: component, PID: n.pid, StartTicks: uint64(10 * n.pid), Status: running}
}

func (w *world) env() Env {
	e := Env{System: leading{w}, Clients: clientsAddr, Dial: func(ctx context.Context, addr string) (net.Conn, error) {
		return w.dial(ctx, clientsAddr, addr)
	}}
	for _, n := range w.nodes {
		e.Nodes = append(e.Nodes, n)
	}
	return e
}

func (w *world) node(name string) *fakeNode {
	return w.nodes[slices.IndexFunc(w.nodes, func(n *fakeNode) bool { return n.name == name })]
}

// dial sends a SYN from an address and tells what comes back.
func (w *world) dial(ctx context.Context, from, to string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(to)
	if err != nil {
		return nil, err
	}
	p, _ := strconv.Atoi(port)
	w.mu.Lock()
	caught := w.rule(func(r *fakeRule, on string) bool { return r.stopsRequest(on, from, host, p) })
	answered := caught == nil
	if answered {
		caught = w.rule(func(r *fakeRule, on string) bool { return r.stopsAnswer(on, from, host, p) })
	}
	if caught != nil {
		caught.packets++
	}
	mute := w.mute
	w.mu.Unlock()
	switch {
	case caught == nil:
		a, b := net.Pipe()
		return a, b.Close()
	case caught.Reset && !answered && !mute:
		return nil, errors.New("ssh: rejected: connect failed (Connection refused)")
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// plain is a System without optional abilities.
type plain struct{ w *world }

func (plain) Name() string           { return "fake" }
func (p plain) Components() []string { return p.w.components }
func (p plain) Links() []harness.Link {
	return append([]harness.Link{{Name: "peer", Ports: []int{2380}}, {Name: "client", Ports: []int{2379}, Outside: true}}, p.w.extra...)
}
func (plain) Start(context.Context) error { return nil }
func (plain) Stop(context.Context) error  { return nil }
func (p plain) AwaitHealthy(ctx context.Context) error {
	if p.w.sick != nil {
		<-ctx.Done()
	}
	return p.w.sick
}

func (p plain) StartComponent(_ context.Context, node, c string) error {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	n := p.w.node(node)
	if p.w.dead[node] {
		return errUnreachable
	}
	p.w.restarts++
	if n.procs[c].Status == exited {
		p.w.spawn(n, c)
	}
	return nil
}

// leading is a System that can tell its leader and members.
type leading struct{ *world }

func (l leading) sys() plain                             { return plain{l.world} }
func (l leading) Name() string                           { return l.sys().Name() }
func (l leading) Components() []string                   { return l.sys().Components() }
func (l leading) Links() []harness.Link                  { return l.sys().Links() }
func (l leading) Start(context.Context) error            { return nil }
func (l leading) Stop(context.Context) error             { return nil }
func (l leading) AwaitHealthy(ctx context.Context) error { return l.sys().AwaitHealthy(ctx) }
func (l leading) StartComponent(c context.Context, n, p string) error {
	return l.sys().StartComponent(c, n, p)
}

func (l leading) Leader(context.Context) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.leader == "" {
		return "", errors.New("no member has a leader")
	}
	return l.leader, nil
}

func (l leading) Members(context.Context) ([]history.MemberState, error) {
	return []history.MemberState{{Node: "n1", Revision: 7}, {Node: "n2", Revision: 7}}, nil
}

type fakeRule struct {
	control.CutRule
	packets uint64
}

// rule finds a rule in force.
func (w *world) rule(is func(r *fakeRule, on string) bool) *fakeRule {
	for _, n := range w.nodes {
		for _, rules := range n.cuts {
			for _, r := range rules {
				if is(r, n.addr) && !w.blunt {
					return r
				}
			}
		}
	}
	return nil
}

// stopsRequest tells whether a rule of the node at an address catches a connection attempt.
func (r *fakeRule) stopsRequest(on, from, to string, port int) bool {
	if r.ClientOnly || !slices.Contains(r.Ports, port) {
		return false
	}
	if r.To != "" {
		return on == from && to == r.To
	}
	return on == to && (r.From == "" || r.From == from)
}

// stopsAnswer tells whether it catches the answer to one.
func (r *fakeRule) stopsAnswer(on, from, to string, port int) bool {
	if r.ServerOnly || !slices.Contains(r.Ports, port) || on != from {
		return false
	}
	if r.To != "" {
		return to == r.To
	}
	return r.From == "" || r.From == to
}

type fakeNode struct {
	w          *world
	name, addr string
	cuts       map[string][]*fakeRule
	caught     map[string][]control.CutCount
	procs      map[string]control.ProcessState
	pid        int
}

func (n *fakeNode) Name() string { return n.name }
func (n *fakeNode) Addr() string { return n.addr }
func (n *fakeNode) Close() error { return nil }

func (n *fakeNode) Run(context.Context, control.Cmd) (control.Output, error) {
	return control.Output{}, errors.New("no commands here")
}

func (n *fakeNode) Upload(context.Context, io.Reader, string, fs.FileMode) error {
	return errors.New("no files here")
}

func (n *fakeNode) Download(context.Context, string, io.Writer) error {
	return errors.New("no files here")
}
func (n *fakeNode) Install(_ context.Context, local string) (string, error) { return local, nil }

func (n *fakeNode) Start(context.Context, control.Process) (control.ProcessState, error) {
	return control.ProcessState{}, errors.New("the system starts its own")
}

// reach locks the world, if the node can be reached.
func (n *fakeNode) reach() (func(), error) {
	n.w.mu.Lock()
	if n.w.dead[n.name] {
		n.w.mu.Unlock()
		return nil, errUnreachable
	}
	return n.w.mu.Unlock, nil
}

func (n *fakeNode) Dial(ctx context.Context, addr string) (net.Conn, error) {
	unlock, err := n.reach()
	if err != nil {
		return nil, err
	}
	unlock()
	return n.w.dial(ctx, n.addr, addr)
}

func (n *fakeNode) Signal(_ context.Context, name string, sig control.Signal) (control.ProcessState, error) {
	unlock, err := n.reach()
	if err != nil {
		return control.ProcessState{}, err
	}
	defer unlock()
	if n.w.restless {
		n.w.spawn(n, name)
	}
	p, ok := n.procs[name]
	if ok && p.Restarting && sig == control.SIGKILL {
		p.Restarting = false // it is not wanted any more
		n.procs[name] = p
		return p, nil
	}
	if !ok || p.Status == exited {
		return p, fmt.Errorf("no process %s", name)
	}
	if !n.w.immortal {
		p.Status = map[control.Signal]string{control.SIGKILL: exited, control.SIGSTOP: stopped, control.SIGCONT: running}[sig]
	}
	n.procs[name] = p
	return p, nil
}

func (n *fakeNode) Processes(context.Context) ([]control.ProcessState, error) {
	unlock, err := n.reach()
	if err != nil {
		return nil, err
	}
	defer unlock()
	var all []control.ProcessState
	for _, p := range n.procs {
		all = append(all, p)
	}
	return all, nil
}

func (n *fakeNode) Cut(ctx context.Context, id string, rules []control.CutRule) error {
	if n.w.block != nil {
		n.w.entered <- struct{}{}
		select {
		case <-n.w.block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	unlock, err := n.reach()
	if err != nil {
		return err
	}
	defer unlock()
	for _, r := range rules {
		n.cuts[id] = append(n.cuts[id], &fakeRule{CutRule: r})
	}
	return nil
}

// CutCounts, as on a real node, is an error where no such cut is in force.
func (n *fakeNode) CutCounts(_ context.Context, id string) ([]control.CutCount, error) {
	unlock, err := n.reach()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if n.cuts[id] == nil {
		return nil, fmt.Errorf("cut %q is not in force", id)
	}
	return n.counts(id), nil
}

func (n *fakeNode) counts(id string) []control.CutCount {
	var counts []control.CutCount
	for _, r := range n.cuts[id] {
		counts = append(counts, control.CutCount{From: r.From, To: r.To, Packets: r.packets, Bytes: 60 * r.packets})
	}
	return counts
}

// Uncut, as on a real node, remembers what a cut had caught that was undone before.
func (n *fakeNode) Uncut(_ context.Context, id string) ([]control.CutCount, error) {
	unlock, err := n.reach()
	if err != nil {
		return nil, err
	}
	defer unlock()
	n.uncut(id)
	return n.caught[id], nil
}

func (n *fakeNode) uncut(id string) {
	if n.cuts[id] != nil {
		n.caught[id] = n.counts(id)
		delete(n.cuts, id)
	}
}

func (n *fakeNode) Heal(context.Context) ([]string, error) {
	unlock, err := n.reach()
	if err != nil {
		return nil, err
	}
	defer unlock()
	var undone []string
	for id := range n.cuts {
		undone = append(undone, "cut "+id)
		n.uncut(id)
	}
	for name, p := range n.procs {
		if p.Status == stopped {
			p.Status = running
			n.procs[name] = p
			undone = append(undone, "continued "+name)
		}
	}
	return undone, nil
}

// broken are the faults that can be seen from outside.
func (w *world) broken() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var seen []string
	for _, n := range w.nodes {
		for id := range n.cuts {
			seen = append(seen, n.name+" "+id)
		}
		for c, p := range n.procs {
			if p.Status != running {
				seen = append(seen, n.name+" "+c+" "+p.Status)
			}
		}
	}
	slices.Sort(seen)
	return seen
}

func whole(t *testing.T, w *world) {
	t.Helper()
	if b := w.broken(); len(b) > 0 {
		t.Errorf("left broken: %v", b)
	}
}
