package controlplane

import (
	"errors"
	"maps"
	"slices"

	"github.com/faultline/faultline/harness/history"
)

// viewing is a watch of a client on its way.
type viewing struct {
	*operation
	request history.WatchRequest
	out     history.Stream
	w       *watcher
	// revision is the last one that the stream told of.
	revision int64
	// starting: what arrives may still belong to an initial state that nothing closes.
	starting bool
}

// watch performs a watch: what comes first depends on where it begins.
func (o *operation) watch(v history.WatchRequest) {
	s := &viewing{operation: o, request: v, out: history.Stream{From: v.From, Bookmarks: v.Bookmarks, End: "time"}}
	o.p.store.Clock.After(millis(v.ForMS), s.end)
	past, seen := o.session.Past[o.op.Key], o.session.Last[o.op.Key]
	if v.From == history.WatchPast && len(past) == 0 {
		s.out.From = history.WatchResume
	}
	switch {
	case s.out.From == history.WatchPast:
		s.after(past[0])
	case s.out.From == history.WatchResume && seen > 0:
		s.after(seen)
	case s.out.From == history.WatchNow:
		s.now()
	case s.out.From == history.WatchList:
		s.initial()
	default:
		s.listed()
	}
}

// after begins the stream after a revision that was seen.
func (s *viewing) after(revision int64) {
	s.out.After = revision
	s.begin(func(r *request, w *watcher) {
		w.resumes = true
		r.watch(w, revision)
	})
}

// now begins it with whatever the server has, as events that look like others.
func (s *viewing) now() {
	s.starting = true
	s.begin(func(r *request, w *watcher) {
		at := w.s.revision()
		for _, m := range w.s.objects(w.collection, at) {
			w.send(history.Event{Type: history.EventAdded, Object: m.Object, Version: m.Version, Number: m.Number})
		}
		r.watch(w, at)
	})
}

// initial begins it with a state as new as the store, closed by a bookmark.
func (s *viewing) initial() {
	s.begin(func(r *request, w *watcher) {
		l := listing{collection: w.collection, read: history.ReadQuorum}
		r.list(l, func(p page) {
			for _, m := range p.Objects {
				w.carry(func() { s.out.Initial = append(s.out.Initial, m) })
			}
			w.carry(func() {
				s.out.InitialAt, s.out.InitialDone = p.Revision, true
				s.learn(p.Revision)
			})
			r.watch(w, p.Revision)
		})
	})
}

// listed begins it with a list, and a stream from there.
func (s *viewing) listed() {
	var got page
	s.ask(func(r *request) {
		r.list(listing{collection: s.op.Key, read: history.ReadQuorum}, func(p page) {
			got = p
			r.answer(nil)
		})
	}, func(err error) {
		if err != nil {
			s.broken(err)
			return
		}
		s.out.Initial, s.out.InitialAt, s.out.InitialDone = got.Objects, got.Revision, true
		if s.out.From == history.WatchResume {
			s.out.After = got.Revision
		}
		s.learn(got.Revision)
		s.begin(func(r *request, w *watcher) { r.watch(w, got.Revision) })
	})
}

// begin asks for the stream.
func (s *viewing) begin(act func(r *request, w *watcher)) {
	s.w = &watcher{s: s.s, collection: s.op.Key, bookmarks: s.request.Bookmarks, deliver: s.event, end: s.ended}
	s.ask(func(r *request) { act(r, s.w) }, s.broken)
}

func (s *viewing) learn(revision int64) {
	s.revision = max(s.revision, revision)
}

// event takes in what arrived. Nothing says where an initial state ends that comes unasked for: what is added counts to it, up to the
// first event of another type.
func (s *viewing) event(e history.Event) {
	s.learn(e.Version)
	if s.starting = s.starting && e.Type == history.EventAdded; s.starting {
		m := history.Member{Object: e.Object, Version: e.Version, Number: e.Number}
		if i := slices.IndexFunc(s.out.Initial, func(m history.Member) bool { return m.Object == e.Object }); i >= 0 {
			s.out.Initial[i] = m
			return
		}
		s.out.Initial = append(s.out.Initial, m)
		return
	}
	s.out.Events = append(s.out.Events, e)
}

// broken ends a stream that did not begin: its revision is too old, or the server can't be asked.
func (s *viewing) broken(err error) {
	if errors.Is(err, errGone) {
		s.session.Forget(s.op.Key) // a new list is the way on
		s.ended("gone")
		return
	}
	s.fail(err)
}

func (s *viewing) ended(why string) {
	if !s.over {
		s.out.End = why
		s.end()
	}
}

// end completes the operation with what was seen.
func (s *viewing) end() {
	if s.over {
		return
	}
	if s.w != nil {
		s.w.stop()
	}
	if s.request.From == history.WatchInform && s.out.InitialDone {
		s.out.Final, s.out.FinalAt = s.held(), s.revision
	}
	s.ok(s.out, 0, s.revision)
}

// held is what an informer's own store holds: the list it began with, and all that it was told since, by name.
func (s *viewing) held() []history.Member {
	members := map[string]history.Member{}
	for _, m := range s.out.Initial {
		members[m.Object] = m
	}
	for _, e := range s.out.Events {
		switch e.Type {
		case history.EventBookmark:
		case history.EventDeleted:
			delete(members, e.Object)
		default:
			members[e.Object] = history.Member{Object: e.Object, Version: e.Version, Number: e.Number}
		}
	}
	out := make([]history.Member, 0, len(members))
	for _, name := range slices.Sorted(maps.Keys(members)) {
		out = append(out, members[name])
	}
	return out
}
