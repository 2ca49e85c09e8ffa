package generator

import (
	"math/bits"

	"github.com/faultline/faultline/harness/history"
)

// Worker is a thread of the runner. It has one process at a time; after an operation of unknown
// outcome a new process takes its place. Clients are 0, 1, …; NemesisWorker is the nemesis.
type Worker int

// NemesisWorker runs the nemesis's operations, one at a time.
const NemesisWorker Worker = -1

// Threads is a view of the runner's workers: which of them a generator may use, which of those are
// free, and which process each has now.
type Threads struct {
	pool   *pool
	lo, hi Worker  // the view is [lo, hi) …
	only   workers // … and of those only these; nil: all
}

// pool is what the dispatcher knows of its workers. Threads are views of one.
type pool struct {
	concurrency int
	processes   []history.Process // by worker, clients only
	free        workers
	last        Worker // the client that was dispatched last
}

// workers is a set: bit w+1 is worker w.
type workers []uint64

func (s workers) has(w Worker) bool {
	i := int(w) + 1
	return i>>6 < len(s) && s[i>>6]&(1<<(i&63)) != 0
}

func (s workers) add(w Worker)    { s[(int(w)+1)>>6] |= 1 << ((int(w) + 1) & 63) }
func (s workers) remove(w Worker) { s[(int(w)+1)>>6] &^= 1 << ((int(w) + 1) & 63) }

func newPool(concurrency int) *pool {
	p := &pool{
		concurrency: concurrency,
		processes:   make([]history.Process, concurrency),
		free:        make(workers, (concurrency+1)/64+1),
		last:        Worker(concurrency - 1),
	}
	p.free.add(NemesisWorker)
	for i := range p.processes {
		p.processes[i] = history.Process(i)
		p.free.add(Worker(i))
	}
	return p
}

func (p *pool) all() Threads {
	return Threads{pool: p, lo: NemesisWorker, hi: Worker(p.concurrency)}
}

// Len is the number of client workers in the whole run (not of this view).
func (t Threads) Len() int { return t.pool.concurrency }

// Has tells whether a worker belongs to this view.
func (t Threads) Has(w Worker) bool {
	return w >= t.lo && w < t.hi && (t.only == nil || t.only.has(w))
}

// IsFree tells whether a worker belongs to this view and is free.
func (t Threads) IsFree(w Worker) bool { return t.Has(w) && t.pool.free.has(w) }

// Free are the free workers of this view, in ascending order.
func (t Threads) Free() []Worker { return t.list(true) }

// All are the workers of this view, free or not, in ascending order.
func (t Threads) All() []Worker { return t.list(false) }

func (t Threads) list(free bool) []Worker {
	var out []Worker
	for w := t.lo; w < t.hi; w++ {
		if t.Has(w) && (!free || t.pool.free.has(w)) {
			out = append(out, w)
		}
	}
	return out
}

// AllFree tells whether every worker of this view is free.
func (t Threads) AllFree() bool {
	for w := t.lo; w < t.hi; w++ {
		if t.Has(w) && !t.pool.free.has(w) {
			return false
		}
	}
	return true
}

// Process is the process that a worker has now.
func (t Threads) Process(w Worker) history.Process {
	if w == NemesisWorker {
		return history.Nemesis
	}
	return t.pool.processes[w]
}

// Worker is the worker that a process belongs to, or belonged to before it ended; ok is false where that
// is no worker of this view.
func (t Threads) Worker(p history.Process) (w Worker, ok bool) {
	switch {
	case p == history.Nemesis:
		w = NemesisWorker
	case p.IsClient() && t.pool.concurrency > 0:
		w = Worker(int64(p) % int64(t.pool.concurrency))
	default:
		return 0, false
	}
	return w, t.Has(w)
}

// between narrows the view to the workers from lo to hi, without hi.
func (t Threads) between(lo, hi Worker) Threads {
	t.lo, t.hi = max(t.lo, lo), min(t.hi, hi)
	return t
}

// among narrows the view to the workers of a set.
func (t Threads) among(set workers) Threads {
	if t.only == nil {
		t.only = set
		return t
	}
	both := make(workers, min(len(set), len(t.only)))
	for i := range both {
		both[i] = set[i] & t.only[i]
	}
	t.only = both
	return t
}

// anyone is a free worker of this view: the next free client after the one that was dispatched last, so
// that all get their turn; the nemesis only where the view has no clients.
func (t Threads) anyone() (Worker, bool) {
	if t.hi <= 0 {
		return NemesisWorker, t.IsFree(NemesisWorker)
	}
	lo, from := max(t.lo, 0), t.pool.last+1
	if from <= lo || from >= t.hi {
		return t.firstFree(lo, t.hi)
	}
	if w, ok := t.firstFree(from, t.hi); ok {
		return w, true
	}
	return t.firstFree(lo, from)
}

// firstFree is the lowest free worker of the view in [lo, hi).
func (t Threads) firstFree(lo, hi Worker) (Worker, bool) {
	for i := (int(lo) + 1) >> 6; i <= int(hi)>>6 && i < len(t.pool.free); i++ {
		set := t.pool.free[i]
		if t.only != nil {
			if i >= len(t.only) {
				return 0, false
			}
			set &= t.only[i]
		}
		if first := int(lo) + 1; first>>6 == i {
			set &= ^uint64(0) << (first & 63)
		}
		if set != 0 {
			w := Worker(i<<6+bits.TrailingZeros64(set)) - 1
			return w, w < hi
		}
	}
	return 0, false
}
