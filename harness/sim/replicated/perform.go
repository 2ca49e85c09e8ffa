package replicated

import "slices"

// perform evaluates a command and makes its change, as far as the bug lets it.
func (s *Cluster) perform(cmd *Command) Result {
	if r, done := s.performOnLease(cmd); done {
		return r
	}
	unseen := s.flaw == OwnAppendUnseen && s.Chance(unseenOnce)
	r, e := s.store.evaluate(cmd, s.flaw == CasIgnoresGuard, unseen)
	switch {
	case e == nil:
		r.Term = s.term
		return r
	case s.flaw == LostWrite && s.Chance(lostWriteOnce):
		r.Revision++
		stamp(r.Micros, r.Revision)
		return r
	case s.flaw == ElementLost && s.Chance(elementLostOnce):
		for i := range e {
			if n := len(e[i].Elements); n > 1 {
				// Not the one that was just added: that would be a lost write.
				at := s.Rand.IntN(n - 1)
				e[i].Elements = slices.Delete(slices.Clone(e[i].Elements), at, at+1)
			}
		}
	case s.flaw == QueueJumped && s.Chance(jumpedOnce):
		if n := len(e[0].Elements); n > 1 {
			e[0].Elements = slices.Clone(e[0].Elements)
			e[0].Elements[0], e[0].Elements[n-1] = e[0].Elements[n-1], e[0].Elements[0]
		}
	case s.flaw == DoubleApply && s.Chance(doubleOnce):
		s.Clock.After(s.Between(doubleGapMin, doubleGapMax), func() { s.again(cmd) })
	case s.flaw == DeletedReturns && e[0].Gone && s.Chance(returnsOnce):
		s.Clock.After(s.Between(returnsMin, returnsMax), func() { s.back(cmd.Key, r.Item) })
	}
	s.commit(e)
	s.attach(cmd)
	r.Revision, r.Term = s.store.revision, s.term
	if s.flaw == RevisionTwice && s.Chance(revisionOnce) {
		r.Revision--
	}
	stamp(r.Micros, r.Revision)
	return r
}

// Change makes a change of the store's own, as what a lease's end deletes, if there is a leader.
func (s *Cluster) Change(f func(View) Entry) bool {
	if s.leader == nil || !s.leads(s.leader) {
		return false
	}
	if e := f(View{s.store}); len(e) > 0 {
		s.commit(e)
	}
	return true
}

// At is the state that a revision of the log made.
func (s *Cluster) At(revision int64) View {
	then := newStore()
	for _, e := range s.log[:min(len(s.log), max(0, AppliedAt(revision)))] {
		then.apply(e)
	}
	return View{then}
}

// Strikes tells whether a flaw of what is built on the store strikes now.
func (s *Cluster) Strikes(f Flaw, once int) bool { return s.flaw == f && s.Chance(once) }

// again does a write a second time. A guarded write of a list, which would find its guard broken, adds its element again.
func (s *Cluster) again(cmd *Command) {
	if cmd.Kind == PutGuarded {
		if len(cmd.List) > 0 {
			have := s.store.items[cmd.Key].Elements
			s.commit(Entry{{Key: cmd.Key, Elements: append(slices.Clip(have), cmd.List[len(cmd.List)-1])}})
		}
		return
	}
	if _, e := s.store.evaluate(cmd, false, false); e != nil {
		s.commit(e)
	}
}

// back has a key that was deleted exist again, as it was, unless it was written anew.
func (s *Cluster) back(key string, it Item) {
	if s.store.items[key].Version == 0 {
		s.commit(Entry{{Key: key, Elements: it.Elements, Object: it.Object, Version: it.Version}})
	}
}
