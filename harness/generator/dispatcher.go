package generator

import (
	"errors"
	"fmt"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// Errors of a Dispatcher: what the generator proposed makes no sense, so the run can't go on.
var (
	// ErrNotFree is an operation for a process that is busy, has ended, or never was.
	ErrNotFree = errors.New("the generator proposed an operation for a process that is not free")
	// ErrStuck is a generator that waits for an event when nothing is open that could bring one.
	ErrStuck = errors.New("the generator waits for an event but no operation is open: it would wait for ever")
	// ErrSpins is a generator that asks to be asked again at once, without end.
	ErrSpins = errors.New("the generator asks to be asked again at once, again and again")
)

// spinsMax is how often in a row a generator may ask to be asked again at once.
const spinsMax = 100_000

// Dispatcher drives a generator: it knows which workers are free, which process each has, and tells the
// generator of every event. It has no clock and no threads, so that the runner and the simulator
// share it. Not safe for concurrent use.
type Dispatcher struct {
	g    Generator
	ctx  Context
	pool *pool
	n    uint64 // operations dispatched
	open int
	done bool
}

// NewDispatcher makes one for client workers 0 … concurrency-1 and the nemesis, all of them free.
func NewDispatcher(g Generator, concurrency int) *Dispatcher {
	p := newPool(concurrency)
	return &Dispatcher{g: g, pool: p, ctx: Context{Threads: p.all()}}
}

// Open is the number of operations that were dispatched and not completed.
func (d *Dispatcher) Open() int { return d.open }

// Process is the process that a worker has now.
func (d *Dispatcher) Process(w Worker) history.Process { return d.ctx.Threads.Process(w) }

// Next dispatches the next operation. Ready: op is to be invoked by w now; it is open from here on. Pending:
// ask again after a completion, and at op.Time where that is not 0. Done: the generator is done; operations may still be open.
func (d *Dispatcher) Next(now time.Duration) (op history.Op, w Worker, s Status, err error) {
	if d.done {
		return history.Op{}, 0, Done, nil
	}
	d.ctx.Now = max(now, 1)
	for range spinsMax {
		old := d.ctx.enter(0, d.n)
		op, status, next := d.g.Next(&d.ctx)
		d.ctx.leave(old)
		switch {
		case status == Done:
			d.Stop()
			return history.Op{}, 0, Done, nil
		case status == Ready && op.Time <= d.ctx.Now:
			d.g = next
			w, err := d.dispatch(op)
			return op, w, Ready, err
		case status == Ready:
			return history.Op{Time: op.Time}, 0, Pending, nil
		}
		d.g = next
		if op.Time > 0 && op.Time <= d.ctx.Now {
			continue
		}
		if op.Time == 0 && d.open == 0 {
			return op, 0, Pending, ErrStuck
		}
		return history.Op{Time: op.Time}, 0, Pending, nil
	}
	return history.Op{}, 0, Pending, ErrSpins
}

// dispatch makes the operation's worker busy and tells the generator.
func (d *Dispatcher) dispatch(op history.Op) (Worker, error) {
	w, ok := d.ctx.Threads.Worker(op.Process)
	if !ok || !d.ctx.Threads.IsFree(w) || d.ctx.Threads.Process(w) != op.Process {
		return 0, fmt.Errorf("%s by process %s: %w", op.F, op.Process, ErrNotFree)
	}
	d.pool.free.remove(w)
	if w != NemesisWorker {
		d.pool.last = w
	}
	d.open++
	d.n++
	d.update(op)
	return w, nil
}

// Stop ends the generator: it is neither asked nor told of anything any more.
func (d *Dispatcher) Stop() { d.done, d.g = true, nil }

// Complete tells of the completion of an open operation. Its worker is free again, with a new process
// if the outcome is unknown (the nemesis keeps its own).
func (d *Dispatcher) Complete(now time.Duration, completion history.Op) error {
	w, ok := d.ctx.Threads.Worker(completion.Process)
	if !ok || d.ctx.Threads.IsFree(w) || d.ctx.Threads.Process(w) != completion.Process {
		return fmt.Errorf("completion of %s by process %s, which has no open operation", completion.F, completion.Process)
	}
	d.ctx.Now = max(now, 1)
	d.open--
	d.pool.free.add(w)
	if completion.Type == history.Info && w != NemesisWorker {
		d.pool.processes[w] += history.Process(d.pool.concurrency)
	}
	if !d.done {
		d.update(completion)
	}
	return nil
}

func (d *Dispatcher) update(event history.Op) {
	old := d.ctx.enter(0, d.n)
	d.g = d.g.Update(&d.ctx, event)
	d.ctx.leave(old)
}
