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
	return f.result(membersSummary(states), states)
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
		switch {
		case a.HashRevision == 0 || b.HashRevision == 0:
			f.unknown("%s and %s: no hash was asked for", a.Node, b.Node)
		case a.HashRevision != b.HashRevision:
			f.unknown("%s and %s were hashed at different revisions (%d and %d)", a.Node, b.Node, a.HashRevision, b.HashRevision)
		case a.CompactRevision != b.CompactRevision:
			f.unknown("%s and %s are compacted at different revisions (%d and %d): their hashes can't be compared",
				a.Node, b.Node, a.CompactRevision, b.CompactRevision)
		case minor(a.Version) != minor(b.Version):
			f.unknown("%s and %s run different versions (%s and %s), which may hash differently", a.Node, b.Node, a.Version, b.Version)
		case a.Hash != b.Hash:
			f.add(Anomaly{Name: "hash-divergence", Ops: []int64{index}, Why: fmt.Sprintf(
				"at revision %d the store of %s hashes to %d, but that of %s to %d", a.HashRevision, a.Node, a.Hash, b.Node, b.Hash)})
		}
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
