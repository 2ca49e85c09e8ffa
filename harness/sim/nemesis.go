package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/harness/sim/replicated"
)

// effect is the proof of a fault of the simulator: what a look at the nodes showed.
type effect struct {
	// Unreachable are the nodes acted on that reach no majority, or that the clients, or the node's own server, do not reach.
	Unreachable []string `json:"unreachable,omitempty"`
	// Dropped is how many messages were lost to cuts since the run began.
	Dropped int `json:"dropped,omitempty"`
	// Up, Paused and Starts are of the nodes acted on, in their order.
	Up     []bool `json:"up,omitempty"`
	Paused []bool `json:"paused,omitempty"`
	Starts []int  `json:"starts,omitempty"`
}

// errNothing is a fault that found nothing to act on.
var errNothing = errors.New("skipped: nothing to act on")

// breakOrMend performs an operation of the nemesis, and calls done with its completion when it is over.
func (s *System) breakOrMend(op history.Op, done func(history.Op)) {
	op.Type = history.OK
	switch op.F {
	case history.FHeal:
		s.healAll()
	case history.FAwaitHealthy:
		s.awaitWell(op, s.Now()+wellBound, done)
		return
	case history.FAwaitConverged:
		s.awaitConverged(op, done)
		return
	case history.FMembers:
		// What was still under way when the system was found well may have been committed since.
		s.awaitWell(op, s.Now()+wellBound, func(op history.Op) {
			if op.Type == history.OK {
				op.Value = encode(s.store.Members())
			}
			done(op)
		})
		return
	case history.FFinalReads:
	default:
		value, err := s.fault(op)
		switch {
		case err == nil:
			op.Value = value
		case errors.Is(err, errNothing):
			op.Type, op.Error = history.Fail, err.Error()
		default:
			op.Type, op.Error = history.Info, err.Error()
		}
	}
	s.store.Clock.After(s.store.Latency(), func() { done(op) })
}

// fault begins or ends a fault.
func (s *System) fault(op history.Op) (json.RawMessage, error) {
	family, start, ok := history.FamilyOf(op.F)
	if !ok {
		return nil, fmt.Errorf("the imagined nemesis does not know %q", op.F)
	}
	var f history.Fault
	if err := json.Unmarshal(op.Value, &f); err != nil {
		return nil, fmt.Errorf("%s: %w", op.F, err)
	}
	a, err := s.aimOf(family, f.Variant)
	if err != nil {
		return nil, err
	}
	var acted []int
	if start {
		acted, err = s.startFault(a)
	} else {
		acted = s.stopFault(a)
	}
	if err != nil {
		return nil, err
	}
	f.Nodes = nil
	for _, n := range acted {
		f.Nodes = append(f.Nodes, s.store.Nodes()[n].Name())
	}
	f.Proof = encode(s.look(a, acted))
	return encode(f), nil
}

// aim is what a fault acts on.
type aim struct {
	family, target string
	// what is the component that is killed or paused, or the link that is cut.
	what string
}

// aimOf reads a variant: a target, and after a plus what of it.
func (s *System) aimOf(family, variant string) (aim, error) {
	a := aim{family: family}
	a.target, a.what, _ = strings.Cut(variant, "+")
	switch family {
	case FamilyPartition:
		if a.target == TargetClients {
			a.what = LinkClients
		}
		if a.what == "" {
			a.what = LinkPeer
		}
	case FamilyKill, FamilyPause:
		if a.what == "" {
			a.what = ComponentStore
		}
	default:
		return a, fmt.Errorf("the imagined nemesis has no fault %q", family)
	}
	switch a.what {
	case LinkPeer, LinkClients, ComponentStore:
		return a, nil
	case LinkServerStore, ComponentServer:
		if s.plane != nil {
			return a, nil
		}
	}
	return a, fmt.Errorf("the imagined system has no %q", a.what)
}

// process is what can be killed and paused.
type process interface {
	Up() bool
	Paused() bool
	Starts() int
	Kill()
	Start()
	Pause()
	Resume()
}

// process is a component's on a node.
func (s *System) process(component string, node int) process {
	if component == ComponentServer {
		return s.plane.Servers()[node]
	}
	return s.store.Nodes()[node]
}

// path is a link that is not between nodes, at a node; nil for that which is.
func (s *System) path(link string, node int) *replicated.Path {
	switch {
	case link == LinkServerStore:
		return &s.plane.Servers()[node].Store
	case link == LinkClients && s.plane != nil:
		return &s.plane.Servers()[node].Outside
	case link == LinkClients:
		return &s.store.Nodes()[node].Outside
	}
	return nil
}

// startFault begins a fault on the nodes that its target stands for now.
func (s *System) startFault(a aim) ([]int, error) {
	nodes, err := s.targets(a.target)
	if err != nil {
		return nil, err
	}
	var isolated []*replicated.Node
	for _, n := range nodes {
		switch {
		case a.family == FamilyKill:
			s.process(a.what, n).Kill()
		case a.family == FamilyPause:
			s.process(a.what, n).Pause()
		case a.what == LinkPeer:
			isolated = append(isolated, s.store.Nodes()[n])
		default:
			s.path(a.what, n).Cut = true
		}
	}
	s.store.Isolate(isolated, a.target == TargetOneWay)
	s.store.Changed()
	return nodes, nil
}

// stopFault ends every fault of a family on what it acts on, and tells where there was one.
func (s *System) stopFault(aims ...aim) []int {
	var acted []int
	for n := range s.store.Nodes() {
		was := false
		for _, a := range aims {
			was = s.undo(a, n) || was
		}
		if was {
			acted = append(acted, n)
		}
	}
	if slices.ContainsFunc(aims, func(a aim) bool { return a.what == LinkPeer }) {
		s.store.Join()
	}
	s.store.Changed()
	if s.plane != nil {
		s.plane.Changed()
	}
	return acted
}

// undo ends a fault on a node, and tells whether there was one.
func (s *System) undo(a aim, n int) bool {
	switch a.family {
	case FamilyKill:
		p := s.process(a.what, n)
		was := !p.Up()
		p.Start()
		return was
	case FamilyPause:
		p := s.process(a.what, n)
		was := p.Paused()
		p.Resume()
		return was
	}
	path := s.path(a.what, n)
	if path == nil {
		return !s.store.HasAllPeers(s.store.Nodes()[n])
	}
	was := path.Cut
	path.Cut = false
	return was
}

// healAll ends every fault.
func (s *System) healAll() {
	links, components := []string{LinkPeer, LinkClients}, []string{ComponentStore}
	if s.plane != nil {
		links, components = append(links, LinkServerStore), append(components, ComponentServer)
	}
	s.stopFault(aims(FamilyPartition, links)...)
	s.stopFault(aims(FamilyKill, components)...)
	s.stopFault(aims(FamilyPause, components)...)
}

func aims(family string, whats []string) []aim {
	out := make([]aim, len(whats))
	for i, what := range whats {
		out[i] = aim{family: family, what: what}
	}
	return out
}

// targets are the nodes that a target stands for.
func (s *System) targets(target string) ([]int, error) {
	nodes := len(s.store.Nodes())
	shuffled := s.store.Rand.Perm(nodes)
	switch target {
	case TargetLeader:
		leader := s.store.Leader()
		if leader == nil {
			return nil, fmt.Errorf("%w: nobody leads", errNothing)
		}
		return []int{leader.ID()}, nil
	case TargetOne, TargetOneWay, TargetClients:
		return shuffled[:1], nil
	case TargetMinority:
		return shuffled[:max((nodes-1)/2, 1)], nil
	case TargetMajority:
		return shuffled[:nodes/2+1], nil
	case TargetAll:
		all := make([]int, nodes)
		for i := range all {
			all[i] = i
		}
		return all, nil
	}
	return nil, fmt.Errorf("the imagined nemesis has no target %q", target)
}

// look is the proof of what a fault did, or what its end left.
func (s *System) look(a aim, nodes []int) effect {
	var e effect
	for _, n := range nodes {
		switch a.family {
		case FamilyPartition:
			path := s.path(a.what, n)
			if path == nil && !s.store.HasAllPeers(s.store.Nodes()[n]) || path != nil && path.Cut {
				e.Unreachable = append(e.Unreachable, s.store.Nodes()[n].Name())
			}
		case FamilyKill:
			p := s.process(a.what, n)
			e.Up, e.Starts = append(e.Up, p.Up()), append(e.Starts, p.Starts())
		case FamilyPause:
			e.Paused = append(e.Paused, s.process(a.what, n).Paused())
		}
	}
	if a.family == FamilyPartition {
		e.Dropped = s.dropped()
	}
	return e
}

// dropped is how many messages were lost to cuts.
func (s *System) dropped() int {
	sum := s.store.Dropped()
	if s.plane != nil {
		sum += s.plane.Dropped()
	}
	return sum
}

// well tells whether no fault is in force and all is as it is to be.
func (s *System) well() bool { return s.store.Well() && (s.plane == nil || s.plane.Well()) }

// awaitWell completes the operation when the system is well, or is not within its bound.
func (s *System) awaitWell(op history.Op, end time.Duration, done func(history.Op)) {
	switch {
	case s.well():
		done(op)
	case s.Now() >= end:
		op.Type, op.Error = history.Info, "the system is not well after "+wellBound.String()
		done(op)
	default:
		s.store.Clock.After(wellPoll, func() { s.awaitWell(op, end, done) })
	}
}

// awaitConverged completes the operation when what is observed has matched what is declared for as long as was asked, or the bound is over.
func (s *System) awaitConverged(op history.Op, done func(history.Op)) {
	var c history.Convergence
	err := json.Unmarshal(op.Value, &c)
	if err == nil && s.observer == nil {
		err = errors.New("nothing is observed")
	}
	if err != nil {
		op.Type, op.Error = history.Info, err.Error()
		done(op)
		return
	}
	s.observer.Await(c, func(c history.Convergence) {
		op.Value = encode(c)
		if !c.Converged {
			op.Type, op.Error = history.Info, "what is observed does not match what is declared"
		}
		done(op)
	})
}

// wellPoll is how often await-healthy looks, and wellBound how long.
const (
	wellPoll  = 20 * time.Millisecond
	wellBound = 30 * time.Second
)
