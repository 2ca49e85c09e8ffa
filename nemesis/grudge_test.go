package nemesis

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func nodesOf(n int) []string {
	var nodes []string
	for i := 1; i <= n; i++ {
		nodes = append(nodes, "n"+strconv.Itoa(i))
	}
	return nodes
}

// hears are the nodes that each node hears, itself included.
func (g Grudge) hears(nodes []string) map[string][]string {
	h := map[string][]string{}
	for _, a := range nodes {
		for _, b := range nodes {
			if !slices.Contains(g[a], b) {
				h[a] = append(h[a], b)
			}
		}
	}
	return h
}

func TestGrudges(t *testing.T) {
	var b strings.Builder
	for n := 1; n <= 7; n++ {
		fmt.Fprintf(&b, "# %d nodes\n", n)
		s := scopeOf(n)
		for _, words := range []string{
			"one", "minority", "majority", "leader", "n1", "all", "halves", "minority-third", "bridge", "ring", "one-way",
			"halves+leader", "minority-third+leader", "bridge+leader", "one-way+leader", "one-way+majority",
		} {
			a, err := prepare("partition", strings.Split(words, "+"), s)
			if err != nil {
				fmt.Fprintf(&b, "%-22s refused: %v\n", words, err)
				continue
			}
			for _, deaf := range []bool{false, true} {
				if deaf && !strings.Contains(words, "one-way") {
					continue
				}
				// Nodes in an order that is not theirs, so that place and name are told apart.
				order := nodesOf(n)
				slices.Reverse(order)
				w := newWorld(n)
				split, err := a.(*partition).split(t.Context(), &field{Env: w.env(), scope: s}, Draw{Order: order, Deaf: deaf})
				if err != nil {
					t.Fatal(err)
				}
				label := words
				if deaf {
					label += " (deaf)"
				}
				fmt.Fprintf(&b, "%-22s apart %v; does not hear: %v\n", label, split.Apart, split.Grudge)
			}
		}
	}
	golden(t, "grudges.txt", b.String())
}

func TestRingHearsMajoritiesNoTwoTheSame(t *testing.T) {
	for n := 4; n <= 12; n++ {
		nodes := nodesOf(n)
		seen := map[string]string{}
		hears := ring(nodes).Grudge.hears(nodes)
		for _, a := range nodes {
			if len(hears[a]) < majorityOf(n) || len(hears[a]) == n {
				t.Errorf("%d nodes: %s hears %v: not a mere majority", n, a, hears[a])
			}
			if other, twice := seen[fmt.Sprint(hears[a])]; twice {
				t.Errorf("%d nodes: %s and %s hear the same %v", n, a, other, hears[a])
			}
			seen[fmt.Sprint(hears[a])] = a
			for _, b := range hears[a] {
				if !slices.Contains(hears[b], a) {
					t.Errorf("%d nodes: %s hears %s, but not the other way", n, a, b)
				}
			}
		}
	}
}

func TestBridgeIsTheOnlyNodeThatHearsBothHalves(t *testing.T) {
	for n := 3; n <= 9; n++ {
		nodes := nodesOf(n)
		s := bridge(nodes)
		hears := s.Grudge.hears(nodes)
		var all []string
		for _, a := range nodes {
			if len(hears[a]) == n {
				all = append(all, a)
			}
			if len(hears[a]) < n && !slices.Contains(hears[a], nodes[0]) {
				t.Errorf("%d nodes: %s does not hear the bridge", n, a)
			}
		}
		if len(all) != 1 || all[0] != nodes[0] {
			t.Errorf("%d nodes: %v hear everyone, want only %s", n, all, nodes[0])
		}
	}
}

func TestIsolatedSidesHearOnlyThemselves(t *testing.T) {
	for n := 2; n <= 7; n++ {
		nodes := nodesOf(n)
		for k := 1; k < n; k++ {
			s := isolate(nodes, nodes[:k])
			hears := s.Grudge.hears(nodes)
			for i, a := range nodes {
				want := nodes[:k]
				if i >= k {
					want = nodes[k:]
				}
				if !slices.Equal(hears[a], want) {
					t.Errorf("%d of %d apart: %s hears %v, want %v", k, n, a, hears[a], want)
				}
			}
		}
	}
}

func TestOneWayCutsOneDirection(t *testing.T) {
	nodes := nodesOf(3)
	if g := oneWay(nodes, nodes[:1], true).Grudge; fmt.Sprint(g) != "map[n1:[n2 n3]]" {
		t.Errorf("deaf: %v", g)
	}
	if g := oneWay(nodes, nodes[:1], false).Grudge; fmt.Sprint(g) != "map[n2:[n1] n3:[n1]]" {
		t.Errorf("unheard: %v", g)
	}
}
