package nemesis

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// insideLinks are links inside of nodes, to two ports.
func insideLinks() []harness.Link {
	return []harness.Link{
		{Name: "store", Ports: []int{2379}, Local: "127.0.1.3"},
		{Name: "agent", Ports: []int{6443}, Local: "127.0.1.1"},
		{Name: "spread", Ports: []int{2379}, Local: "127.0.1.4", Everywhere: true},
	}
}

// Links inside of nodes are cut on the nodes that are struck, and on no others; one that goes everywhere also there.
func TestLocalLinks(t *testing.T) {
	var b strings.Builder
	for _, entry := range []string{
		"partition:one+drop+store", "partition:minority+reset+agent", "partition:leader+drop+store", "partition:all+reset+store",
		"partition:n2+one-way+drop+store", "partition:one-way+reset+agent", "partition:one+drop+spread", "partition:one-way+reset+spread", "partition:all+drop+spread",
	} {
		for _, deaf := range []bool{false, true} {
			if deaf && !strings.Contains(entry, "one-way") {
				continue
			}
			w := newWorld(3)
			w.extra = insideLinks()
			n := breakerOf(w)
			op := startOp("x-1", entry)
			op.Value = encode(history.Fault{ID: "x-1", Family: "partition", Variant: strings.TrimPrefix(entry, "partition:"), Detail: encode(Draw{Order: []string{"n3", "n1", "n2"}, Deaf: deaf})})
			done, f := invoke(t, n, op)
			fmt.Fprintf(&b, "%s deaf=%v %s %s %v %s\n", entry, deaf, done.Type, done.Error, f.Nodes, f.Detail)
			for _, node := range w.nodes {
				for _, r := range node.cuts["x-1"] {
					fmt.Fprintf(&b, "  %s %s\n", node.name, encode(r.CutRule))
				}
			}
			fmt.Fprintf(&b, "  start %s\n", f.Proof)
			done, f = invoke(t, n, stopOp("x-1", "partition"))
			fmt.Fprintf(&b, "  stop %s %s %s\n", done.Type, done.Error, f.Proof)
			whole(t, w)
		}
	}
	golden(t, "local.txt", b.String())
}

// A link inside of nodes whose rules catch nothing, or that carries traffic, is not proved to be cut.
func TestLocalLinksAreProved(t *testing.T) {
	w := newWorld(3)
	w.extra, w.blunt = insideLinks(), true
	done, _ := invoke(t, breakerOf(w), startOp("x-1", "partition:one+drop+store", nodesOf(3)...))
	if done.Type != history.Info || !strings.Contains(done.Error, "n1→127.0.1.3 on n1 connected") {
		t.Errorf("%s %s", done.Type, done.Error)
	}
}

func TestLocalLinksAreChecked(t *testing.T) {
	w := newWorld(4)
	w.extra = insideLinks()
	scope := w.env().Scope()
	for list, want := range map[string]string{
		"partition:store":                  "",
		"partition:one+store+reset":        "",
		"partition:n4+agent":               "",
		"partition:one-way+agent":          "",
		"partition:halves+store":           "partition:halves is between nodes: the link store is inside of each, so it can only be aimed at nodes",
		"partition:ring+agent":             "partition:ring is between nodes",
		"partition:bridge+store":           "partition:bridge is between nodes",
		"partition:minority-third+store":   "partition:minority-third is between nodes",
		"partition:one-way+majority+store": "",
		"partition:one-way+all+store":      `partition:one-way can't be aimed at "all"`,
		"partition:stor":                   `did you mean "store"?`,
	} {
		_, err := Check(list, scope)
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", list, err, want)
		}
	}
	// What is not named is the link between nodes.
	a, err := prepare("partition", []string{"one"}, scope)
	if err != nil {
		t.Fatal(err)
	}
	if words, _ := a.draw(deck{1, "partition"}, 0); words[len(words)-1] != "peer" {
		t.Errorf("drew %v", words)
	}
	// On one node too, and each target and way is drawn.
	scope.Nodes = scope.Nodes[:1]
	if a, err = prepare("partition", []string{"store"}, scope); err != nil {
		t.Fatal(err)
	}
	drawn := map[string]bool{}
	for i := range 20 {
		words, _ := a.draw(deck{1, "partition:store"}, i)
		for _, w := range words {
			drawn[w] = true
		}
	}
	for _, w := range []string{"one", "majority", "leader", "all", "one-way", "drop", "reset", "store"} {
		if !drawn[w] {
			t.Errorf("%s is never drawn: %v", w, drawn)
		}
	}
}

// Links inside of real nodes are cut apart from each other and from those between nodes.
func TestRealLocalFaults(t *testing.T) {
	e, env := realNodes(t, 2)
	e.inside = []harness.Link{
		{Name: "store", Ports: []int{peerPort}, Local: "127.0.1.3"},
		{Name: "spread", Ports: []int{clientPort}, Local: "127.0.1.3", Everywhere: true},
	}
	b := newBreaker(env, env.Scope(), Options{})
	// heard tells who answers a node, at an address and port.
	heard := func(name string) string {
		var got []string
		for _, to := range []string{"127.0.0.1", "127.0.1.2", "127.0.1.3", e.nodes[0].Addr(), e.nodes[1].Addr()} {
			for _, port := range []int{peerPort, clientPort} {
				if say(t.Context(), e.node(name).Dial, net.JoinHostPort(to, fmt.Sprint(port))) != nil {
					got = append(got, fmt.Sprintf("%s:%d", strings.ReplaceAll(strings.ReplaceAll(to, e.nodes[0].Addr(), "n1"), e.nodes[1].Addr(), "n2"), port))
				}
			}
		}
		return strings.Join(got, " ")
	}
	for i, c := range []struct{ entry, want string }{
		{"partition:one+drop+store", "127.0.1.3:7007"},
		{"partition:one+reset+store", "127.0.1.3:7007"},
		{"partition:one-way+drop+store", "127.0.1.3:7007"},
		{"partition:one-way+reset+store", "127.0.1.3:7007"},
		{"partition:one+drop+spread", "127.0.1.3:7008 n2:7008"},
		{"partition:one+reset+spread", "127.0.1.3:7008 n2:7008"},
		{"partition:one-way+reset+spread", "127.0.1.3:7008 n2:7008"},
	} {
		t.Run(c.entry, func(t *testing.T) {
			id := fmt.Sprintf("partition-%d", i)
			started, f := invoke(t, b, startOp(id, c.entry, "n1", "n2"))
			if started.Type != history.OK || !slices.Equal(f.Nodes, []string{"n1"}) {
				t.Errorf("start: %s %s on %v\n%s", started.Type, started.Error, f.Nodes, f.Proof)
			}
			if got := heard("n1"); got != c.want {
				t.Errorf("n1 hears nothing from %q, want %q", got, c.want)
			}
			if got := heard("n2"); got != "" {
				t.Errorf("n2 hears nothing from %q", got)
			}
			ended, f := invoke(t, b, stopOp(id, "partition"))
			if ended.Type != history.OK {
				t.Errorf("stop: %s %s\n%s", ended.Type, ended.Error, f.Proof)
			}
			if got := heard("n1"); got != "" {
				t.Errorf("after it, n1 hears nothing from %q", got)
			}
			e.nothingLeft(t)
		})
	}
}
