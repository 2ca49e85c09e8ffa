package checker

import (
	"context"
	"fmt"

	"github.com/anishathalye/porcupine"
)

// regState is a state of the register in a search.
type regState struct {
	value int32
	// version is that of the value; its least possible one where loose is set, because a write without a version made it.
	version int64
	loose   bool
	// free is the state before the first operation of a history cut out of a longer one: anything.
	free bool
	// unseen: an unknown operation wrote the value, and nothing has seen it yet.
	unseen bool
	// ended: everything that certainly happened did. What is left may never have.
	ended bool
	// used counts the unknown operations of each class that took effect, a byte each.
	used string
}

// step is the sequential register with versions: reads return value and version, writes raise the version, a
// compare-and-set succeeds exactly if the value is the expected one.
//
// Operations of unknown outcome may never have happened, or happened at the wrong moment for their guard; those come
// after the end, where they do nothing. Before it only the ones that matter are tried: ones whose value is seen by the next operation (else
// the order without them is as good), and of several that do the same the one that was invoked first.
func (s regState) step(o *regOp) (regState, bool) {
	if o.unknown() {
		return s.stepUnknown(o)
	}
	switch o.kind {
	case regEnd:
		s.ended = true
		return s, true
	case regRead:
		return s.observe(o.value, o.version)
	case regRefused:
		if o.seen {
			next, ok := s.observe(o.value, o.version)
			return next, ok && o.value != o.old
		}
		ok := s.free || s.value != o.old
		s.unseen = false
		return s, ok
	case regSwap:
		if !s.free && s.value != o.old {
			return s, false
		}
	case regWrite:
		if s.unseen {
			return s, false
		}
	}
	if o.version == 0 {
		return s.written(o.value, s.version+1, true), true
	}
	return s.written(o.value, o.version, false), o.version > s.version
}

// stepUnknown is the step of an operation of unknown outcome.
func (s regState) stepUnknown(o *regOp) (regState, bool) {
	if s.ended {
		return s, true
	}
	switch {
	case s.free && o.kind == regSwap:
		return s, true
	case o.kind == regSwap && s.value != o.old, o.kind == regWrite && s.unseen:
		return s, false
	case o.class < len(s.used) && int(s.used[o.class]) != o.rank%256, o.class >= len(s.used) && o.rank != 0:
		return s, false
	}
	used := []byte(s.used)
	for len(used) <= o.class {
		used = append(used, 0)
	}
	used[o.class]++
	s = s.written(o.value, s.version+1, true)
	s.unseen, s.used = true, string(used)
	return s, true
}

// written is the state after a write.
func (s regState) written(value int32, version int64, loose bool) regState {
	return regState{value: value, version: version, loose: loose, used: s.used}
}

// observe is what seeing a value, and its version unless that is 0, makes of the state.
func (s regState) observe(value int32, version int64) (regState, bool) {
	s.unseen = false
	switch {
	case s.free:
		return s.written(value, version, version == 0), true
	case s.value != value:
		return s, false
	case version == 0 || !s.loose && version == s.version:
		return s, true
	case s.loose && version >= s.version:
		return s.written(value, version, false), true
	}
	return s, false
}

// hash mixes the state.
func (s regState) hash() uint64 {
	h := uint64(s.version)*0x9e3779b97f4a7c15 + uint64(uint32(s.value))
	if s.loose {
		h = ^h
	}
	if s.unseen {
		h ^= 1 << 40
	}
	return h ^ h>>29
}

// meter bounds a search. It stops a search by refusing every further step, which unwinds it at once.
type meter struct {
	ctx context.Context
	// left is how many more states may be kept. Each successful step keeps one at most, so that this bounds the memory,
	// and stops at the same place on every machine.
	left int64
	// steps counts all.
	steps int64
	// spent is why the search was stopped; empty while it was not.
	spent string
}

// stateBytes is what a kept state takes, beside one bit for each operation: entries of a map and of its bucket, the boxed state, the
// header of the bit set, and as much again until the garbage collector comes.
const stateBytes = 512

// newMeter allows a search over n operations in memoryBytes.
func newMeter(ctx context.Context, n int, memoryBytes int64) *meter {
	return &meter{ctx: ctx, left: memoryBytes / int64(stateBytes+n/4)}
}

// allows counts a step; false ends the search.
func (m *meter) allows() bool {
	if m.spent != "" {
		return false
	}
	if m.steps++; m.steps&1023 == 0 && m.ctx.Err() != nil {
		m.spent = "out of time"
	}
	return m.spent == ""
}

// kept counts a state that the search keeps.
func (m *meter) kept() {
	if m.left--; m.left <= 0 && m.spent == "" {
		m.spent = "out of memory"
	}
}

// model is the register for Porcupine, from an initial state. m may be nil.
func (r *register) model(initial regState, m *meter) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return initial },
		Step: func(state, input, _ any) (bool, any) {
			if m != nil && !m.allows() {
				return false, state
			}
			next, ok := state.(regState).step(input.(*regOp))
			if ok && m != nil {
				m.kept()
			}
			return ok, next
		},
		Hash:              func(state any) uint64 { return state.(regState).hash() },
		DescribeOperation: func(input, _ any) string { return r.brief(input.(*regOp)) },
		DescribeState:     func(state any) string { return r.describeState(state.(regState)) },
	}
}

func (r *register) describeState(s regState) string {
	switch {
	case s.free:
		return "anything"
	case s.loose || s.version == 0:
		return r.names.text(s.value)
	}
	return fmt.Sprintf("%s (version %d)", r.names.text(s.value), s.version)
}

// operations are ops for Porcupine, with indexes as times, and behind them the end. Unknown ones get their class and rank.
func operations(ops []regOp) []porcupine.Operation {
	out := make([]porcupine.Operation, len(ops), len(ops)+1)
	classes, ranks, last := map[effect]int{}, map[effect]int{}, int64(0)
	for i := range ops {
		o := &ops[i]
		out[i] = porcupine.Operation{Input: o, Call: o.call, Return: o.ret}
		if !o.unknown() {
			last = max(last, o.call, o.ret)
			continue
		}
		last = max(last, o.call)
		e := effect{o.kind, o.old, o.value}
		if _, ok := classes[e]; !ok {
			classes[e] = len(classes)
		}
		o.class, o.rank = classes[e], ranks[e]
		ranks[e]++
	}
	return append(out, porcupine.Operation{Input: &regOp{call: last + 1, ret: last + 1, kind: regEnd}, Call: last + 1, Return: last + 1})
}

// brief is "r7? → 3 v57" in a picture.
func (r *register) brief(o *regOp) string {
	what := ""
	switch o.kind {
	case regRead:
		what = "read → " + r.names.text(o.value)
	case regWrite:
		what = "write " + r.names.text(o.value)
	case regSwap:
		what = "cas " + r.names.text(o.old) + " → " + r.names.text(o.value)
	case regEnd:
		return "the end"
	case regRefused:
		what = "cas from " + r.names.text(o.old) + " refused"
		if o.seen {
			what += ", saw " + r.names.text(o.value)
		}
	}
	if o.version > 0 {
		what += fmt.Sprintf(" v%d", o.version)
	}
	if o.unknown() {
		what += " ?"
	}
	return fmt.Sprintf("%s (%d, process %s%s)", what, o.index(), o.process, on(o.node))
}
