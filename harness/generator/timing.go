package generator

import (
	"time"

	"github.com/faultline/faultline/harness/history"
)

type stagger struct {
	mean  time.Duration
	begun bool
	slot  time.Duration // where the slot of the next operation begins
	g     Generator
}

// Stagger spaces g's operations by mean on average: time is cut into slots of that length from when it
// is first asked, and the n-th operation is planned at a random moment of the n-th slot. So rates are
// exact and workers with the same mean stay in step however long they run. Operations that could
// not be invoked when they were planned are caught up with. A mean of 0 or less is g itself.
func Stagger(mean time.Duration, g Generator) Generator {
	if mean <= 0 {
		return g
	}
	return &stagger{mean: mean, g: g}
}

func (s *stagger) Next(ctx *Context) (history.Op, Status, Generator) {
	if !s.begun {
		return pendingUntil(ctx.Now, &stagger{s.mean, true, ctx.Now, s.g})
	}
	at := s.slot + time.Duration(ctx.Rand.Int64N(int64(s.mean)))
	op, status, next := s.g.Next(ctx)
	switch {
	case status == Ready:
		op.Time = max(op.Time, at)
		return op, Ready, &stagger{s.mean, true, s.slot + s.mean, next}
	case status == Done:
		return done()
	case next == s.g:
		return op, Pending, s
	}
	return op, Pending, &stagger{s.mean, true, s.slot, next}
}

func (s *stagger) Update(ctx *Context, event history.Op) Generator {
	if g := s.g.Update(ctx, event); g != s.g {
		return &stagger{s.mean, s.begun, s.slot, g}
	}
	return s
}

type delay struct {
	gap time.Duration
	at  time.Duration // no operation before
	g   Generator
}

// Delay keeps at least d between the invocation of one of g's operations and the next. The first comes at
// once, and nothing is caught up with: see Stagger for a rate.
func Delay(d time.Duration, g Generator) Generator { return &delay{gap: d, g: g} }

func (d *delay) Next(ctx *Context) (history.Op, Status, Generator) {
	op, status, next := d.g.Next(ctx)
	switch {
	case status == Ready:
		op.Time = max(op.Time, d.at)
		return op, Ready, &delay{d.gap, max(op.Time, ctx.Now) + d.gap, next}
	case status == Done:
		return done()
	case next == d.g:
		return op, Pending, d
	}
	return op, Pending, &delay{d.gap, d.at, next}
}

func (d *delay) Update(ctx *Context, event history.Op) Generator {
	if g := d.g.Update(ctx, event); g != d.g {
		return &delay{d.gap, d.at, g}
	}
	return d
}

type sleep struct {
	d     time.Duration
	begun bool
	until time.Duration
}

// Sleep yields nothing for d from when it is first asked, and is then done. It is a phase of Seq or Phases.
func Sleep(d time.Duration) Generator { return &sleep{d: d} }

func (s *sleep) Next(ctx *Context) (history.Op, Status, Generator) {
	switch {
	case !s.begun:
		return pendingUntil(ctx.Now, &sleep{s.d, true, ctx.Now + s.d})
	case ctx.Now >= s.until:
		return done()
	}
	return pendingUntil(s.until, s)
}

func (s *sleep) Update(*Context, history.Op) Generator { return s }

type timeLimit struct {
	d     time.Duration
	begun bool
	end   time.Duration
	g     Generator
}

// TimeLimit yields g's operations for d from when it is first asked. It is done at the end of that time,
// not before, unless g is.
func TimeLimit(d time.Duration, g Generator) Generator { return &timeLimit{d: d, g: g} }

func (t *timeLimit) Next(ctx *Context) (history.Op, Status, Generator) {
	switch {
	case !t.begun:
		return pendingUntil(ctx.Now, &timeLimit{t.d, true, ctx.Now + t.d, t.g})
	case ctx.Now >= t.end:
		return done()
	}
	op, status, next := t.g.Next(ctx)
	switch {
	case status == Done:
		return done()
	case status == Ready && op.Time < t.end:
		return op, Ready, &timeLimit{t.d, true, t.end, next}
	case status == Ready:
		return pendingUntil(t.end, t)
	case next == t.g:
		return pendingUntil(sooner(op.Time, t.end), t)
	}
	return pendingUntil(sooner(op.Time, t.end), &timeLimit{t.d, true, t.end, next})
}

func (t *timeLimit) Update(ctx *Context, event history.Op) Generator {
	if g := t.g.Update(ctx, event); g != t.g {
		return &timeLimit{t.d, t.begun, t.end, g}
	}
	return t
}
