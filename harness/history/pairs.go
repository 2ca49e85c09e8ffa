package history

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
)

// Rule is one that every history keeps.
type Rule string

// The rules. Pairs and Validate check all of them; a File checks the first two whenever it is read.
const (
	RuleIndex        Rule = "indexes rise"
	RuleTime         Rule = "time never runs backwards"
	RuleType         Rule = "types are invoke, ok, fail and info"
	RuleProcess      Rule = "processes are clients, the nemesis or evidence"
	RuleOneOpen      Rule = "a process has one open operation at a time"
	RuleInvocation   Rule = "a completion follows its invocation"
	RuleSameFunction Rule = "a completion has its invocation's function"
	RuleAfterInfo    Rule = "a client process never runs again after an unknown outcome"
)

// RuleError tells which operation broke which rule.
type RuleError struct {
	Rule Rule
	// Line is where the operation begins in its file; of a source that is no file, which operation it is, counted from 1.
	Line  int64
	Index int64
	Why   string
}

func (e *RuleError) Error() string {
	return fmt.Sprintf("line %d, index %d: %s (rule: %s)", e.Line, e.Index, e.Why, e.Rule)
}

// Pair is an operation: its invocation and, where there is one, its completion.
type Pair struct {
	Invoke   Op
	Complete Op
	// HasComplete is false for an operation that was still open at the end: its outcome is unknown.
	HasComplete bool
}

// Outcome is the completion's type; Info where there is none.
func (p *Pair) Outcome() Type {
	if !p.HasComplete {
		return Info
	}
	return p.Complete.Type
}

// Pairs yields every operation of the clients and the nemesis, in the order of their completions, then the ones
// that have none, in the order of their invocations. Evidence is no operation: it is in Ops only.
// It ends with the first error: the source's, or a *RuleError. Memory grows with the number of processes that
// were open at once or ended with an unknown outcome.
func Pairs(src Source) iter.Seq2[Pair, error] {
	return func(yield func(Pair, error) bool) {
		p := newPairer()
		for op, err := range src.Ops() {
			if err != nil {
				yield(Pair{}, err)
				return
			}
			pair, completed, err := p.take(&op)
			if err != nil {
				yield(Pair{}, err)
				return
			}
			if completed && !yield(pair, nil) {
				return
			}
		}
		byIndex := func(a, b int) int { return cmp.Compare(p.slots[a].Index, p.slots[b].Index) }
		for _, slot := range slices.SortedFunc(p.states.open(), byIndex) {
			if !yield(Pair{Invoke: p.slots[slot]}, nil) {
				return
			}
		}
	}
}

// ClientPairs is Pairs without the nemesis.
func ClientPairs(src Source) iter.Seq2[Pair, error] {
	return func(yield func(Pair, error) bool) {
		for p, err := range Pairs(src) {
			if err == nil && !p.Invoke.Process.IsClient() {
				continue
			}
			if !yield(p, err) {
				return
			}
		}
	}
}

// Validate reads the whole history and returns the source's error, or the first rule broken as a *RuleError.
func Validate(src Source) error {
	for _, err := range Pairs(src) {
		if err != nil {
			return err
		}
	}
	return nil
}

// pairer joins completions to invocations and holds the rules.
type pairer struct {
	states processStates
	// slots are the invocations that are open.
	slots []Op
	free  []int
	order order
	line  int64
}

func newPairer() *pairer { return &pairer{states: processStates{rare: make(map[Process]int32)}} }

// take adds the next operation. completed: it ended the pair that is returned.
func (p *pairer) take(op *Op) (pair Pair, completed bool, err error) {
	p.line++
	if err := p.order.check(op, p.line); err != nil {
		return Pair{}, false, err
	}
	broken := func(r Rule, why string) error {
		return &RuleError{Rule: r, Line: p.line, Index: op.Index, Why: fmt.Sprintf("process %s, %s %s: %s", op.Process, op.Type, op.F, why)}
	}
	switch {
	case op.Type < Invoke || op.Type > Info:
		return Pair{}, false, broken(RuleType, "no such type")
	case op.Process == Evidence:
		return Pair{}, false, nil
	case op.Process < Evidence:
		return Pair{}, false, broken(RuleProcess, "no such process")
	}
	state := p.states.get(op.Process)
	if op.Type == Invoke {
		if state > 0 {
			return Pair{}, false, broken(RuleOneOpen, fmt.Sprintf("index %d is still open", p.slots[state-1].Index))
		}
		if state == processEnded {
			return Pair{}, false, broken(RuleAfterInfo, "an earlier operation's outcome is unknown")
		}
		p.begin(op)
		return Pair{}, false, nil
	}
	if state <= 0 {
		return Pair{}, false, broken(RuleInvocation, "nothing is open")
	}
	slot := int(state - 1)
	if invoked := &p.slots[slot]; invoked.F != op.F {
		return Pair{}, false, broken(RuleSameFunction, fmt.Sprintf("index %d invoked %s", invoked.Index, invoked.F))
	}
	pair = Pair{Invoke: p.slots[slot], Complete: *op, HasComplete: true}
	p.end(op.Process, slot, op.Type)
	return pair, true, nil
}

func (p *pairer) begin(op *Op) {
	if len(p.free) == 0 {
		p.free = append(p.free, len(p.slots))
		p.slots = append(p.slots, Op{})
	}
	slot := p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	p.slots[slot] = *op
	p.states.set(op.Process, int32(slot+1)) // as many as processes are open at once
}

func (p *pairer) end(process Process, slot int, outcome Type) {
	p.slots[slot] = Op{}
	p.free = append(p.free, slot)
	state := int32(processIdle)
	if outcome == Info && process.IsClient() {
		state = processEnded
	}
	p.states.set(process, state)
}

// processStates tell of each process whether an operation is open: its slot, counted from 1; or else processIdle or processEnded.
type processStates struct {
	// few are the states of the processes with small numbers, which most are.
	few  []int32
	rare map[Process]int32
}

const (
	processIdle  = 0
	processEnded = -1 // never runs again
	fewMax       = 1 << 16
)

func (s *processStates) get(p Process) int32 {
	if p >= 0 && p < Process(len(s.few)) {
		return s.few[p]
	}
	return s.rare[p]
}

func (s *processStates) set(p Process, state int32) {
	if p < 0 || p >= fewMax {
		s.rare[p] = state
		return
	}
	for Process(len(s.few)) <= p {
		s.few = append(s.few, processIdle)
	}
	s.few[p] = state
}

// open yields the slots that are taken.
func (s *processStates) open() iter.Seq[int] {
	return func(yield func(int) bool) {
		for _, state := range s.few {
			if state > 0 && !yield(int(state-1)) {
				return
			}
		}
		for _, state := range s.rare {
			if state > 0 && !yield(int(state-1)) {
				return
			}
		}
	}
}
