package sim

import (
	"time"
)

// reaches tells whether messages pass between two nodes, both ways, and both are at work.
func (s *System) reaches(a, b *node) bool {
	return a.up && b.up && !a.paused && !b.paused && (a == b || (!s.cut[a.id][b.id] && !s.cut[b.id][a.id]))
}

// hasQuorum tells whether a node reaches a majority, itself included.
func (s *System) hasQuorum(n *node) bool {
	reached := 0
	for _, m := range s.nodes {
		if s.reaches(n, m) {
			reached++
		}
	}
	return reached > len(s.nodes)/2
}

// leads tells whether a node may commit now.
func (s *System) leads(n *node) bool { return s.leader == n && s.hasQuorum(n) }

// send sends a message from a node to another, which acts on it when it arrives. It is lost if the way is cut
// when it is sent or when it arrives, or if the node is down.
func (s *System) send(from, to *node, act func()) {
	if from == to {
		act()
		return
	}
	if s.cut[from.id][to.id] {
		s.dropped++
		return
	}
	s.clock.after(s.latency(), func() {
		if s.cut[from.id][to.id] {
			s.dropped++
			return
		}
		s.at(to, act)
	})
}

// at has a node act, later if it is paused, never if it is down.
func (s *System) at(n *node, act func()) {
	switch {
	case !n.up:
	case n.paused:
		n.asleep = append(n.asleep, act)
	default:
		act()
	}
}

// changed is called when a fault began or ended: it looks after the leader, those who wait for one, and the replicas.
func (s *System) changed() {
	if s.leader != nil && !s.hasQuorum(s.leader) {
		s.leader = nil
	}
	if s.leader == nil {
		s.elect()
		return
	}
	s.settle()
}

// elect finds a leader after a while, if there can be one.
func (s *System) elect() {
	if s.electing {
		return
	}
	s.electing = true
	s.clock.after(s.between(electionMin, electionMin+electionSpread), func() {
		s.electing = false
		if s.leader != nil {
			return
		}
		var able []*node
		for _, n := range s.nodes {
			if s.hasQuorum(n) {
				able = append(able, n)
			}
		}
		if len(able) == 0 {
			return // until something changes
		}
		s.leader = able[s.rand.IntN(len(able))]
		limbo := s.limbo
		s.limbo = nil
		for _, commit := range limbo {
			commit()
		}
		s.settle()
	})
}

// settle lets every node that reaches the leader pass on what waited for it, and catch up.
func (s *System) settle() {
	for _, n := range s.nodes {
		s.updateFork(n)
		switch {
		case s.reaches(s.leader, n):
			s.replicate(n)
		case n.fork == nil:
			continue
		}
		waiting := n.waiting
		n.waiting = nil
		for _, act := range waiting {
			// A proposal may be forgotten while it waits: then it never happens.
			if !s.chance(4) {
				act()
			}
		}
	}
}

// replicate brings a node up to the log as it is now, after a while.
func (s *System) replicate(n *node) {
	upTo := len(s.log)
	if n == s.leader {
		s.catchUp(n, upTo)
		return
	}
	s.send(s.leader, n, func() {
		s.clock.after(time.Duration(s.rand.ExpFloat64()*float64(applyLagMean)), func() {
			s.at(n, func() { s.catchUp(n, upTo) })
		})
	})
}

func (s *System) catchUp(n *node, upTo int) {
	for ; n.applied < upTo; n.applied++ {
		n.replica.apply(s.log[n.applied])
	}
}

// commit applies a change, for good.
func (s *System) commit(e entry) {
	s.store.apply(e)
	s.log = append(s.log, e)
	for _, n := range s.nodes {
		if s.leader != nil && (n == s.leader || s.reaches(s.leader, n)) {
			s.replicate(n)
		}
	}
}

// updateFork gives a node that does not reach the leader a store of its own, with the bug that allows it, shared with the
// nodes that it reaches; and takes it away when the partition is over.
func (s *System) updateFork(n *node) {
	if s.bug != splitBrain {
		return
	}
	if s.reaches(s.leader, n) || !n.up {
		n.fork = nil
		return
	}
	if n.fork != nil || n.paused {
		return
	}
	for _, m := range s.nodes {
		if m != n && m.fork != nil && s.reaches(n, m) {
			n.fork = m.fork
			return
		}
	}
	n.fork = n.replica.clone()
}

// kill ends a node: what it was doing is lost, and its clients see their connections reset.
func (s *System) kill(n *node) {
	n.up, n.paused = false, false
	n.asleep, n.waiting, n.fork = nil, nil, nil
	calls := n.calls
	n.calls = nil
	for _, c := range calls {
		s.clock.after(s.latency(), func() { c.finish(result{}, errReset) })
	}
	s.changed()
}

// start starts a killed node again, with all that it had applied.
func (s *System) start(n *node) {
	if !n.up {
		n.up = true
		n.starts++
		s.changed()
	}
}

func (s *System) pause(n *node) {
	n.paused = true
	s.changed()
}

// resume lets a paused node go on, with what has arrived since.
func (s *System) resume(n *node) {
	if !n.paused {
		return
	}
	n.paused = false
	s.changed()
	asleep := n.asleep
	n.asleep = nil
	for _, act := range asleep {
		s.at(n, act)
	}
}

// well tells whether no fault is in force and every node has applied everything.
func (s *System) well() bool {
	if s.leader == nil {
		return false
	}
	for _, n := range s.nodes {
		if n.applied < len(s.log) || s.clientCut[n.id] {
			return false
		}
		for _, m := range s.nodes {
			if !s.reaches(n, m) {
				return false
			}
		}
	}
	return true
}

// wellPoll is how often await-healthy looks, and wellBound how long.
const (
	wellPoll  = 20 * time.Millisecond
	wellBound = 30 * time.Second
)
