package replicated

import (
	"slices"
	"strings"
	"time"
)

// State is what a key of numbers was changed to. Number is what was put, 0 of a deletion; Created and Changes tell since when the key has
// existed, and how often it was changed since then, from 1.
type State struct {
	Key                       string
	Number                    int64
	Version, Created, Changes int64
	// Was is the state before; nil: it did not exist.
	Was *State
}

// past is all states that keys of numbers were in, made from the log as far as that was read.
type past struct {
	read   int
	events map[int64][]*State
	keys   map[string][]*State
}

// history reads what was committed since it was asked last.
func (s *Cluster) history() *past {
	p := &s.past
	if p.keys == nil {
		p.events, p.keys = map[int64][]*State{}, map[string][]*State{}
	}
	for ; p.read < len(s.log); p.read++ {
		version := RevisionOf(p.read + 1)
		for _, put := range s.log[p.read] {
			e := &State{Key: put.Key, Version: version}
			if of := p.keys[put.Key]; len(of) > 0 && of[len(of)-1].Number != 0 {
				e.Was = of[len(of)-1]
			}
			if !put.Gone && len(put.Elements) > 0 {
				e.Number, e.Created, e.Changes = put.Elements[0], version, 1
				if e.Was != nil {
					e.Created, e.Changes = e.Was.Created, e.Was.Changes+1
				}
			}
			p.keys[put.Key] = append(p.keys[put.Key], e)
			p.events[version] = append(p.events[version], e)
		}
	}
	return p
}

// StatesAt are the keys with a prefix that existed at a revision, in order.
func (s *Cluster) StatesAt(prefix string, revision int64) []*State {
	var out []*State
	for key, of := range s.history().keys {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		for _, e := range slices.Backward(of) {
			if e.Version <= revision {
				if e.Number != 0 {
					out = append(out, e)
				}
				break
			}
		}
	}
	slices.SortFunc(out, func(a, b *State) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// Compact forgets what was before a revision, on each member once it has that. False: that is done already.
func (s *Cluster) Compact(revision int64) bool {
	if n := len(s.compactions); n > 0 && s.compactions[n-1] >= revision {
		return false
	}
	s.compactions = append(s.compactions, revision)
	return true
}

// compacted is the revision to which a member is compacted.
func (n *Node) compacted() (to int64) {
	for _, c := range n.cluster.compactions {
		if c <= RevisionOf(n.applied) {
			to = c
		}
	}
	return to
}

// WatchAsk is what a watch asks for: the states from a revision on (0: the ones to come) that it wants.
type WatchAsk struct {
	Start    int64
	Wants    func(*State) bool
	Previous bool
	// Fragment: what is of one revision may come in parts.
	Fragment bool
}

// WatchAnswer is one message of a watch.
type WatchAnswer struct {
	Revision          int64
	Created, Progress bool
	Fragment          bool
	States            []State
	// Compacted ends it: the states from before that revision are no more. So do Closed, and Err.
	Compacted int64
	Closed    bool
	Err       error
}

// Watch is a watch of one member. It ends with it.
type Watch struct {
	n       *Node
	ask     WatchAsk
	receive func(WatchAnswer)
	// next is the revision that comes next; 0: it has not begun.
	next int64
	over bool
	// arrives is when the last message does: they overtake each other never. silent: one was lost, and so are all that follow.
	arrives time.Duration
	silent  bool
	// held and last are messages that flaws keep back, or repeat.
	held, last *WatchAnswer
	// gap: by its flaw the watch leaves out what comes first.
	gap bool
}

// Watch begins a watch of a member. receive is called with each message.
func (s *Cluster) Watch(n *Node, ask WatchAsk, receive func(WatchAnswer)) *Watch {
	w := &Watch{n: n, ask: ask, receive: receive}
	s.Carry(&n.Outside, func() {
		if !n.up {
			s.Clock.After(s.Latency(), func() { w.end(WatchAnswer{Err: ErrRefused}) })
			return
		}
		s.at(n, func() {
			n.watches = append(n.watches, w)
			w.pump()
		})
	})
	return w
}

// Close ends a watch: nothing more is received.
func (w *Watch) Close() {
	w.over = true
	w.n.watches = slices.DeleteFunc(w.n.watches, func(o *Watch) bool { return o == w })
}

// end is the last message.
func (w *Watch) end(a WatchAnswer) {
	if !w.over {
		w.Close()
		w.receive(a)
	}
}

// AskProgress has the member tell up to where everything was delivered.
func (w *Watch) AskProgress() {
	s := w.n.cluster
	s.Carry(&w.n.Outside, func() {
		s.at(w.n, func() {
			if w.over || w.next == 0 {
				return
			}
			w.pump()
			w.release()
			at := RevisionOf(w.n.applied)
			if s.flaw == WatchProgressAhead {
				at = RevisionOf(len(s.log))
			}
			w.send(WatchAnswer{Revision: at, Progress: true})
		})
	})
}

// send sends a message to the client, behind the ones before.
func (w *Watch) send(a WatchAnswer) {
	s := w.n.cluster
	w.arrives = max(w.arrives, s.Clock.Now()+s.Latency())
	if w.silent = w.silent || !w.n.Outside.passes(); w.silent {
		return
	}
	s.Clock.After(w.arrives-s.Clock.Now(), func() {
		w.silent = w.silent || !w.n.Outside.passes()
		switch {
		case w.over || w.silent:
		case a.Compacted > 0 || a.Closed:
			w.end(a)
		default:
			w.receive(a)
		}
	})
}

// breakWatches ends the watches of a member that is killed.
func (n *Node) breakWatches() {
	watches := n.watches
	n.watches = nil
	for _, w := range watches {
		n.cluster.Clock.After(n.cluster.Latency(), func() { w.end(WatchAnswer{Err: ErrReset}) })
	}
}

// pumpWatches delivers to all of a member's watches what it has applied.
func (n *Node) pumpWatches() {
	for _, w := range slices.Clone(n.watches) {
		w.pump()
	}
}

// pump delivers what the member has applied and the watch has not had.
func (w *Watch) pump() {
	n := w.n
	if w.over || !n.up || n.paused {
		return
	}
	now := RevisionOf(n.applied)
	if w.next == 0 {
		w.next = w.begin(now)
		w.send(WatchAnswer{Revision: now, Created: true})
	}
	if to := n.compacted(); w.next < to {
		if n.cluster.flaw != WatchCompactionUntold {
			w.send(WatchAnswer{Revision: now, Compacted: to})
			w.next = now + 1
			return
		}
		w.next = to
	}
	events := n.cluster.history().events
	for ; w.next <= now; w.next++ {
		var wanted []State
		for _, e := range events[w.next] {
			if w.ask.Wants(e) {
				wanted = append(wanted, w.shown(e))
			}
		}
		if len(wanted) > 0 {
			w.deliver(now, wanted)
		}
	}
}

// shown is a state as this watch asked for it.
func (w *Watch) shown(e *State) State {
	out := *e
	if !w.ask.Previous || e.Was == nil || e.Version <= w.n.compacted() {
		out.Was = nil
	}
	return out
}

// deliver sends what is of one revision.
func (w *Watch) deliver(now int64, states []State) {
	a := WatchAnswer{Revision: now, States: states}
	if w.spoil(&a) {
		return
	}
	if w.ask.Fragment && len(states) > 1 {
		first := a
		first.States, first.Fragment = states[:1], true
		w.send(first)
		a.States = states[1:]
	}
	w.send(a)
	w.release()
	w.last = &a
}

// release sends what was held back.
func (w *Watch) release() {
	if held := w.held; held != nil {
		w.held = nil
		w.send(*held)
	}
}
