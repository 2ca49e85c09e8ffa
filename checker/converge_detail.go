package checker

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// ConvergeDetail is the Detail of Converge. Times are nanoseconds; moments since the beginning of the run.
type ConvergeDetail struct {
	// QuietNS is the quiet point, After what it comes after: "the last fault", "the last change". BoundNS, HoldNS and Stated are what was asked
	// for; the bound runs from AwaitNS, when the system was well again. EndNS is the last sample.
	QuietNS time.Duration `json:"quiet_ns"`
	After   string        `json:"after"`
	BoundNS time.Duration `json:"bound_ns"`
	HoldNS  time.Duration `json:"hold_ns"`
	Stated  bool          `json:"stated"`
	AwaitNS time.Duration `json:"await_ns,omitempty"`
	EndNS   time.Duration `json:"end_ns"`
	// Converged: everything matched and held, ConvergedNS after the quiet point.
	Converged   bool          `json:"converged"`
	ConvergedNS time.Duration `json:"converged_ns,omitempty"`
	// IntervalNS is the mean time between two looks at a quorum's view: how exact all times are.
	IntervalNS time.Duration `json:"interval_ns"`
	// Trend is how many mismatches the quorum's view had at the quiet point, half way, and at the end.
	Trend [3]int64 `json:"trend"`
	// Faults are in the order of their starts.
	Faults []FaultConvergence `json:"faults"`
	// Kinds are of the times for which objects did not match; views are among them, as the kind "view".
	Kinds      map[string]*KindConvergence      `json:"kinds"`
	Components map[string]*ComponentConvergence `json:"components"`
	Views      map[string]*ConvergeView         `json:"views"`
	// Blips are mismatches that passed, Drifts those that were there at the end.
	Blips  int64 `json:"blips"`
	Drifts int64 `json:"drifts"`
	// Objects are those that have not converged, the first of them.
	Objects []ObjectConvergence `json:"objects,omitempty"`
	// Longest are the longest times for which objects did not match.
	Longest []Mismatched `json:"longest,omitempty"`
	// Compared are comparisons of two views at one revision of a kind, Disagreed those in which they differed.
	Compared  int64 `json:"compared"`
	Disagreed int64 `json:"disagreed"`
}

// FaultConvergence is how long after one fault's end what it had disturbed matched again, and held.
type FaultConvergence struct {
	ID      string        `json:"id"`
	Family  string        `json:"family"`
	Variant string        `json:"variant,omitempty"`
	Nodes   []string      `json:"nodes,omitempty"`
	StartNS time.Duration `json:"start_ns"`
	StopNS  time.Duration `json:"stop_ns,omitempty"`
	// Open: it was not proved to have ended.
	Open bool `json:"open,omitempty"`
	// Objects did not match when it ended, or began not to before the next fault although nothing new was declared of them.
	Objects int64 `json:"objects"`
	// ConvergedNS is from its end to when the last of them matched, those left out that another fault or change came in between
	// of (Interrupted), or that never did (Left). Absent if that leaves none of some.
	ConvergedNS *time.Duration `json:"converged_ns,omitempty"`
	Interrupted int64          `json:"interrupted,omitempty"`
	Left        int64          `json:"left,omitempty"`
	// With are other faults that were in force after its end, before all matched: the time may be theirs.
	With []string `json:"with,omitempty"`
	// Last is the object that took the longest, and the component that owed it.
	Last *Mismatched `json:"last,omitempty"`
}

// KindConvergence is how long objects of a kind, or a component's, did not match, each time.
type KindConvergence struct {
	Times int64         `json:"times"`
	P50NS time.Duration `json:"p50_ns"`
	P90NS time.Duration `json:"p90_ns"`
	MaxNS time.Duration `json:"max_ns"`
	// Left is how many there were at the end.
	Left int64 `json:"left,omitempty"`
	all  []time.Duration
}

// ComponentConvergence is what a component owed.
type ComponentConvergence struct {
	KindConvergence

	// Verdict is the worst of its objects': converged, slow, stalled, …
	Verdict string `json:"verdict"`
}

// ObjectConvergence is an object that has not converged.
type ObjectConvergence struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Verdict is an anomaly's name, or unknown.
	Verdict   string `json:"verdict"`
	Rule      string `json:"rule"`
	Component string `json:"component"`
	Why       string `json:"why"`
	// SinceNS is when it began not to match; WrittenNS, when it or what belongs to it was last written; Writes, how often it was itself
	// since the quiet point.
	SinceNS   time.Duration `json:"since_ns"`
	WrittenNS time.Duration `json:"written_ns"`
	Writes    int64         `json:"writes"`
}

// Mismatched is a time for which an object did not match.
type Mismatched struct {
	Kind      string        `json:"kind"`
	Name      string        `json:"name"`
	Rule      string        `json:"rule"`
	Component string        `json:"component"`
	Why       string        `json:"why"`
	FromNS    time.Duration `json:"from_ns"`
	// ToNS is when it matched again; 0: it did not.
	ToNS time.Duration `json:"to_ns,omitempty"`
	// Declared: it began with a change of what is declared. Faults were in force meanwhile.
	Declared bool     `json:"declared,omitempty"`
	Faults   []string `json:"faults,omitempty"`
}

// ConvergeView is what one view showed.
type ConvergeView struct {
	Samples    int64 `json:"samples"`
	Unreadable int64 `json:"unreadable,omitempty"`
	// UnreadableNS is for how long it could not be read, BehindMaxNS how far it was behind the quorum's view at most.
	UnreadableNS time.Duration `json:"unreadable_ns,omitempty"`
	BehindMaxNS  time.Duration `json:"behind_max_ns,omitempty"`
	// Compared is how often it was compared with the store after the quiet point, at one revision of a kind.
	Compared int64 `json:"compared,omitempty"`
	// Points are how many mismatches it shows from when on: pairs of milliseconds and number; -1: it could not be read.
	Points [][2]int64 `json:"points"`
}

// pointsMax bounds a view's points.
const pointsMax = 2000

// at notes the number of mismatches at a time. Where there are too many points, every other one goes, the lower of two.
func (v *ConvergeView) at(t time.Duration, n int64) {
	last := len(v.Points) - 1
	if last >= 0 && v.Points[last][1] == n {
		return
	}
	if len(v.Points) >= pointsMax {
		kept := v.Points[:0]
		for i := 0; i+1 < len(v.Points); i += 2 {
			p := v.Points[i]
			p[1] = max(p[1], v.Points[i+1][1])
			kept = append(kept, p)
		}
		v.Points = kept
	}
	v.Points = append(v.Points, [2]int64{t.Milliseconds(), n})
}

// when is the number of mismatches at a time.
func (v *ConvergeView) when(t time.Duration) int64 {
	n := int64(0)
	for _, p := range v.Points {
		if p[0] > t.Milliseconds() {
			break
		}
		n = p[1]
	}
	return n
}

func (k *KindConvergence) add(e *episode) {
	k.Times++
	if e.open() {
		k.Left++
		return
	}
	k.all = append(k.all, e.to.Time-e.from.Time)
}

func (k *KindConvergence) measure() {
	slices.Sort(k.all)
	if n := len(k.all); n > 0 {
		k.P50NS, k.P90NS, k.MaxNS = k.all[n/2], k.all[n*9/10], k.all[n-1]
	}
}

func (d *ConvergeDetail) summary() string {
	var b strings.Builder
	switch {
	case d.Converged:
		fmt.Fprintf(&b, "converged %s after %s", seconds(d.ConvergedNS), d.After)
	case d.EndNS == 0:
		b.WriteString("nothing was observed")
	default:
		fmt.Fprintf(&b, "not converged %s after %s: %s", seconds(d.EndNS-d.QuietNS), d.After, d.trend())
	}
	if d.BoundNS > 0 {
		fmt.Fprintf(&b, " (bound %s%s)", d.BoundNS, map[bool]string{true: ", stated"}[d.Stated])
	}
	b.WriteString(d.faultsSummary())
	if kinds := slices.Sorted(maps.Keys(d.Kinds)); len(kinds) > 0 {
		b.WriteString("; per kind:")
		for i, name := range kinds {
			k := d.Kinds[name]
			fmt.Fprintf(&b, "%s %s p50 %s max %s", comma(i), name, seconds(k.P50NS), seconds(k.MaxNS))
		}
	}
	return b.String()
}

func comma(i int) string {
	if i == 0 {
		return ""
	}
	return ","
}

// trend is "12, then 4, now 2 mismatches, falling".
func (d *ConvergeDetail) trend() string {
	word := "not falling"
	switch {
	case d.Trend[2] < d.Trend[0] && d.Trend[2] <= d.Trend[1]:
		word = "falling"
	case d.Trend[2] > d.Trend[0]:
		word = "rising"
	}
	return fmt.Sprintf("%d mismatches at first, %d half way, %d at the end: %s", d.Trend[0], d.Trend[1], d.Trend[2], word)
}

// faultsMax is how many faults are named one by one.
const faultsMax = 8

// faultsSummary is "; per fault: kill-1 2.1 s, partition-2 6.0 s", or by family where there are many.
func (d *ConvergeDetail) faultsSummary() string {
	if len(d.Faults) == 0 {
		return ""
	}
	if len(d.Faults) <= faultsMax {
		var words []string
		for i := range d.Faults {
			words = append(words, d.Faults[i].ID+" "+d.Faults[i].words())
		}
		return "; per fault: " + strings.Join(words, ", ")
	}
	families, other := map[string]*KindConvergence{}, map[string]int{}
	for i := range d.Faults {
		f := &d.Faults[i]
		if families[f.Family] == nil {
			families[f.Family] = &KindConvergence{}
		}
		if f.ConvergedNS == nil {
			other[f.Family]++
			continue
		}
		families[f.Family].all = append(families[f.Family].all, *f.ConvergedNS)
	}
	var words []string
	for _, name := range slices.Sorted(maps.Keys(families)) {
		k := families[name]
		k.measure()
		word := fmt.Sprintf("%s p50 %s max %s (of %d)", name, seconds(k.P50NS), seconds(k.MaxNS), len(k.all))
		switch n := other[name]; {
		case len(k.all) == 0:
			word = fmt.Sprintf("%s not told apart from others (of %d)", name, n)
		case n > 0:
			word += fmt.Sprintf(" and %d not told apart from others", n)
		}
		words = append(words, word)
	}
	return "; per fault: " + strings.Join(words, ", ")
}

func (f *FaultConvergence) words() string {
	switch {
	case f.Open:
		return "did not end"
	case f.Left > 0:
		return "not yet"
	case f.ConvergedNS == nil:
		return "until the next"
	}
	if len(f.With) > 0 {
		return seconds(*f.ConvergedNS) + " with " + strings.Join(f.With, " and ")
	}
	return seconds(*f.ConvergedNS)
}

// mismatched is an episode as reports have it.
func (q *quietPoint) mismatched(e *episode) Mismatched {
	m := Mismatched{
		Kind: e.kind, Name: e.name, Rule: e.mismatch.Rule, Component: e.mismatch.Component, Why: e.mismatch.Why, FromNS: e.from.Time, Declared: e.declared,
	}
	until := int64(never - 1)
	if !e.open() {
		m.ToNS, until = e.to.Time, e.to.Index
	}
	for i := range q.windows {
		if w := &q.windows[i]; w.Overlaps(e.from.Index, until) {
			m.Faults = append(m.Faults, w.ID)
		}
	}
	return m
}
