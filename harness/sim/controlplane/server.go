package controlplane

import (
	"errors"
	"slices"
	"time"

	"github.com/faultline/faultline/harness/sim/replicated"
)

// Server is the API server of a node.
type Server struct {
	// Outside is the way from the clients to it, Inside that from its own machine, Store its own way to its member of the store.
	Outside, Inside, Store replicated.Path

	p      *Plane
	node   *replicated.Node
	up     bool
	paused bool
	starts int
	asleep []func()
	open   []*request

	// seen is how much of the log its cache has taken in, since which entry it can tell what happened (oldest), and the
	// revisions that a flaw has made it miss.
	// cold: it was started and has not heard from the store yet.
	seen, oldest int
	cold         bool
	missing      map[int64]bool
	watchers     []*watcher
	// leases are what a flaw has made of leases on this server.
	leases map[string]replicated.Item
	// waiting are lists that want a newer cache.
	waiting []func()
}

// What servers take, and how far back they reach.
const (
	// feedMean is how long the news of a change take from the store's member to the cache, at first; it is that of a message, and this.
	feedMean = 5 * time.Millisecond
	// window is how many changes a cache remembers for watches to begin at, history how many the store does for lists.
	window   = 400
	compacts = 1500
	// freshBound is how long a list waits for the cache to be as new as it must.
	freshBound = 3 * time.Second
	// bookmarkEvery is the time between bookmarks of a stream.
	bookmarkEvery = 500 * time.Millisecond
)

// What a server refuses a request with.
var (
	errGone  = errors.New("410: the resource version is too old")
	errLarge = errors.New("504: the resource version is too large: the cache is not as new")
	errCold  = errors.New("503: the server is not ready")
	errStore = errors.New("500: the store did not answer")
)

// Name is the node's.
func (s *Server) Name() string { return s.node.Name() }

// Up tells whether it runs.
func (s *Server) Up() bool { return s.up }

// Paused tells whether it was stopped.
func (s *Server) Paused() bool { return s.paused }

// Starts is how often it was started.
func (s *Server) Starts() int { return s.starts }

// Behind is how many revisions the cache lacks of what was committed.
func (s *Server) Behind() int64 { return int64(len(s.p.store.Log()) - s.seen) }

// revision is the cache's.
func (s *Server) revision() int64 { return replicated.RevisionOf(s.seen) }

// oldestRevision is the last one after which the cache knows all that happened.
func (s *Server) oldestRevision() int64 {
	return replicated.RevisionOf(max(s.oldest, s.seen-window))
}

// compacted is the oldest revision of which there can be lists.
func (s *Server) compacted() int64 {
	return replicated.RevisionOf(max(0, len(s.p.store.Log())-compacts))
}

// request is what a client asked a server for and was not answered.
type request struct {
	s    *Server
	path *replicated.Path
	// starts tells the server's life in which it was asked.
	starts int
	reply  func(error)
	done   bool
}

// ask sends a request: act is called at the server, when it arrives; what it does ends with answer, or never. reply may never be called.
func (s *Server) ask(reply func(error), act func(r *request)) { s.request(&s.Outside, reply, act) }

// inside sends a request from the server's own machine. Nobody waits for the answer.
func (s *Server) inside(act func(r *request)) { s.request(&s.Inside, func(error) {}, act) }

func (s *Server) request(path *replicated.Path, reply func(error), act func(r *request)) {
	s.p.store.Carry(path, func() {
		r := &request{s: s, path: path, starts: s.starts, reply: reply}
		if !s.up {
			s.p.store.Clock.After(s.p.store.Latency(), func() { r.finish(replicated.ErrRefused) })
			return
		}
		if len(s.open) > 64 {
			s.open = slices.DeleteFunc(s.open, func(r *request) bool { return r.done })
		}
		s.open = append(s.open, r)
		r.act(func() {
			if s.cold {
				r.answer(errCold)
				return
			}
			act(r)
		})
	})
}

// act has the server that was asked act, later if it is paused; never if it was killed.
func (r *request) act(do func()) {
	switch s := r.s; {
	case !s.up || s.starts != r.starts:
	case s.paused:
		s.asleep = append(s.asleep, func() { r.act(do) })
	default:
		do()
	}
}

// answer sends the answer to the client.
func (r *request) answer(err error) {
	r.s.p.store.Carry(r.path, func() { r.finish(err) })
}

func (r *request) finish(err error) {
	if !r.done {
		r.done = true
		r.reply(err)
	}
}

// call asks the node's member of the store.
func (r *request) call(cmd replicated.Command, then func(replicated.Result)) {
	s := r.s
	if result, ok := s.forked(&cmd); ok {
		then(result)
		return
	}
	s.p.store.Call(&s.Store, s.node, cmd, func(result replicated.Result, err error) {
		r.act(func() {
			if err != nil {
				r.answer(errors.Join(errStore, err))
				return
			}
			then(result)
		})
	})
}

// follow takes the news from the node's member, as far as it has any and the way there is open.
func (s *Server) follow() {
	upTo := s.node.Applied()
	switch {
	case !s.fed():
		return
	case s.cold:
		s.cold = false
		s.seen, s.oldest = upTo, upTo
		s.p.learn()
		return
	case s.seen >= upTo:
		return
	}
	starts := s.starts
	s.p.store.Carry(&s.Store, func() {
		s.p.store.Clock.After(s.p.store.Exponential(feedMean), func() {
			if s.fed() && s.starts == starts {
				s.takeIn(upTo)
			}
		})
	})
}

// fed tells whether the cache gets what the node's member has.
func (s *Server) fed() bool {
	return s.up && !s.paused && !s.Store.Cut && s.node.Up() && !s.node.Paused()
}

// takeIn brings the cache up to an entry of the log.
func (s *Server) takeIn(upTo int) {
	if s.seen >= upTo {
		return
	}
	s.p.learn()
	from := s.seen
	s.seen = upTo
	s.miss(from)
	waiting := s.waiting
	s.waiting = nil
	for _, again := range waiting {
		again()
	}
	for _, w := range s.watchers {
		w.pump()
	}
}

// Kill ends the server: its clients see their connections reset.
func (s *Server) Kill() {
	if !s.up {
		return
	}
	s.up, s.paused = false, false
	open := s.open
	s.open, s.asleep, s.waiting = nil, nil, nil
	for _, r := range open {
		s.p.store.Clock.After(s.p.store.Latency(), func() { r.finish(replicated.ErrReset) })
	}
	for _, w := range s.watchers {
		w.reset()
	}
	s.watchers = nil
}

// Start starts a killed server again: its cache begins with what its member has, and knows nothing of what was before.
func (s *Server) Start() {
	if s.up {
		return
	}
	s.up, s.cold, s.missing = true, true, nil
	s.starts++
	s.follow()
}

// Pause stops the server; what reaches it waits.
func (s *Server) Pause() {
	if s.up {
		s.paused = true
	}
}

// Resume lets a paused server go on, with what has arrived since.
func (s *Server) Resume() {
	if !s.paused {
		return
	}
	s.paused = false
	asleep := s.asleep
	s.asleep = nil
	for _, act := range asleep {
		act()
	}
	s.follow()
}

// Well tells whether the server works and its cache has everything.
func (s *Server) Well() bool {
	return s.fed() && !s.cold && !s.Outside.Cut && s.Behind() == 0
}
