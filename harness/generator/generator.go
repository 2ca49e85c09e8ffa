// Package generator decides which operation comes next. Generators are pure values: asking one for
// an operation gives the operation and the generator to ask next, and changes nothing else, so that
// an answer may be thrown away and asked for again. Clock and chance come with the Context.
package generator

import (
	"math/rand/v2"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// Status is what a generator answered.
type Status uint8

// The three answers. Ready: here is an operation (its Time may lie in the future: it is to be
// invoked then, and not before). Pending: nothing now, ask again after the next event. Done: never again.
const (
	Done Status = iota
	Pending
	Ready
)

// Generator yields operations for the free workers of a Context.
type Generator interface {
	// Next proposes the next operation. Its Process must be one of the Context's free ones;
	// generators that do not care take Context.Anyone. It must be a pure function of its arguments.
	Next(ctx *Context) (history.Op, Status, Generator)
	// Update tells the generator of an event: an operation (its own or another's) that was invoked or completed.
	// It is given the generator that Next returned, and returns the one to go on with.
	Update(ctx *Context, event history.Op) Generator
}

// Worker is a thread of the runner. It has one process at a time; after an operation of unknown
// outcome a new process takes its place. Clients are 0, 1, …; NemesisWorker is the nemesis.
type Worker int

// NemesisWorker runs the nemesis's operations, one at a time.
const NemesisWorker Worker = -1

// Context is what a generator may know: the time, the source of chance, and who is free.
type Context struct {
	// Now is the time since the run began.
	Now time.Duration
	// Rand is the source of chance. Where it was seeded (Seeded, EachWorker) it depends on the seed,
	// the label and how many operations were dispatched there, not on who asked when.
	Rand *rand.Rand
	// Threads are the workers that this generator may use, a view of the runner's.
	Threads Threads
}
