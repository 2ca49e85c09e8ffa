package checker

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// SetOptions choose what reads of a set promise.
type SetOptions struct {
	// Model is ModelLinearizable, ModelSerializable or ModelCached; empty takes it from Read.
	Model string
	// Read is the kind of read that the clients did.
	Read string
}

// SetWith judges sets to which unique elements are added (f "add", the element as value) and which are read whole (f "read", null → a
// list). Each Op.Key is a set of its own.
//
//   - lost: the element was acknowledged, or read once, and every final read lacks it. Final reads are those after the nemesis's
//     history.FFinalReads; without that mark, those after the last add. On an incomplete history there are none.
//   - stale-read: a read that began after the element was acknowledged or read lacks it, and others have it. ModelSerializable and
//     ModelCached allow that.
//   - wrong-snapshot: a read lacks an element that had been added by the read's revision; lost, if it is a final read. older-than-asked,
//     wrong-revision, time-travel: as Linearizable has them. non-monotonic-read: reads on one server went back for one process. (All of them
//     ModelCached only, by which a final read that lacks an element may be of an older revision.)
//   - garbage-read: nobody ever added the element. aborted-read: who did was told that it failed. future-read: it was read
//     before it was added.
//   - duplicate-elements: a read has the element twice.
//
// The error is ErrUnknownModel.
func SetWith(o SetOptions) (Checker, error) {
	model, err := promise(o.Model, o.Read)
	if err != nil {
		return nil, err
	}
	return set{model: model, read: o.Read}, nil
}

type set struct {
	model, read string
	// excuse, where not nil, tells why the promise allows that an element of a set is lost or missing from reads; empty: it does not.
	excuse func(key, element string) string
}

// SetDetail is the Detail of SetWith, elements of all keys together.
type SetDetail struct {
	Keys         int64 `json:"keys"`
	Reads        int64 `json:"reads"`
	Attempts     int64 `json:"attempts"`
	Acknowledged int64 `json:"acknowledged"`
	// Recovered are elements whose add ended unknown and that were read.
	Recovered int64 `json:"recovered"`
	Lost      int64 `json:"lost"`
	// Stale are elements that some read missed that later or other reads had.
	Stale int64 `json:"stale"`
	// Unreached are elements that no final read is recent enough for to tell whether they are lost (ModelCached only).
	Unreached  int64 `json:"unreached,omitempty"`
	Unexpected int64 `json:"unexpected"`
	Duplicated int64 `json:"duplicated"`
	// NeverRead are acknowledged elements that no read has, and none lacks that had to have it.
	NeverRead int64 `json:"never_read"`
	// StableMS is how long it took, from when an element was known (acknowledged, or read), until every read had it; LostMS how long lost
	// ones were still read. In milliseconds, as in Jepsen's set-full.
	StableMS Quantiles `json:"stable_ms"`
	LostMS   Quantiles `json:"lost_ms"`
	// Staleness and TimeTravel are of reads from caches; see LinearizableDetail.
	Staleness  *Staleness `json:"staleness,omitempty"`
	TimeTravel int        `json:"time_travel,omitempty"`
}

// element is one element of one set. Indexes are never where the thing did not happen.
type element struct {
	id int32
	// added is the first invocation of an add of it, failed that of one that failed; addedBy and failedBy name them.
	added, addedBy   int64
	failed, failedBy int64
	// unknown: an add of it ended unknown.
	unknown bool
	// known is since when every linearizable read must have it: an acknowledgement, or a read that had it.
	known   int64
	acked   bool
	knownBy int64
	knownAt time.Duration
	// firstSeen is the first completion of a read that has it.
	firstSeen int64
	// present and absent are the reads with the last invocation that had it, or lacked it though it was known.
	present, absent view
	// at is the revision from which on every view has it, by its add or a read; 0 if that is not known. owed is the last read of such a
	// revision that lacked it.
	at        int64
	owed      view
	duplicate int64
	stamp     int64
}

// view is a read.
type view struct {
	call, index, revision int64
	process               history.Process
	node                  string
	at                    time.Duration // of the invocation
}

// setOf is one set.
type setOf struct {
	key      string
	elements map[int32]*element
	// known are the elements that reads must have, by element.known.
	known []*element
	// lastAdd is the last completion of an add.
	lastAdd int64
	reads   int64
	// lastRead is the latest invocation of an ok read.
	lastRead int64
	// finalRevision is the highest revision of a read after finalFrom; by revision: reads are held to theirs.
	finalFrom, finalRevision int64
	byRevision               bool
}

func (set) Name() string { return "set" }

func (s set) Check(ctx context.Context, src history.Source, _ Budget) (Result, error) {
	var (
		f    findings
		sets = map[string]*setOf{}
		n    = newNames()
		last = int64(never) // the mark of the final reads
	)
	err := f.nemesis(ctx, src, func(p history.Pair) error {
		if p.Invoke.F == history.FFinalReads {
			last = p.Invoke.Index
		}
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	err = f.clients(ctx, src, func(p history.Pair) error {
		if p.Invoke.F != fAdd && p.Invoke.F != fRead {
			return nil
		}
		one := sets[p.Invoke.Key]
		if one == nil {
			one = &setOf{
				key: p.Invoke.Key, elements: map[int32]*element{}, lastAdd: -1, lastRead: -1, finalFrom: last, byRevision: s.model == ModelCached,
			}
			sets[p.Invoke.Key] = one
		}
		if p.Invoke.F == fAdd {
			one.add(n, p)
			return nil
		}
		return one.read(n, p)
	})
	if err != nil {
		return Result{}, err
	}
	j := setJudge{f: &f, names: n, complete: src.Complete(), finalFrom: last, model: s.model, excuse: s.excuse}
	for _, key := range slices.Sorted(maps.Keys(sets)) {
		j.judge(sets[key])
	}
	if s.model == ModelCached {
		v, err := f.views(ctx, src, map[string]bool{fRead: true, fAdd: false}, s.read)
		if err != nil {
			return Result{}, err
		}
		j.d.Staleness, j.d.TimeTravel = &v.stale, v.travels
	}
	if len(sets) == 0 {
		f.unknown("nothing to check: no add and no read of a set")
	}
	if !src.Complete() {
		f.unknown("the history is incomplete: which elements are lost shows in the final reads only")
	}
	j.d.StableMS, j.d.LostMS = quantiles(j.stable), quantiles(j.lost)
	d := j.d
	return f.result(fmt.Sprintf("%s, %s: %s acknowledged, %s recovered, %s lost, %s stale (stable after p50 %d ms, p99 %d ms, at most %d ms)", count(d.Keys, "set", "sets"),
		count(d.Reads, "read", "reads"), thousands(d.Acknowledged), thousands(d.Recovered), thousands(d.Lost), thousands(d.Stale),
		d.StableMS.P50, d.StableMS.P99, d.StableMS.Max), d)
}

func (s *setOf) element(id int32) *element {
	e := s.elements[id]
	if e == nil {
		e = &element{id: id, added: never, failed: never, known: never, firstSeen: never, duplicate: never}
		e.present.call, e.absent.call, e.owed.call = -1, -1, -1
		s.elements[id] = e
	}
	return e
}

// add notes the completion of an add.
func (s *setOf) add(n *names, p history.Pair) {
	e := s.element(n.id(p.Invoke.Value))
	if p.HasComplete {
		s.lastAdd = p.Complete.Index
	}
	if p.Outcome() == history.Fail {
		if p.Invoke.Index < e.failed {
			e.failed, e.failedBy = p.Invoke.Index, indexOf(p)
		}
		return
	}
	if p.Invoke.Index < e.added {
		e.added, e.addedBy = p.Invoke.Index, indexOf(p)
	}
	if p.Outcome() == history.OK {
		e.acked, e.at = true, p.Complete.Version
		s.know(e, p.Complete)
		return
	}
	e.unknown = true
}

// know notes that the set has e for certain, from an operation's completion on. Operations come in the order of completions: known stays sorted.
func (s *setOf) know(e *element, from history.Op) {
	if e.known == never {
		e.known, e.knownBy, e.knownAt = from.Index, from.Index, from.Time
		s.known = append(s.known, e)
	}
}

// read notes what a read had and what it lacked.
func (s *setOf) read(n *names, p history.Pair) error {
	if p.Outcome() != history.OK {
		return nil
	}
	texts, err := elements(p.Complete.Value)
	if err != nil {
		return fmt.Errorf("operation %d: a read of the set %q: %w", p.Complete.Index, s.key, err)
	}
	s.reads++
	s.lastRead = max(s.lastRead, p.Invoke.Index)
	v := view{p.Invoke.Index, p.Complete.Index, p.Complete.Revision, p.Invoke.Process, p.Invoke.Node, p.Invoke.Time}
	if v.call > s.finalFrom {
		s.finalRevision = max(s.finalRevision, v.revision)
	}
	must, _ := slices.BinarySearchFunc(s.known, p.Invoke.Index, func(e *element, call int64) int { return cmp.Compare(e.known, call) })
	for _, t := range texts {
		e := s.element(n.id(t))
		if e.stamp == s.reads {
			e.duplicate = min(e.duplicate, p.Complete.Index)
		}
		e.stamp = s.reads
		e.firstSeen = min(e.firstSeen, p.Complete.Index)
		if v.call > e.present.call {
			e.present = v
		}
		s.know(e, p.Complete)
		if !e.acked && v.revision > 0 && (e.at == 0 || v.revision < e.at) {
			e.at = v.revision
		}
	}
	for i, e := range s.known {
		switch {
		case e.stamp == s.reads:
		case s.byRevision && e.at > 0 && v.revision >= e.at:
			if v.call > e.owed.call {
				e.owed = v
			}
		case i < must && v.call > e.absent.call:
			e.absent = v
		}
	}
	return nil
}
