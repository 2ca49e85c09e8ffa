package nemesis

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/harness/history"
)

// Each fault of a control plane acts, proves it, and leaves nothing.
func TestPlaneFaults(t *testing.T) {
	var b strings.Builder
	order := []string{"n3", "n1", "n2"}
	for _, entry := range []string{
		"node:one", "node:minority", "node:leader", "node:n2",
		"stale-apiserver:one", "stale-apiserver:leader", "stale-apiserver:n2+agent", "stale-apiserver:one+boss",
		"crash-mid-reconcile:boss", "missed-events:one+agent", "missed-events:leader+boss", "missed-events:all+agent",
	} {
		p := newPlane(3)
		n := planeBreaker(p)
		family, _, _ := strings.Cut(entry, ":")
		for _, op := range []history.Op{planeOp("x-1", entry, 3, order...), stopOp("x-1", family)} {
			done, f := invoke(t, n, op)
			fmt.Fprintf(&b, "%s %s %s %s %v\n  %s\n  %s\n", entry, done.F, done.Type, done.Error, f.Nodes, f.Detail, f.Proof)
		}
		whole(t, p.world)
		if len(n.inForce) > 0 {
			t.Errorf("%s: still in force: %v", entry, n.inForce)
		}
		for c, server := range p.servers {
			if !strings.HasPrefix(c, server+" ") {
				t.Errorf("%s: %s still uses %s", entry, c, server)
			}
		}
	}
	// How often the caches are asked is a matter of time.
	golden(t, "plane.txt", regexp.MustCompile(`"cached":\d+,"newest":\d+`).ReplaceAllString(b.String(), `"cached":…,"newest":…`))
}

// What of it goes wrong, and what the history says.
func TestWhatOfAPlaneIsNotProved(t *testing.T) {
	for _, c := range []struct {
		name, entry string
		before      func(p *plane)
		between     func(p *plane)
		start, stop history.Type
		why         string
	}{
		{
			name: "a server that does not answer", entry: "stale-apiserver:n3", before: func(p *plane) { p.mute["n3"] = true },
			start: history.Fail, stop: history.Fail, why: "skipped: no server on [n3] answers from a cache that follows what is written: node n3: connection refused",
		},
		{
			name: "servers of which one is unfit", entry: "stale-apiserver:one", before: func(p *plane) { p.mute["n3"] = true },
			start: history.OK, stop: history.OK,
		},
		{
			name: "servers of which only one is fit", entry: "stale-apiserver:one", before: func(p *plane) { p.mute["n3"], p.deaf["n1"] = true, true },
			start: history.Fail, stop: history.Fail, why: "nothing would be newer than the cache on n2, since no other server works: node n3: connection refused",
		},
		{
			name: "nothing is written", entry: "stale-apiserver:n3", before: func(p *plane) { p.idle = true },
			start: history.Fail, stop: history.Fail, why: "nothing new comes into its cache (it is at 0, the newest is 0)",
		},
		{
			name: "a cache that gets it all elsewhere", entry: "stale-apiserver:n3", before: func(p *plane) { p.fresh = true },
			start: history.Info, stop: history.OK, why: "not proved: the cache on n3 is not 1s old within 400ms",
		},
		{
			name: "a cut that cuts nothing", entry: "stale-apiserver:n3+agent", before: func(p *plane) { p.blunt = true },
			start: history.Info, stop: history.Info, why: "n3→127.0.1.3 on n3 connected",
		},
		{
			name: "a component that can't be moved", entry: "stale-apiserver:n3+agent", before: func(p *plane) { p.immovable = true },
			start: history.Info, stop: history.Info, why: "agent should run as a new process: n1 running",
		},
		{
			name: "nothing to move", entry: "stale-apiserver:n3+agent",
			before: func(p *plane) { delete(p.node("n1").procs, "agent"); delete(p.node("n2").procs, "agent") },
			start:  history.Fail, stop: history.Fail, why: "skipped: no agent is running on [n1 n2], to be moved to n3",
		},
		{
			name: "a node that can't be reached at the stop", entry: "stale-apiserver:n3+agent", between: func(p *plane) { p.dead["n1"] = true },
			start: history.OK, stop: history.Info, why: "move agent of n1 to the server of n1: ssh: connection lost",
		},
		{
			name: "no write", entry: "crash-mid-reconcile:boss",
			before: func(p *plane) {
				p.write = func(ctx context.Context, _ int) (string, error) { <-ctx.Done(); return "", ctx.Err() }
			},
			start: history.Fail, stop: history.Fail, why: "skipped: boss did not write 3 times within 400ms: context deadline exceeded",
		},
		{
			name: "no leader to crash", entry: "crash-mid-reconcile:boss", before: func(p *plane) { p.leaderOf = "" },
			start: history.Fail, stop: history.Fail, why: "skipped: no leader is known",
		},
		{
			name: "a leader that ends by itself", entry: "crash-mid-reconcile:boss",
			before: func(p *plane) {
				p.write = func(context.Context, int) (string, error) {
					p.mu.Lock()
					defer p.mu.Unlock()
					p.spawn(p.node("n2"), "boss")
					return "a write", nil
				}
			},
			start: history.Fail, stop: history.Fail, why: "it ended and was started again",
		},
		{
			name: "a leader that survives", entry: "crash-mid-reconcile:boss", before: func(p *plane) { p.immortal = true },
			start: history.Info, stop: history.Info, why: "boss should be exited: [n2 running",
		},
		{
			name: "nothing can be churned", entry: "missed-events:one+agent", before: func(p *plane) { p.unchurnable.Store(0) },
			start: history.Fail, stop: history.Fail, why: "skipped: nothing can be churned now: no server answers",
		},
		{
			name: "nothing can be churned with the component stopped", entry: "missed-events:one+agent", before: func(p *plane) { p.unchurnable.Store(1) },
			start: history.Info, stop: history.OK, why: "nothing was missed, since nothing could be churned",
		},
		{
			name: "a component that was continued during the churn", entry: "missed-events:one+agent",
			before: func(p *plane) {
				p.during = func() { _, _ = p.node("n3").Heal(context.Background()) }
			},
			start: history.Info, stop: history.Info, why: "agent was to be stopped all the while: n3 running",
		},
		{
			name: "a standby has nothing to miss", entry: "missed-events:n3+boss",
			start: history.Fail, stop: history.Fail, why: "skipped: no boss on [n3] leads: it watches nothing that it could miss",
		},
		{
			name: "a node of which something survives", entry: "node:n2", before: func(p *plane) { p.immortal = true },
			start: history.Info, stop: history.Info, why: "n2 runtime running",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPlane(3)
			if c.before != nil {
				c.before(p)
			}
			n := planeBreaker(p)
			started, _ := invoke(t, n, planeOp("x-1", c.entry, 3, "n3", "n1", "n2"))
			if c.between != nil {
				c.between(p)
			}
			family, _, _ := strings.Cut(c.entry, ":")
			ended, _ := invoke(t, n, stopOp("x-1", family))
			if started.Type != c.start || ended.Type != c.stop || !strings.Contains(started.Error+ended.Error, c.why) {
				t.Errorf("start %s %q, stop %s %q; want %s, %s, with %q", started.Type, started.Error, ended.Type, ended.Error, c.start, c.stop, c.why)
			}
			p.dead = map[string]bool{}
			p.immortal = false
			if err := n.Heal(t.Context()); err != nil {
				t.Errorf("heal: %v", err)
			}
			if c.start == history.Fail {
				whole(t, p.world)
			}
		})
	}
}

// What can be done is decided before the run.
func TestPlaneFaultsAreChecked(t *testing.T) {
	p := newPlane(3)
	env := p.env()
	env.System = p
	scope := env.Scope()
	one := scope
	one.Nodes = scope.Nodes[:1]
	bare := scopeOf(3)
	bare.Components = bare.Components[:1]
	for _, c := range []struct {
		scope      Scope
		list, want string
	}{
		{scope, "all", ""},
		{scope, "stale-apiserver,stale-apiserver:leader,stale-apiserver:n2+boss,stale-apiserver:agent", ""},
		{scope, "crash-mid-reconcile,crash-mid-reconcile:boss,missed-events,missed-events:all+api,node,node:minority", ""},
		{scope, "stale-apiserver:api", "stale-apiserver can't move api to another server: it can move boss, agent"},
		{scope, "stale-apiserver:majority", "unknown word"},
		{one, "stale-apiserver", "stale-apiserver needs 2 nodes or more"},
		{scope, "crash-mid-reconcile:agent", "crash-mid-reconcile can't tell when the leader of agent writes: only that of [boss]"},
		{scope, "missed-events:etcd", "missed-events can't strike etcd: it is what the other components watch"},
		{one, "node:minority", "node:minority needs 3 nodes or more"},
		{scope, "node:boss", "unknown word"},
		{bare, "node", "node needs a system that runs several processes on each node: it runs [etcd], so use kill"},
		{bare, "stale-apiserver", "needs a system whose servers answer from caches"},
		{bare, "crash-mid-reconcile", "needs a system that can tell when"},
		{bare, "missed-events", "needs a system whose components watch"},
	} {
		_, err := Check(c.list, c.scope)
		if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", c.list, err, c.want)
		}
	}
	all, err := Check("all", scope)
	if err != nil || fmt.Sprint(all) != "[partition kill pause node stale-apiserver crash-mid-reconcile missed-events]" {
		t.Errorf("all: %v, %v", all, err)
	}
	if all, err = Check("all", bare); err != nil || fmt.Sprint(all) != "[partition kill pause]" {
		t.Errorf("all of etcd: %v, %v", all, err)
	}
}

// Every target, component and number is drawn; the same seed draws the same.
func TestPlaneFaultsAreDrawn(t *testing.T) {
	p := newPlane(5)
	env := p.env()
	env.System = p
	scope := env.Scope()
	for family, want := range map[string]string{
		"node":                "leader minority one",
		"stale-apiserver":     "leader one",
		"crash-mid-reconcile": "boss",
		"missed-events":       "agent api boss leader minority one",
	} {
		words, numbers := map[string]bool{}, map[int]bool{}
		for i := range 60 {
			a, err := prepare(family, nil, scope)
			if err != nil {
				t.Fatal(err)
			}
			variant, d := a.draw(deck{7, family}, i)
			again, e := a.draw(deck{7, family}, i)
			if fmt.Sprint(variant, d) != fmt.Sprint(again, e) {
				t.Errorf("%s draws %v %v, then %v %v", family, variant, d, again, e)
			}
			for _, w := range variant {
				words[w] = true
			}
			numbers[d.N] = true
			// What was drawn can be prepared again, as the nemesis does.
			if _, err := prepare(family, variant, scope); err != nil {
				t.Errorf("%s:%v: %v", family, variant, err)
			}
		}
		var got []string
		for w := range words {
			got = append(got, w)
		}
		if strings.Join(sorted(got), " ") != want {
			t.Errorf("%s drew %v, want %s", family, sorted(got), want)
		}
		if counts := len(numbers); counts != 1 && counts != changesMax {
			t.Errorf("%s drew the numbers %v", family, numbers)
		}
	}
}

// A heal undoes them all, in whatever state they are.
func TestHealUndoesPlaneFaults(t *testing.T) {
	p := newPlane(3)
	b := planeBreaker(p)
	for id, entry := range map[string]string{
		"node-1": "node:n3", "stale-1": "stale-apiserver:n1+agent", "missed-1": "missed-events:n2+boss",
	} {
		if done, _ := invoke(t, b, planeOp(id, entry, 2, "n1", "n2", "n3")); done.Type != history.OK {
			t.Errorf("%s: %s %s", entry, done.Type, done.Error)
		}
	}
	p.dead["n2"] = true
	if err := b.Heal(t.Context()); err == nil {
		t.Error("healed with n2 out of reach")
	}
	delete(p.dead, "n2")
	if err := b.Heal(t.Context()); err != nil {
		t.Error(err)
	}
	whole(t, p.world)
	for c, server := range p.servers {
		if !strings.HasPrefix(c, server+" ") {
			t.Errorf("%s still uses %s", c, server)
		}
	}
}

// What had ended by itself when its node lost its power is not started again on it.
func TestADeadNodeStartsNothing(t *testing.T) {
	p := newPlane(3)
	p.node("n2").procs["boss"] = control.ProcessState{Name: "boss", PID: 77, Status: exited, Restarting: true}
	started, _ := invoke(t, planeBreaker(p), planeOp("x-1", "node:n2", 3, "n3", "n1", "n2"))
	if boss := p.node("n2").procs["boss"]; started.Type != history.OK || boss.Restarting {
		t.Errorf("%s %q, boss %+v", started.Type, started.Error, boss)
	}
}

// Of a component that elects leaders the leader is struck, whatever was drawn; a target that was named stays.
func TestWhoCanMissEvents(t *testing.T) {
	scope := planeBreaker(newPlane(3)).scope
	for entry, want := range map[string]string{"missed-events:boss": "leader+boss", "missed-events:one+boss": "one+boss"} {
		r, err := Check(entry, scope)
		if err != nil {
			t.Fatal(err)
		}
		a, err := prepare(r[0].Family, r[0].Words, scope)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			words, _ := a.draw(deck{7, entry}, i)
			if got := strings.Join(words, "+"); got != want {
				t.Errorf("%s draws %s, want %s", entry, got, want)
			}
		}
	}
}
