package checker

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/faultline/faultline/harness/history"
)

// KVOptions choose what is promised.
type KVOptions struct {
	// Model is ModelLinearizable or ModelSerializable; empty takes it from Read.
	Model string
	// Read is the kind of read that the clients did: with ReadSerializable, requests that only read may be behind.
	Read string
}

// KV judges a store with revisions by requests on many keys at once: transactions of compares, puts, deletes and ranges, of the newest state or
// of a past one; leases, and compactions. Functions and values:
//
//	request  {"if": [["mod","a","=",3]], "then": [["put","a",7], ["range","a","m"]], "else": [["get","b"]]}
//	         → the same with "succeeded": true, "results": [[1,[["a",5,3,3,1,0]]], …]
//	grant-lease    17 → [17, true]         revoke-lease  17 → [17, true], or [17, false] where there was no such lease
//	compact-store  {"back": 100} → {"at": 57}
//
// A result is [count, items], an item [key, value, create revision, mod revision, version, lease]; of puts and deletes it is what was there before.
// A request of a past revision says which with "at"; it, and a compaction, may be {"refused": "compacted"} or "future". Op.Revision is the store's.
// Leases' numbers are used once. The store has none of the keys at first, and all writes of them are in the history.
//
// Every ok request has a revision, and one that wrote has it alone: so their order is known, and the states are played back, in O(n log n).
// A revision that no ok request claims is a request of unknown outcome, the end of a lease, or a write elsewhere. Whichever of them agree with what is seen
// later are followed side by side; where these become too many, the verdict is Unknown, after the checks that need no choice. No bound is put on how early a
// lease may end, nor on how late.
//
// Broken promises: stale-read (an earlier state than its revision's, or an older revision than one that was over before it began);
// wrong-snapshot (not the state at the revision that was asked for, or a key that is there is missing); lost-write (missing, and nobody ever sees it);
// resurrected-key; garbage-read (nobody wrote it); aborted-read (its write failed); future-read; applied-twice; version-mismatch (the right write
// with other create revision, version or lease); compare-ignored; wrong-count; revision-backwards; duplicate-revision;
// false-compaction (refused, though nothing was compacted); read-of-compacted; revoked-lease (something is attached to it).
//
// What the store told after the run (history.FCommitted) counts as seen; the verdict without it is in the detail. The error is ErrUnknownModel.
func KV(o KVOptions) (Checker, error) {
	model, err := promise(o.Model, o.Read)
	if err != nil {
		return nil, err
	}
	return kv{model}, nil
}

type kv struct{ model string }

func (kv) Name() string { return "kv" }

// Functions are requests, and what leases and compactions need.
func (kv) Functions() []string { return []string{fRequest, fGrantLease, fRevokeLease, fCompactStore} }

// KVDetail is the Detail of KV.
type KVDetail struct {
	Requests int `json:"requests"`
	// Unknown are requests of unknown outcome that may have written.
	Unknown int `json:"unknown"`
	// Revision is the last one, Unclaimed how many up to there no acknowledged request claims; Explained how many of these something must have
	// made: requests of unknown outcome, or ends of leases.
	Revision  int64 `json:"revision"`
	Unclaimed int64 `json:"unclaimed"`
	Explained int   `json:"explained"`
	// Settled are requests of unknown outcome that certainly happened.
	Settled int `json:"settled"`
	// Told is how much of that the store told after the run: keys at revisions that nobody claims. WithoutEvidence is the verdict without.
	Told            int      `json:"told,omitempty"`
	WithoutEvidence *Verdict `json:"without_evidence,omitempty"`
	// Worlds is how many states at most were followed side by side.
	Worlds int `json:"worlds"`
}

func (k kv) Check(ctx context.Context, src history.Source, b Budget) (Result, error) {
	if b.MemoryBytes <= 0 {
		b.MemoryBytes = defaultMemoryBytes
	}
	if b.Time > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, b.Time)
		defer cancel()
	}
	var read findings
	requests, err := read.kvRequests(ctx, src)
	if err != nil {
		return Result{}, err
	}
	told, err := kvTold(src)
	if err != nil {
		return Result{}, err
	}
	r, d, err := k.judge(ctx, read, requests, told, b)
	if err != nil || d.Told == 0 {
		return r, err
	}
	without, _, err := k.judge(ctx, read, requests, nil, b)
	if err != nil {
		return r, err
	}
	d.WithoutEvidence = &without.Verdict
	f := findings{anomalies: r.Anomalies, found: r.Found, reasons: r.Reasons}
	if r.Verdict == Invalid {
		f.broken = 1
	}
	return f.result(d.summary(), d)
}

// judge judges the requests of a history.
func (k kv) judge(ctx context.Context, read findings, requests []*kvRequest, told []kvFact, b Budget) (Result, KVDetail, error) {
	f := findings{reasons: slices.Clone(read.reasons)}
	d := KVDetail{}
	j := &kvJudge{f: &f, allowStale: k.model != ModelLinearizable, requests: requests}
	j.floors()
	j.realTime()
	j.compactions()
	j.leases()
	p := newKVReplay(ctx, j, &d, told, b.MemoryBytes)
	if len(p.events) == 0 {
		f.unknown("nothing to check: no request came with the store's revision")
	}
	p.run()
	r, err := f.result(d.summary(), d)
	return r, d, err
}

func (d *KVDetail) summary() string {
	parts := []string{count(d.Requests, "request", "requests"), count(d.Revision, "revision", "revisions")}
	if d.Unknown > 0 {
		parts = append(parts, fmt.Sprintf("%s of unknown outcome, %s of these happened", thousands(int64(d.Unknown)), thousands(int64(d.Settled))))
	}
	if d.WithoutEvidence != nil {
		parts = append(parts, fmt.Sprintf("without what the store told: %s", *d.WithoutEvidence))
	}
	return strings.Join(parts, ", ")
}

// kvJudge judges by times and revisions alone.
type kvJudge struct {
	f          *findings
	allowStale bool
	requests   []*kvRequest
}

// floors finds for each request the one that was over before it with the highest revision.
func (j *kvJudge) floors() {
	over := slices.Clone(j.requests)
	over = slices.DeleteFunc(over, func(r *kvRequest) bool { return r.outcome != history.OK || r.revision == 0 })
	slices.SortFunc(over, func(a, b *kvRequest) int { return cmp.Compare(a.ret, b.ret) })
	calls := slices.SortedFunc(slices.Values(j.requests), func(a, b *kvRequest) int { return cmp.Compare(a.call, b.call) })
	var highest *kvRequest
	for _, r := range calls {
		for ; len(over) > 0 && over[0].ret < r.call; over = over[1:] {
			if highest == nil || over[0].revision > highest.revision {
				highest = over[0]
			}
		}
		r.floor = highest
	}
}

// realTime holds revisions against the order of time.
func (j *kvJudge) realTime() {
	for _, r := range j.requests {
		if r.outcome != history.OK || r.floor == nil {
			continue
		}
		a := Anomaly{Ops: []int64{r.index, r.floor.index}}
		switch changed := r.refused == "" && r.f == fRequest && r.changed(); {
		case r.refused == refusedFuture && r.at <= r.floor.revision:
			a.Name = "stale-read"
			a.Why = fmt.Sprintf("%s was told that revision %d is yet to come, though %s was over before it began", r.describe(), r.at, r.floor.describe())
			a.Allowed = j.allowStale
		case r.revision == 0 || r.revision > r.floor.revision || r.revision == r.floor.revision && !changed:
			continue
		case r.f == fRequest && !r.writes():
			a.Name = "stale-read"
			a.Why = fmt.Sprintf("%s saw revision %d, though %s was over before it began", r.describe(), r.revision, r.floor.describe())
			a.Allowed = j.allowStale
		default:
			a.Name = "revision-backwards"
			a.Why = fmt.Sprintf("%s began after %s was over, and has no later revision", r.describe(), r.floor.describe())
		}
		j.f.add(a)
	}
}

// compactions holds what was refused for being compacted, and what was not, against the compactions.
func (j *kvJudge) compactions() {
	var done, perhaps []*kvRequest
	for _, r := range j.requests {
		switch {
		case r.f != fCompactStore || r.outcome == history.Fail || r.refused != "":
		case r.outcome == history.OK:
			done = append(done, r)
			perhaps = append(perhaps, r)
		default:
			perhaps = append(perhaps, r)
		}
	}
	for _, r := range j.requests {
		switch {
		case r.outcome != history.OK || r.at == 0:
		case r.refused == refusedCompacted:
			explained := slices.ContainsFunc(perhaps, func(c *kvRequest) bool {
				// Of one of unknown outcome it may not be known up to where. To compact again what was compacted is refused, too.
				return c != r && c.call < r.ret && (c.at > r.at || c.at == r.at && r.f == fCompactStore || c.at == 0)
			})
			if !explained {
				j.f.add(Anomaly{
					Name: "false-compaction", Ops: []int64{r.index},
					Why: fmt.Sprintf("%s was told that revision %d is compacted, which no compaction before its end did", r.describe(), r.at),
				})
			}
		case r.f == fRequest && r.refused == "":
			for _, c := range done {
				if c.ret < r.call && c.at > r.at {
					j.f.add(Anomaly{
						Name: "read-of-compacted", Ops: []int64{r.index, c.index}, Allowed: j.allowStale,
						Why: fmt.Sprintf("%s was answered, though %s up to revision %d was over before it began", r.describe(), c.describe(), c.at),
					})
					break
				}
			}
		}
	}
}

// leases finds what was attached to a lease after its end was acknowledged.
func (j *kvJudge) leases() {
	ended := map[int64]*kvRequest{}
	for _, r := range j.requests {
		if r.f == fRevokeLease && r.outcome == history.OK && r.succeeded && r.revision > 0 {
			ended[r.lease] = r
		}
	}
	for _, r := range j.requests {
		if r.f != fRequest || r.outcome != history.OK || r.refused != "" {
			continue
		}
		for _, o := range r.branch() {
			if e := ended[o.lease]; o.kind == kvPut && o.lease != 0 && e != nil && r.revision > e.revision {
				j.f.add(Anomaly{
					Name: "revoked-lease", Key: o.key, Ops: []int64{r.index, e.index},
					Why: fmt.Sprintf("%s attached %s to lease %d, after %s", r.describe(), o.key, o.lease, e.describe()),
				})
			}
		}
	}
}
