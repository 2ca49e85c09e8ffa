package monitors

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

var twinRounds = flag.Int("twin.rounds", 30_000, "how many random histories each monitor and its dumb twin must agree on")

// object is a sequential object: step is what an operation does to a state, and whether it can return what it did. A dequeue of unknown
// outcome takes whatever is in front.
type object struct {
	monitor func([]Op) Result
	step    func(state []int64, o *Op) (next []int64, ok bool)
	kinds   []Kind
}

var objects = map[string]object{
	"register": {Register, stepRegister, []Kind{Read, Read, Read, Read, Write, Write, Swap, Swap, Swap, Differs}},
	"queue":    {Queue, stepQueue, []Kind{Enqueue, Enqueue, Dequeue, Dequeue, Empty, Take}},
	"set":      {Set, stepSet, []Kind{Add, Add, Remove, Contains, Lacks}},
}

func stepRegister(state []int64, o *Op) ([]int64, bool) {
	value := int64(0)
	if len(state) > 0 {
		value = state[0]
	}
	switch o.Kind {
	case Read:
		return state, value == o.Value
	case Swap:
		return []int64{o.Value}, value == o.Old
	case Differs:
		return state, value != o.Old
	default:
		return []int64{o.Value}, true
	}
}

func stepQueue(state []int64, o *Op) ([]int64, bool) {
	switch {
	case o.Kind == Enqueue:
		return append(slices.Clone(state), o.Value), true
	case o.Kind == Empty:
		return state, len(state) == 0
	case len(state) == 0 || (!o.unknown() || o.Kind == Take) && state[0] != o.Value:
		return state, false
	}
	return state[1:], true
}

func stepSet(state []int64, o *Op) ([]int64, bool) {
	at := slices.Index(state, o.Value)
	switch o.Kind {
	case Add:
		return append(slices.Clone(state), o.Value), at < 0
	case Contains:
		return state, at >= 0
	case Lacks:
		return state, at < 0
	default:
		if at < 0 {
			return state, false
		}
		return slices.Delete(slices.Clone(state), at, at+1), true
	}
}

// linearizes tries every order that real time allows, with every operation of unknown outcome or without it.
func (b object) linearizes(ops []Op, done []bool, state []int64) bool {
	bound, open := int64(Never), false
	for i := range ops {
		if !done[i] && !ops[i].unknown() {
			bound, open = min(bound, ops[i].Return), true
		}
	}
	if !open {
		return true
	}
	for i := range ops {
		if done[i] || ops[i].Call > bound {
			continue
		}
		next, ok := b.step(state, &ops[i])
		if !ok {
			continue
		}
		done[i] = true
		if b.linearizes(ops, done, next) {
			return true
		}
		done[i] = false
	}
	return false
}

// random runs a few operations on the real object, each at a moment of its time, then perhaps spoils one.
func (b object) random(r *rand.Rand) []Op {
	n := 1 + r.IntN(7)
	times := r.Perm(3 * n)
	type event struct {
		op    Op
		point int64
	}
	events := make([]event, n)
	unknown := r.IntN(4)
	for i := range events {
		t := times[3*i : 3*i+3]
		slices.Sort(t)
		e := event{Op{Call: int64(t[0]), Return: int64(t[2]), Kind: b.kinds[r.IntN(len(b.kinds))]}, int64(t[1])}
		if r.IntN(10) < unknown || e.op.Kind == Take {
			e.op.Return = Never
		}
		events[i] = e
	}
	slices.SortFunc(events, func(a, b event) int { return int(a.point - b.point) })
	var state []int64
	var ops []Op
	for i, e := range events {
		o := e.op
		b.fill(r, &o, int64(i+1), state)
		if next, ok := b.step(state, &o); ok && (!o.unknown() || r.IntN(2) == 0) {
			state = next
		} else if !o.unknown() && r.IntN(8) > 0 {
			continue
		}
		ops = append(ops, o)
	}
	for range r.IntN(3) {
		if len(ops) > 0 {
			b.spoil(r, ops)
		}
	}
	slices.SortFunc(ops, func(a, b Op) int { return int(a.Call - b.Call) })
	return ops
}

// fill gives an operation values that it may have: its own, the object's, or any.
func (b object) fill(r *rand.Rand, o *Op, own int64, state []int64) {
	seen := int64(0)
	if len(state) > 0 {
		seen = state[r.IntN(len(state))]
	}
	switch o.Kind {
	case Write, Enqueue, Add:
		o.Value = own
	case Swap:
		o.Value, o.Old = own, seen
	case Differs:
		o.Old = int64(r.IntN(4))
	case Dequeue, Take:
		if len(state) > 0 {
			o.Value = state[0]
		}
	case Lacks:
		o.Value = int64(1 + r.IntN(7))
	case Read, Remove, Contains, Empty:
		o.Value = seen
	}
}

func (b object) spoil(r *rand.Rand, ops []Op) {
	o, p := &ops[r.IntN(len(ops))], &ops[r.IntN(len(ops))]
	switch r.IntN(4) {
	case 0:
		if o.Kind == p.Kind {
			o.Value, p.Value = p.Value, o.Value
		}
	case 1:
		o.Call, p.Call = min(o.Call, p.Return), min(p.Call, o.Return)
	case 2:
		if o.Kind == Swap {
			o.Old = p.Value
		} else if o.Kind != Write && o.Kind != Enqueue && o.Kind != Add {
			o.Value = p.Value
		}
	case 3:
		if !o.unknown() && !p.unknown() {
			o.Return, p.Return = max(p.Return, o.Call), max(o.Return, p.Call)
		}
	}
}

// agree fails the test where a monitor that decided and its twin disagree, or a witness is none.
func (b object) agree(t *testing.T, ops []Op) Verdict {
	t.Helper()
	got := b.monitor(ops)
	want := Violated
	if b.linearizes(ops, make([]bool, len(ops)), nil) {
		want = Linearizable
	}
	if got.Verdict != Undecided && got.Verdict != want {
		t.Fatalf("monitor says %+v, twin %d\n%s", got, want, show(ops))
	}
	if got.Verdict != Violated {
		return got.Verdict
	}
	var few []Op
	for _, i := range got.Witness {
		few = append(few, ops[i])
	}
	if b.linearizes(few, make([]bool, len(few)), nil) {
		t.Fatalf("%+v: the witness linearizes\n%s", got, show(ops))
	}
	return Violated
}

func show(ops []Op) (s string) {
	for i, o := range ops {
		s += fmt.Sprintf("%d: %+v\n", i, o)
	}
	return s
}

func TestMonitorsAgreeWithTwins(t *testing.T) {
	for name, b := range objects {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			var n [3]int
			for range *twinRounds {
				n[b.agree(t, b.random(r))]++
			}
			t.Logf("%d linearizable, %d violated, %d undecided", n[Linearizable], n[Violated], n[Undecided])
			if n[Linearizable] < *twinRounds/4 || n[Violated] < *twinRounds/20 {
				t.Error("too one-sided to show anything")
			}
		})
	}
}

func FuzzMonitorsAgreeWithTwins(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) {
		for _, o := range objects {
			o.agree(t, o.random(rand.New(rand.NewPCG(a, b))))
		}
	})
}
