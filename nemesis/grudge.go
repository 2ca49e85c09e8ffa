package nemesis

import "slices"

// Grudge says, for each node, which others it does not hear. Nodes that hear everyone are not in it.
type Grudge map[string][]string

// Split is a partition of the nodes.
type Split struct {
	// Apart are the nodes set apart from the others: the smaller side of halves, one half of a bridge, the
	// victims of a one-way cut; every node of a ring. They are the ones cut from the clients where that link is cut.
	Apart  []string
	Grudge Grudge
}

// minorityOf is how many of n nodes may fail; majorityOf the smallest majority; thirdOf the largest number that is less than
// a third.
func minorityOf(n int) int { return (n - 1) / 2 }
func majorityOf(n int) int { return n/2 + 1 }
func thirdOf(n int) int    { return (n - 1) / 3 }

// isolate cuts the nodes apart from the others, in both directions.
func isolate(order, apart []string) Split {
	g := Grudge{}
	for _, a := range order {
		for _, b := range order {
			if slices.Contains(apart, a) != slices.Contains(apart, b) {
				g[a] = append(g[a], b)
			}
		}
	}
	return Split{sorted(apart), g.sort()}
}

// scatter leaves every node alone.
func scatter(order []string) Split {
	g := Grudge{}
	for _, a := range order {
		for _, b := range order {
			if a != b {
				g[a] = append(g[a], b)
			}
		}
	}
	return Split{sorted(order), g.sort()}
}

// bridge makes two halves that hear each other only through the first node of the order.
func bridge(order []string) Split {
	half := order[1 : 1+minorityOf(len(order))]
	return isolate(order[1:], half)
}

// ring lets every node hear a majority, itself included, and no two nodes the same one. Hearing is mutual: a TCP
// connection dies when one direction does. Seen as a circle, each node hears its nearest neighbours on both sides, and
// where an even number needs one more, the one opposite. Below 4 nodes there is no such ring.
func ring(order []string) Split {
	n := len(order)
	need := majorityOf(n) - 1
	reach, opposite := need/2, false
	switch {
	case need%2 == 1 && n%2 == 0:
		opposite = true
	case need%2 == 1:
		reach++
	}
	g := Grudge{}
	for i := range n {
		for d := 1; d < n; d++ {
			heard := d <= reach || n-d <= reach || (opposite && d == n/2)
			if !heard {
				g[order[i]] = append(g[order[i]], order[(i+d)%n])
			}
		}
	}
	return Split{sorted(order), g.sort()}
}

// oneWay cuts one direction only: deaf victims hear none of the others, otherwise none of the others hears them.
func oneWay(order, victims []string, deaf bool) Split {
	s := isolate(order, victims)
	for node := range s.Grudge {
		if slices.Contains(victims, node) != deaf {
			delete(s.Grudge, node)
		}
	}
	return s
}

func (g Grudge) sort() Grudge {
	for _, others := range g {
		slices.Sort(others)
	}
	return g
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }
