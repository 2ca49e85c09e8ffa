package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/harness/sim/replicated"
)

// effect is the proof of a fault of the simulator: what a look at the nodes showed.
type effect struct {
	// Unreachable are the nodes acted on that reach no majority, or that the clients do not reach.
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
	var acted []*replicated.Node
	var err error
	if start {
		acted, err = s.startFault(family, &f)
	} else {
		acted, err = s.stopFault(family)
	}
	if err != nil {
		return nil, err
	}
	f.Nodes = nil
	for _, n := range acted {
		f.Nodes = append(f.Nodes, n.Name())
	}
	f.Proof = encode(s.look(family, acted))
	return encode(f), nil
}

// startFault begins a fault on the nodes that its variant stands for now.
func (s *System) startFault(family string, f *history.Fault) ([]*replicated.Node, error) {
	nodes, err := s.targets(f.Variant)
	if err != nil {
		return nil, err
	}
	switch family {
	case FamilyPartition:
		if f.Variant == TargetClients {
			for _, n := range nodes {
				n.Outside.Cut = true
			}
			break
		}
		s.store.Isolate(nodes, f.Variant == TargetOneWay)
	case FamilyKill:
		for _, n := range nodes {
			s.store.Kill(n)
		}
	case FamilyPause:
		for _, n := range nodes {
			s.store.Pause(n)
		}
	default:
		return nil, fmt.Errorf("the imagined nemesis has no fault %q", family)
	}
	s.store.Changed()
	return nodes, nil
}

// stopFault ends every fault of a family.
func (s *System) stopFault(family string) ([]*replicated.Node, error) {
	var acted []*replicated.Node
	switch family {
	case FamilyPartition:
		acted = s.store.Uncut()
	case FamilyKill:
		for _, n := range s.store.Nodes() {
			if !n.Up() {
				s.store.Start(n)
				acted = append(acted, n)
			}
		}
	case FamilyPause:
		for _, n := range s.store.Nodes() {
			if n.Paused() {
				s.store.Resume(n)
				acted = append(acted, n)
			}
		}
	default:
		return nil, fmt.Errorf("the imagined nemesis has no fault %q", family)
	}
	s.store.Changed()
	return acted, nil
}

// healAll ends every fault.
func (s *System) healAll() {
	for _, family := range []string{FamilyPartition, FamilyKill, FamilyPause} {
		// They are all families that it knows.
		if _, err := s.stopFault(family); err != nil {
			panic(err)
		}
	}
}

// targets are the nodes that a variant stands for.
func (s *System) targets(variant string) ([]*replicated.Node, error) {
	nodes := s.store.Nodes()
	shuffled := make([]*replicated.Node, len(nodes))
	for i, k := range s.store.Rand.Perm(len(nodes)) {
		shuffled[i] = nodes[k]
	}
	switch variant {
	case TargetLeader:
		leader := s.store.Leader()
		if leader == nil {
			return nil, fmt.Errorf("%w: nobody leads", errNothing)
		}
		return []*replicated.Node{leader}, nil
	case TargetOne, TargetOneWay, TargetClients:
		return shuffled[:1], nil
	case TargetMinority:
		return shuffled[:max((len(nodes)-1)/2, 1)], nil
	case TargetMajority:
		return shuffled[:len(nodes)/2+1], nil
	case TargetAll:
		return nodes, nil
	}
	return nil, fmt.Errorf("the imagined nemesis has no target %q", variant)
}

// look is the proof of what a fault of a family did, or what its end left.
func (s *System) look(family string, nodes []*replicated.Node) effect {
	var e effect
	for _, n := range nodes {
		switch family {
		case FamilyPartition:
			if n.Outside.Cut || !s.store.HasAllPeers(n) {
				e.Unreachable = append(e.Unreachable, n.Name())
			}
		case FamilyKill:
			e.Up, e.Starts = append(e.Up, n.Up()), append(e.Starts, n.Starts())
		case FamilyPause:
			e.Paused = append(e.Paused, n.Paused())
		}
	}
	if family == FamilyPartition {
		e.Dropped = s.store.Dropped()
	}
	return e
}

// awaitWell completes the operation when the system is well, or is not within its bound.
func (s *System) awaitWell(op history.Op, end time.Duration, done func(history.Op)) {
	switch {
	case s.store.Well():
		done(op)
	case s.Now() >= end:
		op.Type, op.Error = history.Info, "the system is not well after "+wellBound.String()
		done(op)
	default:
		s.store.Clock.After(wellPoll, func() { s.awaitWell(op, end, done) })
	}
}

// wellPoll is how often await-healthy looks, and wellBound how long.
const (
	wellPoll  = 20 * time.Millisecond
	wellBound = 30 * time.Second
)
