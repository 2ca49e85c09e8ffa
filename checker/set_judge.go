package checker

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// setJudge turns what was noted about sets into anomalies.
type setJudge struct {
	f         *findings
	names     *names
	d         SetDetail
	complete  bool
	finalFrom int64 // index of the mark of the final reads, or never
	model     string
	// stable and lost are latencies in milliseconds; see SetDetail.
	stable, lost []int64
	excuse       func(key, element string) string
}

// judge adds the anomalies of one set.
func (j *setJudge) judge(s *setOf) {
	j.d.Keys++
	j.d.Reads += s.reads
	from := j.finalFrom
	if from == never {
		from = s.lastAdd
	}
	if j.complete && s.lastRead <= from {
		j.f.unknown("the set %q has no ok final read: which of its elements are lost is not known", s.key)
	}
	for _, e := range slices.SortedFunc(maps.Values(s.elements), byFirstMention) {
		j.count(e)
		j.latency(e)
		j.origin(s, e)
		if j.model == ModelCached {
			j.absenceByRevision(s, e, from)
		} else {
			j.absence(s, e, from)
		}
		if e.duplicate != never {
			j.d.Duplicated++
			j.add(s, "duplicate-elements", []int64{e.duplicate}, "read %d of %s has the element %s twice", e.duplicate, s.name(), j.names.text(e.id))
		}
	}
}

// byFirstMention orders elements by where the history first speaks of them.
func byFirstMention(a, b *element) int {
	return cmp.Or(cmp.Compare(min(a.added, a.failed, a.firstSeen), min(b.added, b.failed, b.firstSeen)), cmp.Compare(a.id, b.id))
}

func (s *setOf) name() string {
	if s.key == "" {
		return "the set"
	}
	return s.key
}

func (j *setJudge) add(s *setOf, name string, ops []int64, format string, args ...any) {
	j.f.add(Anomaly{Name: name, Key: s.key, Ops: ops, Why: fmt.Sprintf(format, args...)})
}

func (j *setJudge) count(e *element) {
	if e.added != never || e.failed != never {
		j.d.Attempts++
	}
	if e.acked {
		j.d.Acknowledged++
	}
	if !e.acked && e.unknown && e.firstSeen != never {
		j.d.Recovered++
	}
}

// latency measures how long an element that is known took to be in every read, or, where the last reads lack it, how long it was there.
func (j *setJudge) latency(e *element) {
	switch {
	case e.known == never:
	case e.present.call < 0 && e.absent.call < 0:
		j.d.NeverRead++
	case e.absent.call > e.present.call:
		j.lost = append(j.lost, max(0, e.present.at-e.knownAt).Milliseconds())
	case e.absent.call < 0:
		j.stable = append(j.stable, 0)
	default:
		j.stable = append(j.stable, max(0, e.absent.at-e.knownAt).Milliseconds())
	}
}

// origin judges whether an element that was read had been added.
func (j *setJudge) origin(s *setOf, e *element) {
	if e.firstSeen == never || e.added < e.firstSeen {
		return
	}
	j.d.Unexpected++
	text := j.names.text(e.id)
	switch {
	case e.failed < e.firstSeen:
		j.add(s, "aborted-read", []int64{e.firstSeen, e.failedBy},
			"read %d of %s has the element %s, but its add %d failed", e.firstSeen, s.name(), text, e.failedBy)
	case e.added != never:
		j.add(s, "future-read", []int64{e.firstSeen, e.addedBy},
			"read %d of %s has the element %s, which was added only later, by %d", e.firstSeen, s.name(), text, e.addedBy)
	default:
		j.add(s, "garbage-read", []int64{e.firstSeen}, "read %d of %s has the element %s, which nobody added", e.firstSeen, s.name(), text)
	}
}

// absence judges whether reads lacked an element that they owed.
func (j *setJudge) absence(s *setOf, e *element, finalFrom int64) {
	if e.absent.call < 0 {
		return
	}
	lacks := j.lacks(s, e, &e.absent)
	a := Anomaly{Name: "stale-read", Key: s.key, Ops: []int64{e.absent.index, e.knownBy}, Why: lacks, Allowed: j.model != ModelLinearizable}
	switch {
	case j.complete && e.absent.call > finalFrom && e.present.call <= finalFrom:
		j.d.Lost++
		a.Name, a.Why, a.Allowed = "lost", lacks+"; no final read has it", false
	case e.present.call > e.absent.call:
		j.d.Stale++
		a.Why += fmt.Sprintf("; the later read %d has it", e.present.index)
		a.Ops = append(a.Ops, e.present.index)
	default:
		j.d.Stale++
	}
	if j.excuse != nil && !a.Allowed {
		if why := j.excuse(s.key, j.names.text(e.id)); why != "" {
			a.Allowed, a.Why = true, a.Why+": "+why
		}
	}
	j.f.add(a)
}

// lacks says that a read lacks an element that was known.
func (j *setJudge) lacks(s *setOf, e *element, v *view) string {
	how := "was acknowledged"
	if !e.acked {
		how = "had been read"
	}
	if v.call < e.known {
		how += " as of then"
	} else {
		how += " before it began"
	}
	return fmt.Sprintf("read %d of %s by process %s%s lacks the element %s, which %s (%d)",
		v.index, s.name(), v.process, on(v.node), j.names.text(e.id), how, e.knownBy)
}

// absenceByRevision judges whether reads lacked an element that they owed by their own revision; what is older may lack it.
func (j *setJudge) absenceByRevision(s *setOf, e *element, finalFrom int64) {
	if e.at > s.finalRevision && e.known != never && e.present.call <= finalFrom {
		j.d.Unreached++
	}
	if e.absent.call >= 0 {
		j.d.Stale++
		a := Anomaly{Name: "stale-read", Key: s.key, Ops: []int64{e.absent.index, e.knownBy}, Why: j.lacks(s, e, &e.absent), Allowed: true}
		if e.absent.revision > 0 {
			a.Why += fmt.Sprintf("; it shows revision %d", e.absent.revision)
		}
		j.f.add(a)
	}
	if e.owed.call < 0 {
		return
	}
	a := Anomaly{Name: "wrong-snapshot", Key: s.key, Ops: []int64{e.owed.index, e.knownBy}}
	a.Why = fmt.Sprintf("%s; it shows revision %d, and the element was there from %d on", j.lacks(s, e, &e.owed), e.owed.revision, e.at)
	if j.complete && e.owed.call > finalFrom && e.present.call <= finalFrom {
		j.d.Lost++
		a.Name, a.Why = "lost", a.Why+"; no final read has it"
	}
	j.f.add(a)
}

// on is " on n2", or nothing where the node is not known.
func on(node string) string {
	if node == "" {
		return ""
	}
	return " on " + node
}
