package generator

import "github.com/faultline/faultline/harness/history"

// seq runs generators one after the other; each has a stream of chance of its own.
type seq struct {
	place int
	n     uint64 // operations dispatched at this place
	g     Generator
	rest  []Generator
}

// Seq yields the operations of the first generator until that is done, then the second's, and so on.
func Seq(gs ...Generator) Generator {
	if len(gs) == 0 {
		return Limit(0, Repeat(history.Op{}))
	}
	return &seq{g: gs[0], rest: gs[1:]}
}

func (s *seq) Next(ctx *Context) (history.Op, Status, Generator) {
	at := s
	for {
		old := ctx.enter(part(ctx.seed, at.place), at.n)
		op, status, next := at.g.Next(ctx)
		ctx.leave(old)
		switch {
		case status == Ready:
			return op, Ready, &seq{at.place, at.n + 1, next, at.rest}
		case status == Pending && next == at.g && at != s:
			// Going on to this place is worth keeping, or what is done would be asked again.
			return op, Pending, at
		case status == Pending && next == at.g:
			return op, Pending, s
		case status == Pending:
			return op, Pending, &seq{at.place, at.n, next, at.rest}
		case len(at.rest) == 0:
			return done()
		}
		at = &seq{at.place + 1, 0, at.rest[0], at.rest[1:]}
	}
}

func (s *seq) Update(ctx *Context, event history.Op) Generator {
	old := ctx.enter(part(ctx.seed, s.place), s.n)
	g := s.g.Update(ctx, event)
	ctx.leave(old)
	if g == s.g {
		return s
	}
	return &seq{s.place, s.n, g, s.rest}
}

// Phases is Seq, but each begins only when all workers of the view are free.
func Phases(gs ...Generator) Generator {
	synced := make([]Generator, len(gs))
	for i, g := range gs {
		synced[i] = Synchronize(g)
	}
	return Seq(synced...)
}

type synchronize struct{ g Generator }

// Synchronize waits until all workers of the view are free, and then goes on as g.
func Synchronize(g Generator) Generator { return &synchronize{g} }

func (s *synchronize) Next(ctx *Context) (history.Op, Status, Generator) {
	if !ctx.Threads.AllFree() {
		return pendingUntil(0, s)
	}
	return s.g.Next(ctx)
}

func (s *synchronize) Update(*Context, history.Op) Generator { return s }

type cycle struct {
	fresh, g Generator
	dispatch bool // something came of this round
}

// Cycle begins g again each time it is done. A round that yields nothing ends it.
func Cycle(g Generator) Generator { return &cycle{fresh: g, g: g} }

func (c *cycle) Next(ctx *Context) (history.Op, Status, Generator) {
	at := c
	for {
		op, status, next := at.g.Next(ctx)
		switch {
		case status == Ready:
			return op, Ready, &cycle{c.fresh, next, true}
		case status == Pending && next == at.g:
			return op, Pending, at
		case status == Pending:
			return op, Pending, &cycle{c.fresh, next, at.dispatch}
		case !at.dispatch:
			return done()
		}
		at = &cycle{fresh: c.fresh, g: c.fresh}
	}
}

func (c *cycle) Update(ctx *Context, event history.Op) Generator {
	if g := c.g.Update(ctx, event); g != c.g {
		return &cycle{c.fresh, g, c.dispatch}
	}
	return c
}
