// Package etcd is etcd as a system under test: it installs any released version, starts a cluster of it on the
// nodes of a run, tells its leader and the state of its members, collects its logs, and makes the
// clients that workloads use.
package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/internal/binaries"
)

// Component is the name of the one process that etcd runs on each node.
const Component = "etcd"

// The ports of etcd's servers.
const (
	clientPort = 2379
	peerPort   = 2380
)

// Options say what to run and where.
type Options struct {
	// Nodes get one member each.
	Nodes []harness.Node
	// Binary is what runs, on the driver; see Installer.
	Binary Binary
	// Token is unique for the run: members of other runs are refused by it, and the folder on the nodes bears it.
	Token string
	// Dir is the folder on the nodes under which the run gets its own; default /var/opt/faultline.
	Dir string
	// Profile is stock (the default) or stress.
	Profile string
	// Heartbeat and Election are etcd's intervals; default 100 ms and 1 s. Slow machines need more.
	Heartbeat time.Duration
	Election  time.Duration
	// LogLevel is etcd's; default info.
	LogLevel string
	// TLS, where not nil, is used between members and with clients.
	TLS *TLS
	// Listen are further IP addresses at which each member serves clients: loopback ones, that something on its node uses.
	Listen []string
	// Args are further arguments of etcd; they win over the ones that the profile sets.
	Args []string
	// StartTimeout bounds how long the cluster may take to become healthy in Start; default 60 s.
	StartTimeout time.Duration
}

// System is an etcd cluster. It implements harness.System, Leader and Membership. Safe for concurrent use. The zero
// value can tell its name, components and links, and nothing else.
type System struct {
	o       Options
	members []*member
	// tls is how clients connect; nil: in plain text.
	tls *tls.Config

	mu sync.Mutex
	// names are the nodes by the members' IDs, learned from their answers.
	names map[uint64]string
}

// member is one node's etcd.
type member struct {
	node harness.Node
	// binary and args are where Start put it and how it runs it; empty before.
	binary string
	args   []string
}

var (
	_ harness.System     = (*System)(nil)
	_ harness.Leader     = (*System)(nil)
	_ harness.Membership = (*System)(nil)
)

// New makes a cluster that is not started. It refuses options that can't work.
func New(o Options) (*System, error) {
	if len(o.Nodes) == 0 {
		return nil, errors.New("etcd: no nodes")
	}
	if o.Token == "" || strings.ContainsAny(o.Token, "/ \t\n") || strings.HasPrefix(o.Token, ".") {
		return nil, fmt.Errorf("etcd: token %q can't name a folder", o.Token)
	}
	if o.Binary.Path == "" {
		return nil, errors.New("etcd: no binary")
	}
	setDefault(&o.Dir, "/var/opt/faultline")
	setDefault(&o.Profile, ProfileStock)
	setDefault(&o.Heartbeat, 100*time.Millisecond)
	setDefault(&o.Election, time.Second)
	setDefault(&o.LogLevel, "info")
	setDefault(&o.StartTimeout, time.Minute)
	if !slices.Contains(Profiles(), o.Profile) {
		return nil, fmt.Errorf("etcd: unknown profile %q (want %s)", o.Profile, strings.Join(Profiles(), " or "))
	}
	if o.Election < 5*o.Heartbeat {
		return nil, fmt.Errorf("etcd: the election time-out (%v) must be at least five heartbeats (of %v), or etcd refuses to start", o.Election, o.Heartbeat)
	}
	s := &System{o: o, names: map[uint64]string{}}
	var err error
	if s.tls, err = o.TLS.config(); err != nil {
		return nil, err
	}
	for _, n := range o.Nodes {
		if s.member(n.Name()) != nil {
			return nil, fmt.Errorf("etcd: node %s twice", n.Name())
		}
		s.members = append(s.members, &member{node: n})
	}
	return s, nil
}

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

// Name is etcd.
func (s *System) Name() string { return "etcd" }

// Components is etcd's one process.
func (s *System) Components() []string { return []string{Component} }

// Links are the members' with each other, and the clients'.
func (s *System) Links() []harness.Link {
	return []harness.Link{
		{Name: "peer", Ports: []int{peerPort}},
		{Name: "client", Ports: []int{clientPort}, Outside: true},
	}
}

// Start installs the binary, starts a member on each node and returns when every member is well and they agree on a leader.
// The folder of the run must not exist yet: a cluster is started once.
func (s *System) Start(ctx context.Context) error {
	err := s.each(func(m *member) error { return s.prepare(ctx, m) })
	if err != nil {
		return err
	}
	if err := s.each(func(m *member) error { return s.start(ctx, m) }); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.StartTimeout)
	defer cancel()
	if err := s.AwaitHealthy(ctx); err != nil {
		return fmt.Errorf("etcd did not become healthy within %v: %w", s.o.StartTimeout, err)
	}
	return nil
}

// prepare puts the binary and the run's folder on a node.
func (s *System) prepare(ctx context.Context, m *member) error {
	remote, err := m.node.Install(ctx, s.o.Binary.Path)
	if err != nil {
		return fmt.Errorf("install etcd on %s: %w", m.node.Name(), err)
	}
	m.binary = remote
	args, err := s.arguments(ctx, m)
	if err != nil {
		return fmt.Errorf("%s: %w", m.node.Name(), err)
	}
	if err := s.mkdirOwn(ctx, m); err != nil {
		return err
	}
	m.args = args // from here on there is something to stop and to remove
	return s.sendTLS(ctx, m)
}

// start starts a node's process. A failure to start at all has the end of the log.
func (s *System) start(ctx context.Context, m *member) error {
	_, err := m.node.Start(ctx, control.Process{Name: Component, Args: m.args, Dir: s.dir(), Log: s.logFile()})
	if err != nil {
		return s.explain(ctx, m, fmt.Errorf("start etcd on %s: %w", m.node.Name(), err))
	}
	return nil
}

// StartComponent starts a node's etcd again with the arguments and the data that it had. Running is no error.
func (s *System) StartComponent(ctx context.Context, node, component string) error {
	m := s.member(node)
	if m == nil || component != Component {
		return fmt.Errorf("etcd: no component %s on node %s", component, node)
	}
	if m.args == nil {
		return fmt.Errorf("etcd on %s was never started", node)
	}
	state, err := processState(ctx, m.node)
	if err != nil {
		return fmt.Errorf("etcd on %s: %w", node, err)
	}
	if state.Status == "running" || state.Status == "stopped" {
		return nil
	}
	return s.start(ctx, m)
}

// Stop kills every member. It does so on all nodes, also if one fails.
func (s *System) Stop(ctx context.Context) error {
	return s.each(func(m *member) error {
		state, err := processState(ctx, m.node)
		if err == nil && (state.Status == "running" || state.Status == "stopped") {
			_, err = m.node.Signal(ctx, Component, control.SIGKILL)
		}
		if err != nil {
			return fmt.Errorf("stop etcd on %s: %w", m.node.Name(), err)
		}
		return nil
	})
}

// Purge removes the run's folder, data and logs included, from every node. The cluster must be stopped.
func (s *System) Purge(ctx context.Context) error {
	return s.each(func(m *member) error {
		if m.args == nil {
			return nil // made nothing there
		}
		if _, err := m.node.Run(ctx, control.Cmd{Args: []string{"rm", "-rf", s.dir()}, Idempotent: true}); err != nil {
			return fmt.Errorf("remove etcd's files from %s: %w", m.node.Name(), err)
		}
		return nil
	})
}

// ClientAddr is the address and port at which a node's member serves clients.
func (s *System) ClientAddr(node string) (string, error) {
	m := s.member(node)
	if m == nil {
		return "", fmt.Errorf("etcd: no member on node %s", node)
	}
	return m.clientAddr(), nil
}

// Commands are the command lines that run on the nodes, for the run's record; empty before Start.
func (s *System) Commands() map[string][]string {
	out := map[string][]string{}
	for _, m := range s.members {
		if m.args != nil {
			out[m.node.Name()] = slices.Clone(m.args)
		}
	}
	return out
}

// each calls f for every member at once and returns all errors.
func (s *System) each(f func(*member) error) error {
	errs := make([]error, len(s.members))
	var g errgroup.Group
	for i, m := range s.members {
		g.Go(func() error { errs[i] = f(m); return nil })
	}
	_ = g.Wait() // every f's error is in errs
	return errors.Join(errs...)
}

func (s *System) member(node string) *member {
	for _, m := range s.members {
		if m.node.Name() == node {
			return m
		}
	}
	return nil
}

func (s *System) dir() string     { return path.Join(s.o.Dir, "etcd-"+s.o.Token) }
func (s *System) dataDir() string { return path.Join(s.dir(), "data") }
func (s *System) logFile() string { return path.Join(s.dir(), "etcd.log") }

func (m *member) clientAddr() string {
	return net.JoinHostPort(m.node.Addr(), strconv.Itoa(clientPort))
}

// adminAddr is where the member is asked about its health, from the node itself: faults of the network don't reach there.
func (m *member) adminAddr() string {
	if ip := net.ParseIP(m.node.Addr()); ip != nil && ip.IsLoopback() {
		return m.clientAddr() // several nodes may share one loopback
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(clientPort))
}

// processState is what the node knows of its etcd; the zero value if it never ran.
func processState(ctx context.Context, n harness.Node) (control.ProcessState, error) {
	states, err := n.Processes(ctx)
	if err != nil {
		return control.ProcessState{}, err
	}
	for _, st := range states {
		if st.Name == Component {
			return st, nil
		}
	}
	return control.ProcessState{}, nil
}

// explain adds to an error about a node what its etcd ran and wrote last.
func (s *System) explain(ctx context.Context, m *member, err error) error {
	tail := "(no log)"
	// The log is asked for although ctx may be over: this is when it is needed.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	out, logErr := m.node.Run(ctx, control.Cmd{Args: []string{"tail", "-n", "30", s.logFile()}, Idempotent: true})
	if logErr == nil {
		tail = binaries.LastBytes(out.Stdout, 4000)
	}
	return fmt.Errorf("%w\n  command: %s\n  end of %s on %s:\n%s", err, strings.Join(m.args, " "), s.logFile(), m.node.Name(), tail)
}
