package checker

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/faultline/faultline/harness/history"
)

// Members judges whether the members agree after the final quiet period, by the last operation history.FMembers of the nemesis:
// their revisions are equal, and so are their hashes where those may be compared (asked at one revision, of stores compacted at the
// same one, by versions that hash alike).
//
// While the run went on, faults or not, members need not be at one revision; but at any one that two of them have reached, their hashes
// are equal as well (evidence history.FHashes). What could not be compared then counts for nothing.
//
// It is Unknown where nobody asked, a member did not answer, the system never got well, or the history is incomplete.
func Members() Checker { return members{} }

type members struct{}

func (members) Name() string { return "members" }

func (members) Check(ctx context.Context, src history.Source, _ Budget) (Result, error) {
	var (
		f       findings
		last    *history.Pair
		healthy *history.Pair
	)
	err := f.nemesis(ctx, src, func(p history.Pair) error {
		switch p.Invoke.F {
		case history.FMembers:
			last = &p
		case history.FAwaitHealthy:
			healthy = &p
		}
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	during, err := f.hashesDuring(src)
	if err != nil {
		return Result{}, err
	}
	var states []history.MemberState
	if last != nil && last.Outcome() == history.OK {
		if err := json.Unmarshal(last.Complete.Value, &states); err != nil {
			return Result{}, fmt.Errorf("%w: operation %d: the members' state: %w", ErrMalformed, last.Complete.Index, err)
		}
	}
	switch {
	case !src.Complete():
		f.unknown("the history is incomplete: whether the members converged shows at the end of a run only")
	case last == nil:
		f.unknown("nobody asked the members for their state")
	case last.Outcome() != history.OK:
		f.unknown("the members could not be asked for their state: %s", last.Complete.Error)
	case len(states) == 0:
		f.unknown("no member told its state")
	case healthy != nil && healthy.Outcome() != history.OK:
		f.unknown("the system did not get well again, so its members need not agree: %s", healthy.Complete.Error)
	default:
		compareMembers(&f, last.Complete.Index, states)
	}
	return f.result(membersSummary(states)+during, states)
}

// hashesDuring compares what members said while the run went on, and says how often it could.
func (f *findings) hashesDuring(src history.Source) (string, error) {
	asked, compared := 0, 0
	for op, err := range src.Ops() {
		switch {
		case err != nil:
			return "", fmt.Errorf("read the history: %w", err)
		case op.Process != history.Evidence || op.F != history.FHashes:
			continue
		}
		var states []history.MemberState
		if err := json.Unmarshal(op.Value, &states); err != nil {
			return "", fmt.Errorf("%w: operation %d: the members' state: %w", ErrMalformed, op.Index, err)
		}
		asked++
		var first *history.MemberState
		for i := range states {
			b := &states[i]
			switch {
			case b.Error != "" || b.HashRevision == 0:
			case first == nil:
				first = b
			case incomparable(first, b) == "":
				compared++
				f.compareHashes(op.Index, first, b)
			}
		}
	}
	if asked == 0 {
		return "", nil
	}
	return fmt.Sprintf("; asked %s during the run, hashes compared %s", count(asked, "time", "times"), count(compared, "time", "times")), nil
}

// incomparable says why the hashes of two members mean nothing to each other; empty: they do.
func incomparable(a, b *history.MemberState) string {
	switch {
	case a.HashRevision == 0 || b.HashRevision == 0:
		return "no hash was asked for"
	case a.HashRevision != b.HashRevision:
		return fmt.Sprintf("they were hashed at different revisions (%d and %d)", a.HashRevision, b.HashRevision)
	case a.CompactRevision != b.CompactRevision:
		return fmt.Sprintf("they are compacted at different revisions (%d and %d), so that their hashes can't be compared", a.CompactRevision, b.CompactRevision)
	case minor(a.Version) != minor(b.Version):
		return fmt.Sprintf("they run different versions (%s and %s), which may hash differently", a.Version, b.Version)
	}
	return ""
}

func (f *findings) compareHashes(index int64, a, b *history.MemberState) {
	if a.Hash != b.Hash {
		f.add(Anomaly{Name: "hash-divergence", Ops: []int64{index}, Why: fmt.Sprintf(
			"at revision %d the store of %s hashes to %d, but that of %s to %d", a.HashRevision, a.Node, a.Hash, b.Node, b.Hash)})
	}
}

// compareMembers adds the anomalies of states that were taken after the quiet period.
func compareMembers(f *findings, index int64, states []history.MemberState) {
	var answered []history.MemberState
	for _, s := range states {
		if s.Error != "" {
			f.unknown("member %s did not tell its state: %s", s.Node, s.Error)
			continue
		}
		answered = append(answered, s)
	}
	for _, b := range answered[min(1, len(answered)):] {
		a := answered[0]
		if a.Revision != b.Revision {
			f.add(Anomaly{Name: "revision-divergence", Ops: []int64{index}, Why: fmt.Sprintf(
				"after the quiet period %s is at revision %d, but %s is at %d", a.Node, a.Revision, b.Node, b.Revision)})
		}
		if why := incomparable(&a, &b); why != "" {
			f.unknown("%s and %s: %s", a.Node, b.Node, why)
			continue
		}
		f.compareHashes(index, &a, &b)
	}
}

// minor is 3.6 of 3.6.16: within a minor release stores hash alike.
func minor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

func membersSummary(states []history.MemberState) string {
	if len(states) == 0 {
		return "no members compared"
	}
	return fmt.Sprintf("%s, the first at revision %d", count(len(states), "member", "members"), states[0].Revision)
}
