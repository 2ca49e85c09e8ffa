package controlplane

import (
	"slices"
	"strings"
	"time"

	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/harness/sim/replicated"
)

// listing is a request for a list, or for one of its pages.
type listing struct {
	collection string
	read       string
	// at is the revision asked for: exact, at-least, or by a page's token.
	at int64
	// limit is the most objects, 0: all; after is the name after which the page begins.
	limit int
	after string
	// name, where not empty, is the only object that is wanted.
	name string
}

// page is the answer to a listing; more tells that there is another page.
type page struct {
	history.Page
	more bool
}

// list answers a request for a list.
func (r *request) list(l listing, then func(page)) {
	s := r.s
	switch l.read {
	case history.ReadQuorum, history.ReadList:
		if s.p.flaw == StaleQuorumList && s.p.store.Chance(staleListOnce) {
			s.page(l, s.revision(), then)
			return
		}
		r.call(replicated.Command{}, func(newest replicated.Result) {
			r.fresh(newest.Revision, func() { s.page(l, s.revision(), then) })
		})
	case history.ReadCached:
		if s.p.flaw == CachedBackInTime && s.p.store.Chance(backInTimeOnce) {
			s.page(l, max(s.oldestRevision(), s.revision()-backInTimeBy), then)
			return
		}
		s.page(l, s.revision(), then)
	case history.ReadAtLeast:
		r.fresh(l.at, func() { s.page(l, s.revision(), then) })
	case history.ReadExact:
		if l.at < s.compacted() {
			r.answer(errGone)
			return
		}
		r.fresh(l.at, func() { s.page(l, l.at, then) })
	}
}

// fresh has the server go on when its cache is as new as a revision, and refuse if it is not in time.
func (r *request) fresh(revision int64, then func()) {
	r.freshBy(revision, r.s.p.store.Clock.Now()+freshBound, then)
}

func (r *request) freshBy(revision int64, end time.Duration, then func()) {
	s := r.s
	if s.revision() >= revision {
		then()
		return
	}
	asked := false
	s.waiting = append(s.waiting, func() {
		if !asked {
			asked = true
			r.freshBy(revision, end, then)
		}
	})
	s.p.store.Clock.After(end-s.p.store.Clock.Now(), func() {
		r.act(func() {
			if !asked {
				asked = true
				r.answer(errLarge)
			}
		})
	})
}

// page makes a page of the cache as it was at a revision.
func (s *Server) page(l listing, revision int64, then func(page)) {
	from := revision
	switch {
	case s.p.flaw == PageOfAnotherSnapshot && l.after != "", s.p.flaw == ExactElsewhere && l.read == history.ReadExact && l.after == "":
		from = s.revision()
	}
	objects := s.objects(l.collection, from)
	if l.after != "" {
		objects = slices.DeleteFunc(objects, func(m history.Member) bool { return m.Object <= l.after })
	}
	if l.name != "" {
		objects = slices.DeleteFunc(objects, func(m history.Member) bool { return m.Object != l.name })
	}
	out := page{Page: history.Page{Revision: revision, Objects: objects}}
	if l.limit > 0 && len(objects) > l.limit {
		out.Objects, out.more = objects[:l.limit], true
	}
	then(out)
}

// objects are those of a collection as the cache had them at a revision, by name.
func (s *Server) objects(collection string, revision int64) []history.Member {
	members := []history.Member{}
	s.each(collection, revision, func(c *change) {
		members = append(members, history.Member{Object: c.name, Version: c.revision, Number: c.number})
	})
	return members
}

// each calls f for the last change of every object that the cache had at a revision, by name.
func (s *Server) each(collection string, revision int64, f func(*change)) {
	last := map[string]*change{}
	changes := s.p.changes[collection]
	for i := range changes {
		c := &changes[i]
		if c.revision > revision {
			break
		}
		if !s.missing[c.revision] {
			last[c.name] = c
		}
	}
	var there []*change
	for _, c := range last {
		if c.kind != history.EventDeleted {
			there = append(there, c)
		}
	}
	slices.SortFunc(there, func(a, b *change) int { return strings.Compare(a.name, b.name) })
	for _, c := range there {
		f(c)
	}
}
