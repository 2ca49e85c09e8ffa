package nemesis

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// Where nobody gives a component reason to write, objects are churned; where somebody does, they are not.
func TestCrashIsTriggered(t *testing.T) {
	p := newPlane(3)
	b := planeBreaker(p)
	if done, _ := invoke(t, b, planeOp("x-1", "crash-mid-reconcile:boss", 3, nodesOf(3)...)); done.Type != history.OK || p.churned.Load() != 0 {
		t.Errorf("with a write: %s %s, %d objects churned", done.Type, done.Error, p.churned.Load())
	}
	p = newPlane(3)
	b = planeBreaker(p)
	p.write = func(ctx context.Context, n int) (string, error) {
		for p.churned.Load() == 0 {
			if !elapsed(ctx, time.Millisecond) {
				return "", ctx.Err()
			}
		}
		return "after churn", nil
	}
	done, f := invoke(t, b, planeOp("x-1", "crash-mid-reconcile:boss", 3, nodesOf(3)...))
	if done.Type != history.OK || p.churned.Load() != 6 || !strings.Contains(string(f.Proof), "after churn") {
		t.Errorf("without: %s %s, %d objects churned, %s", done.Type, done.Error, p.churned.Load(), f.Proof)
	}
}

// A killed component that a stale server's fault starts elsewhere does not count as one that a watchdog started.
func TestMovesAreKnownToKills(t *testing.T) {
	p := newPlane(3)
	b := planeBreaker(p)
	for _, op := range []history.Op{
		planeOp("stale-1", "stale-apiserver:n1+agent", 0, "n1", "n2", "n3"),
		planeOp("kill-1", "kill:n2+agent", 0, "n1", "n2", "n3"),
		stopOp("stale-1", "stale-apiserver"),
		stopOp("kill-1", "kill"),
	} {
		if done, _ := invoke(t, b, op); done.Type != history.OK {
			t.Errorf("%s: %s %s", op.F, done.Type, done.Error)
		}
	}
	whole(t, p.world)
}

// A fault that keeps a process dead is not undone by another one that ends before it; the last one starts it.
func TestWhatIsHeldStaysDead(t *testing.T) {
	p := newPlane(3)
	b := planeBreaker(p)
	steps := []struct {
		op    history.Op
		agent string // on n3, after it
	}{
		{planeOp("kill-1", "kill:n3+agent", 0, nodesOf(3)...), exited},
		{planeOp("node-1", "node:n3", 0, nodesOf(3)...), exited},
		{stopOp("kill-1", "kill"), exited},
		{planeOp("kill-2", "kill:all+boss", 0, nodesOf(3)...), exited},
		{stopOp("node-1", "node"), running},
		{stopOp("kill-2", "kill"), running},
	}
	for _, s := range steps {
		if done, _ := invoke(t, b, s.op); done.Type != history.OK {
			t.Errorf("%s: %s %s", s.op.F, done.Type, done.Error)
		}
		if got := p.node("n3").procs["agent"].Status; got != s.agent {
			t.Errorf("after %s %s the agent is %s, want %s", s.op.F, s.op.Value, got, s.agent)
		}
	}
	whole(t, p.world)
	// Whatever order a heal takes.
	for _, s := range steps[:2] {
		invoke(t, b, s.op)
	}
	if err := b.Heal(t.Context()); err != nil {
		t.Error(err)
	}
	whole(t, p.world)
	if len(b.force.owed) > 0 || len(b.inForce) > 0 {
		t.Errorf("left: %v, %v", b.force.owed, b.inForce)
	}
}

// A link inside of a node is cut by one fault at a time.
func TestLinksAreCutOnce(t *testing.T) {
	p := newPlane(3)
	b := planeBreaker(p)
	if done, _ := invoke(t, b, planeOp("stale-1", "stale-apiserver:n3", 0, nodesOf(3)...)); done.Type != history.OK {
		t.Fatalf("%s %s", done.Type, done.Error)
	}
	done, _ := invoke(t, b, planeOp("partition-1", "partition:n3+reset+api-etcd", 0, nodesOf(3)...))
	if done.Type != history.Fail || done.Error != "skipped: the link api-etcd of n3 is cut already, by stale-1" {
		t.Errorf("%s %s", done.Type, done.Error)
	}
	for _, op := range []history.Op{
		planeOp("partition-2", "partition:n2+reset+api-etcd", 0, nodesOf(3)...),
		stopOp("stale-1", "stale-apiserver"),
		stopOp("partition-2", "partition"),
		planeOp("partition-3", "partition:n3+reset+api-etcd", 0, nodesOf(3)...),
		stopOp("partition-3", "partition"),
	} {
		if done, _ := invoke(t, b, op); done.Type != history.OK {
			t.Errorf("%s %s: %s %s", op.F, op.Value, done.Type, done.Error)
		}
	}
	whole(t, p.world)
}
