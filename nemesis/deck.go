package nemesis

import (
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strconv"
)

// deck is the source of a request's random choices. What it gives depends on the seed, the label and the number of the
// fault, and on nothing that happens during the run.
type deck struct {
	seed  uint64
	label string
}

func (d deck) rand(what string, i int) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(d.label + "\x00" + what + "\x00" + strconv.Itoa(i)))
	return rand.New(rand.NewPCG(d.seed, h.Sum64()))
}

// pick takes one of several for the i-th fault, like the i-th card of a deck that is shuffled again when
// it is used up: none comes twice before each came once.
func (d deck) pick(what string, i int, from []string) string {
	round, card := i/len(from), i%len(from)
	return from[d.rand(what, round).Perm(len(from))[card]]
}

// order shuffles the nodes for the i-th fault.
func (d deck) order(i int, nodes []string) []string {
	o := slices.Clone(nodes)
	d.rand("order", i).Shuffle(len(o), func(a, b int) { o[a], o[b] = o[b], o[a] })
	return o
}

// coin is tossed for the i-th fault.
func (d deck) coin(what string, i int) bool { return d.rand(what, i).IntN(2) == 1 }

// number is from 1 to most for the i-th fault.
func (d deck) number(what string, i, most int) int { return 1 + d.rand(what, i).IntN(most) }
