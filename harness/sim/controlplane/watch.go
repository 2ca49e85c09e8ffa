package controlplane

import (
	"slices"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// watcher is a stream from a server to a client. What is sent arrives in order, or not at all once something did not.
type watcher struct {
	s          *Server
	starts     int
	collection string
	bookmarks  bool
	// resumes: it begins where another one ended, or at what was seen otherwise.
	resumes bool
	// next is the first change of the collection that was not sent; skip, how many of them a flaw leaves out.
	next, skip int
	// deliver is the client's, and end tells it that the stream is over.
	deliver func(history.Event)
	end     func(why string)
	// broken: something that was sent is lost; stopped: the client has what it wants.
	broken, stopped bool
	// arrives is when the last message does.
	arrives time.Duration
}

// watch begins a stream after a revision. The answer comes before the first event; it is errGone if not everything that came after is known.
func (r *request) watch(w *watcher, after int64) {
	s := r.s
	if after < s.oldestRevision() {
		r.answer(errGone)
		return
	}
	s.p.learn()
	changes := s.p.changes[w.collection]
	for w.next < len(changes) && changes[w.next].revision <= after {
		w.next++
	}
	w.s, w.starts = s, s.starts
	if w.resumes {
		w.resumed()
	}
	r.done = true // from now on the stream answers
	s.watchers = append(s.watchers, w)
	w.pump()
	if w.bookmarks {
		w.mark()
	}
}

// pump sends what the cache has and the client was not sent.
func (w *watcher) pump() {
	s := w.s
	if w.stopped || w.broken {
		return
	}
	changes := s.p.changes[w.collection]
	w.promise(changes)
	for ; w.next < len(changes) && changes[w.next].revision <= s.revision(); w.next++ {
		c := &changes[w.next]
		if !s.missing[c.revision] && !w.withheld(c) {
			w.send(history.Event{Type: c.kind, Object: c.name, Version: c.revision, Number: c.number})
		}
	}
}

// mark sends a bookmark every so often.
func (w *watcher) mark() {
	w.s.p.store.Clock.After(bookmarkEvery, func() {
		if w.stopped || w.broken || w.starts != w.s.starts || !w.s.up {
			return
		}
		if !w.s.paused {
			w.send(history.Event{Type: history.EventBookmark, Version: w.s.revision()})
		}
		w.mark()
	})
}

// send sends an event, to arrive after the one before.
func (w *watcher) send(e history.Event) {
	w.carry(func() { w.deliver(e) })
}

// carry has something arrive at the client, after what was sent before.
func (w *watcher) carry(act func()) {
	path, clock := &w.s.Outside, &w.s.p.store.Clock
	if path.Cut {
		path.Dropped++
		w.broken = true
	}
	if w.broken || w.stopped {
		return
	}
	w.arrives = max(w.arrives, clock.Now()+w.s.p.store.Latency())
	clock.After(w.arrives-clock.Now(), func() {
		if path.Cut {
			path.Dropped++
			w.broken = true
		}
		if !w.broken && !w.stopped {
			act()
		}
	})
}

// stop ends the stream for its client.
func (w *watcher) stop() {
	w.stopped = true
	if w.s != nil {
		w.s.watchers = slices.DeleteFunc(w.s.watchers, func(v *watcher) bool { return v == w })
	}
}

// reset ends the stream with its server.
func (w *watcher) reset() {
	w.carry(func() { w.end("error: connection reset by peer") })
}
