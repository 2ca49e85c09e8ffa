package checker

import "context"

// outcome is what a search found.
type outcome struct {
	verdict Verdict
	// spent is why an Unknown one was stopped.
	spent  string
	states int64
	// stuck is the place of the first operation after whose completion nothing explains what was seen, where the verdict is Invalid.
	stuck int
}

// A sweep's first try keeps few states, which is enough for most histories that linearize.
const (
	firstWidth  = 16
	widthFactor = 16
)

// linearize decides whether operations sorted by call linearize, in memoryBytes and until ctx ends. endless are what may take effect beside
// them at any time, as often as one likes.
func linearize(ctx context.Context, ops []regOp, endless []effect, memoryBytes int64) outcome {
	return linearizeWithin(&allowance{ctx: ctx, left: stepsOf(len(ops), memoryBytes)}, ops, endless, memoryBytes)
}

// linearizeWithin is linearize with an allowance that several searches may share.
func linearizeWithin(bound *allowance, ops []regOp, endless []effect, memoryBytes int64) outcome {
	out := outcome{stuck: -1}
	before := bound.steps
	for width := firstWidth; ; width *= widthFactor {
		s := newSweep(ops, endless, width, bound)
		widest := max(1, int(memoryBytes/s.layout.bytes()))
		s.width = min(width, widest)
		stuck, done := s.run()
		out.states = bound.steps - before
		switch {
		case !done:
			out.spent = bound.spent
			return out
		case stuck < 0:
			out.verdict = Valid
			return out
		case !s.narrowed:
			out.verdict, out.stuck = Invalid, stuck
			return out
		case s.width == widest:
			out.spent = "out of memory"
			return out
		}
	}
}

// stepsOf bounds the work of a search that has no time limit, so that it stops at the same place on every machine.
func stepsOf(operations int, memoryBytes int64) int64 {
	const (
		stepsPerOperation = 4096
		bytesPerStep      = 8
	)
	return stepsPerOperation*int64(operations) + memoryBytes/bytesPerStep
}

// allowance bounds the work of a search.
type allowance struct {
	ctx context.Context
	// steps are those taken, left those that may still be.
	steps, left int64
	asked       int64
	// spent is why the search has to stop; empty while it need not.
	spent string
}

// goesOn counts so many steps; false ends the search.
func (a *allowance) goesOn(steps int) bool {
	a.steps += int64(steps)
	a.left -= int64(steps)
	if a.asked += int64(steps) + 1; a.asked > 1024 {
		a.asked = 0
		if a.ctx.Err() != nil {
			a.spent = "out of time"
		}
	}
	if a.left < 0 && a.spent == "" {
		a.spent = "out of steps"
	}
	return a.spent == ""
}
