package generator

import (
	"math/rand/v2"
	"strconv"

	"github.com/faultline/faultline/harness/history"
)

// KeyStream says which keys a run works on: Keys of them at once, each replaced by a fresh one after about
// OpsPerKey operations.
//
// It has no state, so that a worker's n-th key is a function of the seed, the worker and n. There are Keys
// slots, and the key in a slot has a generation that is derived from the worker's own n, taken for the whole
// run's progress: when every worker has drawn n operations, n × Concurrency were drawn in all, so OpsPerKey × Keys
// draws of all workers together are a generation. The slots take turns to move on, one every OpsPerKey draws, so
// that never all keys are new at once; the first keys of the later slots are replaced early. The number of operations on a
// key is OpsPerKey on average, not exactly.
//
// Workers draw from the same keys at about the same time as long as they are paced alike (Stagger with the same mean,
// which catches up after a worker was blocked). So that a key is contended, half of each worker's draws go to one slot that all
// prefer at the same n, which moves on every few draws, and the other half to any.
type KeyStream struct {
	// Prefix begins every key's name; the number follows.
	Prefix      string
	Keys        int
	OpsPerKey   int
	Concurrency int
}

// hotDraws is how many of its draws a worker prefers the same slot for.
const hotDraws = 4

// Key is the key of a worker's n-th draw, counted from 0. It takes one number from r.
func (s KeyStream) Key(n uint64, r *rand.Rand) string {
	keys, per := uint64(max(s.Keys, 1)), uint64(max(s.OpsPerKey, 1)) // positive
	u := r.Uint64()
	slot := (u >> 32) * keys >> 32
	if u&1 == 0 {
		slot = n / hotDraws % keys
	}
	drawn := n * uint64(max(s.Concurrency, 1)) // positive
	generation := (drawn + slot*per) / (per * keys)
	return s.Prefix + strconv.FormatUint(generation*keys+slot, 10)
}

type perKey struct {
	s KeyStream
	n uint64
	f func(ctx *Context, key string) history.Op
}

// PerKey yields what f makes of the keys of a stream, without end. The draws are counted here: to
// have each worker count its own, as KeyStream wants it, put it under EachWorker.
func PerKey(s KeyStream, f func(ctx *Context, key string) history.Op) Generator {
	return &perKey{s: s, f: f}
}

func (g *perKey) Next(ctx *Context) (history.Op, Status, Generator) {
	p, ok := ctx.Anyone()
	if !ok {
		return pendingUntil(0, g)
	}
	key := g.s.Key(g.n, ctx.Rand)
	op := g.f(ctx, key)
	op.Key = key
	return ctx.propose(op, p), Ready, &perKey{g.s, g.n + 1, g.f}
}

func (g *perKey) Update(*Context, history.Op) Generator { return g }
