package generator

import "github.com/faultline/faultline/harness/history"

// view shows its generator some of the workers, and the events of those only.
type view struct {
	lo, hi Worker // hi 0 with lo 0: all clients
	only   workers
	g      Generator
}

// Clients gives g the client workers.
func Clients(g Generator) Generator { return &view{lo: 0, hi: maxWorker, g: g} }

// NemesisOnly gives g the nemesis.
func NemesisOnly(g Generator) Generator { return &view{lo: NemesisWorker, hi: 0, g: g} }

// OnWorkers gives g these workers, as far as they are there.
func OnWorkers(g Generator, ws ...Worker) Generator {
	highest := NemesisWorker
	for _, w := range ws {
		highest = max(highest, w)
	}
	set := make(workers, (int(highest)+1)/64+1)
	for _, w := range ws {
		set.add(w)
	}
	return &view{lo: NemesisWorker, hi: maxWorker, only: set, g: g}
}

// maxWorker is above every worker.
const maxWorker = Worker(1 << 30)

// narrow sets the context's view and returns the one to restore.
func (v *view) narrow(ctx *Context) Threads {
	old := ctx.Threads
	ctx.Threads = old.between(v.lo, v.hi)
	if v.only != nil {
		ctx.Threads = ctx.Threads.among(v.only)
	}
	return old
}

func (v *view) Next(ctx *Context) (history.Op, Status, Generator) {
	old := v.narrow(ctx)
	op, status, next := v.g.Next(ctx)
	ctx.Threads = old
	switch {
	case status == Done:
		return done()
	case next == v.g:
		return op, status, v
	}
	return op, status, &view{v.lo, v.hi, v.only, next}
}

func (v *view) Update(ctx *Context, event history.Op) Generator {
	old := v.narrow(ctx)
	defer func() { ctx.Threads = old }()
	if _, mine := ctx.Threads.Worker(event.Process); !mine {
		return v
	}
	if g := v.g.Update(ctx, event); g != v.g {
		return &view{v.lo, v.hi, v.only, g}
	}
	return v
}

// Reserved is a part of Reserve: its generator gets this many workers.
type Reserved struct {
	Count int
	G     Generator
}

type reserve struct {
	rest  Generator
	parts []Reserved
}

// Reserve gives each part its own number of the view's client workers, in order, and the rest of them to
// rest (which may be nil).
func Reserve(rest Generator, parts ...Reserved) Generator { return &reserve{rest, parts} }

func (r *reserve) Next(ctx *Context) (history.Op, Status, Generator) {
	var clients []Worker
	for _, w := range ctx.Threads.All() {
		if w != NemesisWorker {
			clients = append(clients, w)
		}
	}
	var gs []Generator
	for _, p := range r.parts {
		n := min(p.Count, len(clients))
		gs = append(gs, OnWorkers(p.G, clients[:n]...))
		clients = clients[n:]
	}
	if r.rest != nil {
		gs = append(gs, OnWorkers(r.rest, clients...))
	}
	return pendingUntil(ctx.Now, Any(gs...))
}

func (r *reserve) Update(*Context, history.Op) Generator { return r }
