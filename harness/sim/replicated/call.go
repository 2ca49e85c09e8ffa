package replicated

import (
	"errors"
	"slices"
)

// What a call can end with, beside a result. Of refused and rejected calls a client says that they certainly did
// nothing, because the store promises so.
var (
	ErrRefused  = errors.New("connection refused")
	ErrRejected = errors.New("rejected: too many requests")
	ErrReset    = errors.New("connection reset by peer")
)

// Path is a way by which requests reach a node: from the clients, or from another program of the same machine.
type Path struct {
	// Cut: what is sent, or arrives, is lost.
	Cut bool
	// Dropped counts what was.
	Dropped int
}

// passes tells whether a message gets through now.
func (p *Path) passes() bool {
	if p.Cut {
		p.Dropped++
	}
	return !p.Cut
}

// Carry has a message go by the path: arrive is called after its latency, or never.
func (s *Cluster) Carry(p *Path, arrive func()) {
	if !p.passes() {
		return
	}
	s.Clock.After(s.Latency(), func() {
		if p.passes() {
			arrive()
		}
	})
}

// call is one request of a client to its node.
type call struct {
	s     *Cluster
	path  *Path
	n     *Node
	cmd   Command
	reply func(Result, error)
	done  bool
}

// finish tells the client, once.
func (c *call) finish(r Result, err error) {
	if !c.done {
		c.done = true
		c.reply(r, err)
	}
}

// Call sends a command to a node. reply may never be called: clients have time-outs.
func (s *Cluster) Call(path *Path, n *Node, cmd Command, reply func(Result, error)) {
	c := &call{s: s, path: path, n: n, cmd: cmd, reply: reply}
	s.Carry(path, func() {
		if !n.up {
			s.Clock.After(s.Latency(), func() { c.finish(Result{}, ErrRefused) })
			return
		}
		if len(n.calls) > 64 {
			n.calls = slices.DeleteFunc(n.calls, func(c *call) bool { return c.done })
		}
		n.calls = append(n.calls, c)
		s.at(n, c.arrive)
	})
}

// answer sends the result from the node to its client.
func (c *call) answer(r Result, err error) {
	c.s.Carry(c.path, func() { c.finish(r, err) })
}

// arrive is the command at the client's node, which passes it to the leader.
func (c *call) arrive() {
	s := c.s
	reads := c.cmd.Reads()
	switch {
	case s.flaw == StaleRead && reads && s.Chance(staleReadOnce):
		r, _ := c.n.replica.evaluate(&c.cmd, false, false)
		c.answer(r, nil)
		return
	case s.flaw == LongFork && reads && c.cmd.Kind == Transact:
		r, _ := s.asSeenBy(c.n, &c.cmd).evaluate(&c.cmd, false, false)
		c.answer(r, nil)
		return
	case c.n.fork != nil:
		r, e := c.n.fork.evaluate(&c.cmd, false, false)
		if e != nil {
			c.n.fork.apply(e)
			r.Revision = c.n.fork.revision
			stamp(r.Micros, r.Revision)
		}
		c.answer(r, nil)
		return
	case s.flaw == FailedWriteSurfaces && !reads && s.Chance(surfacesOnce):
		c.answer(Result{}, ErrRejected)
		s.Clock.After(s.Between(0, surfacesMax), func() { s.perform(&c.cmd) })
		return
	case s.leader == nil || !s.reaches(c.n, s.leader):
		c.n.waiting = append(c.n.waiting, c.arrive)
		return
	}
	leader := s.leader
	s.send(c.n, leader, func() { c.propose(leader) })
}

// propose is the command at the leader, which asks a majority before it commits.
func (c *call) propose(leader *Node) {
	s := c.s
	if !s.leads(leader) {
		return // lost on the way
	}
	s.Clock.After(s.Latency()+s.Latency(), func() {
		s.at(leader, func() {
			switch {
			case s.leads(leader):
				c.commit(leader)
			case s.Chance(2) && !c.cmd.Reads():
				// A follower has it: the next leader commits it, though nobody may be waiting any more.
				s.limbo = append(s.limbo, func() { c.commit(s.leader) })
			}
		})
	})
}

// commit performs the command, at this moment, and sends the result back.
func (c *call) commit(leader *Node) {
	s := c.s
	if s.torn(c, leader) || s.late(c, leader) {
		return
	}
	s.hide(c)
	r := s.perform(&c.cmd)
	if s.flaw == MixedRead && c.cmd.Kind == ReadKey && s.Chance(mixedOnce) {
		r.Item = c.n.replica.items[c.cmd.Key]
	}
	s.send(leader, c.n, func() { c.answer(r, nil) })
}
