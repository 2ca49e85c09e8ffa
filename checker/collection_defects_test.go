package checker

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/faultline/faultline/harness/history"
)

// defect is a way in which a view can be wrong.
type defect struct {
	name string
	f    string
	// spoil changes what a completion says; false: there is nothing to spoil in it.
	spoil func(r *rand.Rand, op *history.Op) bool
	// least is the percentage of histories with it that must be found. What can't be told from a healthy history is not found: an event
	// that is missing at the end, an object that may just have been deleted.
	least int
	want  []string
}

// listing and streaming change the value of a list and of a watch.
func listing(change func(r *rand.Rand, l *history.Listing) bool) func(*rand.Rand, *history.Op) bool {
	return func(r *rand.Rand, op *history.Op) bool {
		var l history.Listing
		if json.Unmarshal(op.Value, &l) != nil || !change(r, &l) {
			return false
		}
		op.Value = encoded(l)
		return true
	}
}

func streaming(change func(r *rand.Rand, s *history.Stream) bool) func(*rand.Rand, *history.Op) bool {
	return func(r *rand.Rand, op *history.Op) bool {
		var s history.Stream
		if json.Unmarshal(op.Value, &s) != nil || s.From == history.WatchInform || !change(r, &s) {
			return false
		}
		op.Value = encoded(s)
		return true
	}
}

// inner is an event that is not the last one, and no bookmark; -1 if there is none.
func inner(r *rand.Rand, s *history.Stream) int {
	var at []int
	for i, e := range s.Events[:max(0, len(s.Events)-1)] {
		if e.Type != history.EventBookmark {
			at = append(at, i)
		}
	}
	if len(at) == 0 {
		return -1
	}
	return at[r.IntN(len(at))]
}

var defects = []defect{
	{"an object is missing", fList, listing(func(r *rand.Rand, l *history.Listing) bool {
		p := &l.Pages[r.IntN(len(l.Pages))]
		if len(p.Objects) == 0 {
			return false
		}
		i := r.IntN(len(p.Objects))
		p.Objects = slices.Delete(p.Objects, i, i+1)
		return true
	}), 60, []string{"torn-list", "wrong-snapshot"}},
	{"an object is there twice", fList, listing(func(_ *rand.Rand, l *history.Listing) bool {
		p := &l.Pages[0]
		if len(p.Objects) == 0 {
			return false
		}
		p.Objects = append(p.Objects, p.Objects[0])
		return true
	}), 100, []string{"duplicate-elements"}},
	{"a page of another revision", fList, listing(func(_ *rand.Rand, l *history.Listing) bool {
		l.Pages[len(l.Pages)-1].Revision++
		return len(l.Pages) > 1
	}), 100, []string{"torn-list"}},
	{"another content", fList, listing(func(_ *rand.Rand, l *history.Listing) bool {
		for i := range l.Pages {
			for k := range l.Pages[i].Objects {
				l.Pages[i].Objects[k].Number++
				return true
			}
		}
		return false
	}), 85, []string{"garbage-read", "version-mismatch", "future-read", "aborted-read", "wrong-snapshot"}},
	{"an event is missing", fWatch, streaming(func(r *rand.Rand, s *history.Stream) bool {
		i := inner(r, s)
		if i < 0 {
			return false
		}
		s.Events = slices.Delete(s.Events, i, i+1)
		return true
	}), 60, []string{"lost-event", "wrong-bookmark", "wrong-event-type", "version-mismatch"}},
	{"two events change places", fWatch, streaming(func(r *rand.Rand, s *history.Stream) bool {
		i := inner(r, s)
		if i < 0 || s.Events[i+1].Type == history.EventBookmark {
			return false
		}
		s.Events[i], s.Events[i+1] = s.Events[i+1], s.Events[i]
		return true
	}), 100, []string{"reordered-event"}},
	{"an event comes twice", fWatch, streaming(func(r *rand.Rand, s *history.Stream) bool {
		i := inner(r, s)
		if i < 0 {
			return false
		}
		s.Events = slices.Insert(s.Events, i, s.Events[i])
		return true
	}), 100, []string{"duplicate-event"}},
	{"a bookmark comes too early", fWatch, streaming(func(r *rand.Rand, s *history.Stream) bool {
		i := inner(r, s)
		if i < 0 {
			return false
		}
		s.Events = slices.Insert(s.Events, i, history.Event{Type: history.EventBookmark, Version: s.Events[i].Version})
		return true
	}), 100, []string{"wrong-bookmark"}},
	{"an event has the wrong type", fWatch, streaming(func(r *rand.Rand, s *history.Stream) bool {
		i := inner(r, s)
		if i < 0 || s.Events[i].Type == history.EventDeleted {
			return false
		}
		s.Events[i].Type = map[string]string{history.EventAdded: history.EventModified, history.EventModified: history.EventAdded}[s.Events[i].Type]
		return true
	}), 100, []string{"wrong-event-type"}},
	{"an initial state lacks an object", fWatch, streaming(func(r *rand.Rand, s *history.Stream) bool {
		if len(s.Initial) == 0 || s.InitialAt == 0 {
			return false
		}
		i := r.IntN(len(s.Initial))
		s.Initial = slices.Delete(s.Initial, i, i+1)
		return true
	}), 60, []string{"wrong-snapshot", "wrong-event-type"}},
}

// Each defect is found where it can be, by one of its names.
func TestDefectsOfViewsAreFound(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, d := range defects {
		t.Run(d.name, func(t *testing.T) {
			planted, found := 0, 0
			for tries := 0; planted < 100 && tries < 10_000; tries++ {
				h := newWorld(r, 3, 4, true).run(40)
				i := r.IntN(len(h))
				if h[i].Type != history.OK || h[i].F != d.f || !d.spoil(r, &h[i]) {
					continue
				}
				planted++
				v, names := judged(t, h)
				if v == Invalid {
					found++
				}
				if v == Invalid && !slices.ContainsFunc(names, func(n string) bool {
					name, _, _ := strings.Cut(n, ":")
					return slices.Contains(d.want, name)
				}) {
					t.Fatalf("found as %s\n%s", strings.Join(names, "\n"), history.Format(h))
				}
			}
			t.Logf("%d of %d found", found, planted)
			if planted < 50 || found*100 < planted*d.least {
				t.Errorf("%d of %d found, want %d %%", found, planted, d.least)
			}
		})
	}
}
