package nemesis

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/faultline/faultline/harness/history"
)

// electing is a System whose second component elects a leader of its own.
type electing struct {
	leading
	leaderOf string
}

func (electing) Electing() []string { return []string{"boss"} }

func (e electing) LeaderOf(_ context.Context, component string) (string, error) {
	if component != "boss" || e.leaderOf == "" {
		return "", errors.New(component + " has no leader")
	}
	return e.leaderOf, nil
}

// staff is a world with several components.
func staff(n int, components ...string) *world {
	w := newWorld(n)
	w.components = components
	for _, node := range w.nodes {
		for _, c := range components {
			if c != "etcd" {
				w.spawn(node, c)
			}
		}
	}
	return w
}

// Where several components could be struck and none is named, every one is drawn, with every target; a system with one has no choice.
func TestComponentsAreDrawn(t *testing.T) {
	w := staff(5, "etcd", "boss", "worker")
	scope := Env{System: electing{leading{w}, "n2"}, Nodes: w.env().Nodes}.Scope()
	a, err := prepare("kill", nil, scope)
	if err != nil {
		t.Fatal(err)
	}
	drawn := map[string]int{}
	for i := range 15 {
		words, _ := a.draw(deck{1, "kill"}, i)
		for _, w := range words {
			drawn[w]++
		}
	}
	for word, want := range map[string]int{"etcd": 5, "boss": 5, "worker": 5, "one": 3, "minority": 3, "majority": 3, "leader": 3, "all": 3} {
		if drawn[word] != want {
			t.Errorf("%s is drawn %d times, want %d: %v", word, drawn[word], want, drawn)
		}
	}
	// A system that can't tell its own leader can tell that of the component that elects one.
	scope.Leader = false
	if a, err = prepare("kill", []string{"leader"}, scope); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if words, _ := a.draw(deck{1, "kill:leader"}, i); strings.Join(words, "+") != "leader+boss" {
			t.Errorf("drew %v", words)
		}
	}
	if _, err := Check("kill:leader+worker", scope); !errors.Is(err, ErrImpossible) {
		t.Errorf("a leader that nobody can tell: %v", err)
	}
}

// The leader is that of the component where it elects one, else the system's.
func TestTheLeaderIsTheComponents(t *testing.T) {
	for entry, want := range map[string]string{"kill:leader+boss": "n2", "pause:leader+worker": "n1", "kill:leader+etcd": "n1"} {
		w := staff(3, "etcd", "boss", "worker")
		env := w.env()
		env.System = electing{leading{w}, "n2"}
		b := newBreaker(env, env.Scope(), Options{})
		done, f := invoke(t, b, startOp("x-1", entry, nodesOf(3)...))
		if done.Type != history.OK || strings.Join(f.Nodes, " ") != want {
			t.Errorf("%s: %s %s on %v, want %s", entry, done.Type, done.Error, f.Nodes, want)
		}
	}
	w := staff(3, "etcd", "boss")
	env := w.env()
	env.System = electing{leading{w}, ""}
	done, _ := invoke(t, newBreaker(env, env.Scope(), Options{}), startOp("x-1", "kill:leader+boss", nodesOf(3)...))
	if done.Type != history.Fail || done.Error != "skipped: no leader is known: boss has no leader" {
		t.Errorf("%s %s", done.Type, done.Error)
	}
}
