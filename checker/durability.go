package checker

import (
	"context"
	"fmt"
	"slices"

	"github.com/faultline/faultline/harness/history"
)

// DurabilityOptions choose what reads promise.
type DurabilityOptions struct {
	// Model is ModelLinearizable or ModelSerializable; empty takes it from Read.
	Model string
	// Read is the kind of read that the clients did.
	Read string
}

// Durability judges whether what was acknowledged stayed done, whatever was killed: by the versions of keys and the revisions of the store,
// over registers, sets and transactions (f read, write, cas, add, delete, txn).
//
//   - lost-write: a read shows the store at the revision of an acknowledged write or at a later one, and the key as it was before that write, or
//     absent though nobody may have deleted it. Or every final read of the key is of an older state (ModelLinearizable; by ModelSerializable
//     that is Unknown).
//   - resurrection: the same of a deletion: a version of the key is there again that had been deleted.
//   - duplicate-revision: two acknowledged operations were given the same revision: the store forgot the first one.
//
// Final reads are those after history.FFinalReads; an incomplete history has none. A final read without a revision counts as
// one of the newest state. The error is ErrUnknownModel.
func Durability(o DurabilityOptions) (Checker, error) {
	model, err := promise(o.Model, o.Read)
	if err == nil && model == ModelCached {
		err = fmt.Errorf("%q: %w", model, ErrUnknownModel)
	}
	if err != nil {
		return nil, err
	}
	return durability{model}, nil
}

type durability struct{ model string }

// DurabilityDetail is the Detail of Durability.
type DurabilityDetail struct {
	Keys    int   `json:"keys"`
	Writes  int64 `json:"writes"`
	Deletes int64 `json:"deletes"`
	Reads   int64 `json:"reads"`
	// Reread are keys with acknowledged changes that a final read looked at.
	Reread int `json:"reread"`
}

func (durability) Name() string { return "durability" }

func (d durability) Check(ctx context.Context, src history.Source, _ Budget) (Result, error) {
	j := durabilityJudge{model: d.model, complete: src.Complete(), finalFrom: never}
	err := j.f.nemesis(ctx, src, func(p history.Pair) error {
		if p.Invoke.F == history.FFinalReads {
			j.finalFrom = p.Invoke.Index
		}
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	lines, versioned, err := j.f.keylines(ctx, src)
	if err != nil {
		return Result{}, err
	}
	for _, l := range lines {
		j.judge(l)
	}
	j.revisions(lines)
	switch {
	case versioned == 0:
		j.f.unknown("nothing to check: no read and no write gave a version or a revision")
	case !src.Complete():
		j.f.unknown("the history is incomplete: what was lost shows in the final reads only")
	case j.d.Reread == 0:
		j.f.unknown("no final read was ok of a key with an acknowledged change")
	}
	return j.f.result(fmt.Sprintf("%s: %s, %s and %s; %d read again at the end", count(j.d.Keys, "key", "keys"),
		count(j.d.Writes, "acknowledged write", "acknowledged writes"), count(j.d.Deletes, "deletion", "deletions"),
		count(j.d.Reads, "read", "reads"), j.d.Reread), j.d)
}

type durabilityJudge struct {
	f         findings
	d         DurabilityDetail
	model     string
	complete  bool
	finalFrom int64
}

// judge holds the reads of one key against its acknowledged changes.
func (j *durabilityJudge) judge(l *keyline) {
	j.d.Keys++
	j.d.Reads += int64(len(l.reads))
	for i := range l.made {
		if l.made[i].kind == touchDelete {
			j.d.Deletes++
		} else {
			j.d.Writes++
		}
	}
	var final []*touch
	for i := range l.reads {
		t := &l.reads[i]
		if j.complete && t.call > j.finalFrom {
			final = append(final, t)
		}
		if change := newest(l.made, t.revision); l.lacks(t, change) {
			j.lost(t, change, "")
		}
	}
	if len(final) > 0 && len(l.made) > 0 {
		j.d.Reread++
		j.final(l, final)
	}
}

// final judges whether the newest acknowledged change is older than every final read.
func (j *durabilityJudge) final(l *keyline, reads []*touch) {
	last := &l.made[len(l.made)-1]
	newestRead := slices.MaxFunc(reads, func(a, b *touch) int { return int(max(-1, min(1, a.at()-b.at()))) })
	switch {
	case newestRead.at() >= last.version || last.ret > newestRead.call:
	case j.model != ModelLinearizable:
		j.f.unknown("no final read of %s is recent enough for its last change (%d)", l.key, last.index)
	case newestRead.revision > 0 || l.lacks(newestRead, last):
		j.lost(newestRead, last, "; no final read is newer")
	}
}

func (j *durabilityJudge) lost(t, change *touch, more string) {
	a := Anomaly{Name: "lost-write", Key: t.key, Ops: []int64{t.index, change.index}}
	if change.kind == touchDelete {
		a.Name = "resurrection"
	}
	a.Why = fmt.Sprintf("%s, but the %s was acknowledged%s", t.describe(), change.describe(), more)
	j.f.add(a)
}

// revisions finds two acknowledged operations with one revision.
func (j *durabilityJudge) revisions(lines []*keyline) {
	var all []touch
	for _, l := range lines {
		for _, t := range l.made {
			if t.revision > 0 {
				all = append(all, t)
			}
		}
	}
	slices.SortStableFunc(all, byVersion)
	for i := range all[min(1, len(all)):] {
		a, b := &all[i], &all[i+1]
		if a.version == b.version && a.index != b.index {
			j.f.add(Anomaly{
				Name: "duplicate-revision", Key: b.key, Ops: []int64{b.index, a.index},
				Why: fmt.Sprintf("the %s was acknowledged with the same revision as the %s", b.describe(), a.describe()),
			})
		}
	}
}
