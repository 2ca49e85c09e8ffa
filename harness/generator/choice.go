package generator

import (
	"slices"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// Weighted is a choice of Mix: it is drawn in proportion to its weight.
type Weighted struct {
	Weight int
	G      Generator
}

type mix struct {
	total   int
	choices []Weighted
}

// Mix draws for each operation which of its choices yields it. One that is done is drawn no more; while the
// one drawn is pending, so is the mix. Choices of no weight are never drawn.
func Mix(choices ...Weighted) Generator {
	m := &mix{}
	for _, c := range choices {
		if c.Weight > 0 {
			m.total += c.Weight
			m.choices = append(m.choices, c)
		}
	}
	return m
}

func (m *mix) Next(ctx *Context) (history.Op, Status, Generator) {
	// One draw, whatever was done with: u keeps its meaning as choices go.
	u := ctx.Rand.Uint64() >> 32
	for at := m; ; {
		if len(at.choices) == 0 {
			return done()
		}
		i := at.pick(u)
		op, status, next := at.choices[i].G.Next(ctx)
		switch {
		case status == Done:
			at = at.without(i)
			continue
		case next == at.choices[i].G:
			return op, status, at
		}
		return op, status, at.with(i, next)
	}
}

func (m *mix) Update(ctx *Context, event history.Op) Generator {
	at := m
	for i := range m.choices {
		if g := m.choices[i].G.Update(ctx, event); g != m.choices[i].G {
			at = at.with(i, g)
		}
	}
	return at
}

// pick is the choice that a number in [0, 2³²) stands for.
func (m *mix) pick(u uint64) int {
	left := int(u * uint64(m.total) >> 32) // below total
	for i := range m.choices {
		if left -= m.choices[i].Weight; left < 0 {
			return i
		}
	}
	return len(m.choices) - 1
}

func (m *mix) with(i int, g Generator) *mix {
	choices := slices.Clone(m.choices)
	choices[i].G = g
	return &mix{m.total, choices}
}

func (m *mix) without(i int) *mix {
	return &mix{m.total - m.choices[i].Weight, slices.Delete(slices.Clone(m.choices), i, i+1)}
}

// alternative is a part of Any, with its own stream of chance.
type alternative struct {
	g Generator // nil: done
	n uint64    // operations dispatched
}

type anyOf struct {
	parts []alternative
	turn  int // who goes first among those that are ready at the same time
}

// Any yields whichever operation of its generators is soonest; those that are ready at the same time take turns. It
// is done when all are.
func Any(gs ...Generator) Generator {
	a := &anyOf{parts: make([]alternative, len(gs))}
	for i, g := range gs {
		a.parts[i].g = g
	}
	return a
}

// soonest is the best answer of several.
type soonest struct {
	op     history.Op
	next   Generator
	winner int // -1: none is ready
	wake   time.Duration
	alive  bool
}

func (a *anyOf) Next(ctx *Context) (history.Op, Status, Generator) {
	changed, best := a.ask(ctx)
	switch {
	case changed != a:
		// What a pending part remembers must not get lost with an answer that is thrown away.
		return pendingUntil(ctx.Now, changed)
	case !best.alive:
		return done()
	case best.winner < 0:
		return pendingUntil(best.wake, a)
	case best.wake != 0 && best.wake < best.op.Time:
		return pendingUntil(best.wake, a)
	}
	parts := slices.Clone(a.parts)
	parts[best.winner] = alternative{best.next, parts[best.winner].n + 1}
	return best.op, Ready, &anyOf{parts, (best.winner + 1) % len(parts)}
}

// ask asks every part, beginning with the one whose turn it is.
func (a *anyOf) ask(ctx *Context) (*anyOf, soonest) {
	at, best := a, soonest{winner: -1}
	for k := range a.parts {
		i := (a.turn + k) % len(a.parts)
		p := a.parts[i]
		if p.g == nil {
			continue
		}
		best.alive = true
		old := ctx.enter(part(ctx.seed, i), p.n)
		op, status, next := p.g.Next(ctx)
		ctx.leave(old)
		switch {
		case status == Done:
			at = at.with(a, i, nil)
		case status == Pending && next != p.g:
			at = at.with(a, i, next)
		case status == Pending:
			best.wake = sooner(best.wake, op.Time)
		case best.winner < 0 || op.Time < best.op.Time:
			best.op, best.next, best.winner = op, next, i
		}
	}
	return at, best
}

func (a *anyOf) Update(ctx *Context, event history.Op) Generator {
	at := a
	for i, p := range a.parts {
		if p.g == nil {
			continue
		}
		old := ctx.enter(part(ctx.seed, i), p.n)
		g := p.g.Update(ctx, event)
		ctx.leave(old)
		if g != p.g {
			at = at.with(a, i, g)
		}
	}
	return at
}

// with changes one part, in a copy of original that is made once.
func (a *anyOf) with(original *anyOf, i int, g Generator) *anyOf {
	if a == original {
		a = &anyOf{slices.Clone(original.parts), original.turn}
	}
	a.parts[i].g = g
	return a
}

type flipFlop struct{ now, then Generator }

// FlipFlop yields operations of a and b in turn. It is done when the one whose turn it is is.
func FlipFlop(a, b Generator) Generator { return &flipFlop{a, b} }

func (f *flipFlop) Next(ctx *Context) (history.Op, Status, Generator) {
	op, status, next := f.now.Next(ctx)
	switch {
	case status == Ready:
		return op, Ready, &flipFlop{f.then, next}
	case status == Done:
		return done()
	case next == f.now:
		return op, Pending, f
	}
	return op, Pending, &flipFlop{next, f.then}
}

func (f *flipFlop) Update(ctx *Context, event history.Op) Generator {
	now, then := f.now.Update(ctx, event), f.then.Update(ctx, event)
	if now == f.now && then == f.then {
		return f
	}
	return &flipFlop{now, then}
}
