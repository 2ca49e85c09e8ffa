// Package nemesis breaks the system under test and mends it: a file per fault, and the table of them
// in faults.go. A fault is a package: what it can do to this system (decided before the run), a
// generator that schedules it, the actions, the proof that they took effect, and the cure.
package nemesis

import (
	"context"
	"net"
	"time"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/generator"
)

// Env is what faults can act on.
type Env struct {
	System harness.System
	Nodes  []harness.Node
	// Clients is the address that the clients' traffic comes from, as the nodes see it. Empty: it is not
	// known, and faults of the links to the clients are refused.
	Clients string
	// Dial opens a TCP connection the way that the clients do, to prove that they are cut off; nil: from this process.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
}

// Options are how often faults strike.
type Options struct {
	// Interval is from one fault's start to the next one's in the same family; each lasts half of it.
	// Where families take turns it is from one fault's start to the next one's, of whichever family.
	Interval time.Duration
	// Overlap: families run independently and may be in force together. Otherwise one fault at a time: the
	// families take turns.
	Overlap bool
	Seed    uint64
}

// Package is one or several faults ready to run.
type Package struct {
	// Requested are the entries of --nemesis after expansion: "partition:leader", "kill".
	Requested []string
	// Generator yields start and stop operations for the nemesis worker, for as long as it is asked; Phases ends it
	// with the run's time. Planned times count from the beginning of the run. Nil: no faults.
	Generator generator.Generator
	// Nemesis performs them, and heal, await-healthy, members and final-reads.
	Nemesis harness.Nemesis
}

// New prepares the faults of a list (see Parse) for this system on these nodes. It has no effect on them. What
// can't be done is refused here, with ErrUsage or ErrImpossible; no fault is left out in silence, but
// for those of "all". The Nemesis can heal, await health and compare members even where the list is "none".
func New(env Env, list string, o Options) (Package, error) {
	scope := env.Scope()
	requests, err := Check(list, scope)
	if err != nil {
		return Package{}, err
	}
	pkg := Package{Nemesis: newBreaker(env, scope, o)}
	if len(requests) == 0 {
		return pkg, nil
	}
	if o.Interval <= 0 {
		return Package{}, refuse(ErrUsage, "the nemesis interval is %v: it must be longer than 0", o.Interval)
	}
	for _, r := range requests {
		pkg.Requested = append(pkg.Requested, r.String())
	}
	pkg.Generator, err = newSchedule(scope, requests, o)
	if err != nil {
		return Package{}, err
	}
	return pkg, nil
}

// Scope is what of an Env decides which faults can be done. It can be known before any node is up, so that
// bad words are refused before anything starts.
type Scope struct {
	Nodes      []string
	Components []string
	Links      []harness.Link
	// Leader: the system can tell who leads.
	Leader bool
	// Electing are the components that elect leaders of their own, Movable those that can use another node's server, Writers those
	// whose writes can be told.
	Electing, Movable, Writers []string
	// Companions are the processes that run on each node beside the components.
	Companions []string
	// CacheLink is the link that feeds the caches of the servers; empty: they have none.
	CacheLink string
	// Churns: objects can be made and removed that components would act on.
	Churns bool
	// NoClients: the address that the clients come from is not known.
	NoClients bool
}

// Scope is the scope of this environment.
func (e Env) Scope() Scope {
	s := Scope{NoClients: e.Clients == ""}
	for _, n := range e.Nodes {
		s.Nodes = append(s.Nodes, n.Name())
	}
	if e.System == nil {
		return s
	}
	s.Components = e.System.Components()
	s.Links = e.System.Links()
	_, s.Leader = e.System.(harness.Leader)
	_, s.Churns = e.System.(harness.Churner)
	if l, ok := e.System.(harness.ComponentLeader); ok {
		s.Electing = l.Electing()
	}
	if m, ok := e.System.(harness.Mover); ok {
		s.Movable = m.Movable()
	}
	if w, ok := e.System.(harness.WriteWatcher); ok {
		s.Writers = w.Writers()
	}
	if c, ok := e.System.(harness.Companions); ok {
		s.Companions = c.Companions()
	}
	if c, ok := e.System.(harness.Caches); ok {
		s.CacheLink = c.CacheLink()
	}
	return s
}
