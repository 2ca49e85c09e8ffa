package cluster

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/faultline/faultline/harness/control"
)

// The loopback addresses by which a node's processes reach the echo server.
const (
	cutAddr   = "127.0.1.3"
	otherAddr = "127.0.1.2"
)

// loopConn is a connection of a node to its own server.
type loopConn struct {
	conn    net.Conn
	answers chan error
}

// dialLoop connects a node to its own server at a loopback address, and talks once.
func dialLoop(t *testing.T, n *Node, addr string) *loopConn {
	t.Helper()
	conn, err := n.Dial(t.Context(), net.JoinHostPort(addr, fmt.Sprint(echoPort)))
	if err != nil {
		t.Fatalf("%s: %v", addr, err)
	}
	t.Cleanup(func() { conn.Close() })
	l := &loopConn{conn, make(chan error, 100)}
	go func() {
		defer close(l.answers)
		for in := bufio.NewReader(conn); ; {
			_, err := in.ReadString('\n')
			l.answers <- err
			if err != nil {
				return
			}
		}
	}()
	if got := l.talk(t, 5*time.Second); got != "answer" {
		t.Fatalf("%s before the cut: %s", addr, got)
	}
	return l
}

// talk says something and tells what came back: answer, silence, or the connection's end.
func (l *loopConn) talk(t *testing.T, within time.Duration) string {
	t.Helper()
	if _, err := io.WriteString(l.conn, "ping\n"); err != nil {
		return "ended"
	}
	return l.hear(within)
}

func (l *loopConn) hear(within time.Duration) string {
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case err, open := <-l.answers:
		if !open || err != nil {
			return "ended"
		}
		return "answer"
	case <-timer.C:
		return "silence"
	}
}

// TestCutLoopback: a link of a node to itself is told by the server's loopback address. Requests and answers stop, those of
// connections that were there before too, and nothing else: neither the same port at another address, nor other nodes.
func TestCutLoopback(t *testing.T) {
	ctx := needRoot(t)
	c := up(t, ctx, Options{Nodes: 2, Name: "a"})
	n1, n2 := c.Nodes()[0], c.Nodes()[1]
	startEcho(t, ctx, n1)
	startEcho(t, ctx, n2)
	for _, test := range []struct {
		name string
		rule control.CutRule
		// dial is what a new connection meets, older what an older one does.
		dial, older string
	}{
		{"drop", control.CutRule{}, "timeout", "silence"},
		{"reset", control.CutRule{Reset: true}, "connection refused", "ended"},
		{"drop requests", control.CutRule{ServerOnly: true}, "timeout", "silence"},
		{"drop answers", control.CutRule{ClientOnly: true}, "timeout", "silence"},
		{"reset answers", control.CutRule{ClientOnly: true, Reset: true}, "", "ended"},
	} {
		t.Run(test.name, func(t *testing.T) {
			older, other, remote := dialLoop(t, n1, cutAddr), dialLoop(t, n1, otherAddr), dialLoop(t, n2, n1.Addr())
			rule := test.rule
			rule.To, rule.Ports = cutAddr, []int{echoPort}
			if err := n1.Cut(ctx, "l", []control.CutRule{rule}); err != nil {
				t.Fatal(err)
			}
			switch err := say(ctx, n1, cutAddr); {
			case err == nil:
				t.Error("the cut link carries traffic")
			case test.dial == "connection refused" && !strings.Contains(err.Error(), test.dial),
				test.dial == "timeout" && strings.Contains(err.Error(), "connection refused"):
				t.Errorf("a new connection: %v; want %s", err, test.dial)
			}
			counts, err := n1.CutCounts(ctx, "l")
			if err != nil || len(counts) != 1 || counts[0].To != cutAddr || counts[0].From != "" || counts[0].Packets == 0 {
				t.Errorf("counts %v, %v", counts, err)
			}
			if got := older.talk(t, time.Second); got != test.older {
				t.Errorf("an older connection: %s; want %s", got, test.older)
			}
			for what, l := range map[string]*loopConn{"the same port at " + otherAddr: other, "another node": remote} {
				if got := l.talk(t, 5*time.Second); got != "answer" {
					t.Errorf("%s: %s", what, got)
				}
			}
			for what, err := range map[string]error{
				"a new connection to " + otherAddr: say(ctx, n1, otherAddr),
				"127.0.0.1":                        say(ctx, n1, "127.0.0.1"),
				"the node's own address":           say(ctx, n1, n1.Addr()),
				"another node's same address":      say(ctx, n2, cutAddr),
				"the node to another":              say(ctx, n1, n2.Addr()),
			} {
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
			caught, err := n1.Uncut(ctx, "l")
			if err != nil || len(caught) != 1 || caught[0].Packets <= counts[0].Packets || caught[0].To != cutAddr {
				t.Errorf("caught %v after %v, %v", caught, counts, err)
			}
			if err := say(ctx, n1, cutAddr); err != nil {
				t.Errorf("after the cut: %v", err)
			}
			// What a drop held up is sent again.
			if test.older == "silence" {
				if got := older.hear(10 * time.Second); got != "answer" {
					t.Errorf("the older connection after the cut: %s", got)
				}
			}
		})
	}
	if err := n1.Cut(ctx, "l", []control.CutRule{{To: cutAddr, Ports: []int{echoPort}}}); err != nil {
		t.Fatal(err)
	}
	if undone, err := n1.Heal(ctx); err != nil || len(undone) != 1 || !strings.Contains(undone[0], "to "+cutAddr) {
		t.Errorf("healed %q, %v", undone, err)
	}
	if err := n1.Cut(ctx, "ssh", []control.CutRule{{To: "127.0.0.1", Ports: []int{22}}}); err == nil || !strings.Contains(err.Error(), "port 22") {
		t.Errorf("cutting the control connection: %v", err)
	}
}
