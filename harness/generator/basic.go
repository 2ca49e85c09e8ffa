package generator

import (
	"slices"

	"github.com/faultline/faultline/harness/history"
)

// function draws operations from a function.
type function struct {
	f func(*Context) history.Op
}

// Func yields what f returns, without end. f gives F, Key and Value, and may plan a Time; it must draw chance
// from ctx.Rand only. The process is always the context's Anyone: to choose one, narrow the
// view with OnWorkers or EachWorker.
func Func(f func(*Context) history.Op) Generator { return &function{f} }

func (g *function) Next(ctx *Context) (history.Op, Status, Generator) {
	p, ok := ctx.Anyone()
	if !ok {
		return pendingUntil(0, g)
	}
	return ctx.propose(g.f(ctx), p), Ready, g
}

func (g *function) Update(*Context, history.Op) Generator { return g }

// Repeat yields op without end. Its process is the context's Anyone, as for Func.
func Repeat(op history.Op) Generator {
	return Func(func(*Context) history.Op { return op })
}

// Once yields op once. Its process is the context's Anyone, as for Func.
func Once(op history.Op) Generator { return Limit(1, Repeat(op)) }

type limit struct {
	left int
	g    Generator
}

// Limit yields at most n operations of g.
func Limit(n int, g Generator) Generator { return &limit{n, g} }

func (l *limit) Next(ctx *Context) (history.Op, Status, Generator) {
	if l.left <= 0 {
		return done()
	}
	op, status, next := l.g.Next(ctx)
	switch {
	case status == Ready:
		return op, Ready, &limit{l.left - 1, next}
	case status == Done:
		return done()
	case next == l.g:
		return op, Pending, l
	}
	return op, Pending, &limit{l.left, next}
}

func (l *limit) Update(ctx *Context, event history.Op) Generator {
	if g := l.g.Update(ctx, event); g != l.g {
		return &limit{l.left, g}
	}
	return l
}

type mapped struct {
	f func(history.Op) history.Op
	g Generator
}

// Map yields g's operations as changed by f, which must be pure and leave the process alone.
func Map(f func(history.Op) history.Op, g Generator) Generator { return &mapped{f, g} }

func (m *mapped) Next(ctx *Context) (history.Op, Status, Generator) {
	op, status, next := m.g.Next(ctx)
	if status == Ready {
		op = m.f(op)
	}
	switch {
	case status == Done:
		return done()
	case next == m.g:
		return op, status, m
	}
	return op, status, &mapped{m.f, next}
}

func (m *mapped) Update(ctx *Context, event history.Op) Generator {
	if g := m.g.Update(ctx, event); g != m.g {
		return &mapped{m.f, g}
	}
	return m
}

type untilOK struct {
	g    Generator
	open []history.Process // whose open operation came from here
	ok   bool
}

// UntilOK yields g's operations until one of them completed ok. Bound it with Limit or TimeLimit, and
// space it with Delay: a system that is down fails at once.
func UntilOK(g Generator) Generator { return &untilOK{g: g} }

func (u *untilOK) Next(ctx *Context) (history.Op, Status, Generator) {
	if u.ok {
		return done()
	}
	op, status, next := u.g.Next(ctx)
	switch {
	case status == Ready:
		return op, Ready, &untilOK{g: next, open: append(slices.Clone(u.open), op.Process)}
	case status == Done:
		return done()
	case next == u.g:
		return op, Pending, u
	}
	return op, Pending, &untilOK{g: next, open: u.open}
}

func (u *untilOK) Update(ctx *Context, event history.Op) Generator {
	g := u.g.Update(ctx, event)
	i := -1
	if event.Type != history.Invoke {
		i = slices.Index(u.open, event.Process)
	}
	switch {
	case i < 0 && g == u.g:
		return u
	case i < 0:
		return &untilOK{g: g, open: u.open, ok: u.ok}
	}
	return &untilOK{g: g, open: slices.Delete(slices.Clone(u.open), i, i+1), ok: u.ok || event.Type == history.OK}
}
