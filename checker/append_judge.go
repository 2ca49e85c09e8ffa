package checker

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// duplicates adds an anomaly if a list has an element twice.
func (j *appendJudge) duplicates(key string, index int64, list []int32) {
	seen := make(map[int32]bool, len(list))
	for _, id := range list {
		if seen[id] {
			j.f.add(Anomaly{Name: "duplicate-elements", Key: key, Ops: []int64{index}, Why: fmt.Sprintf(
				"transaction %d read %s as %s, which has %s twice", index, key, j.show(list), j.names.text(id))})
			return
		}
		seen[id] = true
	}
}

// order adds an anomaly if a read and the longest one so far are not prefixes of each other.
func (j *appendJudge) order(key string, l *listOf, index int64, list []int32, text []byte) {
	n := min(len(list), len(l.longest))
	if !slices.Equal(list[:n], l.longest[:n]) {
		j.f.add(Anomaly{Name: "incompatible-order", Key: key, Ops: []int64{l.longestBy, index}, Why: fmt.Sprintf(
			"transaction %d read %s as %s, transaction %d as %s: neither can have come from the other",
			l.longestBy, key, j.show(l.longest), index, j.show(list))})
		return
	}
	if len(list) > len(l.longest) {
		l.longest, l.longestText, l.longestBy = list, text, index
	}
}

// origins judges, when everything was read, where the elements of a list came from.
func (j *appendJudge) origins(key string, l *listOf) {
	byFirstSeen := func(a, b int32) int {
		return cmp.Or(cmp.Compare(l.elements[a].firstSeen, l.elements[b].firstSeen), cmp.Compare(a, b))
	}
	for _, id := range slices.SortedFunc(maps.Keys(l.elements), byFirstSeen) {
		e, text := l.elements[id], j.names.text(id)
		a := Anomaly{Key: key, Ops: []int64{e.firstSeen}}
		switch {
		case e.firstSeen == never || e.call < e.firstSeen:
			continue
		case e.failed < e.firstSeen:
			a.Name, a.Ops = "G1a", append(a.Ops, e.failedBy)
			a.Why = fmt.Sprintf("transaction %d read %s in %s, but transaction %d, which appended it, failed", e.firstSeen, text, key, e.failedBy)
		case e.call != never:
			a.Name, a.Ops = "future-read", append(a.Ops, e.by)
			a.Why = fmt.Sprintf("transaction %d read %s in %s, which only the later transaction %d appended", e.firstSeen, text, key, e.by)
		default:
			a.Name = "garbage-read"
			a.Why = fmt.Sprintf("transaction %d read %s in %s, which nobody appended", e.firstSeen, text, key)
		}
		j.f.add(a)
	}
	for _, id := range slices.Sorted(maps.Keys(l.ends)) {
		end := l.ends[id]
		if e := l.elements[id]; e.call != never && !e.last && e.txn != end.txn {
			j.f.add(Anomaly{Name: "G1b", Key: key, Ops: []int64{end.index, e.by}, Why: fmt.Sprintf(
				"transaction %d read %s ending in %s, but transaction %d appended more after it", end.index, key, j.names.text(id), e.by)})
		}
	}
}
