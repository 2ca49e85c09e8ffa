package formats

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// settler makes operations of other tools' entries: what one entry alone does not say follows from the ones before it.
//
//   - A missing index is one more than the last; a missing time is the last one, or the index where no entry has one.
//   - Jepsen's workers read the clock before its interpreter gives the index, so that times run backwards by up to seconds in histories that have indexes.
//     The order is the index; a time that is before the last one becomes the last one.
//   - Jepsen's nemesis writes info for an invocation and for its completion: the first is the invocation. Its start-FAMILY and stop-FAMILY
//     get a Fault as value, with what stood there as its variant.
//   - Values [key value] of independent keys are taken apart: where they are tagged, or where reads are invoked with [key nil] or
//     compare-and-sets with [key [old new]].
//   - A fail with :refused, as writeEDN has it, is a compare-and-set that observed a mismatch.
//   - A keyword as the value of a client's fail or info, such as :timed-out, is why.
//
// It refuses what breaks a history.Rule, with the line.
type settler struct {
	yield func(history.Op, error) bool
	rules *history.RuleChecker
	count int64
	// op is the operation that is made, lastIndex and lastTime those of the one before.
	op        history.Op
	lastIndex int64
	lastTime  time.Duration
	timed     bool
	// faults are the nemesis's: which of its operations is open, and each family's fault that was started last.
	nemesisOpen bool
	faults      map[string]string
	faultCount  int
	keyed       keyed
	// waiting are entries from before it was known whether values are pairs.
	waiting []readOp
}

// keyed tells whether values are pairs of a key and a value.
type keyed uint8

const (
	notKnown keyed = iota
	pairs
	single
)

// waitingMax is how many entries are kept until it is known whether values are pairs; then they are taken as they stand.
const waitingMax = 1 << 16

// settle yields the operations of entries, up to the first error.
func settle(entries iter.Seq2[*readOp, error]) func(yield func(history.Op, error) bool) {
	return func(yield func(history.Op, error) bool) {
		s := &settler{yield: yield, rules: history.NewRuleChecker(), faults: map[string]string{}}
		for e, err := range entries {
			if err != nil {
				yield(history.Op{}, err)
				return
			}
			if !s.add(e) {
				return
			}
		}
		s.flush(single)
	}
}

// add takes the next entry; false: the reader wants no more.
func (s *settler) add(e *readOp) bool {
	if e.discarded {
		return true
	}
	if s.keyed != notKnown {
		return s.emit(e)
	}
	s.waiting = append(s.waiting, *e)
	k := shape(e)
	if k == notKnown && len(s.waiting) >= waitingMax {
		k = single
	}
	return k == notKnown || s.flush(k)
}

// flush emits what was waiting.
func (s *settler) flush(k keyed) bool {
	s.keyed = k
	for i := range s.waiting {
		if !s.emit(&s.waiting[i]) {
			return false
		}
	}
	s.waiting = nil
	return true
}

// shape is what one entry says about the values of its history.
func shape(e *readOp) keyed {
	switch {
	case !e.Process.IsClient() || e.Type != history.Invoke:
		return notKnown
	case e.independent:
		return single // each says for itself
	case e.tuple:
		return pairs
	case e.Key != "":
		return single
	}
	_, second, ok := pair(e.Value)
	switch {
	case !ok:
		return single
	case second == nil:
		return pairs // a read that is invoked with its key alone
	case e.F == "cas" && second[0] == '[':
		return pairs
	case e.F == "cas" || e.F == "txn" && second[0] != '[':
		return single
	case e.F == "txn":
		return pairs
	}
	return notKnown
}

// pair takes an array of a key and a value apart; a null is nil.
func pair(v json.RawMessage) (key, value json.RawMessage, ok bool) {
	if len(v) < 2 || v[0] != '[' || v[1] == '[' || v[1] == '{' || v[1] == ']' {
		return nil, nil, false
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(v, &parts); err != nil || len(parts) != 2 {
		return nil, nil, false
	}
	if parts[1][0] == 'n' {
		parts[1] = nil
	}
	return parts[0], parts[1], true
}

// emit yields an entry's operation.
func (s *settler) emit(e *readOp) bool {
	op := &s.op
	*op = e.Op
	err := s.unpair(e, op)
	if err == nil {
		s.number(e, op)
		s.outcome(e, op)
		s.nemesis(op)
		err = s.rules.Check(op, e.line)
	} else {
		err = fmt.Errorf("line %d: %w", e.line, err)
	}
	if err != nil {
		s.yield(history.Op{}, err)
		return false
	}
	s.count++
	s.lastIndex, s.lastTime = op.Index, op.Time
	return s.yield(*op, nil)
}

func (s *settler) number(e *readOp, op *history.Op) {
	if !e.hasIndex {
		op.Index = 0
		if s.count > 0 {
			op.Index = s.lastIndex + 1
		}
	}
	s.timed = s.timed || e.hasTime
	switch {
	case e.jittery && e.hasTime && s.count > 0 && op.Time < s.lastTime:
		op.Time = s.lastTime
	case e.hasTime:
	case s.timed:
		op.Time = s.lastTime
	default:
		op.Time = time.Duration(op.Index)
	}
}

// unpair takes the key out of the value, where values have one.
func (s *settler) unpair(e *readOp, op *history.Op) error {
	if !e.independent && (s.keyed != pairs || !op.Process.IsClient()) {
		return nil
	}
	key, value, ok := pair(op.Value)
	switch {
	case ok:
	case op.Type == history.Fail || op.Type == history.Info:
		return nil
	default:
		return fmt.Errorf("%.60q is no pair of a key and a value, as the values before it are", op.Value)
	}
	op.Value = slices.Clip(value)
	op.Key = string(key)
	if key[0] == '"' {
		if err := json.Unmarshal(key, &op.Key); err != nil {
			return fmt.Errorf("key %s: %w", key, err)
		}
	}
	return nil
}

// outcome makes the reason of what a client's completion has instead of a value, and an observation of a compare-and-set that was refused.
func (s *settler) outcome(e *readOp, op *history.Op) {
	if e.refused && op.Type == history.Fail && op.F == "cas" && bytes.HasSuffix(op.Value, []byte("]")) {
		op.Type = history.OK
		op.Value = append(slices.Clone(op.Value[:len(op.Value)-1]), ",false"...)
		if e.seen != nil {
			op.Value = append(append(op.Value, ','), e.seen...)
		}
		op.Value = append(op.Value, ']')
	}
	if !e.keyword || op.Error != "" || !op.Process.IsClient() || op.Type != history.Fail && op.Type != history.Info {
		return
	}
	if json.Unmarshal(op.Value, &op.Error) == nil {
		op.Value = nil
	}
}

// nemesis makes a nemesis's operation of Jepsen one of ours.
func (s *settler) nemesis(op *history.Op) {
	if op.Process != history.Nemesis {
		return
	}
	if op.Type == history.Info && !s.nemesisOpen {
		op.Type = history.Invoke
	}
	s.nemesisOpen = op.Type == history.Invoke
	family, start, ok := history.FamilyOf(op.F)
	if !ok || isFault(op.Value) {
		return
	}
	id := s.faults[family]
	switch {
	case start && op.Type == history.Invoke:
		s.faultCount++
		id = fmt.Sprintf("%s-%d", family, s.faultCount)
		s.faults[family] = id
	case id == "": // nothing was started: it stops what may be
		op.F = "no-" + op.F
		return
	}
	fault := history.Fault{ID: id, Family: family, Variant: variant(op.Value)}
	if b, err := json.Marshal(fault); err == nil {
		op.Value = b
	}
}

func isFault(v json.RawMessage) bool {
	var f history.Fault
	return len(v) > 0 && v[0] == '{' && json.Unmarshal(v, &f) == nil && f.ID != ""
}

// variant is the text of what a foreign nemesis did, not all of a long one.
func variant(v json.RawMessage) string {
	const most = 200
	var s string
	if len(v) == 0 || json.Unmarshal(v, &s) != nil {
		s = string(v)
	}
	if len(s) > most {
		s = s[:most]
	}
	return s
}
