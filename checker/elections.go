package checker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// Elections judges elections in which whoever owns the oldest key leads (f "campaign": history.LockRequest → history.Tenure, and f "observe":
// history.ObserveRequest → history.Observed; each Op.Key is an election of its own):
//
//   - two-leaders: two led at once, by the revisions of their keys (as they or observers saw them), or at a time at which the leases of both lived for
//     certain. Two who believed so, where the first one's lease may have run out, are unsafe by design: allowed, and measured.
//   - leader-out-of-order: an observer saw an older leader, or older words of one, after a newer one.
//   - wrong-proclamation: an observer saw at some revision other words than were written there.
//   - proclaimed-after-resigning: who had resigned, and was told so, proclaimed something, and was not refused.
//   - lease-expired-early: as Locks has it.
//
// A run in which nobody led, or nobody saw a leader, is Unknown.
func Elections(o TenureOptions) Checker {
	if o.ClockError == 0 {
		o.ClockError = DefaultClockError
	}
	return elections{o.ClockError}
}

type elections struct{ clock time.Duration }

func (elections) Name() string { return "elections" }

// observation is a history.Observed and where it is from.
type observation struct {
	history.Observed
	index int64
}

func (e elections) Check(ctx context.Context, src history.Source, _ Budget) (Result, error) {
	var f findings
	all, err := f.tenuresOf(ctx, src, fCampaign)
	if err != nil {
		return Result{}, err
	}
	observed, err := f.observations(ctx, src)
	if err != nil {
		return Result{}, err
	}
	o := ownership{f: &f, d: TenuresDetail{Ends: map[string]int{}}, clock: e.clock, overlap: "two-leaders", both: "two-leaders"}
	for key := range observed {
		if _, known := all[key]; !known {
			all[key] = nil
		}
	}
	for _, key := range sortedKeys(all) {
		broken := f.broken
		o.judge(key, all[key])
		j := electionJudge{f: &f, key: key}
		j.proclaims(all[key])
		for i := range observed[key] {
			o.d.Sightings += len(observed[key][i].Leaders)
			j.stream(&observed[key][i])
		}
		if f.broken == broken {
			j.claims(all[key], observed[key])
		}
	}
	if o.d.Tenures == 0 {
		f.unknown("nothing to check: nobody ever led")
	} else if o.d.Sightings == 0 {
		f.unknown("no observer ever saw a leader")
	}
	return f.result(fmt.Sprintf("%s; observers saw %s", o.d.summary("election", "elections"), count(o.d.Sightings, "leader", "leaders")), o.d)
}

func (f *findings) observations(ctx context.Context, src history.Source) (map[string][]observation, error) {
	out := map[string][]observation{}
	err := f.clients(ctx, src, func(p history.Pair) error {
		if p.Invoke.F != fObserve || p.Outcome() != history.OK {
			return nil
		}
		o := observation{index: p.Complete.Index}
		if err := json.Unmarshal(p.Complete.Value, &o.Observed); err != nil {
			return fmt.Errorf("operation %d: what an observer saw: %w: %w", p.Complete.Index, ErrMalformed, err)
		}
		out[p.Invoke.Key] = append(out[p.Invoke.Key], o)
		return nil
	})
	return out, err
}

// electionJudge judges what leaders said and observers saw in one election.
type electionJudge struct {
	f   *findings
	key string
	// said are the words written at each revision, by whom.
	said map[int64]words
}

type words struct {
	value string
	index int64
}

// proclaims notes what leaders said, and judges what they said too late.
func (j *electionJudge) proclaims(all []tenure) {
	j.said = map[int64]words{}
	for i := range all {
		t := &all[i]
		for _, p := range t.Proclaims {
			if p.Revision == 0 {
				continue
			}
			j.said[p.Revision] = words{p.Value, t.index}
			if p.After && t.End == history.TenureReleased {
				j.f.add(Anomaly{Name: "proclaimed-after-resigning", Key: j.key, Ops: []int64{t.index}, Why: fmt.Sprintf(
					"%s resigned, but what it proclaimed afterwards was written, at revision %d", t.who(), p.Revision)})
			}
		}
	}
}

// stream judges what one observer saw.
func (j *electionJudge) stream(o *observation) {
	for i, s := range o.Leaders {
		if w, ok := j.said[s.Modified]; ok && w.value != s.Value {
			j.f.add(Anomaly{Name: "wrong-proclamation", Key: j.key, Ops: []int64{o.index, w.index}, Why: fmt.Sprintf(
				"observer %d saw %q as of revision %d, at which %q was written (%d)", o.index, s.Value, s.Modified, w.value, w.index)})
		}
		if i == 0 {
			continue
		}
		if b := o.Leaders[i-1]; cmp.Or(cmp.Compare(s.Created, b.Created), cmp.Compare(s.Modified, b.Modified)) < 0 {
			j.f.add(Anomaly{Name: "leader-out-of-order", Key: j.key, Ops: []int64{o.index}, Why: fmt.Sprintf(
				"observer %d saw the leader of revision %d with words of revision %d after the one of revision %d with words of revision %d",
				o.index, s.Created, s.Modified, b.Created, b.Modified)})
		}
	}
}

// claim is what is known of one leader's time: it led at a revision that is low or above, and at one that is high or below.
type claim struct {
	created, low, high    int64
	lowIndex, highIndex   int64
	lowReason, highReason string
}

// claims judges leaders and what observers saw of them against each other: a leader with a younger key leads only when the older
// one's is gone, so all of its revisions are above all of the older one's.
func (j *electionJudge) claims(all []tenure, observed []observation) {
	by := map[int64]*claim{}
	note := func(created, low, high, index int64, what string) {
		c := by[created]
		if c == nil {
			c = &claim{created: created, low: -1, high: never}
			by[created] = c
		}
		if low > c.low {
			c.low, c.lowIndex, c.lowReason = low, index, what
		}
		if high < c.high {
			c.high, c.highIndex, c.highReason = high, index, what
		}
	}
	for i := range all {
		if t := &all[i]; t.began() {
			note(t.Created, t.seenUntil(), slices.Min(t.Seen), t.index, "by its own words")
		}
	}
	for _, o := range observed {
		for _, s := range o.Leaders {
			note(s.Created, s.Modified, s.Revision, o.index, "as an observer saw")
		}
	}
	var last *claim
	for _, created := range sortedKeys(by) {
		c := by[created]
		if last != nil && last.low >= c.high {
			j.f.add(Anomaly{Name: "two-leaders", Key: j.key, Ops: []int64{last.lowIndex, c.highIndex}, Why: fmt.Sprintf(
				"the leader of revision %d led at revision %d or later (%s), but the one of revision %d led at revision %d or before (%s)",
				last.created, last.low, last.lowReason, c.created, c.high, c.highReason)})
		}
		if last == nil || c.low > last.low {
			last = c
		}
	}
}
