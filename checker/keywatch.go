package checker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/faultline/faultline/harness/history"
)

// KeyWatches judges watches of ranges of keys (f "watch" → history.KeyStream) against the changes of the store (f "change" →
// []history.KeyWrite), against each other and against reads of whole ranges (f "range" → []history.KeyState). The promises are those
// that etcd makes (its "KV API guarantees"; the names are those of its robustness tests):
//
//   - Filtered: only events of the keys and kinds asked for: unfiltered-event; none from before the start: early-event.
//   - Ordered, by revision, and unique: reordered-event, duplicate-event.
//   - Atomic: all events of a revision are in one response, or in consecutive ones marked as fragments: torn-transaction.
//   - Bookmarkable: after a progress notification no event up to it comes, none is missing, and the next one is not of an earlier
//     revision: wrong-progress, lost-event.
//   - Reliable: between the start and the last event or progress notification every event is there: lost-event. Where the first
//     ones are missing that were compacted, the stream had to be canceled: untold-compaction.
//   - Resumable, from any revision that was not compacted: a stream is canceled for a compaction only if that was asked for, and if
//     what it was still owed is before it: false-compaction. A stream that the server ends says why: silent-end.
//   - True: somebody made each change: phantom-event. A revision is one change: duplicate-revision. All streams, ranges and the store's own record
//     (history.FCommitted) show the same change at the same revision: divergent-event. Created and Version count as they
//     should: wrong-created. The previous state is the one before: wrong-previous. It may be missing where it was compacted.
//   - A range is the state at its revision, so that one range and the events since give the next: wrong-snapshot. It
//     reflects what was acknowledged before: stale-read.
//
// Nothing is owed after the last event or notification: a stream may be late. A change of unknown outcome counts as happened where
// any view shows part of it, and then all of its puts did. A deletion that no event shows, but of which the states before and after tell
// that it lies within a stream, is owed as well.
//
// The work grows with n log n of the events, save for ranges, which are compared with all keys of their collection.
func KeyWatches() Checker { return keyWatches{} }

type keyWatches struct{}

// KeyWatchDetail is the Detail of KeyWatches.
type KeyWatchDetail struct {
	Collections int `json:"collections"`
	Changes     int `json:"changes"`
	// Settled are changes of unknown outcome that some view showed to have happened.
	Settled     int `json:"settled"`
	Ranges      int `json:"ranges"`
	Compactions int `json:"compactions"`
	// Streams and Ends count the streams by where they began and why they ended.
	Streams  map[string]int `json:"streams"`
	Ends     map[string]int `json:"ends"`
	Events   int            `json:"events"`
	Progress int            `json:"progress"`
	// Fragments are responses that went on in the next one, Previous the previous states that were compared.
	Fragments int `json:"fragments"`
	Previous  int `json:"previous"`
	// Owed are the events that all streams owed their clients.
	Owed int `json:"owed"`
}

func (keyWatches) Name() string { return "key-watches" }

func (keyWatches) Check(ctx context.Context, src history.Source, b Budget) (Result, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	j := &keyJudge{d: KeyWatchDetail{Streams: map[string]int{}, Ends: map[string]int{}}}
	h, err := j.f.keyHistoryOf(ctx, src, b)
	if err != nil {
		return Result{}, err
	}
	j.h = h
	j.claims()
	h.settle()
	for i, r := range h.ranges {
		if i&63 == 0 && ctx.Err() != nil {
			j.f.unknown("out of time: %s left out of the check", count(len(h.ranges)-i, "range was", "ranges were"))
			break
		}
		j.rangeRead(r)
	}
	for i, s := range h.streams {
		if i&15 == 0 && ctx.Err() != nil {
			j.f.unknown("out of time: %s left out of the check", count(len(h.streams)-i, "watch was", "watches were"))
			break
		}
		j.stream(s)
	}
	return j.result()
}

// result says what was found, or why nothing can be said.
func (j *keyJudge) result() (Result, error) {
	j.d.Collections, j.d.Ranges, j.d.Compactions = len(j.h.collections), len(j.h.ranges), len(j.h.compactions)
	for _, ch := range j.h.changes {
		j.d.Changes++
		if ch.ret == never && ch.revision > 0 {
			j.d.Settled++
		}
	}
	switch {
	case len(j.h.streams) == 0:
		j.f.unknown("nothing to check: no watch of keys was ok")
	case j.d.Events == 0 && j.d.Owed == 0:
		j.f.unknown("nothing to check: no watch delivered an event, nor owed one")
	}
	j.unforeseen.reasons(&j.f)
	return j.f.result(j.d.summary(), j.d)
}

func (d *KeyWatchDetail) summary() string {
	var kinds []string
	n := 0
	for _, k := range slices.Sorted(maps.Keys(d.Streams)) {
		kinds = append(kinds, fmt.Sprintf("%s %s", thousands(int64(d.Streams[k])), k))
		n += d.Streams[k]
	}
	return fmt.Sprintf("%s (%s), %s, %s, %s; %s owed; %s, %s", count(n, "stream", "streams"), strings.Join(kinds, ", "),
		count(d.Events, "event", "events"), count(d.Progress, "progress notification", "progress notifications"),
		count(d.Fragments, "fragment", "fragments"), count(d.Owed, "event", "events"),
		count(d.Changes, "change", "changes"), count(d.Compactions, "compaction", "compactions"))
}
