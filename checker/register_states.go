package checker

import (
	"math/bits"
	"slices"
)

// stateSet is a set of states of a sweep, each of the same number of words, without an allocation for each. The first one in stays first.
type stateSet struct {
	stride int
	words  []uint64
	// slots is a hash table of places counted from 1; its length is a power of two.
	slots []int32
}

func newStateSet(stride int) *stateSet {
	return &stateSet{stride: stride, slots: make([]int32, 64)}
}

func (t *stateSet) len() int { return len(t.words) / t.stride }

// at is the i-th state, valid until the next one is added.
func (t *stateSet) at(i int) []uint64 { return t.words[i*t.stride : (i+1)*t.stride : (i+1)*t.stride] }

func hashWords(c []uint64) uint64 {
	h := uint64(len(c))
	for _, w := range c {
		h = bits.RotateLeft64((h^w)*0x9e3779b97f4a7c15, 29)
	}
	return h ^ h>>32
}

// add puts a copy of a state in; false: it is there already.
func (t *stateSet) add(c []uint64) bool {
	mask := uint64(len(t.slots) - 1)
	p := hashWords(c) & mask
	for ; t.slots[p] != 0; p = (p + 1) & mask {
		if slices.Equal(t.at(int(t.slots[p]-1)), c) {
			return false
		}
	}
	t.words = append(t.words, c...)
	t.slots[p] = int32(t.len()) //nolint:gosec // bounded by memory
	if 2*t.len() > len(t.slots) {
		t.rehash(2 * len(t.slots))
	}
	return true
}

func (t *stateSet) rehash(size int) {
	if size == len(t.slots) {
		clear(t.slots)
	} else {
		t.slots = make([]int32, size)
	}
	mask := uint64(size - 1)
	for i := range t.len() {
		p := hashWords(t.at(i)) & mask
		for t.slots[p] != 0 {
			p = (p + 1) & mask
		}
		t.slots[p] = int32(i + 1) //nolint:gosec // bounded by memory
	}
}

// reset empties the set. One that was large gives its memory back.
func (t *stateSet) reset() {
	size := len(t.slots)
	if n := t.len(); size > 64 && n < size/16 {
		size /= 2
		t.words = make([]uint64, 0, size*t.stride)
	}
	t.words = t.words[:0]
	t.rehash(size)
}

// keepBest leaves the n states of the highest scores, and every one of the same order again.
func (t *stateSet) keepBest(n int, score func([]uint64) int) {
	places := make([]int, t.len())
	scores := make([]int, t.len())
	for i := range places {
		places[i], scores[i] = i, score(t.at(i))
	}
	slices.SortStableFunc(places, func(a, b int) int { return scores[b] - scores[a] })
	t.keep(places[:n])
}

// keep leaves the states at some places.
func (t *stateSet) keep(places []int) {
	slices.Sort(places)
	for k, i := range places {
		copy(t.words[k*t.stride:(k+1)*t.stride], t.at(i))
	}
	t.words = t.words[:len(places)*t.stride]
	t.rehash(len(t.slots))
}
