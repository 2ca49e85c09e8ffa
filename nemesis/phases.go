package nemesis

import (
	"time"

	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

// Shape says how long the parts of a run take.
type Shape struct {
	// TimeLimit is how long clients and faults go on.
	TimeLimit time.Duration
	// Quiet bounds the wait for the system to be well after the faults.
	Quiet time.Duration
	// Converge, where not nil, is how long to wait, once the system is well, until what is observed matches what is declared, and stays so;
	// the system must be a harness.Converger.
	Converge *history.Convergence
}

// Phases is the shape of every run: clients and faults for the time limit (faults in force are stopped at its end);
// heal; wait for the system to be well, at most for the quiet period, and to converge, where that is wanted; the mark that
// final reads follow, and these; what the members say of themselves. Each begins when the one before is over. Whatever the
// completions of the nemesis say, the run goes on to its end: a system that is not well is recorded as such, and read all the
// same, for no longer than the main phase or the quiet period took (processes whose reads end unknown are followed by new ones,
// without end). main and final may be nil.
func Phases(main, final generator.Generator, pkg Package, s Shape) generator.Generator {
	var breaking []generator.Generator
	if main != nil {
		breaking = append(breaking, generator.TimeLimit(s.TimeLimit, generator.Clients(main)))
	}
	switch g := pkg.Generator.(type) {
	case nil:
	case *schedule:
		breaking = append(breaking, generator.NemesisOnly(g.until(s.TimeLimit)))
	default:
		breaking = append(breaking, generator.TimeLimit(s.TimeLimit, generator.NemesisOnly(g)))
	}
	phases := []generator.Generator{
		generator.Any(breaking...),
		once(history.FHeal, nil),
		once(history.FAwaitHealthy, Await{BoundMS: s.Quiet.Milliseconds()}),
	}
	if s.Converge != nil {
		phases = append(phases, once(history.FAwaitConverged, s.Converge))
	}
	phases = append(phases, once(history.FFinalReads, nil))
	if final != nil {
		phases = append(phases, generator.TimeLimit(max(s.TimeLimit, s.Quiet), generator.Clients(final)))
	}
	return generator.Phases(append(phases, once(history.FMembers, nil))...)
}

// once is one operation of the nemesis.
func once(f string, value any) generator.Generator {
	op := history.Op{F: f}
	if value != nil {
		op.Value = encode(value)
	}
	return generator.NemesisOnly(generator.Once(op))
}
