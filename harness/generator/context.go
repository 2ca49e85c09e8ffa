package generator

import (
	"math/rand/v2"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// Context is what a generator may know: the time, the source of chance, and who is free. It is valid
// during the call that it is given to, and lent to one generator at a time.
type Context struct {
	// Now is the time since the run began, never 0.
	Now time.Duration
	// Rand is the source of chance. It depends on the seed, on the label (Seeded) or place (EachWorker, Any, Seq),
	// and on how many operations were dispatched there, not on who asked when.
	Rand *rand.Rand
	// Threads are the workers that this generator may use, a view of the runner's.
	Threads Threads

	seed uint64
	pcg  rand.PCG
	own  *rand.Rand // over pcg
}

// Anyone is the process of a free worker of this context; ok is false if there is none. Clients take
// turns. The nemesis is taken only where it is the only worker: see NemesisOnly.
func (c *Context) Anyone() (p history.Process, ok bool) {
	w, ok := c.Threads.anyone()
	if !ok {
		return 0, false
	}
	return c.Threads.Process(w), true
}

// propose makes op an invocation by process p, now if no later time was planned.
func (c *Context) propose(op history.Op, p history.Process) history.Op {
	op.Type = history.Invoke
	op.Process = p
	op.Time = max(op.Time, c.Now)
	return op
}

// stream is the state of a Context's chance, to be restored.
type stream struct {
	seed uint64
	pcg  rand.PCG
	rand *rand.Rand
}

// enter begins the stream of a seed's n-th operation, and returns what leave needs to go back.
func (c *Context) enter(seed, n uint64) stream {
	if c.own == nil {
		c.own = rand.New(&c.pcg) // reproducible chance is the point
	}
	old := stream{seed: c.seed, pcg: c.pcg, rand: c.Rand}
	c.seed, c.Rand = seed, c.own
	c.pcg.Seed(scramble(seed+n), scramble(seed^scramble(n)))
	return old
}

// leave goes back to the stream before enter.
func (c *Context) leave(s stream) { c.seed, c.pcg, c.Rand = s.seed, s.pcg, s.rand }

// scramble is the finalizer of SplitMix64 (Steele, Lea, Flood 2014): a bijection whose every output
// bit depends on every input bit.
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// part derives the seed of the i-th part of something that has a seed.
func part(seed uint64, i int) uint64 {
	return scramble(seed ^ scramble(uint64(i)+1)) // any bits will do, i may be -1
}

// labelled derives a seed from a seed and a name.
func labelled(seed uint64, label string) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a, 64 bits
	h := uint64(offset)
	for i := range len(label) {
		h = (h ^ uint64(label[i])) * prime
	}
	return scramble(scramble(seed) ^ h)
}

// seeded gives its generator a stream of its own.
type seeded struct {
	seed, n uint64
	g       Generator
}

// Seeded gives g a source of chance that depends on the seed, the label, and the number of operations
// of g that were dispatched before.
func Seeded(seed uint64, label string, g Generator) Generator {
	return &seeded{seed: labelled(seed, label), g: g}
}

func (s *seeded) Next(ctx *Context) (history.Op, Status, Generator) {
	old := ctx.enter(s.seed, s.n)
	op, status, next := s.g.Next(ctx)
	ctx.leave(old)
	switch {
	case status == Ready:
		return op, Ready, &seeded{s.seed, s.n + 1, next}
	case status == Done:
		return done()
	case next == s.g:
		return op, Pending, s
	}
	return op, Pending, &seeded{s.seed, s.n, next}
}

func (s *seeded) Update(ctx *Context, event history.Op) Generator {
	old := ctx.enter(s.seed, s.n)
	g := s.g.Update(ctx, event)
	ctx.leave(old)
	if g == s.g {
		return s
	}
	return &seeded{s.seed, s.n, g}
}
