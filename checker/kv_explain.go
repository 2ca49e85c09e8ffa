package checker

import (
	"fmt"
	"slices"

	"github.com/faultline/faultline/harness/history"
)

// kvMismatchKind is what does not agree.
type kvMismatchKind uint8

const (
	kvOther       kvMismatchKind = iota // one key is otherwise
	kvCompared                          // the compares hold, or do not
	kvCounted                           // the count is not that of the items
	kvStillLeased                       // a key is attached to a lease that ended
	kvUnordered                         // the items are not in order
)

// kvMismatch is where an ok request and a world do not agree: the key as the world has it, and as it was seen.
type kvMismatch struct {
	kind          kvMismatchKind
	key           string
	want, got     kvItem
	wanted, count int64
	compare       *kvCompare // the one that did not hold; nil: all held
}

// mismatch finds the first key, in order, that was seen otherwise than it is.
func mismatch(want, got kvSeen) *kvMismatch {
	if !slices.IsSortedFunc(got.items, func(a, b kvItem) int {
		if a.key < b.key {
			return -1
		}
		return 1
	}) {
		return &kvMismatch{kind: kvUnordered}
	}
	i, j := 0, 0
	for i < len(want.items) || j < len(got.items) {
		switch {
		case j == len(got.items) || i < len(want.items) && want.items[i].key < got.items[j].key:
			return &kvMismatch{key: want.items[i].key, want: want.items[i]}
		case i == len(want.items) || got.items[j].key < want.items[i].key:
			return &kvMismatch{key: got.items[j].key, got: got.items[j]}
		case want.items[i] != got.items[j]:
			return &kvMismatch{key: want.items[i].key, want: want.items[i], got: got.items[j]}
		}
		i, j = i+1, j+1
	}
	if want.count != got.count {
		return &kvMismatch{kind: kvCounted, wanted: want.count, count: got.count}
	}
	return nil
}

// explain records the promise that an ok request breaks, in each of so many worlds.
func (p *kvReplay) explain(e *kvEvent, m *kvMismatch, worlds int) {
	a := Anomaly{Key: m.key, Ops: []int64{e.index}}
	switch m.kind {
	case kvOther:
		p.explainKey(&a, e, m)
	case kvUnordered:
		a.Name, a.Why = "wrong-snapshot", e.describe()+" returned keys that are not in order"
	case kvCounted:
		a.Name = "wrong-count"
		a.Why = fmt.Sprintf("%s was told of %d keys, where there were %d", e.describe(), m.count, m.wanted)
	case kvCompared:
		a.Name = "compare-ignored"
		a.Why = e.describe() + " " + p.explainCompare(e, m, &a)
	case kvStillLeased:
		a.Name = "revoked-lease"
		a.Why = fmt.Sprintf("%s ended lease %d, and %s is still attached to it", e.describe(), e.lease, p.whose(m.want, &a))
	}
	if worlds > 1 {
		a.Why += fmt.Sprintf("; so it is, or worse, in each of the %d ways in which requests of unknown outcome can have happened", worlds)
	}
	p.j.f.add(a)
}

func (p *kvReplay) explainCompare(e *kvEvent, m *kvMismatch, a *Anomaly) string {
	c := m.compare
	if c == nil {
		return fmt.Sprintf("was refused, though all of its %d compares held", len(e.compares))
	}
	asked := fmt.Sprintf("succeeded, though it asked for %s of %s %s %s, ", c.target, c.key, c.sign, c.text)
	if m.want.version == 0 {
		return asked + "which did not exist"
	}
	return asked + fmt.Sprintf("which had %s, create revision %d, version %d, lease %d", p.whose(m.want, a), m.want.create, m.want.version, m.want.leased)
}

// explainKey tells what is wrong with one key.
func (p *kvReplay) explainKey(a *Anomaly, e *kvEvent, m *kvMismatch) {
	past := e.kvRequest.at != 0
	want, got := m.want, m.got
	switch {
	case got.version == 0:
		a.Name = "wrong-snapshot"
		if !past && !p.wasSeen(want) {
			a.Name = "lost-write"
		}
		a.Why = fmt.Sprintf("%s lacks %s, which was %s", e.describe(), want.key, p.whose(want, a))
	case got.mod > e.at:
		a.Name = "future-read"
		if past {
			a.Name = "wrong-snapshot"
		}
		a.Why = fmt.Sprintf("%s has %s, which is later than the state it is of", e.describe(), p.whose(got, a))
	case want.version > 0 && want.mod == got.mod && want.value == got.value:
		a.Name = "version-mismatch"
		a.Why = fmt.Sprintf("%s has %s with create revision %d, version %d and lease %d, which are %d, %d and %d", e.describe(), p.whose(got, a),
			got.create, got.version, got.leased, want.create, want.version, want.leased)
	case !p.isWritten(got):
		p.explainStranger(a, e.describe(), got)
	case want.version == 0:
		a.Name = "resurrected-key"
		a.Why = fmt.Sprintf("%s has %s, which had been deleted", e.describe(), p.whose(got, a))
	default:
		a.Name = "stale-read"
		if past {
			a.Name = "wrong-snapshot"
		} else if !p.wasSeen(want) {
			a.Name = "lost-write"
		}
		a.Why = fmt.Sprintf("%s has %s, after which came %s", e.describe(), p.whose(got, a), p.whose(want, a))
	}
}

// wasSeen tells whether somebody saw a version of a key.
func (p *kvReplay) wasSeen(it kvItem) bool { return p.seen[kvMark{it.key, it.mod}] }

// isWritten tells whether an ok request put what was seen at its revision, or one of unknown outcome may have.
func (p *kvReplay) isWritten(it kvItem) bool {
	return slices.ContainsFunc(p.puts[[2]string{it.key, it.value}], func(r *kvRequest) bool {
		return r.outcome == history.Info || r.outcome == history.OK && r.revision == it.mod
	})
}

// explainStranger tells what is wrong with a version that nobody can have made.
func (p *kvReplay) explainStranger(a *Anomaly, who string, it kvItem) {
	a.Name = "garbage-read"
	why := "which nobody wrote"
	for _, r := range p.puts[[2]string{it.key, it.value}] {
		if a.Name == "garbage-read" || r.outcome == history.OK {
			switch r.outcome {
			case history.Fail:
				a.Name, why = "aborted-read", fmt.Sprintf("which is of %s, and that failed", r.describe())
			case history.Invoke, history.OK:
				a.Name, why = "applied-twice", fmt.Sprintf("which %s put there at revision %d only", r.describe(), r.revision)
			case history.Info:
				a.Name, why = "garbage-read", fmt.Sprintf("which %s can't have put there, at that revision", r.describe())
			}
			a.Ops = append(a.Ops, r.index)
		}
	}
	a.Why = fmt.Sprintf("%s has %s = %s (revision %d), %s", who, it.key, it.value, it.mod, why)
}

// unexplained records that nothing can have made a revision as it was seen.
func (p *kvReplay) unexplained(facts []kvFact) {
	f := facts[0]
	a := Anomaly{Key: f.item.key, Ops: []int64{f.by}}
	who := fmt.Sprintf("operation %d", f.by)
	if !f.whole {
		who = fmt.Sprintf("what the store has (%d)", f.by)
	}
	if f.item.version == 0 {
		a.Name = "lost-write"
		a.Why = fmt.Sprintf("%s has %s deleted at revision %d, which no request and no lease can have done", who, f.item.key, f.revision)
	} else {
		p.explainStranger(&a, who, f.item)
	}
	p.j.f.add(a)
}

// whose is "a = 5 (revision 12), put by request 31", and adds that request to the proof.
func (p *kvReplay) whose(it kvItem, a *Anomaly) string {
	s := fmt.Sprintf("%s = %s (revision %d)", it.key, it.value, it.mod)
	for _, r := range p.puts[[2]string{it.key, it.value}] {
		if r.outcome == history.OK && r.revision == it.mod {
			a.Ops = append(a.Ops, r.index)
			return s + fmt.Sprintf(", put by %d", r.index)
		}
	}
	return s
}
