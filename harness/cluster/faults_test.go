package cluster

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/internal/node"
)

const echoPort = 7007

func peerRule(from string, reset bool) []control.CutRule {
	return []control.CutRule{{From: from, Ports: []int{echoPort}, Reset: reset}}
}

// startEcho starts the echo server on a node.
func startEcho(t testing.TB, ctx context.Context, n *Node) control.ProcessState {
	t.Helper()
	st, err := n.Start(ctx, control.Process{
		Name: "echo", Args: []string{node.BinaryPath, "test-echo", fmt.Sprintf(":%d", echoPort)}, Log: "/var/log/echo.log",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := await(ctx, 10*time.Second, "echo server", func() (bool, error) { return say(ctx, n, n.Addr()) == nil, nil }); err != nil {
		t.Fatal(err)
	}
	return st
}

// say has one node talk to the echo server of another.
func say(ctx context.Context, from *Node, to string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := from.Dial(ctx, net.JoinHostPort(to, fmt.Sprint(echoPort)))
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := io.WriteString(conn, "ping\n"); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && line != "ping\n" {
		err = fmt.Errorf("it answered %q", line)
	}
	return err
}

func TestCutAndUncut(t *testing.T) {
	ctx := needRoot(t)
	c := up(t, ctx, Options{Nodes: 3, Name: "a"})
	n1, n2, n3 := c.Nodes()[0], c.Nodes()[1], c.Nodes()[2]
	startEcho(t, ctx, n1)
	for _, reset := range []bool{false, true} {
		t.Run(fmt.Sprintf("reset=%v", reset), func(t *testing.T) {
			if err := say(ctx, n2, n1.Addr()); err != nil {
				t.Fatalf("before the cut: %v", err)
			}
			rules := peerRule(n2.Addr(), reset)
			for range 2 { // the same again is no error
				if err := n1.Cut(ctx, "p:1", rules); err != nil {
					t.Fatal(err)
				}
			}
			if err := n1.Cut(ctx, "p:1", peerRule(n3.Addr(), reset)); err == nil {
				t.Error("another cut was accepted under an id in use")
			}
			began := time.Now()
			err := say(ctx, n2, n1.Addr())
			if err == nil {
				t.Fatal("the cut link carries traffic")
			}
			refused := strings.Contains(err.Error(), "connection refused")
			if refused != reset {
				t.Errorf("reset=%v: %v after %v", reset, err, time.Since(began))
			}
			if err := say(ctx, n3, n1.Addr()); err != nil {
				t.Errorf("a link that was not cut: %v", err)
			}
			if err := say(ctx, n1, n1.Addr()); err != nil {
				t.Errorf("the node itself: %v", err)
			}
			counts, err := n1.CutCounts(ctx, "p:1")
			if err != nil || len(counts) != 1 || counts[0].From != n2.Addr() || counts[0].Packets == 0 {
				t.Errorf("counts %v, %v", counts, err)
			}
			for range 2 {
				caught, err := n1.Uncut(ctx, "p:1")
				if err != nil || len(caught) != 1 || caught[0].Packets < counts[0].Packets {
					t.Errorf("caught %v, %v", caught, err)
				}
			}
			if err := say(ctx, n2, n1.Addr()); err != nil {
				t.Errorf("after the cut: %v", err)
			}
			if _, err := n1.CutCounts(ctx, "p:1"); err == nil {
				t.Error("a cut that was undone still counts")
			}
		})
	}
	err := n1.Cut(ctx, "ssh", []control.CutRule{{Ports: []int{echoPort, 22}}})
	if err == nil || !strings.Contains(err.Error(), "port 22") {
		t.Errorf("cutting the control connection: %v", err)
	}
	if out, err := n1.Run(ctx, control.Cmd{Args: []string{node.BinaryPath, "node", "status"}}); err != nil || !strings.Contains(string(out.Stdout), `"faults":[]`) {
		t.Errorf("status %s, %v", out.Stdout, err)
	}
}

func TestPauseKillAndRestart(t *testing.T) {
	ctx := needRoot(t)
	c := up(t, ctx, Options{Nodes: 1, Name: "a"})
	n := c.Nodes()[0]
	first := startEcho(t, ctx, n)
	if first.Status != "running" || first.PID == 0 || first.StartTicks == 0 {
		t.Errorf("started: %+v", first)
	}
	if _, err := n.Start(ctx, control.Process{Name: "echo", Args: []string{"true"}, Log: "/tmp/x"}); err == nil {
		t.Error("a second process of the same name was started")
	}
	want := func(sig control.Signal, status string) control.ProcessState {
		t.Helper()
		st, err := n.Signal(ctx, "echo", sig)
		if err != nil || st.Status != status {
			t.Errorf("after SIG%s: %+v, %v", sig, st, err)
		}
		return st
	}
	want(control.SIGSTOP, "stopped")
	if err := say(ctx, n, n.Addr()); err == nil {
		t.Error("a stopped process answers")
	}
	want(control.SIGCONT, "running")
	if err := say(ctx, n, n.Addr()); err != nil {
		t.Errorf("after it continued: %v", err)
	}
	want(control.SIGSTOP, "stopped")
	for _, expected := range []int{1, 0} {
		if undone, err := n.Heal(ctx); err != nil || len(undone) != expected {
			t.Errorf("healed %q, %v", undone, err)
		}
	}
	if st := want(control.SIGKILL, "exited"); st.Exit != "signal killed" {
		t.Errorf("killed: %+v", st)
	}
	if _, err := n.Signal(ctx, "echo", control.SIGSTOP); err == nil {
		t.Error("a dead process was stopped")
	}
	if again := startEcho(t, ctx, n); again.StartTicks == first.StartTicks {
		t.Error("the start time does not tell the restart")
	}
	want(control.SIGTERM, "exited")
}

// TestRestartPolicy: a process that exits by itself comes back, one that was killed by Signal does not.
func TestRestartPolicy(t *testing.T) {
	ctx := needRoot(t)
	n := up(t, ctx, Options{Nodes: 1, Name: "a"}).Nodes()[0]
	_, err := n.Start(ctx, control.Process{
		Name: "flaky", Args: []string{"sh", "-c", "echo run; sleep 0.05; exit 3"}, Log: "/var/log/flaky.log", Restart: 20 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	runs := func() int {
		out, err := n.Run(ctx, control.Cmd{Args: []string{"grep", "-c", "run", "/var/log/flaky.log"}})
		if err != nil {
			t.Fatal(err)
		}
		var count int
		fmt.Sscan(string(out.Stdout), &count)
		return count
	}
	if err := await(ctx, 20*time.Second, "3 runs", func() (bool, error) { return runs() >= 3, nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Signal(ctx, "flaky", control.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// Its supervisor is gone, so nobody is left who could start it again.
	before := runs()
	out, err := n.Run(ctx, control.Cmd{Args: []string{"sh", "-c", "sleep 0.2; ps ax | grep '[s]upervise flaky' | wc -l"}})
	if err != nil || strings.TrimSpace(string(out.Stdout)) != "0" || runs() != before {
		t.Errorf("after the kill: %d runs, then %d; supervisors: %s (%v)", before, runs(), out.Stdout, err)
	}
}

func TestWatchdogHealsWithoutADriver(t *testing.T) {
	ctx := needRoot(t)
	c := up(t, ctx, Options{Nodes: 2, Name: "a", Lease: time.Second})
	n1, n2 := c.Nodes()[0], c.Nodes()[1]
	startEcho(t, ctx, n1)
	if err := n1.Cut(ctx, "p", peerRule(n2.Addr(), true)); err != nil {
		t.Fatal(err)
	}
	if _, err := n1.Signal(ctx, "echo", control.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// With signs of life the fault lasts for longer than one lease.
	until := time.Now().Add(2 * time.Second)
	err := await(ctx, 10*time.Second, "two leases to pass", func() (bool, error) { return time.Now().After(until), nil })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n1.CutCounts(ctx, "p"); err != nil {
		t.Fatalf("the fault did not last: %v", err)
	}
	c.renewing()
	c.renewed.Wait()
	err = await(ctx, 10*time.Second, "the watchdog", func() (bool, error) {
		fired, err := n1.WatchdogFired(ctx)
		return len(fired) == 2, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := say(ctx, n2, n1.Addr()); err != nil {
		t.Errorf("after the watchdog healed: %v", err)
	}
	if fired, err := n2.WatchdogFired(ctx); err != nil || len(fired) != 0 {
		t.Errorf("a node without faults: %q, %v", fired, err)
	}
}
