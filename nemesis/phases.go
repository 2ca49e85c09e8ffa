package nemesis

import (
	"time"

	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

// Phases is the shape of every run: clients and faults for the time limit (faults in force are stopped at its end);
// heal; wait for the system to be well, at most for the quiet period; the mark that final reads follow, and these;
// what the members say of themselves. Each begins when the one before is over. Whatever the completions of the nemesis
// say, the run goes on to its end: a system that is not well is recorded as such, and read all the same, for no longer
// than the main phase or the quiet period took (processes whose reads end unknown are followed by new ones, without
// end). main and final may be nil.
func Phases(main, final generator.Generator, pkg Package, timeLimit, quiet time.Duration) generator.Generator {
	var breaking []generator.Generator
	if main != nil {
		breaking = append(breaking, generator.TimeLimit(timeLimit, generator.Clients(main)))
	}
	switch g := pkg.Generator.(type) {
	case nil:
	case *schedule:
		breaking = append(breaking, generator.NemesisOnly(g.until(timeLimit)))
	default:
		breaking = append(breaking, generator.TimeLimit(timeLimit, generator.NemesisOnly(g)))
	}
	phases := []generator.Generator{
		generator.Any(breaking...),
		once(history.FHeal, nil),
		once(history.FAwaitHealthy, Await{BoundMS: quiet.Milliseconds()}),
		once(history.FFinalReads, nil),
	}
	if final != nil {
		phases = append(phases, generator.TimeLimit(max(timeLimit, quiet), generator.Clients(final)))
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
