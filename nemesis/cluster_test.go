package nemesis

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/cluster"
	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/node"
)

// echoes is a system whose only component answers with what it hears, to nodes on one port and to clients on another.
type echoes struct {
	nodes []*cluster.Node
	// inside are links beside the two between nodes and from the clients.
	inside []harness.Link
}

const (
	peerPort   = 7007
	clientPort = 7008
)

func (e *echoes) Name() string         { return "echoes" }
func (e *echoes) Components() []string { return []string{"echo"} }
func (e *echoes) Links() []harness.Link {
	return append([]harness.Link{{Name: "peer", Ports: []int{peerPort}}, {Name: "client", Ports: []int{clientPort}, Outside: true}}, e.inside...)
}

// Leader is always the second node.
func (e *echoes) Leader(context.Context) (string, error) { return e.nodes[1].Name(), nil }
func (e *echoes) Stop(context.Context) error             { return nil }

func (e *echoes) Start(ctx context.Context) error {
	for _, n := range e.nodes {
		if err := e.StartComponent(ctx, n.Name(), "echo"); err != nil {
			return err
		}
	}
	return e.AwaitHealthy(ctx)
}

func (e *echoes) StartComponent(ctx context.Context, name, component string) error {
	n := e.node(name)
	all, err := n.Processes(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(p control.ProcessState) bool { return p.Name == component && p.Status != exited }) {
		return nil
	}
	_, err = n.Start(ctx, control.Process{
		Name: component, Log: "/var/log/echo.log",
		Args: []string{node.BinaryPath, "test-echo", fmt.Sprint(":", peerPort), fmt.Sprint(":", clientPort)},
	})
	return err
}

// AwaitHealthy waits until everyone hears everyone, the clients included.
func (e *echoes) AwaitHealthy(ctx context.Context) error {
	var last []string
	well, err := until(ctx, pollEvery, func() (bool, error) {
		last = e.deaf(ctx)
		return len(last) == 0, nil
	})
	if !well {
		return errors.Join(err, fmt.Errorf("no answer: %v", last))
	}
	return err
}

func (e *echoes) node(name string) *cluster.Node {
	return e.nodes[slices.IndexFunc(e.nodes, func(n *cluster.Node) bool { return n.Name() == name })]
}

// deaf are the pairs that do not talk to each other, as "n1>n2" and "clients>n2", found by talking.
func (e *echoes) deaf(ctx context.Context) []string {
	var mu sync.Mutex
	var pairs []string
	var wg sync.WaitGroup
	try := func(from, to string, dial func(context.Context, string) (net.Conn, error), addr string, port int) {
		wg.Go(func() {
			if say(ctx, dial, net.JoinHostPort(addr, fmt.Sprint(port))) != nil {
				mu.Lock()
				defer mu.Unlock()
				pairs = append(pairs, from+">"+to)
			}
		})
	}
	for _, b := range e.nodes {
		try(clients, b.Name(), dialHere, b.Addr(), clientPort)
		for _, a := range e.nodes {
			try(a.Name(), b.Name(), a.Dial, b.Addr(), peerPort)
		}
	}
	wg.Wait()
	slices.Sort(pairs)
	return pairs
}

func dialHere(ctx context.Context, addr string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
}

func say(ctx context.Context, dial func(context.Context, string) (net.Conn, error), addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 700*time.Millisecond)
	defer cancel()
	conn, err := dial(ctx, addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	return talk(ctx, conn)
}

// talk says a line and wants it back before the context ends.
func talk(ctx context.Context, conn net.Conn) error {
	done := make(chan error, 1)
	go func() {
		_, err := io.WriteString(conn, "ping\n")
		if err == nil {
			_, err = bufio.NewReader(conn).ReadString('\n')
		}
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("no answer: %w", ctx.Err())
	}
}

// realNodes is a system on real nodes, healthy, and gone at the end of the test.
func realNodes(t *testing.T, n int) (*echoes, Env) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for namespaces")
	}
	if testing.Short() {
		t.Skip("short")
	}
	t.Setenv(cluster.StateEnv, t.TempDir())
	c, err := cluster.Up(t.Context(), cluster.Options{Nodes: n, Name: "nemesis"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := c.Down(ctx); err != nil {
			t.Error(err)
		}
	})
	e := &echoes{nodes: c.Nodes()}
	env := Env{System: e, Clients: c.ClientAddr()}
	for _, n := range c.Nodes() {
		env.Nodes = append(env.Nodes, n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := e.Start(ctx); err != nil {
		t.Fatal(err)
	}
	return e, env
}

// deafened are the pairs that a partition must leave without an answer: a TCP connection needs both directions.
func deafened(p Partition) []string {
	var pairs []string
	for on, others := range p.Grudge {
		for _, from := range others {
			pairs = append(pairs, from+">"+on, on+">"+from)
		}
	}
	for _, on := range p.Clients {
		pairs = append(pairs, clients+">"+on)
	}
	slices.Sort(pairs)
	return slices.Compact(pairs)
}

// Seen from outside, real faults do what they say, no more, and leave nothing.
func TestRealFaults(t *testing.T) {
	e, env := realNodes(t, 4)
	b := newBreaker(env, env.Scope(), Options{})
	for i, entry := range []string{
		"partition:one+drop+peer", "partition:leader+reset+peer", "partition:bridge+drop+peer", "partition:ring+reset+peer",
		"partition:halves+drop+both", "partition:majority+reset+client", "partition:one-way+drop+peer", "partition:one-way+reset+peer",
		"kill:minority+echo", "kill:all+echo", "pause:leader+echo", "pause:majority+echo",
	} {
		t.Run(entry, func(t *testing.T) {
			family, _, _ := strings.Cut(entry, ":")
			id := fmt.Sprintf("%s-%d", family, i)
			op := startOp(id, entry, "n3", "n1", "n4", "n2")
			conns := e.connect(t)
			began := time.Now()
			started, f := invoke(t, b, op)
			t.Logf("started in %v: %s", time.Since(began).Round(time.Millisecond), f.Proof)
			if started.Type != history.OK {
				t.Errorf("start: %s %s\n%s", started.Type, started.Error, f.Proof)
			}
			var want []string
			if family == "partition" {
				var p Partition
				if err := json.Unmarshal(f.Detail, &p); err != nil {
					t.Fatal(err)
				}
				want = deafened(p)
			} else {
				want = e.silentNodes(f.Nodes)
			}
			e.mustBeDeaf(t, want)
			e.checkConnections(t, conns, want, strings.Contains(entry, "reset") && !strings.Contains(entry, "one-way"))
			ended, f := invoke(t, b, stopOp(id, family))
			if ended.Type != history.OK {
				t.Errorf("stop: %s %s\n%s", ended.Type, ended.Error, f.Proof)
			}
			e.mustBeDeaf(t, nil)
			e.nothingLeft(t)
		})
	}
}

// mustBeDeaf waits until exactly these pairs do not talk to each other.
func (e *echoes) mustBeDeaf(t *testing.T, want []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var got []string
	if equal, _ := until(ctx, pollEvery, func() (bool, error) {
		got = e.deaf(t.Context())
		return slices.Equal(got, want), nil
	}); !equal {
		t.Errorf("no answer from %v\nwant %v", got, want)
	}
}

// silentNodes are the pairs that can't talk when the component does not run on some nodes.
func (e *echoes) silentNodes(silent []string) []string {
	var pairs []string
	for _, b := range silent {
		pairs = append(pairs, clients+">"+b)
		for _, a := range e.nodes {
			pairs = append(pairs, a.Name()+">"+b)
		}
	}
	slices.Sort(pairs)
	return pairs
}

// connect opens a connection between each pair of nodes, before a fault.
func (e *echoes) connect(t *testing.T) map[string]net.Conn {
	t.Helper()
	conns := map[string]net.Conn{}
	for _, a := range e.nodes {
		for _, b := range e.nodes {
			if a == b {
				continue
			}
			conn, err := a.Dial(t.Context(), net.JoinHostPort(b.Addr(), fmt.Sprint(peerPort)))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			conns[a.Name()+">"+b.Name()] = conn
		}
	}
	return conns
}

// checkConnections talks on connections that are older than the fault. Those that it cuts are silent or, by reset,
// broken; the others go on.
func (e *echoes) checkConnections(t *testing.T, conns map[string]net.Conn, cut []string, reset bool) {
	t.Helper()
	var wg sync.WaitGroup
	for pair, conn := range conns {
		wg.Go(func() {
			isCut := slices.Contains(cut, pair)
			patience := 5 * time.Second
			if isCut && !reset {
				patience = 700 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			err := talk(ctx, conn)
			switch {
			case isCut && err == nil:
				t.Errorf("an older connection %s goes on", pair)
			case isCut && reset && errors.Is(err, context.DeadlineExceeded):
				t.Errorf("an older connection %s is silent, it should be reset", pair)
			case !isCut && err != nil:
				t.Errorf("an older connection %s: %v", pair, err)
			}
		})
	}
	wg.Wait()
}

// nothingLeft asks the nodes for faults in force.
func (e *echoes) nothingLeft(t *testing.T) {
	t.Helper()
	for _, n := range e.nodes {
		out, err := n.Run(t.Context(), control.Cmd{Args: []string{node.BinaryPath, "node", "status"}})
		if err != nil || !strings.Contains(string(out.Stdout), `"faults":[]`) {
			t.Errorf("%s: %s, %v", n.Name(), out.Stdout, err)
		}
		if undone, err := n.Heal(t.Context()); err != nil || len(undone) > 0 {
			t.Errorf("%s had still to undo %v, %v", n.Name(), undone, err)
		}
	}
}

// A heal from elsewhere (faultline heal, a watchdog) is told at the stop.
func TestRealFaultsUndoneByOthers(t *testing.T) {
	e, env := realNodes(t, 2)
	b := newBreaker(env, env.Scope(), Options{})
	for _, entry := range []string{"partition:one+drop+peer", "pause:one+echo"} {
		family, _, _ := strings.Cut(entry, ":")
		started, f := invoke(t, b, startOp("x-"+family, entry, "n2", "n1"))
		if started.Type != history.OK {
			t.Fatalf("%s: %s %s", entry, started.Error, f.Proof)
		}
		if undone, err := e.node("n2").Heal(t.Context()); err != nil || len(undone) != 1 {
			t.Fatalf("%s: healed %v, %v", entry, undone, err)
		}
		ended, f := invoke(t, b, stopOp("x-"+family, family))
		if ended.Type != history.Info || !strings.Contains(string(f.Proof), `"undone_by_watchdog":["n2"]`) {
			t.Errorf("%s: %s %s %s", entry, ended.Type, ended.Error, f.Proof)
		}
	}
	e.nothingLeft(t)
}

// tape is a Recorder in memory.
type tape struct {
	mu    sync.Mutex
	began time.Time
	ops   []history.Op
}

func (r *tape) Now() time.Duration { return time.Since(r.began) }

func (r *tape) Append(op *history.Op) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	op.Index, op.Time = int64(len(r.ops)), r.Now()
	r.ops = append(r.ops, *op)
	return nil
}

// talker is a client that talks to its node.
type talker struct{ addr string }

func (c talker) Close() error { return nil }
func (c talker) Invoke(ctx context.Context, op history.Op) history.Op {
	op.Type = history.OK
	if err := say(ctx, dialHere, c.addr); err != nil {
		op.Type, op.Error = history.Info, err.Error()
	}
	return op
}

// A whole run with every family at once: each fault is proved, and after it everyone is well.
func TestRealRun(t *testing.T) {
	e, env := realNodes(t, 3)
	pkg, err := New(env, "all,partition:both", Options{Interval: 3 * time.Second, Overlap: true, Seed: 4})
	if err != nil {
		t.Fatal(err)
	}
	r := &tape{began: time.Now()}
	main := generator.Stagger(50*time.Millisecond, generator.Repeat(history.Op{F: "say"}))
	final := generator.EachWorker(func(generator.Worker) generator.Generator { return generator.Once(history.Op{F: "say"}) })
	_, err = harness.Run(t.Context(), harness.Test{
		Nodes: []string{"n1", "n2", "n3"}, Concurrency: 3,
		Generator: generator.Seeded(4, "run", Phases(main, final, pkg, Shape{TimeLimit: 9 * time.Second, Quiet: 20 * time.Second})),
		Open: func(_ context.Context, _ history.Process, name string) (harness.Client, error) {
			return talker{net.JoinHostPort(e.node(name).Addr(), fmt.Sprint(clientPort))}, nil
		},
		Nemesis: pkg.Nemesis, History: r, Grace: 5 * time.Second, HealTimeout: 30 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	proved := map[string]int{}
	finals := 0
	for _, op := range r.ops {
		if op.Process == history.Nemesis {
			t.Log(line(t, op), op.Error)
		}
		switch {
		case op.Process == history.Nemesis && op.Type == history.Info:
			t.Errorf("%s: %s %s", op.F, op.Error, op.Value)
		case op.Process == history.Nemesis && op.Type == history.OK:
			proved[op.F]++
		case op.Process.IsClient() && op.Type == history.OK && proved[history.FFinalReads] > 0:
			finals++
		}
	}
	for _, f := range []string{
		"start-partition", "stop-partition", "start-kill", "stop-kill", "start-pause", "stop-pause", history.FHeal, history.FAwaitHealthy,
	} {
		if proved[f] == 0 {
			t.Errorf("no %s went well", f)
		}
	}
	if finals != 3 {
		t.Errorf("%d final operations went well, want one of each of the 3 workers", finals)
	}
	e.nothingLeft(t)
}
