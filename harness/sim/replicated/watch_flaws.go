package replicated

// begin is the first revision that a watch delivers.
func (w *Watch) begin(now int64) int64 {
	s, start := w.n.cluster, w.ask.Start
	switch {
	case start == 0:
		return now + 1
	case s.flaw == WatchBeforeStart && s.Chance(2):
		return max(1, w.n.compacted(), min(start, now+1)-beforeStartBy)
	case s.flaw == WatchGapAtStart && s.Chance(2):
		w.gap = true
	}
	return start
}

// spoil does to a message what the flaw does; true: it is not sent, or by the flaw itself.
func (w *Watch) spoil(a *WatchAnswer) bool {
	s := w.n.cluster
	switch n := len(a.States); {
	case w.gap:
		w.gap = false
		return true
	case s.flaw == WatchDropsEvent:
		return s.Chance(watchStrikesOnce)
	case s.flaw == WatchEndsSilently && s.Chance(watchStrikesOnce):
		w.send(WatchAnswer{Closed: true})
		return true
	case s.flaw == WatchReorders && w.held == nil && s.Chance(watchStrikesOnce):
		w.held = a
		return true
	case s.flaw == WatchRepeatsEvent && w.last != nil && s.Chance(watchStrikesOnce):
		w.send(*w.last)
	case s.flaw == WatchTearsTransaction && n > 1 && s.Chance(2):
		w.send(WatchAnswer{Revision: a.Revision, States: a.States[:1]})
		w.send(WatchAnswer{Revision: a.Revision, States: a.States[1:]})
		return true
	case s.flaw == WatchLosesHalf && n > 1 && s.Chance(2):
		w.send(WatchAnswer{Revision: a.Revision, States: a.States[:1]})
		return true
	case s.flaw == WatchWrongPrevious:
		for i := range a.States {
			if e := &a.States[i]; e.Was != nil && e.Was.Was != nil && s.Chance(2) {
				e.Was = e.Was.Was
			}
		}
	case s.flaw == WatchCreatedAnew:
		for i := range a.States {
			if e := &a.States[i]; e.Changes > 1 && s.Chance(watchStrikesOnce) {
				e.Created, e.Changes = e.Version, 1
			}
		}
	}
	return false
}
