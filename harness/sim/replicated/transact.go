package replicated

import (
	"slices"
	"time"
)

// Micro is a micro-operation of a transaction: a read, an append of an element to a list, or a write of one number.
type Micro struct {
	Read bool
	Key  string
	// Element is what is appended or, with Replace, the one that is all there is afterwards.
	Element int64
	Replace bool
	// Seen is what a read returned, Own that the transaction itself wrote the key before.
	Seen []int64
	Own  bool
	// Version is that of what was read (0: absent, or Own), or what a write made.
	Version int64
}

// transact evaluates the micro-operations in their order, each seeing the ones before.
func (s *store) transact(micros []Micro, ownUnseen bool) ([]Micro, Entry) {
	var e Entry
	out := slices.Clone(micros)
	for i, m := range micros {
		at := slices.IndexFunc(e, func(p Put) bool { return p.Key == m.Key })
		elements, version := s.items[m.Key].Elements, s.items[m.Key].Version
		if at >= 0 && (!m.Read || !ownUnseen) {
			elements, version = e[at].Elements, 0
		}
		if m.Read {
			out[i].Seen, out[i].Version, out[i].Own = elements, version, at >= 0
			continue
		}
		if m.Replace {
			elements = nil
		}
		elements = append(slices.Clip(elements), m.Element)
		if at >= 0 {
			e[at].Elements = elements
		} else {
			e = append(e, Put{Key: m.Key, Elements: elements})
		}
	}
	return out, e
}

// stamp gives the writes of a transaction the version that they made.
func stamp(micros []Micro, version int64) {
	for i := range micros {
		if !micros[i].Read {
			micros[i].Version = version
		}
	}
}

// torn performs a transaction, or a guarded write of several keys, in two halves, if there are two and the bug strikes.
func (s *Cluster) torn(c *call, leader *Node) bool {
	if s.flaw != TornTransaction {
		return false
	}
	first, second := c.cmd, c.cmd
	switch n := len(c.cmd.Micros); {
	case n >= 2 && s.Chance(tornOnce):
		first.Micros, second.Micros = c.cmd.Micros[:n/2], c.cmd.Micros[n/2:]
	case c.cmd.Kind == PutGuarded && len(c.cmd.Also) > 0 && s.Chance(tornOnce):
		first.Also = nil
		rest := c.cmd.Also[0]
		second = Command{Kind: PutGuarded, Key: rest.Key, Guard: rest.Guard, List: rest.Elements, Also: c.cmd.Also[1:]}
	default:
		return false
	}
	head := s.perform(&first)
	s.Clock.After(s.Between(0, tornGap), func() {
		r := s.perform(&second)
		r.Micros = append(head.Micros, r.Micros...)
		s.send(leader, c.n, func() { c.answer(r, nil) })
	})
	return true
}

// late performs a transaction as one that reads first and writes after a while: what came in between is not guarded against, with one
// bug at all, with another only where it is about keys that are written.
func (s *Cluster) late(c *call, leader *Node) bool {
	if s.flaw != CasIgnoresGuard && s.flaw != WriteSkew || c.cmd.Kind != Transact || c.cmd.Reads() || !s.Chance(lateOnce) {
		return false
	}
	r, e := s.store.evaluate(&c.cmd, false, false)
	versions := make([]int64, len(e))
	for i, p := range e {
		versions[i] = s.store.items[p.Key].Version
	}
	s.Clock.After(s.Between(0, lateGap), func() {
		changed := false
		for i, p := range e {
			changed = changed || s.store.items[p.Key].Version != versions[i]
		}
		if changed && s.flaw == WriteSkew {
			r = s.perform(&c.cmd)
		} else {
			s.commit(e)
			r.Revision = s.store.revision
			stamp(r.Micros, r.Revision)
		}
		s.send(leader, c.n, func() { c.answer(r, nil) })
	})
	return true
}

// hidden is what a key was before its last write, which only the node that passed the write on shows at once.
type hidden struct {
	before Item
	by     *Node
	until  time.Duration
}

// hide has the other nodes show what a command is about to write later than the node of its client.
func (s *Cluster) hide(c *call) {
	if s.flaw != LongFork || c.cmd.Kind != Transact {
		return
	}
	if s.hidden == nil {
		s.hidden = map[string]hidden{}
	}
	for _, m := range c.cmd.Micros {
		if !m.Read {
			s.hidden[m.Key] = hidden{s.store.items[m.Key], c.n, s.Clock.Now() + forkDelay}
		}
	}
}

// asSeenBy is the store as a node shows it to transactions that only read.
func (s *Cluster) asSeenBy(n *Node, cmd *Command) *store {
	view := &store{revision: s.store.revision, items: map[string]Item{}}
	for _, m := range cmd.Micros {
		view.items[m.Key] = s.store.items[m.Key]
		if h, ok := s.hidden[m.Key]; ok && h.by != n && s.Clock.Now() < h.until {
			view.items[m.Key] = h.before
		}
	}
	return view
}
