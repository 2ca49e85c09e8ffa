package checker

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/faultline/faultline/harness/history"
)

// PastStates judges what etcd promises of every read, the serializable ones that a member answers on its own included: each shows
// some real state of the past, over registers, sets and transactions (f read, write, cas, add, delete, txn). It holds them against the versions and
// revisions that the store gave, all keys of a transaction at one revision.
//
//   - wrong-snapshot: the read is not the state at its revision: a newer version of the key, by then, was acknowledged or read elsewhere,
//     or its version is newer than its revision.
//   - version-mismatch: two values of a key have one version.
//   - non-monotonic-read: a member showed an older revision than in a read before, of any process. That is allowed where it may have been
//     restarted in between.
//
// How old a read may be is not judged here; see Linearizable.
func PastStates() Checker { return pastStates{} }

type pastStates struct{}

// PastStatesDetail is the Detail of PastStates.
type PastStatesDetail struct {
	Keys  int   `json:"keys"`
	Reads int64 `json:"reads"`
	// Known are versions of keys that are known.
	Known int64 `json:"known"`
}

func (pastStates) Name() string { return "past-states" }

func (pastStates) Check(ctx context.Context, src history.Source, _ Budget) (Result, error) {
	var (
		f findings
		d PastStatesDetail
	)
	all, err := f.faultsOf(ctx, src)
	if err != nil {
		return Result{}, err
	}
	lines, _, err := f.keylines(ctx, src)
	if err != nil {
		return Result{}, err
	}
	for _, l := range lines {
		known := slices.Concat(l.made, l.shown)
		slices.SortStableFunc(known, byVersion)
		d.Keys++
		d.Known += int64(len(known))
		f.values(l)
		for i := range l.reads {
			d.Reads++
			f.pastState(l, known, &l.reads[i])
		}
	}
	f.membersAdvance(lines, all.restarts())
	if d.Reads == 0 {
		f.unknown("nothing to check: no read gave a version or a revision")
	}
	return f.result(fmt.Sprintf("%s of %s, %s known", count(d.Reads, "read", "reads"), count(d.Keys, "key", "keys"),
		count(d.Known, "version", "versions")), d)
}

// pastState judges one read against the versions of its key that are known.
func (f *findings) pastState(l *keyline, known []touch, t *touch) {
	if t.revision == 0 {
		return
	}
	if t.version > t.revision {
		f.add(Anomaly{Name: "wrong-snapshot", Key: t.key, Ops: []int64{t.index}, Why: t.describe() + ", which is newer than the state it is to be of"})
		return
	}
	if other := newest(known, t.revision); l.lacks(t, other) {
		f.add(Anomaly{
			Name: "wrong-snapshot", Key: t.key, Ops: []int64{t.index, other.index},
			Why: fmt.Sprintf("%s, but by then there had been the newer version %d (%s)", t.describe(), other.version, other.describe()),
		})
	}
}

// values finds two values of one version.
func (f *findings) values(l *keyline) {
	first := map[int64]*touch{}
	for _, list := range [][]touch{l.made, l.reads} {
		for i := range list {
			t := &list[i]
			if t.value == nil || t.version == 0 {
				continue
			}
			a := first[t.version]
			if a == nil {
				first[t.version] = t
				continue
			}
			if !bytes.Equal(bytes.TrimSpace(a.value), bytes.TrimSpace(t.value)) {
				f.add(Anomaly{
					Name: "version-mismatch", Key: t.key, Ops: []int64{t.index, a.index},
					Why: fmt.Sprintf("%s has the value %.60s, and %s has %.60s", t.describe(), t.value, a.describe(), a.value),
				})
			}
		}
	}
}

// membersAdvance judges that no member went back.
func (f *findings) membersAdvance(lines []*keyline, restarts spanList) {
	var reads []*touch
	for _, l := range lines {
		for i := range l.reads {
			if t := &l.reads[i]; t.revision > 0 && t.node != "" {
				reads = append(reads, t)
			}
		}
	}
	slices.SortStableFunc(reads, func(a, b *touch) int { return int(max(-1, min(1, a.ret-b.ret))) })
	// tops are the reads of each member that showed the newest revision so far: both what they show and their completions rise.
	tops := map[string][]*touch{}
	for _, t := range reads {
		list := tops[t.node]
		n, _ := slices.BinarySearchFunc(list, t.call, func(b *touch, call int64) int { return int(max(-1, min(1, b.ret-call))) })
		if n > 0 && list[n-1].revision > t.revision {
			b := list[n-1]
			f.add(Anomaly{
				Name: "non-monotonic-read", Key: t.key, Ops: []int64{t.index, b.index}, Allowed: restarts.overlaps(b.call, t.ret),
				Why: fmt.Sprintf("%s, but %s had shown revision %d before (%d)", t.describe(), t.node, b.revision, b.index),
			})
		}
		if len(list) == 0 || t.revision > list[len(list)-1].revision {
			tops[t.node] = append(list, t)
		}
	}
}
