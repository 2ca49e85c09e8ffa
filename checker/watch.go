package checker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/faultline/faultline/harness/history"
)

// Watches judges watches of collections (f "watch" → history.Stream) against what was created, updated and deleted
// (history.ObjectChange) and against each other, as Snapshots does lists. What is promised:
//
//   - The events after the initial state are in the order of their versions, each once, none from before the stream's beginning:
//     reordered-event, duplicate-event.
//   - Between the beginning and the last event or bookmark, every change is there: lost-event. A change of unknown outcome counts as
//     happened where another view shows it. Of a stream that began in the middle, at a revision that is not known, only what follows
//     its first event is judged. Nothing is owed after the last event: a stream may end, or be late, without a reason; who resumes it
//     where it ended is owed what follows.
//   - A bookmark is true: no event up to it follows, and none is missing that only the bookmark covers: wrong-bookmark.
//   - An event says what happened: added where the object was not, modified where it was: wrong-event-type. It has what was
//     written, with its version: version-mismatch; somebody wrote or deleted it: phantom-event.
//   - The initial state is the state at its revision, and so is what an informer holds at the end: wrong-snapshot. With the initial state
//     sent by the stream itself and closed by a bookmark (history.WatchList), or read by the quorum list that a stream is resumed from
//     (history.WatchResume), it reflects what was acknowledged before: stale-read. In other streams that is allowed.
//
// The events of informers are not judged one by one: they may skip and join changes.
//
// A stream that ended by an error that no list of the client knows ("error: ", then PrefixUnexpected) makes it Unknown, as Errors does with
// operations: what the server sent may have been nonsense. So does a run in which no stream delivered an event or owed one.
func Watches() Checker { return watches{} }

type watches struct{}

// WatchDetail is the Detail of Watches.
type WatchDetail struct {
	Collections int `json:"collections"`
	Changes     int `json:"changes"`
	// Streams and Ends count the streams by where they began and why they ended.
	Streams   map[string]int `json:"streams"`
	Ends      map[string]int `json:"ends"`
	Events    int            `json:"events"`
	Bookmarks int            `json:"bookmarks"`
	Initial   int            `json:"initial"`
	// Covered are the changes that some stream owed its client, Owed all that streams owed theirs.
	Covered int `json:"covered"`
	Owed    int `json:"owed"`
	// Finals are the stores of informers that were compared.
	Finals int `json:"finals"`
}

func (watches) Name() string { return "watches" }

func (watches) Check(ctx context.Context, src history.Source, b Budget) (Result, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	j := &watchJudge{d: WatchDetail{Streams: map[string]int{}, Ends: map[string]int{}}}
	cs, err := j.f.collectionsOf(ctx, src, b)
	if err != nil {
		return Result{}, err
	}
	j.cs = cs
	cs.inOrder(func(c *collection) {
		j.d.Collections++
		covered := map[*change]bool{}
		for i, s := range c.streams {
			if i&15 == 0 && ctx.Err() != nil {
				j.f.unknown("out of time: %s of %q left out of the check", count(len(c.streams)-i, "watch was", "watches were"), c.key)
				break
			}
			j.judge(c, s, covered)
		}
		for _, ch := range c.changes {
			if ch.index >= 0 {
				j.d.Changes++
			}
		}
		j.d.Covered += len(covered)
	})
	switch {
	case len(j.d.Streams) == 0:
		j.f.unknown("nothing to check: no watch was ok")
	case j.d.Events == 0 && j.d.Initial == 0:
		j.f.unknown("nothing to check: no watch delivered anything")
	case j.d.Events == 0 && j.d.Owed == 0:
		j.f.unknown("nothing to check: no watch delivered an event, nor owed one")
	}
	j.unforeseen.reasons(&j.f)
	return j.f.result(j.d.summary(), j.d)
}

func (d *WatchDetail) summary() string {
	var kinds []string
	n := 0
	for _, k := range slices.Sorted(maps.Keys(d.Streams)) {
		kinds = append(kinds, fmt.Sprintf("%s %s", thousands(int64(d.Streams[k])), k))
		n += d.Streams[k]
	}
	return fmt.Sprintf("%s (%s), %s, %s; %s of %s owed to some stream", count(n, "stream", "streams"), strings.Join(kinds, ", "),
		count(d.Events, "event", "events"), count(d.Bookmarks, "bookmark", "bookmarks"),
		thousands(int64(d.Covered)), count(d.Changes, "change", "changes"))
}
