package checker

import (
	"fmt"
	"slices"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// leasesJudge judges one lease after another.
type leasesJudge struct {
	f      *findings
	o      LeasesOptions
	d      LeasesDetail
	rhythm *quorumRhythm
}

// judge judges one lease by all that was said of it.
func (j *leasesJudge) judge(key string, words []leaseWord) {
	grants := 0
	for i := range words {
		if words[i].f == fGrant && words[i].outcome != history.Fail {
			grants++
		}
	}
	if grants > 1 {
		j.f.unknown("the lease of %q was granted %d times: which one the rest is about is not known", key, grants)
		return
	}
	j.d.Leases++
	// There was a lease, and a key, from these answers on: what was absent before need not have been there.
	leaseSince, keySince := int64(never), int64(never)
	for i := range words {
		w := &words[i]
		if !w.alive() {
			continue
		}
		leaseSince = min(leaseSince, w.ret)
		if w.f == fGrant || w.f == fGet {
			keySince = min(keySince, w.ret)
		}
	}
	var end *leaseWord // the answer that was the first to show the end
	for i := range words {
		w := &words[i]
		since := leaseSince
		if w.f == fGet {
			since = keySince
		}
		found := w.f == fRevoke && w.answer.Found // shows by itself that there was one
		if !w.gone() || w.call < since && !found {
			continue
		}
		if w.f == fRenew {
			j.d.Refused++
		}
		if end == nil || w.ret < end.ret {
			end = w
		}
	}
	if end != nil {
		j.ended(key, words, end)
	}
	outlived := false // told once of each lease
	for i := range words {
		if words[i].f == fGet && words[i].alive() && !outlived {
			outlived = j.late(key, words, &words[i])
		}
	}
}

// ended judges what was said around the first answer that showed the lease's end.
func (j *leasesJudge) ended(key string, words []leaseWord, end *leaseWord) {
	revocation := j.revocation(words, end)
	if revocation {
		j.d.Revoked++
	} else {
		j.d.Expired++
		j.early(key, words, end)
	}
	for i := range words {
		w := &words[i]
		if !w.alive() || w.call < end.ret {
			continue
		}
		name, what := "key-after-lease", "its key was there"
		switch {
		case w.f == fRevoke || w.f == fGrant:
			name, what = "lease-after-its-end", "it was there"
		case w.f == fRenew && end.f == fRevoke:
			name, what = "renewed-after-revocation", "it was renewed"
		case w.f == fRenew:
			name, what = "renewed-after-expiry", "it was renewed"
		}
		why := fmt.Sprintf("%s by %d, but an answer before it began (%d, %s) had shown that lease %d is no more", what, w.ret, end.ret, end.f, end.answer.ID)
		deposed := w.f == fRenew && j.rhythm.over(w.answer.Term, w.heard)
		if deposed {
			why += fmt.Sprintf("; its leader's term, %d, was over", w.answer.Term)
		}
		j.f.add(Anomaly{Name: name, Key: key, Ops: []int64{w.ret, end.ret}, Why: why, Allowed: deposed})
	}
}

// revocation tells whether somebody may have had the lease revoked by the time of an answer.
func (j *leasesJudge) revocation(words []leaseWord, end *leaseWord) bool {
	return slices.ContainsFunc(words, func(w leaseWord) bool {
		return w.f == fRevoke && w.outcome != history.Fail && w.call < end.ret
	})
}

// early judges whether the lease ended before it may have, by itself.
func (j *leasesJudge) early(key string, words []leaseWord, end *leaseWord) {
	var last *leaseWord
	for i := range words {
		w := &words[i]
		if w.f != fGrant && w.f != fRenew || !w.alive() || w.call > end.ret || j.rhythm.over(w.answer.Term, w.heard) {
			continue // what a leader promises that is one no more, it can't keep
		}
		if last == nil || w.until() > last.until() {
			last = w
		}
	}
	if last == nil || end.heard >= last.until()-j.o.ClockError {
		return
	}
	j.f.add(Anomaly{Name: "lease-expired-early", Key: key, Ops: []int64{end.ret, last.ret}, Why: fmt.Sprintf(
		"%s %d found at %s that lease %d is no more, but it was to live for %dms from %s on, when %s %d was sent",
		end.f, end.ret, end.heard, end.answer.ID, last.answer.TTLMS, last.sent, last.f, last.ret)})
}

// until is until when a lease lives at least that was granted or renewed.
func (w *leaseWord) until() time.Duration {
	return w.sent + time.Duration(w.answer.TTLMS)*time.Millisecond
}

// late judges whether a key was there for too long, and tells whether it was.
func (j *leasesJudge) late(key string, words []leaseWord, seen *leaseWord) bool {
	var (
		ttl     time.Duration
		renewed time.Duration
		last    *leaseWord
	)
	for i := range words {
		w := &words[i]
		if w.f != fGrant && w.f != fRenew || w.outcome == history.Fail || w.call > seen.ret {
			continue
		}
		at := w.heard
		switch {
		case w.outcome != history.OK:
			at = w.sent + renewalLate
		case w.answer.TTLMS == 0:
			continue
		default:
			ttl = max(ttl, time.Duration(w.answer.TTLMS)*time.Millisecond)
		}
		if last == nil || at > renewed {
			renewed, last = at, w
		}
	}
	if last == nil || ttl == 0 {
		return false // what was granted is not known
	}
	j.d.Overtime = max(j.d.Overtime, seen.sent-renewed-ttl)
	bound := ttl + j.o.Election + j.o.Slack
	if seen.sent <= renewed+bound {
		return false
	}
	j.d.Late++
	since, what, ok := j.rhythm.calmSince(seen.heard, seen.answer.Term, j.o.Election)
	if !ok || seen.sent <= since+bound {
		j.d.Excused++
		return false
	}
	why := fmt.Sprintf("get %d found the key at %s, but lease %d, of %s, was renewed for the last time by %s (%s %d): later than the TTL, an election (%s) and %s after it",
		seen.ret, seen.sent, seen.answer.ID, ttl, renewed, last.f, last.ret, j.o.Election, j.o.Slack)
	if since > 0 {
		why += fmt.Sprintf(", and as late after %s, when %s", since, what)
	}
	j.f.add(Anomaly{Name: "lease-outlived", Key: key, Ops: []int64{seen.ret, min(last.ret, seen.ret)}, Why: why})
	return true
}
