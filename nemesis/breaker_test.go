package nemesis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/harness/history"
)

// breakerOf is the nemesis of a world, with bounds that suit a test.
func breakerOf(w *world) *breaker {
	env := w.env()
	b := newBreaker(env, env.Scope(), Options{})
	b.probe, b.count = 20*time.Millisecond, 100*time.Millisecond
	return b
}

// startOp is the invocation of a fault: "kill:one+etcd".
func startOp(id, entry string, order ...string) history.Op {
	family, words, _ := strings.Cut(entry, ":")
	return history.Op{
		Type: history.Invoke, Process: history.Nemesis, F: history.StartOf(family),
		Value: encode(history.Fault{ID: id, Family: family, Variant: words, Requested: entry, Detail: encode(Draw{Order: order})}),
	}
}

func stopOp(id, family string) history.Op {
	return history.Op{
		Type: history.Invoke, Process: history.Nemesis, F: history.StopOf(family),
		Value: encode(history.Fault{ID: id, Family: family}),
	}
}

func invoke(t *testing.T, b *breaker, op history.Op) (history.Op, history.Fault) {
	t.Helper()
	op = b.Invoke(t.Context(), op)
	var f history.Fault
	if err := json.Unmarshal(op.Value, &f); err != nil {
		t.Fatalf("%s %q: %v", op.F, op.Value, err)
	}
	return op, f
}

// Each fault that the table can draw, on five nodes: it acts, proves it, and leaves nothing.
func TestFaultsActProveAndLeaveNothing(t *testing.T) {
	var b strings.Builder
	order := []string{"n3", "n1", "n5", "n2", "n4"}
	for _, entry := range []string{
		"partition:one+drop+peer", "partition:leader+reset+peer", "partition:majority+drop+client", "partition:halves+reset+both",
		"partition:bridge+drop+both", "partition:ring+drop+peer", "partition:one-way+reset+peer", "partition:n2+drop+peer",
		"kill:one+etcd", "kill:minority+etcd", "kill:majority+etcd", "kill:leader+etcd", "kill:all+etcd", "kill:n4+etcd",
		"pause:one+etcd", "pause:leader+etcd", "pause:all+etcd",
	} {
		w := newWorld(5)
		n := breakerOf(w)
		family, _, _ := strings.Cut(entry, ":")
		for _, op := range []history.Op{startOp("x-1", entry, order...), stopOp("x-1", family)} {
			done, f := invoke(t, n, op)
			fmt.Fprintf(&b, "%s %s %s %s %v %s %s\n", entry, done.F, done.Type, done.Error, f.Nodes, f.Detail, f.Proof)
		}
		whole(t, w)
		if len(n.inForce) > 0 {
			t.Errorf("%s: still in force: %v", entry, n.inForce)
		}
	}
	golden(t, "faults.txt", b.String())
}

// What goes wrong, and what the history says of it.
func TestWhatIsNotProved(t *testing.T) {
	order := []string{"n2", "n3", "n1"}
	for _, c := range []struct {
		name, entry string
		before      func(w *world)
		between     func(w *world)
		start, stop history.Type
		why         string
	}{
		{
			name: "rules that catch nothing", entry: "partition:one+drop+peer",
			before: func(w *world) { w.blunt = true }, start: history.Info, stop: history.Info, why: "connected",
		},
		{
			name: "a reset that is swallowed", entry: "partition:one+reset+peer",
			before: func(w *world) { w.mute = true }, start: history.Info, stop: history.OK, why: "n2→n1 silent",
		},
		{
			name: "a cut that a watchdog undid", entry: "partition:one+drop+peer",
			between: func(w *world) { w.node("n3").uncut("x-1") }, start: history.OK, stop: history.Info, why: "on [n3] the cut was gone",
		},
		{
			name: "a process that survives SIGKILL", entry: "kill:one+etcd",
			before: func(w *world) { w.immortal = true }, start: history.Info, stop: history.Info, why: "etcd should be exited: [n2 running",
		},
		{
			name: "a process that survives SIGSTOP", entry: "pause:one+etcd",
			before: func(w *world) { w.immortal = true }, start: history.Info, stop: history.Info, why: "etcd should be stopped: [n2 running",
		},
		{
			name: "another process than the one that was found", entry: "kill:one+etcd",
			before: func(w *world) { w.restless = true }, start: history.Info, stop: history.OK, why: "etcd should be exited: [n2 exited (pid 202",
		},
		{
			name: "a killed process that someone else started", entry: "kill:one+etcd",
			between: func(w *world) { w.spawn(w.node("n2"), "etcd") }, start: history.OK, stop: history.Info, why: "ran again before",
		},
		{
			name: "a paused process that a watchdog continued", entry: "pause:one+etcd",
			between: func(w *world) {
				p := w.node("n2").procs["etcd"]
				p.Status = running
				w.node("n2").procs["etcd"] = p
			},
			start: history.OK, stop: history.Info, why: "ran again before",
		},
		{
			name: "a paused process that another fault killed and started again", entry: "pause:one+etcd",
			between: func(w *world) { w.spawn(w.node("n2"), "etcd") }, start: history.OK, stop: history.OK,
		},
		{
			name: "a node that can't be cut", entry: "partition:one+drop+peer",
			before: func(w *world) { w.dead["n3"] = true }, start: history.Info, stop: history.Info, why: "node n3: ssh: connection lost",
		},
		{
			name: "no leader", entry: "partition:leader+drop+peer",
			before: func(w *world) { w.leader = "" }, start: history.Fail, stop: history.Fail, why: "skipped: no leader is known",
		},
		{
			name: "a leader that is no node", entry: "kill:leader+etcd",
			before: func(w *world) { w.leader = "learner" }, start: history.Fail, stop: history.Fail, why: "skipped: the leader",
		},
		{
			name: "nothing alive to kill", entry: "kill:all+etcd",
			before: func(w *world) {
				for _, n := range w.nodes {
					n.procs["etcd"] = control.ProcessState{Name: "etcd", Status: exited}
				}
			},
			start: history.Fail, stop: history.Fail, why: "skipped: no etcd is running on",
		},
		{
			name: "a component that never ran", entry: "pause:all+proxy",
			start: history.Fail, stop: history.Fail, why: "skipped: no proxy is running on",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(3)
			w.components = append(w.components, "proxy")
			n := breakerOf(w)
			if c.before != nil {
				c.before(w)
			}
			started, _ := invoke(t, n, startOp("x-1", c.entry, order...))
			if c.between != nil {
				c.between(w)
			}
			family, _, _ := strings.Cut(c.entry, ":")
			ended, _ := invoke(t, n, stopOp("x-1", family))
			if started.Type != c.start || ended.Type != c.stop || !strings.Contains(started.Error+ended.Error, c.why) {
				t.Errorf("start %s %q, stop %s %q; want %s, %s, with %q", started.Type, started.Error, ended.Type, ended.Error, c.start, c.stop, c.why)
			}
		})
	}
}

// A probe that meets an error of the control connection says nothing; the packets that real traffic lost do.
func TestCountersProveWhatProbesCannot(t *testing.T) {
	p, err := prepare("partition", []string{"one", "drop"}, scopeOf(3))
	if err != nil {
		t.Fatal(err)
	}
	part := p.(*partition)
	seen := Cut{On: "n1", From: "n2", Packets: 5}
	part.cuts = []cut{{Cut: seen, by: "n2"}}
	for probe, proved := range map[string]bool{
		errUnreachable.Error(): true, silent: true, connected: false, refused: false, "": true,
	} {
		seen.Probe = probe
		if err := part.leaks([]Cut{seen}); (err == nil) != proved {
			t.Errorf("probe %q: %v, want proved %v", probe, err, proved)
		}
	}
	if part.unshown([]Cut{{On: "n1", From: "n2", Probe: silent}}) == nil {
		t.Error("a silent probe whose packets no rule caught is taken for a proof")
	}
}

func TestHealUndoesEverythingItCan(t *testing.T) {
	w := newWorld(5)
	b := breakerOf(w)
	invoke(t, b, startOp("partition-1", "partition:halves+drop+peer", nodesOf(5)...))
	invoke(t, b, startOp("kill-1", "kill:n4+etcd", nodesOf(5)...))
	invoke(t, b, startOp("pause-1", "pause:n5+etcd", nodesOf(5)...))
	// Something that this nemesis does not know of, as after a crash of the driver.
	_ = w.node("n3").Cut(t.Context(), "old-1", []control.CutRule{{Ports: []int{1}}})

	w.dead["n2"] = true
	err := b.Heal(t.Context())
	if err == nil || !strings.Contains(err.Error(), "node n2") || strings.Contains(err.Error(), "node n3") {
		t.Errorf("heal with n2 out of reach: %v", err)
	}
	if got := w.broken(); !slices.Equal(got, []string{"n2 partition-1"}) {
		t.Errorf("left %v, want only what is out of reach", got)
	}

	delete(w.dead, "n2")
	op := b.Invoke(t.Context(), history.Op{Type: history.Invoke, Process: history.Nemesis, F: history.FHeal})
	if op.Type != history.OK {
		t.Errorf("heal again: %s %s", op.Type, op.Error)
	}
	var healed Healed
	if err := json.Unmarshal(op.Value, &healed); err != nil || len(healed.Faults) != 1 || healed.Faults[0].ID != "partition-1" {
		t.Errorf("healed %s, %v", op.Value, err)
	}
	whole(t, w)
	for range 3 {
		if err := b.Heal(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// A heal says what it ended, with the proofs, and what the nodes undid beside.
func TestHealTellsWhatItUndid(t *testing.T) {
	w := newWorld(3)
	b := breakerOf(w)
	invoke(t, b, startOp("kill-1", "kill:one+etcd", nodesOf(3)...))
	_ = w.node("n3").Cut(t.Context(), "old-1", []control.CutRule{{Ports: []int{1}}})
	op := b.Invoke(t.Context(), history.Op{Type: history.Invoke, Process: history.Nemesis, F: history.FHeal})
	golden(t, "heal.txt", fmt.Sprintf("%s %s\n%s\n", op.Type, op.Error, op.Value))
	whole(t, w)
}

// Heal ends an operation in mid-act, and undoes what it had done.
func TestHealInterrupts(t *testing.T) {
	w := newWorld(3)
	b := breakerOf(w)
	w.block, w.entered = make(chan struct{}), make(chan struct{}, 100)
	done := make(chan history.Op)
	go func() {
		done <- b.Invoke(t.Context(), startOp("partition-1", "partition:one+drop+peer", nodesOf(3)...))
	}()
	<-w.entered
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := b.Heal(ctx); err != nil {
		t.Errorf("heal: %v", err)
	}
	if op := <-done; op.Type == history.OK {
		t.Errorf("the partition that was interrupted is %s: %s", op.Type, op.Error)
	}
	whole(t, w)
	close(w.block)
	if op, _ := invoke(t, b, startOp("partition-2", "partition:one+drop+peer", nodesOf(3)...)); op.Type != history.OK {
		t.Errorf("after the heal: %s %s", op.Type, op.Error)
	}
	if err := b.Heal(ctx); err != nil {
		t.Error(err)
	}
	whole(t, w)
}

// While someone waits to heal, nothing new is broken.
func TestNoFaultStartsWhileAHealWaits(t *testing.T) {
	w := newWorld(3)
	b := breakerOf(w)
	done := b.interrupt()
	if op, _ := invoke(t, b, startOp("kill-1", "kill:all+etcd", nodesOf(3)...)); op.Type != history.Fail {
		t.Errorf("while a heal waits: %s %s", op.Type, op.Error)
	}
	whole(t, w)
	done()
	if op, _ := invoke(t, b, startOp("kill-2", "kill:all+etcd", nodesOf(3)...)); op.Type != history.OK {
		t.Errorf("after it: %s %s", op.Type, op.Error)
	}
}

func TestHealGivesUpWithItsContext(t *testing.T) {
	b := breakerOf(newWorld(3))
	b.turn <- struct{}{} // someone who never gives it back
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := b.Heal(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// Whatever is called at once, after the last heal nothing is left.
func TestConcurrentUse(t *testing.T) {
	w := newWorld(5)
	b := breakerOf(w)
	var wg sync.WaitGroup
	entries := []string{"partition:one+drop+peer", "kill:minority+etcd", "pause:one+etcd", "partition:ring+reset+peer"}
	for i := range 24 {
		wg.Go(func() {
			entry := entries[i%len(entries)]
			family, _, _ := strings.Cut(entry, ":")
			id := fmt.Sprintf("%s-%d", family, i)
			b.Invoke(t.Context(), startOp(id, entry, nodesOf(5)...))
			if i%3 == 0 {
				_ = b.Heal(t.Context())
			}
			b.Invoke(t.Context(), stopOp(id, family))
		})
	}
	wg.Wait()
	if err := b.Heal(t.Context()); err != nil {
		t.Error(err)
	}
	whole(t, w)
}

func TestAwaitHealthyAndMembers(t *testing.T) {
	w := newWorld(3)
	b := breakerOf(w)
	await := history.Op{F: history.FAwaitHealthy, Value: encode(Await{BoundMS: 20})}
	if op := b.Invoke(t.Context(), await); op.Type != history.OK || string(op.Value) != `{"bound_ms":20,"healthy":true}` {
		t.Errorf("healthy: %s %s %s", op.Type, op.Value, op.Error)
	}
	w.sick = errors.New("n2: no leader")
	if op := b.Invoke(t.Context(), await); op.Type != history.Info || op.Error != "not healthy within 20 ms: n2: no leader" {
		t.Errorf("unwell: %s %s %s", op.Type, op.Value, op.Error)
	}
	var states []history.MemberState
	op := b.Invoke(t.Context(), history.Op{F: history.FMembers})
	if err := json.Unmarshal(op.Value, &states); err != nil || op.Type != history.OK || len(states) != 2 || states[1].Revision != 7 {
		t.Errorf("members: %s %s %s", op.Type, op.Value, op.Error)
	}
	b.System = plain{w}
	if op := b.Invoke(t.Context(), history.Op{F: history.FMembers}); op.Type != history.Fail || !strings.Contains(op.Error, "no members") {
		t.Errorf("members of a system without: %s %s", op.Type, op.Error)
	}
}

func TestNonsenseIsSkipped(t *testing.T) {
	b := breakerOf(newWorld(3))
	for _, op := range []history.Op{
		{F: "explode"},
		{F: "start-partition", Value: json.RawMessage(`[]`)},
		{F: "start-partition", Value: json.RawMessage(`{}`)},
		{F: "start-flood", Value: json.RawMessage(`{"id":"flood-1"}`)},
		{F: "start-kill", Value: json.RawMessage(`{"id":"kill-1","variant":"one+etcd","detail":[]}`)},
		{F: "start-partition", Value: json.RawMessage(`{"id":"partition-1","variant":"one+drop","detail":{"order":["n1"]}}`)},
		{F: "start-partition", Value: json.RawMessage(`{"id":"partition-2","variant":"one+drop","detail":{"order":["n1","n1","x"]}}`)},
		{F: "stop-kill", Value: json.RawMessage(`{"id":"kill-9"}`)},
		{F: "await-healthy", Value: json.RawMessage(`"soon"`)},
	} {
		if done := b.Invoke(t.Context(), op); done.Type != history.Fail || !strings.HasPrefix(done.Error, "skipped: ") {
			t.Errorf("%s %s: %s %q", op.F, op.Value, done.Type, done.Error)
		}
	}
}
