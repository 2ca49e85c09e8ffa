// Package monitors decides whether the operations on one object linearize, in O(n log n), where each value tells by itself where it
// comes from: no two writes, enqueues or additions have the same one. Then a history is judged by comparing a few times of each
// value, and nothing has to be searched:
//
//   - Register: Gibbons and Korach, "Testing Shared Memories" (1997), their zones, extended to compare-and-sets: values that follow upon
//     each other for certain make one zone.
//   - Queue: Henzinger, Sezgin and Vafeiadis, "Aspect-Oriented Linearizability Proofs" (2013), their four violations.
//   - Set: the elements are objects of their own; each has one span of presence, which is chosen as tight as it can be.
//
// Lee and Mathur, "Efficient Decrease-and-Conquer Linearizability Monitoring" (2024), give one frame for all of them and show that
// O(n log n) is what it takes.
//
// An operation of unknown outcome happened if another one shows that it did, and is left out if none does; where neither is exact, the
// result is Undecided rather than guessed. The package knows nothing of histories: times are any numbers that rise.
package monitors

import "math"

// Never is the Return of an operation whose outcome is unknown: it may have taken effect at any time since its Call, or not at all.
const Never = math.MaxInt64

// Kind is what an operation does.
type Kind uint8

// The kinds, by the object that they are for.
const (
	// Read of a register returned Value; 0 is what it held at first.
	Read Kind = iota
	// Write set a register to Value, which is not 0.
	Write
	// Swap found a register at Old and set it to Value: a compare-and-set that succeeded, or may have.
	Swap
	// Differs found a register at another value than Old, and did not tell which.
	Differs

	// Enqueue put Value at a queue's end.
	Enqueue
	// Dequeue took Value from its front; one of unknown outcome may have taken any.
	Dequeue
	// Empty found nothing to dequeue.
	Empty
	// Take is a dequeue of unknown outcome that took Value or nothing. Its Return is Never.
	Take

	// Add put Value into a set.
	Add
	// Remove took Value out of it, where it was.
	Remove
	// Contains found Value in it.
	Contains
	// Lacks did not find Value in it.
	Lacks
)

// Op is an operation on one object.
type Op struct {
	Call, Return int64
	Kind         Kind
	Value, Old   int64
}

func (o *Op) unknown() bool { return o.Return == Never }

// Verdict is what a monitor decided.
type Verdict uint8

// The three verdicts. Undecided, the zero value: values repeat, or it depends on what operations of unknown outcome did.
const (
	Undecided Verdict = iota
	Linearizable
	Violated
)

// Rule names what was broken.
type Rule string

// The rules.
const (
	// RuleSource: a value was seen that nobody wrote, enqueued or added, or before anybody began to.
	RuleSource Rule = "a value comes from somewhere"
	// RuleOnce: one value was taken, or replaced by a compare-and-set, twice.
	RuleOnce Rule = "a value is taken once"
	// RuleOrder: values were seen, or dequeued, in an order that is not that in which they were put there.
	RuleOrder Rule = "values keep their order"
	// RuleLost: a value was never dequeued, though one that was enqueued after it was.
	RuleLost Rule = "no value is passed over"
	// RuleEmpty: a queue was found empty that was not at any time of the operation.
	RuleEmpty Rule = "a queue with values in it is not empty"
	// RulePresence: an element was found absent while it was there for certain.
	RulePresence Rule = "an element stays until it is removed"
)

// Result is a verdict and what proves it.
type Result struct {
	Verdict Verdict
	// Rule was broken, where Verdict is Violated.
	Rule Rule
	// Witness are the operations that contradict each other, by place.
	Witness []int
	// Why says, where Verdict is Undecided, what would have to be known.
	Why string
}

func violated(r Rule, witness ...int) Result {
	return Result{Verdict: Violated, Rule: r, Witness: witness}
}

func undecided(why string) Result { return Result{Why: why} }

// notUnique is why a monitor has nothing to say.
const notUnique = "values are not unique"
