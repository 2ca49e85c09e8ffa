package replicated

// reaches tells whether messages pass between two nodes, both ways, and both are at work.
func (s *Cluster) reaches(a, b *Node) bool {
	return a.up && b.up && !a.paused && !b.paused && (a == b || (!s.cut[a.id][b.id] && !s.cut[b.id][a.id]))
}

// hasQuorum tells whether a node reaches a majority, itself included.
func (s *Cluster) hasQuorum(n *Node) bool {
	reached := 0
	for _, m := range s.nodes {
		if s.reaches(n, m) {
			reached++
		}
	}
	return reached > len(s.nodes)/2
}

// leads tells whether a node may commit now.
func (s *Cluster) leads(n *Node) bool { return s.leader == n && s.hasQuorum(n) }

// send sends a message from a node to another, which acts on it when it arrives. It is lost if the way is cut
// when it is sent or when it arrives, or if the node is down.
func (s *Cluster) send(from, to *Node, act func()) {
	if from == to {
		act()
		return
	}
	if s.cut[from.id][to.id] {
		s.dropped++
		return
	}
	s.Clock.After(s.Latency(), func() {
		if s.cut[from.id][to.id] {
			s.dropped++
			return
		}
		s.at(to, act)
	})
}

// at has a node act, later if it is paused, never if it is down.
func (s *Cluster) at(n *Node, act func()) {
	switch {
	case !n.up:
	case n.paused:
		n.asleep = append(n.asleep, act)
	default:
		act()
	}
}

// Changed is to be called when faults began or ended: it looks after the leader, those who wait for one, and the replicas.
func (s *Cluster) Changed() {
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
func (s *Cluster) elect() {
	if s.electing {
		return
	}
	s.electing = true
	s.Clock.After(s.Between(electionMin, electionMin+electionSpread), func() {
		s.electing = false
		if s.leader != nil {
			return
		}
		var able []*Node
		for _, n := range s.nodes {
			if s.hasQuorum(n) {
				able = append(able, n)
			}
		}
		if len(able) == 0 {
			return // until something changes
		}
		s.leader = able[s.Rand.IntN(len(able))]
		s.term++
		s.extendLeases()
		limbo := s.limbo
		s.limbo = nil
		for _, commit := range limbo {
			commit()
		}
		s.settle()
	})
}

// settle lets every node that reaches the leader pass on what waited for it, and catch up.
func (s *Cluster) settle() {
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
			if !s.Chance(4) {
				act()
			}
		}
	}
}

// replicate brings a node up to the log as it is now, after a while.
func (s *Cluster) replicate(n *Node) {
	upTo := len(s.log)
	if n == s.leader {
		s.catchUp(n, upTo)
		return
	}
	s.send(s.leader, n, func() {
		s.Clock.After(s.Exponential(applyLagMean), func() {
			s.at(n, func() { s.catchUp(n, upTo) })
		})
	})
}

func (s *Cluster) catchUp(n *Node, upTo int) {
	if n.applied >= upTo {
		return
	}
	for ; n.applied < upTo; n.applied++ {
		if s.flaw == ReplicaDiverges && n != s.leader && s.Chance(divergesOnce) {
			n.replica.skip()
			continue
		}
		n.replica.apply(s.log[n.applied])
	}
	s.tell(n)
}

// commit applies a change, for good.
func (s *Cluster) commit(e Entry) {
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
func (s *Cluster) updateFork(n *Node) {
	if s.flaw != SplitBrain {
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
