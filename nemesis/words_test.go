package nemesis

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/faultline/faultline/harness"
)

// scopeOf is n nodes of a system like etcd, with a component more.
func scopeOf(n int) Scope {
	s := newWorld(n).env().Scope()
	s.Components = append(s.Components, "proxy")
	return s
}

func class(err error) string {
	switch {
	case errors.Is(err, ErrUsage):
		return "usage"
	case errors.Is(err, ErrImpossible):
		return "impossible"
	}
	return "unclassified"
}

func TestCheckDecidesBeforeTheRun(t *testing.T) {
	scopes := []struct {
		name  string
		scope Scope
		lists []string
	}{
		{"3 nodes", scopeOf(3), []string{
			"", "none", "all", "kill,all", "partition,kill:etcd,pause,partition:leader", "partition:n2+reset+both", "kill:proxy+majority",
			"partition:leader+one-way", "partition:n3+bridge", " kill , pause ", "kill,kill",
			"partitoin", "kil:etcd", "none,kill", "all,none", "kill,,pause", "kill:", "all:leader", "partition:", "partition:one+",
			"partition:leadr", "partition:rst", "partition:n9", "kill:n0", "kill:etdc", "pause:reset", "kill:halves", "partition:peers",
			"partition:leader+one", "partition:halves+ring", "partition:drop+reset", "partition:peer+client", "kill:one+n2",
			"partition:ring", "partition:minority-third", "partition:bridge+client", "partition:one-way+client", "partition:halves+majority", "partition:halves+all",
			"partition:one+<x>",
		}},
		{"1 node", scopeOf(1), []string{"all", "partition", "partition:client", "kill", "kill:minority", "pause:all", "partition:both"}},
		{"2 nodes", scopeOf(2), []string{"partition", "partition:majority", "partition:bridge", "kill:minority", "partition:halves+client"}},
		{"4 nodes", scopeOf(4), []string{"partition:ring", "partition:ring+both", "partition:ring+leader", "partition:minority-third+n4"}},
		{"no leader, no clients' address, one link", Scope{
			Nodes: []string{"a", "b", "c"}, Components: []string{"db"}, Links: []harness.Link{{Name: "raft", Ports: []int{1}}, {Name: "sql", Ports: []int{2}, Outside: true}}, NoClients: true,
		}, []string{"partition", "partition:raft", "partition:leader", "kill:leader", "pause:leader+db", "partition:sql", "partition:peer", "partition:both", "partition:c"}},
		{"nothing", Scope{}, []string{"all", "kill", "partition"}},
	}
	var b strings.Builder
	for _, s := range scopes {
		fmt.Fprintf(&b, "# %s\n", s.name)
		for _, list := range s.lists {
			requests, err := Check(list, s.scope)
			if err != nil {
				fmt.Fprintf(&b, "%q\n  %s: %v\n", list, class(err), err)
				continue
			}
			fmt.Fprintf(&b, "%q\n  ok %v\n", list, requests)
		}
	}
	golden(t, "check.txt", b.String())
}

func TestParseKeepsWhatMayBeAName(t *testing.T) {
	got, err := Parse("partition:host-7.lan+drop,kill:kube-apiserver")
	if err != nil || fmt.Sprint(got) != "[partition:host-7.lan+drop kill:kube-apiserver]" {
		t.Errorf("got %v, %v", got, err)
	}
	for _, list := range []string{"partition:drop+reset", "partition:a b", "kll"} {
		if got, err := Parse(list); !errors.Is(err, ErrUsage) {
			t.Errorf("%q: got %v, %v; want a usage error", list, got, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	env := newWorld(3).env()
	if _, err := New(env, "kill", Options{}); !errors.Is(err, ErrUsage) {
		t.Errorf("no interval: %v", err)
	}
	blind := env
	blind.System = plain{newWorld(3)}
	if _, err := New(blind, "kill:leader", Options{Interval: 1}); !errors.Is(err, ErrImpossible) {
		t.Errorf("no leader: %v", err)
	}
	anonymous := env
	anonymous.Clients = ""
	if _, err := New(anonymous, "partition:client", Options{Interval: 1}); !errors.Is(err, ErrImpossible) {
		t.Errorf("no clients: %v", err)
	}
	pkg, err := New(env, "none", Options{})
	if err != nil || pkg.Generator != nil || pkg.Nemesis == nil || len(pkg.Requested) > 0 {
		t.Errorf("none: %+v, %v", pkg, err)
	}
}

// Words are disjoint within a family, whatever their kind, and every kind is one that the package knows.
func TestTableIsSound(t *testing.T) {
	for _, f := range Faults {
		seen := map[string]bool{}
		for _, w := range f.Words {
			if seen[w.Name] {
				t.Errorf("%s: %q is there twice", f.Family, w.Name)
			}
			seen[w.Name] = true
			switch w.Kind {
			case target, shape, way, link, component:
			default:
				t.Errorf("%s: %q is of unknown kind %q", f.Family, w.Name, w.Kind)
			}
			if w.Doc == "" || f.Doc == "" {
				t.Errorf("%s: %q has no doc", f.Family, w.Name)
			}
		}
	}
	golden(t, "table.md", Table())
}

func FuzzCheck(f *testing.F) {
	f.Add("partition:leader+drop,kill:etcd,all")
	f.Add("none,:+,")
	s := scopeOf(5)
	f.Fuzz(func(t *testing.T, list string) {
		requests, err := Check(list, s)
		if err != nil {
			if c := class(err); c == "unclassified" || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: %v", list, err)
			}
			return
		}
		var entries []string
		for _, r := range requests {
			entries = append(entries, r.String())
		}
		again, err := Check(strings.Join(entries, ","), s)
		if err != nil || fmt.Sprint(again) != fmt.Sprint(requests) {
			t.Errorf("%q: %v, read again: %v, %v", list, requests, again, err)
		}
	})
}
