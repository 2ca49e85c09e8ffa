package replicated

import (
	"github.com/faultline/faultline/harness/history"
)

// Kill ends a node: what it was doing is lost, and its clients see their connections reset.
func (n *Node) Kill() {
	s := n.cluster
	n.up, n.paused = false, false
	n.asleep, n.waiting, n.fork = nil, nil, nil
	n.breakWatches()
	calls := n.calls
	n.calls = nil
	for _, c := range calls {
		s.Clock.After(s.Latency(), func() { c.finish(Result{}, ErrReset) })
	}
	s.Changed()
	s.tell(n)
}

// Start starts a killed node again, with all that it had applied.
func (n *Node) Start() {
	s := n.cluster
	if !n.up {
		n.up = true
		n.starts++
		s.Changed()
		s.tell(n)
	}
}

// Pause stops a node; what reaches it waits.
func (n *Node) Pause() {
	s := n.cluster
	n.paused = n.up
	s.Changed()
	s.tell(n)
}

// Resume lets a paused node go on, with what has arrived since.
func (n *Node) Resume() {
	s := n.cluster
	if !n.paused {
		return
	}
	n.paused = false
	s.Changed()
	asleep := n.asleep
	n.asleep = nil
	for _, act := range asleep {
		s.at(n, act)
	}
	s.tell(n)
}

// Well tells whether no fault is in force and every node has applied everything.
func (s *Cluster) Well() bool {
	if s.leader == nil {
		return false
	}
	for _, n := range s.nodes {
		if n.applied < len(s.log) || n.Outside.Cut {
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

// Isolate cuts nodes from all others: both ways, or only what they send.
func (s *Cluster) Isolate(nodes []*Node, oneWay bool) {
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

// Join removes all cuts between nodes.
func (s *Cluster) Join() {
	for a := range s.cut {
		clear(s.cut[a])
	}
}

// HasAllPeers tells whether no message between a node and another is lost to a cut.
func (s *Cluster) HasAllPeers(n *Node) bool {
	for _, m := range s.nodes {
		if s.cut[n.id][m.id] || s.cut[m.id][n.id] {
			return false
		}
	}
	return true
}

// Dropped is how many messages were lost to cuts since the beginning, those on the way from outside included.
func (s *Cluster) Dropped() int {
	sum := s.dropped
	for _, n := range s.nodes {
		sum += n.Outside.Dropped
	}
	return sum
}

// Members is what each node says of itself, hashed at the lowest revision of those that run.
func (s *Cluster) Members() []history.MemberState {
	var out []history.MemberState
	at := s.store.revision
	for _, n := range s.nodes {
		if n.up && !n.paused {
			at = min(at, n.replica.revision)
		}
	}
	for _, n := range s.nodes {
		m := history.MemberState{Node: n.name, Error: "the node does not answer"}
		if n.up && !n.paused {
			m = history.MemberState{Node: n.name, Revision: n.replica.revision, HashRevision: at, Hash: n.replica.hashAt(at), Version: "sim"}
			if s.leader != nil {
				m.Leader = s.leader.name
			}
		}
		out = append(out, m)
	}
	return out
}
