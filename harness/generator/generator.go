// Package generator decides which operation comes next. Generators are pure values: asking one for
// an operation gives the operation and the generator to ask next, and changes nothing else, so that
// an answer may be thrown away and asked for again. Clock and chance come with the Context.
//
// Chance is counter based: in a Context, Rand is a stream that starts afresh at each question, told
// apart by a seed and by how many operations were dispatched so far. Asking twice gives the same answer
// twice. Seeded sets the seed; EachWorker, Any, Seq and Phases give each of their parts a stream and a
// counter of its own. So what a part draws depends on the seed and on how often it was drawn from,
// never on who asked when: each worker's n-th operation is the same in every run of a seed.
package generator

import (
	"time"

	"github.com/faultline/faultline/harness/history"
)

// Status is what a generator answered.
type Status uint8

// The three answers. Ready: here is an operation (its Time may lie in the future: it is to be
// invoked then, and not before). Pending: nothing now, ask again after the next event, and also when
// the returned operation's Time has come, if that is not 0. Done: never again.
const (
	Done Status = iota
	Pending
	Ready
)

// Generator yields operations for the free workers of a Context. Its dynamic type must be comparable
// (a pointer is): generators that did not change are told by ==.
type Generator interface {
	// Next proposes the next operation. Its Process must be one of the Context's free ones;
	// generators that do not care take Context.Anyone. It must be a pure function of its arguments.
	//
	// The returned generator is the one to go on with: for Ready if and only if the operation was
	// dispatched, for Pending in any case. So a generator that counts time from when it was first
	// asked notes it in an answer of Pending whose Time is ctx.Now, which asks to be asked again at once.
	Next(ctx *Context) (history.Op, Status, Generator)
	// Update tells the generator of an event: an operation (its own or another's) that was invoked or completed.
	// It is given the generator that Next returned, and returns the one to go on with.
	Update(ctx *Context, event history.Op) Generator
}

// pendingUntil is the answer Pending, to be asked again at a time; 0: after the next event only.
func pendingUntil(at time.Duration, g Generator) (history.Op, Status, Generator) {
	return history.Op{Time: at}, Pending, g
}

// done is the answer Done.
func done() (history.Op, Status, Generator) { return history.Op{}, Done, nil }

// sooner is the earlier of two times to ask again, where 0 means never.
func sooner(a, b time.Duration) time.Duration {
	switch {
	case a == 0:
		return b
	case b == 0:
		return a
	}
	return min(a, b)
}
