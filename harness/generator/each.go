package generator

import (
	"time"

	"github.com/faultline/faultline/harness/history"
)

// each gives every worker of its view a generator of its own. Its free workers are asked in turn until one has
// an operation for now, so that a draw costs one question where workers are not paced; where they are,
// it remembers until when each need not be asked. The generators are kept in small blocks, and a change copies one of them.
type each struct {
	*plan
	blocks []*block // nil: not begun
	alive  int      // workers whose generator is not done
}

// plan is what stays the same when an each changes.
type plan struct {
	make   func(Worker) Generator
	again  bool // a new process begins anew
	lo, hi Worker
	// waits remembers answers, by worker. It is no state: an entry counts only for the slot that it was asked of, so all
	// versions of a generator share it, and asking again would give the same.
	waits []wait
}

const blockLen = 4

type block [blockLen]slot

// slot is a worker's generator.
type slot struct {
	g Generator // nil: done, or no worker of the view
	n uint64    // operations dispatched
}

// wait says that a slot, asked while its worker was free, had nothing before a time (0: before an event of its worker).
type wait struct {
	of    slot
	until time.Duration
}

// EachWorker gives each worker of the view the generator that g makes for it, once. It sees only that worker,
// that worker's events, and chance of its own: which operation is a worker's n-th depends on the seed, the
// worker and n alone.
func EachWorker(g func(w Worker) Generator) Generator { return &each{plan: &plan{make: g}} }

// EachProcess gives each process of the view's workers g from its beginning: a process that takes the place of one
// that ended by an unknown outcome starts over. Where outcomes stay unknown this does not end; see TimeLimit.
func EachProcess(g Generator) Generator {
	return &each{plan: &plan{make: func(Worker) Generator { return g }, again: true}}
}

func (e *each) Next(ctx *Context) (history.Op, Status, Generator) {
	switch {
	case e.blocks == nil:
		return pendingUntil(ctx.Now, e.begin(ctx))
	case e.alive == 0:
		return done()
	}
	at, wake := e, time.Duration(0)
	from := ctx.Threads.pool.last + 1
	for _, r := range [2][2]Worker{{from, e.hi}, {e.lo, from}} {
		for w, ok := ctx.Threads.firstFree(max(r[0], e.lo), r[1]); ok; w, ok = ctx.Threads.firstFree(w+1, r[1]) {
			s := at.slot(w)
			if s.g == nil {
				continue
			}
			if known := &e.waits[w-e.lo]; known.of == s && (known.until == 0 || known.until > ctx.Now) {
				wake = sooner(wake, known.until)
				continue
			}
			op, status, next := at.ask(ctx, w, s)
			switch {
			case status == Ready && op.Time <= ctx.Now:
				return op, Ready, at.with(w, slot{next, s.n + 1})
			case status == Done:
				at = at.with(w, slot{nil, s.n})
				at.alive--
			case status == Pending && next != s.g:
				at = at.with(w, slot{next, s.n})
			default:
				e.waits[w-e.lo] = wait{s, op.Time}
				wake = sooner(wake, op.Time)
			}
		}
	}
	if at != e {
		// What a worker's generator remembers must not get lost with an answer that is thrown away.
		return pendingUntil(ctx.Now, at)
	}
	return pendingUntil(wake, e)
}

func (e *each) Update(ctx *Context, event history.Op) Generator {
	w, ok := ctx.Threads.Worker(event.Process)
	if !ok || e.blocks == nil || w < e.lo || w >= e.hi {
		return e
	}
	s := e.slot(w)
	if s.g == nil {
		return e
	}
	e.waits[w-e.lo] = wait{}
	g := s.g
	if e.again && event.Type == history.Info {
		g = e.make(w)
	} else {
		old, threads := e.show(ctx, w, s)
		g = g.Update(ctx, event)
		e.unshow(ctx, old, threads)
	}
	if g == s.g {
		return e
	}
	return e.with(w, slot{g, s.n})
}

// begin makes the workers' generators.
func (e *each) begin(ctx *Context) *each {
	begun := &each{plan: &plan{make: e.make, again: e.again}, blocks: []*block{}}
	ws := ctx.Threads.All()
	if len(ws) == 0 {
		return begun
	}
	begun.lo, begun.hi, begun.alive = ws[0], ws[len(ws)-1]+1, len(ws)
	n := int(begun.hi - begun.lo)
	begun.waits = make([]wait, n)
	begun.blocks = make([]*block, (n+blockLen-1)/blockLen)
	for i := range begun.blocks {
		begun.blocks[i] = new(block)
	}
	for _, w := range ws {
		begun.blocks[int(w-begun.lo)/blockLen][int(w-begun.lo)%blockLen].g = e.make(w)
	}
	return begun
}

// ask asks a worker's generator for its next operation, again while it asks for that.
func (e *each) ask(ctx *Context, w Worker, s slot) (history.Op, Status, Generator) {
	g := s.g
	for {
		old, threads := e.show(ctx, w, s)
		op, status, next := g.Next(ctx)
		e.unshow(ctx, old, threads)
		if status != Pending || next == g || op.Time == 0 || op.Time > ctx.Now {
			if status == Ready && op.Time > ctx.Now {
				return history.Op{Time: op.Time}, Pending, g
			}
			return op, status, next
		}
		g = next
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

func (e *each) slot(w Worker) slot {
	return e.blocks[int(w-e.lo)/blockLen][int(w-e.lo)%blockLen]
}

// with is e with another slot.
func (e *each) with(w Worker, s slot) *each {
	i := int(w - e.lo)
	b := *e.blocks[i/blockLen]
	b[i%blockLen] = s
	blocks := make([]*block, len(e.blocks))
	copy(blocks, e.blocks)
	blocks[i/blockLen] = &b
	return &each{e.plan, blocks, e.alive}
}
