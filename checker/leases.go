package checker

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// LeasesOptions bound when a lease must have ended.
type LeasesOptions struct {
	// Election is the system's election time-out, Slack how much later than granted TTL + Election a lease may end; 0 are the defaults.
	Election time.Duration
	Slack    time.Duration
	// ClockError is how much the system's clocks may err over the life of one lease; 0 is DefaultClockError.
	ClockError time.Duration
}

// Defaults of LeasesOptions: etcd's own election time-out; and a slack that covers its look at leases twice a second, the way of a revocation through the
// log, and quorumGap.
const (
	DefaultLeaseElection = time.Second
	DefaultLeaseSlack    = 3 * time.Second
)

const (
	// quorumGap is the longest time between completions of reads and writes at which the system had a quorum all along, as far as leases are
	// concerned.
	quorumGap = time.Second
	// renewalLate is how long after it was sent a renewal without an answer may still take effect: etcd goes on for 5 s and two elections.
	renewalLate = 10 * time.Second
)

// Leases judges leases and the keys that were granted with them (f "grant", "renew", "revoke" and "get": history.LeaseRequest → history.LeaseAnswer;
// each lease is granted once, and has one key):
//
//   - lease-expired-early: the lease or its key was gone although a renewal had been acknowledged less than the granted TTL before, counted from when
//     the renewal was sent, and nobody had asked for its revocation. Less ClockError, because the system's clock may go wrong.
//   - renewed-after-revocation, renewed-after-expiry: a renewal was acknowledged that began after an answer that showed that the lease is no
//     more. key-after-lease, lease-after-its-end: likewise, its key was there, or it was found. A renewal that was answered in a term that is
//     known to have been over is allowed: by design a leader that is cut off acknowledges renewals until it notices.
//   - lease-outlived: the key was there later than granted TTL + Election + Slack after the latest of: the last renewal (one without an answer
//     counts for renewalLate), the last change of the leader, the last time at which a quorum was regained. A new leader is one whose term
//     was seen for the first time less than two elections ago; a quorum may have been missing wherever nothing was answered for quorumGap.
//
// A run in which no lease was seen to end is Unknown.
func Leases(o LeasesOptions) Checker {
	if o.Election == 0 {
		o.Election = DefaultLeaseElection
	}
	if o.Slack == 0 {
		o.Slack = DefaultLeaseSlack
	}
	if o.ClockError == 0 {
		o.ClockError = DefaultClockError
	}
	return leases{o}
}

type leases struct{ o LeasesOptions }

// LeasesDetail is the Detail of Leases. Times are nanoseconds.
type LeasesDetail struct {
	Leases int `json:"leases"`
	// Expired and Revoked were seen to end, by themselves or by a revocation that somebody asked for.
	Expired int `json:"expired"`
	Revoked int `json:"revoked"`
	// Refused are renewals that found no lease, as they must after its end.
	Refused int `json:"refused"`
	// Late are keys seen past the granted TTL + Election + Slack after the last renewal, Excused those of them that a change of leader or a
	// quorum that may have been missing explains.
	Late    int `json:"late"`
	Excused int `json:"excused"`
	// Overtime is the longest time past the granted TTL after the last renewal at which a key was seen.
	Overtime time.Duration `json:"overtime_max_ns"`
}

// leaseWord is an answer about a lease, or a request without one.
type leaseWord struct {
	f           string
	call, ret   int64
	sent, heard time.Duration
	outcome     history.Type
	answer      history.LeaseAnswer
}

// alive tells of an answer that shows that the lease was there.
func (w *leaseWord) alive() bool {
	if w.outcome != history.OK {
		return false
	}
	return w.f == fGrant || w.f == fRenew && w.answer.TTLMS > 0 || w.f == fGet && w.answer.Found || w.f == fRevoke && w.answer.Found
}

// gone tells of an answer that shows that there was no lease when it was given, or before there was one.
func (w *leaseWord) gone() bool {
	if w.outcome != history.OK {
		return false
	}
	return w.f == fRenew && w.answer.TTLMS == 0 || w.f == fGet && !w.answer.Found || w.f == fRevoke
}

func (leases) Name() string { return "leases" }

func (l leases) Check(ctx context.Context, src history.Source, _ Budget) (Result, error) {
	var (
		f      findings
		all    = map[string][]leaseWord{}
		rhythm quorumRhythm
	)
	err := f.clients(ctx, src, func(p history.Pair) error {
		switch p.Invoke.F {
		case fGrant, fRenew, fRevoke, fGet:
		default:
			return nil
		}
		w := leaseWord{
			f: p.Invoke.F, call: p.Invoke.Index, sent: p.Invoke.Time, ret: returned(p), heard: time.Duration(never), outcome: p.Outcome(),
		}
		if p.HasComplete {
			w.heard = p.Complete.Time
		}
		value := p.Invoke.Value
		if w.outcome == history.OK {
			value = p.Complete.Value
		}
		if err := json.Unmarshal(value, &w.answer); err != nil {
			return fmt.Errorf("operation %d: a lease: %w: %w", indexOf(p), ErrMalformed, err)
		}
		if w.outcome == history.OK {
			rhythm.answered(w.heard, w.answer.Term)
		}
		all[p.Invoke.Key] = append(all[p.Invoke.Key], w)
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	j := leasesJudge{f: &f, o: l.o, rhythm: &rhythm}
	for _, key := range sortedKeys(all) {
		j.judge(key, all[key])
	}
	if j.d.Expired+j.d.Revoked == 0 {
		f.unknown("nothing to check: no lease was seen to end")
	}
	d := j.d
	return f.result(fmt.Sprintf("%s, %s expired, %s revoked, %s refused; a key lived for %s past its lease's TTL at most, %s seen late and %s of them excused",
		count(d.Leases, "lease", "leases"), thousands(int64(d.Expired)), thousands(int64(d.Revoked)), count(d.Refused, "renewal", "renewals"),
		d.Overtime.Round(time.Millisecond), count(d.Late, "key", "keys"), thousands(int64(d.Excused))), d)
}

// quorumRhythm is when the system answered, and in which terms.
type quorumRhythm struct {
	// regained are the ends of stretches in which nothing was answered for quorumGap, rising; last is the last answer.
	regained []time.Duration
	last     time.Duration
	// terms are the terms in the order in which they were first seen, rising, and when that was.
	terms []seenTerm
}

type seenTerm struct {
	term uint64
	at   time.Duration
}

// answered notes an answer. Answers come in order.
func (q *quorumRhythm) answered(at time.Duration, term uint64) {
	if at-q.last > quorumGap {
		q.regained = append(q.regained, at)
	}
	q.last = at
	if n := len(q.terms); term > 0 && (n == 0 || term > q.terms[n-1].term) {
		q.terms = append(q.terms, seenTerm{term, at})
	}
}

// over tells whether a term was over by some time: a higher one had been seen.
func (q *quorumRhythm) over(term uint64, by time.Duration) bool {
	return term > 0 && slices.ContainsFunc(q.terms, func(t seenTerm) bool { return t.term > term && t.at <= by })
}

// calmSince is the latest moment up to at when a quorum may have been regained, or a leader up to the term may have begun, where an election takes two time-outs
// at most. ok is false if that is not known.
func (q *quorumRhythm) calmSince(at time.Duration, term uint64, election time.Duration) (since time.Duration, what string, ok bool) {
	if term == 0 {
		return 0, "", false
	}
	for _, r := range q.regained {
		if r <= at {
			since, what = r, "a quorum may have been missing before"
		}
	}
	for i := len(q.terms) - 1; i >= 0; i-- {
		if t := q.terms[i]; t.term <= term {
			if led := t.at + 2*election; led > since {
				since, what = led, fmt.Sprintf("the leader of term %d may have begun", t.term)
			}
			break
		}
	}
	return since, what, true
}
