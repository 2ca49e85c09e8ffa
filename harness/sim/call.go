package sim

import (
	"errors"
	"slices"
)

// What a call can end with, beside a result. Of refused and rejected calls a client says that they certainly did
// nothing, because the store promises so.
var (
	errRefused  = errors.New("connection refused")
	errRejected = errors.New("rejected: too many requests")
	errReset    = errors.New("connection reset by peer")
)

// call is one request of a client to its node.
type call struct {
	s     *System
	n     *node
	cmd   command
	reply func(result, error)
	done  bool
}

// finish tells the client, once.
func (c *call) finish(r result, err error) {
	if !c.done {
		c.done = true
		c.reply(r, err)
	}
}

// call sends a command to a node. reply may never be called: clients have time-outs.
func (s *System) call(n *node, cmd command, reply func(result, error)) {
	c := &call{s: s, n: n, cmd: cmd, reply: reply}
	if s.clientCut[n.id] {
		s.dropped++
		return
	}
	s.clock.after(s.latency(), func() {
		if s.clientCut[n.id] {
			s.dropped++
			return
		}
		if !n.up {
			s.clock.after(s.latency(), func() { c.finish(result{}, errRefused) })
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
func (c *call) answer(r result, err error) {
	s := c.s
	if s.clientCut[c.n.id] {
		s.dropped++
		return
	}
	s.clock.after(s.latency(), func() {
		if s.clientCut[c.n.id] {
			s.dropped++
			return
		}
		c.finish(r, err)
	})
}

// arrive is the command at the client's node, which passes it to the leader.
func (c *call) arrive() {
	s := c.s
	reads := c.cmd.reads()
	switch {
	case s.bug == staleRead && reads && s.chance(staleReadOnce):
		r, _ := c.n.replica.evaluate(&c.cmd, false, false)
		c.answer(r, nil)
		return
	case c.n.fork != nil:
		r, e := c.n.fork.evaluate(&c.cmd, false, false)
		if e != nil {
			c.n.fork.apply(e)
			r.revision = c.n.fork.revision
		}
		c.answer(r, nil)
		return
	case s.bug == failedWriteSurfaces && !reads && s.chance(surfacesOnce):
		c.answer(result{}, errRejected)
		s.clock.after(s.between(0, surfacesMax), func() { s.perform(&c.cmd) })
		return
	case s.leader == nil || !s.reaches(c.n, s.leader):
		c.n.waiting = append(c.n.waiting, c.arrive)
		return
	}
	leader := s.leader
	s.send(c.n, leader, func() { c.propose(leader) })
}

// propose is the command at the leader, which asks a majority before it commits.
func (c *call) propose(leader *node) {
	s := c.s
	if !s.leads(leader) {
		return // lost on the way
	}
	s.clock.after(s.latency()+s.latency(), func() {
		s.at(leader, func() {
			switch {
			case s.leads(leader):
				c.commit(leader)
			case s.chance(2) && !c.cmd.reads():
				// A follower has it: the next leader commits it, though nobody may be waiting any more.
				s.limbo = append(s.limbo, func() { c.commit(s.leader) })
			}
		})
	})
}

// commit performs the command, at this moment, and sends the result back.
func (c *call) commit(leader *node) {
	s := c.s
	if s.bug == tornTransaction && s.torn(c, leader) {
		return
	}
	r := s.perform(&c.cmd)
	s.send(leader, c.n, func() { c.answer(r, nil) })
}

// perform evaluates a command and makes its change, as far as the bug lets it.
func (s *System) perform(cmd *command) result {
	unseen := s.bug == ownAppendUnseen && s.chance(unseenOnce)
	r, e := s.store.evaluate(cmd, s.bug == casIgnoresGuard, unseen)
	switch {
	case e == nil:
		return r
	case s.bug == lostWrite && s.chance(lostWriteOnce):
		r.revision++
		return r
	case s.bug == elementLost && s.chance(elementLostOnce):
		for i := range e {
			if n := len(e[i].elements); n > 1 {
				// Not the one that was just added: that would be a lost write.
				at := s.rand.IntN(n - 1)
				e[i].elements = slices.Delete(slices.Clone(e[i].elements), at, at+1)
			}
		}
	case s.bug == doubleApply && s.chance(doubleOnce):
		s.clock.after(s.between(doubleGapMin, doubleGapMax), func() { s.again(cmd) })
	}
	s.commit(e)
	r.revision = s.store.revision
	return r
}

// again does a write a second time. A guarded write of a list, which would find its guard broken, adds its element again.
func (s *System) again(cmd *command) {
	if cmd.kind == putGuarded {
		have := s.store.items[cmd.key].elements
		s.commit(entry{{cmd.key, append(slices.Clip(have), cmd.list[len(cmd.list)-1])}})
		return
	}
	if _, e := s.store.evaluate(cmd, false, false); e != nil {
		s.commit(e)
	}
}

// torn performs a transaction in two halves, if there are two and the bug strikes.
func (s *System) torn(c *call, leader *node) bool {
	n := len(c.cmd.micros)
	if n < 2 || !s.chance(tornOnce) {
		return false
	}
	first, second := c.cmd, c.cmd
	first.micros, second.micros = c.cmd.micros[:n/2], c.cmd.micros[n/2:]
	head := s.perform(&first)
	s.clock.after(s.between(0, tornGap), func() {
		r := s.perform(&second)
		r.micros = append(head.micros, r.micros...)
		s.send(leader, c.n, func() { c.answer(r, nil) })
	})
	return true
}
