package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/faultline/faultline/harness/history"
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
		s.awaitWell(op, s.clock.now+wellBound, done)
		return
	case history.FMembers:
		// What was still under way when the system was found well may have been committed since.
		s.awaitWell(op, s.clock.now+wellBound, func(op history.Op) {
			if op.Type == history.OK {
				op.Value = encode(s.members())
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
	s.clock.after(s.latency(), func() { done(op) })
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
	var acted []*node
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
		f.Nodes = append(f.Nodes, n.name)
	}
	f.Proof = encode(s.look(family, acted))
	return encode(f), nil
}

// startFault begins a fault on the nodes that its variant stands for now.
func (s *System) startFault(family string, f *history.Fault) ([]*node, error) {
	nodes, err := s.targets(f.Variant)
	if err != nil {
		return nil, err
	}
	switch family {
	case FamilyPartition:
		if f.Variant == TargetClients {
			for _, n := range nodes {
				s.clientCut[n.id] = true
			}
			break
		}
		s.isolate(nodes, f.Variant == TargetOneWay)
	case FamilyKill:
		for _, n := range nodes {
			s.kill(n)
		}
	case FamilyPause:
		for _, n := range nodes {
			s.pause(n)
		}
	default:
		return nil, fmt.Errorf("the imagined nemesis has no fault %q", family)
	}
	s.changed()
	return nodes, nil
}

// isolate cuts nodes from all others: both ways, or only what they send.
func (s *System) isolate(nodes []*node, oneWay bool) {
	inside := make([]bool, len(s.nodes))
	for _, n := range nodes {
		inside[n.id] = true
	}
	for a := range s.cut {
		for b := range s.cut[a] {
			if inside[a] != inside[b] && (!oneWay || inside[a]) {
				s.cut[a][b] = true
			}
		}
	}
}

// stopFault ends every fault of a family.
func (s *System) stopFault(family string) ([]*node, error) {
	var acted []*node
	switch family {
	case FamilyPartition:
		acted = s.uncut()
	case FamilyKill:
		for _, n := range s.nodes {
			if !n.up {
				s.start(n)
				acted = append(acted, n)
			}
		}
	case FamilyPause:
		for _, n := range s.nodes {
			if n.paused {
				s.resume(n)
				acted = append(acted, n)
			}
		}
	default:
		return nil, fmt.Errorf("the imagined nemesis has no fault %q", family)
	}
	s.changed()
	return acted, nil
}

// uncut removes all cuts and returns the nodes that had some.
func (s *System) uncut() []*node {
	var acted []*node
	for _, n := range s.nodes {
		had := s.clientCut[n.id]
		s.clientCut[n.id] = false
		for i := range s.nodes {
			had = had || s.cut[n.id][i] || s.cut[i][n.id]
		}
		if had {
			acted = append(acted, n)
		}
	}
	for a := range s.cut {
		clear(s.cut[a])
	}
	return acted
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
func (s *System) targets(variant string) ([]*node, error) {
	shuffled := make([]*node, len(s.nodes))
	for i, k := range s.rand.Perm(len(s.nodes)) {
		shuffled[i] = s.nodes[k]
	}
	switch variant {
	case TargetLeader:
		if s.leader == nil {
			return nil, fmt.Errorf("%w: nobody leads", errNothing)
		}
		return []*node{s.leader}, nil
	case TargetOne, TargetOneWay, TargetClients:
		return shuffled[:1], nil
	case TargetMinority:
		return shuffled[:max((len(s.nodes)-1)/2, 1)], nil
	case TargetMajority:
		return shuffled[:len(s.nodes)/2+1], nil
	case TargetAll:
		return s.nodes, nil
	}
	return nil, fmt.Errorf("the imagined nemesis has no target %q", variant)
}

// look is the proof of what a fault of a family did, or what its end left.
func (s *System) look(family string, nodes []*node) effect {
	var e effect
	for _, n := range nodes {
		switch family {
		case FamilyPartition:
			if s.clientCut[n.id] || !s.hasAllPeers(n) {
				e.Unreachable = append(e.Unreachable, n.name)
			}
		case FamilyKill:
			e.Up, e.Starts = append(e.Up, n.up), append(e.Starts, n.starts)
		case FamilyPause:
			e.Paused = append(e.Paused, n.paused)
		}
	}
	if family == FamilyPartition {
		e.Dropped = s.dropped
	}
	return e
}

func (s *System) hasAllPeers(n *node) bool {
	for _, m := range s.nodes {
		if s.cut[n.id][m.id] || s.cut[m.id][n.id] {
			return false
		}
	}
	return true
}

// awaitWell completes the operation when the system is well, or is not within its bound.
func (s *System) awaitWell(op history.Op, end time.Duration, done func(history.Op)) {
	switch {
	case s.well():
		done(op)
	case s.clock.now >= end:
		op.Type, op.Error = history.Info, "the system is not well after "+wellBound.String()
		done(op)
	default:
		s.clock.after(wellPoll, func() { s.awaitWell(op, end, done) })
	}
}

// members is what each node says of itself.
func (s *System) members() []history.MemberState {
	var out []history.MemberState
	for _, n := range s.nodes {
		m := history.MemberState{
			Node: n.name, Revision: n.replica.revision, HashRevision: n.replica.revision, Hash: n.replica.hash(), Version: "sim",
		}
		if s.leader != nil {
			m.Leader = s.leader.name
		}
		if !n.up {
			m = history.MemberState{Node: n.name, Error: "the node is down"}
		}
		out = append(out, m)
	}
	return out
}
