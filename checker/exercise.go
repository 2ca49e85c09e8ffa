package checker

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/faultline/faultline/harness/history"
)

// Exercise judges whether the run tested anything: it is Valid only if the least of operations, contention and reads was reached, every
// requested fault took effect, and each that acted proved it and was undone by the driver. It is never Invalid.
//
// requested are the entries of --nemesis after expansion, as history.Fault.Requested has them.
func Exercise(minimum Minimum, requested []string) Checker {
	return exercise{minimum, slices.Clone(requested)}
}

type exercise struct {
	minimum   Minimum
	requested []string
}

// Reached is what was reached of what was required.
type Reached struct {
	Reached  int64 `json:"reached"`
	Required int64 `json:"required"`
}

func (r Reached) String() string { return thousands(r.Reached) + " of " + thousands(r.Required) }

// FaultCoverage is what happened of one kind of fault, or of one requested entry.
type FaultCoverage struct {
	// Acted took effect and proved it, Skipped found nothing to act on, Unproved acted without a proof.
	Acted    int64 `json:"acted"`
	Skipped  int64 `json:"skipped"`
	Unproved int64 `json:"unproved"`
	// SkippedWhy are the distinct reasons.
	SkippedWhy []string `json:"skipped_why,omitempty"`
}

// FamilyCoverage is what happened of one kind of fault and around it.
type FamilyCoverage struct {
	FaultCoverage
	ReadsDuring Reached `json:"reads_during"`
	ReadsAfter  Reached `json:"reads_after"`
}

// ExerciseDetail is the Detail of Exercise.
type ExerciseDetail struct {
	OK            Reached                    `json:"ok"`
	ContendedKeys Reached                    `json:"contended_keys"`
	Reads         int64                      `json:"reads"`
	Families      map[string]*FamilyCoverage `json:"families"`
	Requested     map[string]*FaultCoverage  `json:"requested"`
}

func (exercise) Name() string { return "exercise" }

func (e exercise) Check(ctx context.Context, src history.Source, _ Budget) (Result, error) {
	var f findings
	all, err := f.faultsOf(ctx, src)
	if err != nil {
		return Result{}, err
	}
	d := ExerciseDetail{
		OK: Reached{Required: e.minimum.OK}, ContendedKeys: Reached{Required: e.minimum.ContendedKeys},
		Families: map[string]*FamilyCoverage{}, Requested: map[string]*FaultCoverage{},
	}
	e.countFaults(&d, all)
	if err := f.countOperations(ctx, src, &d, all); err != nil {
		return Result{}, err
	}
	if !src.Complete() {
		f.unknown("the history is incomplete: what it exercised is only a part of the run")
	}
	e.judgeLoad(&f, d)
	e.judgeFaults(&f, d, all)
	return f.result(d.summary(), d)
}

// countFaults fills Families and Requested.
func (e exercise) countFaults(d *ExerciseDetail, all faults) {
	for _, r := range e.requested {
		d.Requested[r] = &FaultCoverage{}
	}
	for i := range all.windows {
		w := &all.windows[i]
		fam := d.Families[w.Family]
		if fam == nil {
			fam = &FamilyCoverage{
				ReadsDuring: Reached{Required: e.minimum.ReadsDuring}, ReadsAfter: Reached{Required: e.minimum.ReadsAfter},
			}
			d.Families[w.Family] = fam
		}
		fam.count(w)
		if r := d.Requested[w.Requested]; r != nil {
			r.count(w)
		}
	}
}

func (c *FaultCoverage) count(w *history.Window) {
	switch {
	case w.Skipped != "":
		c.Skipped++
		if why := clip(w.Skipped); !slices.Contains(c.SkippedWhy, why) {
			c.SkippedWhy = append(c.SkippedWhy, why)
		}
	case proved(w):
		c.Acted++
	default:
		c.Unproved++
	}
}

// countOperations fills in what clients did.
func (f *findings) countOperations(ctx context.Context, src history.Source, d *ExerciseDetail, all faults) error {
	around := map[string]*[2]spanList{}
	for i := range all.windows {
		w := &all.windows[i]
		if !proved(w) {
			continue
		}
		s := around[w.Family]
		if s == nil {
			s = &[2]spanList{}
			around[w.Family] = s
		}
		s[0] = append(s[0], during(w))
		if after, ok := all.after(w); ok {
			s[1] = append(s[1], after)
		}
	}
	keys := keyUse{}
	err := f.clients(ctx, src, func(p history.Pair) error {
		if p.Outcome() == history.Fail {
			return nil
		}
		read, err := keys.touch(p)
		if err != nil || p.Outcome() != history.OK {
			return err
		}
		d.OK.Reached++
		if !read {
			return nil
		}
		d.Reads++
		for name, s := range around {
			if s[0].contains(p.Invoke.Index, p.Complete.Index) {
				d.Families[name].ReadsDuring.Reached++
			}
			if s[1].contains(p.Invoke.Index, p.Complete.Index) {
				d.Families[name].ReadsAfter.Reached++
			}
		}
		return nil
	})
	d.ContendedKeys.Reached = keys.contended()
	return err
}

// judgeLoad says what was too little.
func (e exercise) judgeLoad(f *findings, d ExerciseDetail) {
	if d.OK.Reached == 0 {
		f.unknown("no client operation was ok: nothing was exercised")
	} else if d.OK.Reached < d.OK.Required {
		f.unknown("load too low: %s operations required were ok", d.OK)
	}
	if d.ContendedKeys.Reached < d.ContendedKeys.Required {
		f.unknown("contention too low: %s keys required were used by two processes or more, one of them writing", d.ContendedKeys)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Families)) {
		fam := d.Families[name]
		if fam.Acted == 0 {
			continue
		}
		if r := fam.ReadsDuring; r.Reached < r.Required {
			f.unknown("%s reads required were ok during %s", r, name)
		}
		if r := fam.ReadsAfter; r.Reached < r.Required {
			f.unknown("%s reads required were ok after %s, before the next fault", r, name)
		}
	}
}

// judgeFaults says which fault did not do what it was asked for.
func (e exercise) judgeFaults(f *findings, d ExerciseDetail, all faults) {
	for _, r := range e.requested {
		c := d.Requested[r]
		switch {
		case c.Acted > 0:
		case c.Skipped > 0:
			f.unknown("%s never took effect: skipped %s (%s)", r, count(c.Skipped, "time", "times"), strings.Join(c.SkippedWhy, "; "))
		case c.Unproved == 0:
			f.unknown("%s never took effect: it was not tried", r)
		}
	}
	for i := range all.windows {
		w := &all.windows[i]
		switch {
		case w.Skipped != "":
		case len(w.Unsure) > 0:
			f.unknown("%s: what it did is not proved: %s", fault(w), strings.Join(w.Unsure, "; "))
		case !proved(w):
			f.unknown("%s: what it did is not proved: no proof was recorded", fault(w))
		case w.Open:
			f.unknown("%s was never undone", fault(w))
		}
	}
	for _, w := range all.watchdogs {
		f.unknown("a watchdog undid faults before the driver did, so they did not last as recorded: %s", w)
	}
	if h := all.healthy; h != nil && h.Outcome() != history.OK {
		f.unknown("the system did not get well again after the last fault was undone: %s", cmp.Or(h.Complete.Error, "await-healthy did not end"))
	}
}

// fault names one: "partition-3 (partition leader+drop+peer)".
func fault(w *history.Window) string {
	return fmt.Sprintf("%s (%s)", w.ID, strings.TrimSpace(w.Family+" "+w.Variant))
}

// summary is "12,000 of 5,000 ok, 20 of 10 contended keys; kill: 4 acted, reads 120 of 10 during, 300 of 10 after".
func (d ExerciseDetail) summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "ok %s required, contended keys %s", d.OK, d.ContendedKeys)
	for _, name := range slices.Sorted(maps.Keys(d.Families)) {
		fam := d.Families[name]
		fmt.Fprintf(&b, "; %s: %d acted", name, fam.Acted)
		if fam.Skipped > 0 {
			fmt.Fprintf(&b, ", %d skipped", fam.Skipped)
		}
		if fam.Unproved > 0 {
			fmt.Fprintf(&b, ", %d not proved", fam.Unproved)
		}
		fmt.Fprintf(&b, ", reads %s during, %s after", fam.ReadsDuring, fam.ReadsAfter)
	}
	return b.String()
}
