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

// LeadersOptions bound what two leaders at once may be.
type LeadersOptions struct {
	// Tolerated is how long two processes may both lead in the final phase, where no fault is in force any more: who releases a lease may
	// learn that it did later than the next one takes it. 0 is DefaultLeadersTolerated.
	Tolerated time.Duration
}

// DefaultLeadersTolerated is longer than an answer takes on a system that is well, and shorter than a lease.
const DefaultLeadersTolerated = time.Second

// Leaders measures for how long two processes led at once, by their own belief (f "lead" → history.Terms; each Op.Key is an
// election of its own). A lease without fencing does not promise that there is one leader at most: a leader that is held up, or cut off
// from the store, believes in its term until it looks at its clock. Such an overlap is told as an allowed anomaly, two-leaders, with its sum, its longest and their
// number. It breaks the promise only where nothing excuses it: if it lasts longer than Tolerated in the final phase, after
// the nemesis's history.FFinalReads, with every fault undone and the system well. Where that is not certain, such an overlap is Unknown.
//
// Times are the driver's, on which all candidates run. Terms of an operation of unknown outcome are not known and not
// counted. A run in which nobody led, or nobody in the final phase, is Unknown.
func Leaders(o LeadersOptions) Checker {
	if o.Tolerated == 0 {
		o.Tolerated = DefaultLeadersTolerated
	}
	return leaders{o.Tolerated}
}

type leaders struct{ tolerated time.Duration }

// LeadersDetail is the Detail of Leaders. Times are nanoseconds.
type LeadersDetail struct {
	Elections int `json:"elections"`
	Terms     int `json:"terms"`
	// FinalTerms are those that lasted into the final phase.
	FinalTerms int `json:"final_terms"`
	// Ends counts terms by how they ended.
	Ends map[string]int `json:"ends"`
	// Led is for how long there was a leader, all elections together.
	Led time.Duration `json:"led_ns"`
	// Overlaps are the stretches with more than one leader, their sum, and the longest of them.
	Overlaps   int           `json:"overlaps"`
	OverlapSum time.Duration `json:"overlap_sum_ns"`
	OverlapMax time.Duration `json:"overlap_max_ns"`
	// FinalMax is the longest within the final phase.
	FinalMax time.Duration `json:"final_max_ns"`
	// Leaderless is the longest time between two terms.
	Leaderless time.Duration `json:"leaderless_max_ns"`
}

// term is one term of one process.
type term struct {
	from, to time.Duration
	index    int64
	process  history.Process
	node     string
	end      string
}

func (leaders) Name() string { return "leaders" }

func (l leaders) Check(ctx context.Context, src history.Source, _ Budget) (Result, error) {
	var (
		f         findings
		elections = map[string][]term{}
		final     = time.Duration(never)
		finalAt   = int64(never)
		d         = LeadersDetail{Ends: map[string]int{}}
	)
	err := f.nemesis(ctx, src, func(p history.Pair) error {
		if p.Invoke.F == history.FFinalReads {
			final, finalAt = p.Invoke.Time, p.Invoke.Index
		}
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	faults, err := f.faultsOf(ctx, src)
	if err != nil {
		return Result{}, err
	}
	err = f.clients(ctx, src, func(p history.Pair) error {
		if p.Invoke.F != fLead || p.Outcome() != history.OK {
			return nil
		}
		var v history.Terms
		if err := json.Unmarshal(p.Complete.Value, &v); err != nil {
			return fmt.Errorf("operation %d: terms: %w: %w", p.Complete.Index, ErrMalformed, err)
		}
		for _, t := range v.Terms {
			d.Ends[t.End]++
			elections[p.Invoke.Key] = append(elections[p.Invoke.Key], term{
				time.Duration(t.FromNS), time.Duration(t.ToNS), p.Complete.Index, p.Invoke.Process, p.Invoke.Node, t.End,
			})
		}
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	j := leadersJudge{f: &f, d: &d, final: final, tolerated: l.tolerated, unwell: faults.unwell(finalAt)}
	for _, key := range sortedKeys(elections) {
		j.judge(key, elections[key])
	}
	if j.excused {
		for _, why := range j.unwell {
			f.unknown("two processes led in the final phase, but %s", why)
		}
	}
	switch {
	case d.Terms == 0:
		f.unknown("nothing to check: nobody ever led")
	case !src.Complete():
		f.unknown("the history is incomplete: whether two leaders stay shows in the final phase only")
	case final == never:
		f.unknown("there is no final phase: the nemesis did not mark it (%s)", history.FFinalReads)
	case d.FinalTerms == 0:
		f.unknown("nobody led in the final phase")
	}
	return f.result(d.summary(), d)
}

func (d *LeadersDetail) summary() string {
	s := fmt.Sprintf("%s, %s", count(d.Elections, "election", "elections"), count(d.Terms, "term", "terms"))
	if d.Overlaps == 0 {
		return s + ", never two leaders"
	}
	return fmt.Sprintf("%s, two leaders %s for %s in all, at most %s (%s in the final phase)", s, count(d.Overlaps, "time", "times"),
		d.OverlapSum.Round(time.Millisecond), d.OverlapMax.Round(time.Millisecond), d.FinalMax.Round(time.Millisecond))
}

// leadersJudge judges one election after the other.
type leadersJudge struct {
	f         *findings
	d         *LeadersDetail
	final     time.Duration
	tolerated time.Duration
	// unwell is why the system may not have been well in the final phase; excused: there was an overlap that this excuses.
	unwell  []string
	excused bool
}

// judge measures the overlaps of one election's terms.
func (j *leadersJudge) judge(key string, terms []term) {
	slices.SortFunc(terms, func(a, b term) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.index, b.index)) })
	j.d.Elections++
	j.d.Terms += len(terms)
	var (
		last  *term         // of the terms so far the one that ends last
		until time.Duration // up to where overlaps were counted
	)
	for i := range terms {
		t := &terms[i]
		if t.to > j.final {
			j.d.FinalTerms++
		}
		switch {
		case last == nil:
			j.d.Led += t.to - t.from
		case t.from >= last.to:
			j.d.Leaderless = max(j.d.Leaderless, t.from-last.to)
			j.d.Led += t.to - t.from
		default:
			j.d.Led += max(0, t.to-last.to)
			from, to := max(t.from, until), min(t.to, last.to)
			if t.process != last.process && to > from {
				j.overlap(key, last, t, from, to)
				until = to
			}
		}
		if last == nil || t.to > last.to {
			last = t
		}
	}
}

// overlap notes a stretch in which two processes led.
func (j *leadersJudge) overlap(key string, a, b *term, from, to time.Duration) {
	long := to - from
	j.d.Overlaps++
	j.d.OverlapSum += long
	j.d.OverlapMax = max(j.d.OverlapMax, long)
	final := max(0, to-max(from, j.final))
	j.d.FinalMax = max(j.d.FinalMax, final)
	why := fmt.Sprintf("process %s%s led from %s to %s (%s), and process %s%s from %s to %s (%s): both for %s",
		a.process, on(a.node), a.from, a.to, a.end, b.process, on(b.node), b.from, b.to, b.end, long)
	if final > j.tolerated {
		why += fmt.Sprintf(", %s of it in the final phase, where at most %s is tolerated", final, j.tolerated)
	}
	j.excused = j.excused || final > j.tolerated && len(j.unwell) > 0
	j.f.add(Anomaly{Name: "two-leaders", Key: key, Ops: []int64{a.index, b.index}, Why: why, Allowed: final <= j.tolerated || len(j.unwell) > 0})
}
