package cluster

import (
	"bufio"
	"io"
	"net"
	"strconv"
	"testing"
	"time"
)

// TestOpenConnections: a drop only holds open connections up, and thanks to the bound on TCP's retransmissions they go on
// within a second, where after this one they would wait for almost three. A reset ends them.
func TestOpenConnections(t *testing.T) {
	ctx := needRoot(t)
	c := up(t, ctx, Options{Nodes: 2, Name: "a"})
	n1, n2 := c.Nodes()[0], c.Nodes()[1]
	startEcho(t, ctx, n1)
	conn, err := n2.Dial(ctx, net.JoinHostPort(n1.Addr(), strconv.Itoa(echoPort)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers := make(chan error)
	go func() {
		defer close(answers)
		for in := bufio.NewReader(conn); ; {
			_, err := in.ReadString('\n')
			answers <- err
			if err != nil {
				return
			}
		}
	}()
	answered := func(within time.Duration) (answer bool, err error) {
		timer := time.NewTimer(within)
		defer timer.Stop()
		select {
		case err := <-answers:
			return true, err
		case <-timer.C:
			return false, nil
		}
	}
	say := func() {
		t.Helper()
		if _, err := io.WriteString(conn, "ping\n"); err != nil {
			t.Fatal(err)
		}
	}
	say()
	if ok, err := answered(time.Second); !ok || err != nil {
		t.Fatalf("before the cut: %v, %v", ok, err)
	}
	if err := n1.Cut(ctx, "drop", peerRule(n2.Addr(), false)); err != nil {
		t.Fatal(err)
	}
	say()
	if ok, err := answered(3500 * time.Millisecond); ok {
		t.Fatalf("a dropped connection is answered: %v", err)
	}
	if _, err := n1.Uncut(ctx, "drop"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if ok, err := answered(1800 * time.Millisecond); !ok || err != nil {
		t.Fatalf("after the cut: %v, %v", ok, err)
	}
	t.Logf("answered %v after the cut", time.Since(began))
	if err := n1.Cut(ctx, "reset", peerRule(n2.Addr(), true)); err != nil {
		t.Fatal(err)
	}
	say()
	if ok, err := answered(time.Second); !ok || err == nil {
		t.Fatalf("a reset connection: %v, %v", ok, err)
	}
}
