package checker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/faultline/faultline/harness/history"
)

// SnapshotOptions choose what lists promise.
type SnapshotOptions struct {
	// Model is ModelLinearizable, by which every list must reflect what was acknowledged before, or ModelCached; empty is
	// ModelCached. In both, a list that asks for no cache (history.ReadQuorum) must.
	Model string
}

// Snapshots judges lists of collections (f "list" → history.Listing) against what was created, updated and deleted (history.ObjectChange),
// with the versions that the system gave. Each Op.Key is a collection of its own, empty at first; versions and revisions count for
// all of them together, and each change writes another number.
//
//   - torn-list: the pages of one list are from different snapshots: their revisions differ, or what they show together is
//     no state that ever was. wrong-snapshot: the same of a list of one page.
//   - duplicate-elements: an object twice in one list.
//   - stale-read: the list's revision is older than a change acknowledged, or seen by anyone, before it was invoked; or it shows
//     an object that had been deleted. time-travel: what is newer was seen on another server. Both are allowed to lists from caches.
//   - older-than-asked: the revision is older than the one that was asked for. wrong-revision: it is not the very one asked for.
//   - non-monotonic-read: lists from one server's cache go back for one process. It is allowed where the server may have begun its cache
//     anew: a fault was in force in between or shortly before, and what it goes back to had been the newest shortly before. If that was
//     longer ago than a cache is filled in where nothing is short, it is Unknown.
//   - garbage-read, aborted-read, future-read, version-mismatch: nobody wrote what is shown; who did was told that it failed; it was
//     invoked later; or it has another version.
//
// A change of unknown outcome happened where a view shows it, and otherwise may have. A deletion whose version nobody told is
// bounded by what had been seen before it was invoked and by what was invoked after it completed.
//
// The error is ErrUnknownModel.
func Snapshots(o SnapshotOptions) (Checker, error) {
	if o.Model == "" {
		o.Model = ModelCached
	}
	model, err := promise(o.Model, "")
	if err != nil {
		return nil, err
	}
	return snapshots{model}, nil
}

type snapshots struct{ model string }

// SnapshotDetail is the Detail of Snapshots.
type SnapshotDetail struct {
	Model       string `json:"model"`
	Collections int    `json:"collections"`
	Changes     int    `json:"changes"`
	// Unknown are changes of unknown outcome, Settled those of them that some view shows.
	Unknown int `json:"unknown"`
	Settled int `json:"settled"`
	// Lists counts them by their kind, Paged are those of more than one page.
	Lists map[string]int `json:"lists"`
	Paged int            `json:"paged"`
	// Objects are all objects of all lists.
	Objects int64 `json:"objects"`
	// Staleness is how far lists of each kind were behind when they were invoked.
	Staleness map[string]*Staleness `json:"staleness"`
}

func (snapshots) Name() string { return "snapshots" }

func (s snapshots) Check(ctx context.Context, src history.Source, b Budget) (Result, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	j := &snapshotJudge{model: s.model, d: SnapshotDetail{Model: s.model, Lists: map[string]int{}, Staleness: map[string]*Staleness{}}}
	cs, err := j.f.collectionsOf(ctx, src, b)
	if err != nil {
		return Result{}, err
	}
	if j.renewals, err = j.f.renewalsOf(ctx, src); err != nil {
		return Result{}, err
	}
	j.cs = cs
	cs.inOrder(func(c *collection) {
		j.count(c)
		for i, s := range c.snapshots {
			if i&63 == 0 && ctx.Err() != nil {
				j.f.unknown("out of time: %s of %q left out of the check", count(len(c.snapshots)-i, "list was", "lists were"), c.key)
				return
			}
			j.judge(c, s)
		}
		j.monotone(c)
	})
	j.renewals.tell(&j.f)
	if len(j.d.Lists) == 0 {
		j.f.unknown("nothing to check: no list was ok")
	}
	for _, s := range j.d.Staleness {
		s.settle()
	}
	return j.f.result(j.d.summary(), j.d)
}

func (j *snapshotJudge) count(c *collection) {
	j.d.Collections++
	for _, ch := range c.changes {
		if ch.index < 0 {
			continue
		}
		j.d.Changes++
		if ch.ret == never {
			j.d.Unknown++
			if ch.seen != "" {
				j.d.Settled++
			}
		}
	}
}

func (d *SnapshotDetail) summary() string {
	var kinds []string
	for _, k := range slices.Sorted(maps.Keys(d.Lists)) {
		kinds = append(kinds, fmt.Sprintf("%s %s", thousands(int64(d.Lists[k])), k))
	}
	parts := []string{
		count(d.Changes, "change", "changes"),
		"lists: " + strings.Join(kinds, ", ") + fmt.Sprintf(" (%s paged)", thousands(int64(d.Paged))),
	}
	for _, k := range slices.Sorted(maps.Keys(d.Staleness)) {
		if s := d.Staleness[k]; s.Stale > 0 {
			parts = append(parts, k+" "+s.String())
		}
	}
	return strings.Join(parts, "; ")
}
