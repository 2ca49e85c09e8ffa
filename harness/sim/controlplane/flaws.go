package controlplane

import (
	"time"

	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/harness/sim/replicated"
)

// Flaw is a bug that the API servers, or who works through them, can have. The zero value is none.
type Flaw int

// The flaws; package sim has them in a table, with what they do.
const (
	Healthy Flaw = iota
	StaleQuorumList
	PageOfAnotherSnapshot
	CachedBackInTime
	ExactElsewhere
	CacheDiverges
	DroppedEvent
	DroppedDeletion
	WrongBookmark
	RepeatedEvent
	GapAfterResume
	LeaseGrantedTwice
	LostDependent
	StalledController
	QuarrellingControllers
	AddressTwice
	QuotaExceeded
	TwoOfOneIdentity
	DeclarationLost
)

// How often flaws strike: once in so many chances, and how far.
const (
	staleListOnce       = 4
	backInTimeOnce      = 5
	backInTimeBy        = 40 // revisions
	droppedOnce         = 20
	droppedDeletionOnce = 2
	bookmarkOnce        = 4
	repeatedOnce        = 3
	gapOnce             = 2
	forgottenOnce       = 2
	addressOnce         = 6
	quotaOnce           = 6
	declarationOnce     = 4
	lateStop            = 2 * time.Second
	stallsAfter         = 12 * time.Second
	quarrelEvery        = 700 * time.Millisecond
	forksAfter          = 4 * time.Second
	divergesOnce        = 40
)

// miss has the cache miss some of what it took in, for good, with the flaw that makes it.
func (s *Server) miss(from int) {
	if s.p.flaw != CacheDiverges {
		return
	}
	for i := from; i < s.seen; i++ {
		if s.p.store.Chance(divergesOnce) {
			if s.missing == nil {
				s.missing = map[int64]bool{}
			}
			s.missing[replicated.RevisionOf(i+1)] = true
		}
	}
}

// forgetful has a change of declared state now and then change nothing, though it is acknowledged, with the flaw that makes it.
func (p *Plane) forgetful(alter func(old *thing) (*thing, string)) func(old *thing) (*thing, string) {
	if p.flaw != DeclarationLost || alter == nil {
		return alter
	}
	return func(old *thing) (*thing, string) {
		next, refused := alter(old)
		if next != nil && refused == "" && p.store.Chance(declarationOnce) {
			return old.clone(), ""
		}
		return next, refused
	}
}

// resumed lets flaws act where a stream begins again.
func (w *watcher) resumed() {
	store := w.s.p.store
	switch {
	case w.s.p.flaw == RepeatedEvent && w.next > 0 && store.Chance(repeatedOnce):
		w.next--
	case w.s.p.flaw == GapAfterResume && store.Chance(gapOnce):
		w.skip = 1
	}
}

// promise lets a flaw send a bookmark too early, ahead of changes that are still to be sent.
func (w *watcher) promise(changes []change) {
	if w.s.p.flaw != WrongBookmark || !w.bookmarks || w.next >= len(changes) || changes[w.next].revision > w.s.revision() {
		return
	}
	if w.s.p.store.Chance(bookmarkOnce) {
		w.send(history.Event{Type: history.EventBookmark, Version: w.s.revision()})
	}
}

// withheld tells whether a flaw keeps a change from a stream.
func (w *watcher) withheld(c *change) bool {
	store := w.s.p.store
	switch w.s.p.flaw {
	case GapAfterResume:
		w.skip--
		return w.skip == 0
	case DroppedEvent:
		return store.Chance(droppedOnce)
	case DroppedDeletion:
		return c.kind == history.EventDeleted && store.Chance(droppedDeletionOnce)
	default:
		return false
	}
}
