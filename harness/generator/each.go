package generator

import (
	"time"

	"github.com/faultline/faultline/harness/history"
)

// each gives every worker of its view a generator of its own. The workers' proposals are kept until
// they are dispatched, in small blocks that are copied when they change and know their
// soonest proposal: a draw costs one look at each block, not a question to each worker.
type each struct {
	make   func(Worker) Generator
	again  bool // a new process begins anew
	lo     Worker
	blocks []*block // nil: not begun
	alive  int      // workers whose generator is not done
}

const blockLen = 8

type block struct {
	slots [blockLen]slot
	// soonest is the slot with the earliest time, -1 if none has one.
	soonest int
	at      time.Duration
}

// slot is a worker's generator and what it proposes.
type slot struct {
	g   Generator // nil: done, or no worker of the view
	n   uint64    // operations dispatched
	ask *proposal // nil while the worker is busy
}

// proposal is an answer that is kept: ready, or pending.
type proposal struct {
	op    history.Op
	ready bool
	next  Generator
}

// EachWorker gives each worker of the view the generator that g makes for it, once. It sees only that worker,
// that worker's events, and chance of its own: which operation is a worker's n-th depends on the seed, the
// worker and n alone.
func EachWorker(g func(w Worker) Generator) Generator { return &each{make: g} }

// EachProcess gives each process of the view's workers g from its beginning: a process that takes the place of one
// that ended by an unknown outcome starts over. Where outcomes stay unknown this does not end; see TimeLimit.
func EachProcess(g Generator) Generator {
	return &each{make: func(Worker) Generator { return g }, again: true}
}

func (e *each) Next(ctx *Context) (history.Op, Status, Generator) {
	if e.blocks == nil {
		return pendingUntil(ctx.Now, e.begin(ctx))
	}
	b, i := e.soonest()
	switch {
	case e.alive == 0:
		return done()
	case i < 0:
		return pendingUntil(0, e)
	}
	s := e.blocks[b].slots[i]
	switch {
	case s.ask.ready:
		return s.ask.op, Ready, e.with(b, i, slot{g: s.ask.next, n: s.n + 1})
	case e.blocks[b].at > ctx.Now:
		return pendingUntil(e.blocks[b].at, e)
	}
	return pendingUntil(ctx.Now, e.asked(ctx, b, i, s))
}

func (e *each) Update(ctx *Context, event history.Op) Generator {
	w, ok := ctx.Threads.Worker(event.Process)
	if !ok || e.blocks == nil {
		return e
	}
	b, i := int(w-e.lo)/blockLen, int(w-e.lo)%blockLen
	s := e.blocks[b].slots[i]
	if s.g == nil {
		return e
	}
	old, threads := e.show(ctx, w, s)
	g := s.g.Update(ctx, event)
	e.unshow(ctx, old, threads)
	if event.Type == history.Invoke {
		if g == s.g && s.ask == nil {
			return e
		}
		return e.with(b, i, slot{g: g, n: s.n})
	}
	if e.again && event.Type == history.Info {
		g = e.make(w)
	}
	return e.asked(ctx, b, i, slot{g: g, n: s.n})
}

// begin makes the workers' generators and asks those of the free ones.
func (e *each) begin(ctx *Context) *each {
	ws := ctx.Threads.All()
	begun := &each{make: e.make, again: e.again, blocks: []*block{}}
	if len(ws) == 0 {
		return begun
	}
	begun.lo = ws[0]
	begun.blocks = make([]*block, int(ws[len(ws)-1]-begun.lo)/blockLen+1)
	for b := range begun.blocks {
		begun.blocks[b] = &block{soonest: -1}
	}
	for _, w := range ws {
		b, i := int(w-begun.lo)/blockLen, int(w-begun.lo)%blockLen
		s := slot{g: e.make(w)}
		begun.alive++
		if ctx.Threads.IsFree(w) {
			begun = begun.asked(ctx, b, i, s)
			continue
		}
		begun = begun.with(b, i, s)
	}
	return begun
}

// soonest is the place of the earliest proposal; i is -1 if there is none. Ties go to the lower worker.
func (e *each) soonest() (b, i int) {
	b, i = 0, -1
	var at time.Duration
	for k, blk := range e.blocks {
		if blk.soonest >= 0 && (i < 0 || blk.at < at) {
			b, i, at = k, blk.soonest, blk.at
		}
	}
	return b, i
}

// asked is e with the worker's generator asked for its next operation.
func (e *each) asked(ctx *Context, b, i int, s slot) *each {
	w := e.lo + Worker(b*blockLen+i)
	for {
		old, threads := e.show(ctx, w, s)
		op, status, next := s.g.Next(ctx)
		e.unshow(ctx, old, threads)
		switch {
		case status == Done:
			out := e.with(b, i, slot{n: s.n})
			out.alive--
			return out
		case status == Ready:
			s.ask = &proposal{op, true, next}
		case next != s.g && op.Time > 0 && op.Time <= ctx.Now:
			s.g = next
			continue
		default:
			s.g, s.ask = next, &proposal{op: op}
		}
		return e.with(b, i, s)
	}
}

// show narrows the context to one worker and its chance; unshow undoes that.
func (e *each) show(ctx *Context, w Worker, s slot) (stream, Threads) {
	threads := ctx.Threads
	ctx.Threads = threads.between(w, w+1)
	return ctx.enter(part(ctx.seed, int(w)), s.n), threads
}

func (e *each) unshow(ctx *Context, old stream, threads Threads) {
	ctx.leave(old)
	ctx.Threads = threads
}

// with is e with another slot.
func (e *each) with(b, i int, s slot) *each {
	blk := *e.blocks[b]
	blk.slots[i] = s
	blk.find()
	out := *e
	out.blocks = make([]*block, len(e.blocks))
	copy(out.blocks, e.blocks)
	out.blocks[b] = &blk
	return &out
}

// find finds the soonest slot of the block.
func (b *block) find() {
	b.soonest = -1
	for i := range b.slots {
		ask := b.slots[i].ask
		if ask == nil || (!ask.ready && ask.op.Time == 0) {
			continue
		}
		if b.soonest < 0 || ask.op.Time < b.at {
			b.soonest, b.at = i, ask.op.Time
		}
	}
}
