package history

import (
	"encoding/json"
	"fmt"
	"time"
)

// Moment is when something of a fault happened.
type Moment struct {
	// Known is false for what did not happen, or not before the history's end; the rest means nothing then.
	Known bool
	Index int64
	Time  time.Duration
}

// Window is a fault from its start to its end.
type Window struct {
	// Fault is what was done, as the completion of the start tells it; what was planned, where that is missing.
	Fault
	// StartInvoke is always known. StartComplete is not where the history ends while the fault is being started.
	StartInvoke, StartComplete Moment
	// StopInvoke and StopComplete are of the operation that ended the fault for certain (ok): its stop, or a heal.
	StopInvoke, StopComplete Moment
	// Proved: the start is ok, and Proof, which shows the effect, is there.
	Proved bool
	// StopProof is the proof of the stop, where it is that which ended the fault.
	StopProof json.RawMessage
	// Skipped is why the fault found nothing to act on: it never was in force. Empty for a fault that acted or may have.
	Skipped string
	// Unsure is why the effect of a start or stop is unknown, in their order.
	Unsure []string
	// Open: nothing ended it for certain before the history's end.
	Open bool
}

// MayAct tells whether the fault may have been in force when the operation with that index was recorded.
func (w *Window) MayAct(index int64) bool { return w.Overlaps(index, index) }

// Overlaps tells whether the fault may have been in force at some time from one index to another, both included.
func (w *Window) Overlaps(from, to int64) bool {
	return w.Skipped == "" && to >= w.StartInvoke.Index && (w.Open || from <= w.StopComplete.Index)
}

// Windows are the faults of a history, skipped ones included, in the order of their starts.
// An operation start-FAMILY or stop-FAMILY whose value is no Fault with an ID, a second start of an ID, and a stop
// without a start are errors.
func Windows(src Source) ([]Window, error) {
	ws := windows{byID: make(map[string]int)}
	for p, err := range Pairs(src) {
		if err != nil {
			return nil, err
		}
		if p.Invoke.Process != Nemesis {
			continue
		}
		if err := ws.add(&p); err != nil {
			return nil, fmt.Errorf("nemesis operation %s, index %d: %w", p.Invoke.F, p.Invoke.Index, err)
		}
	}
	return ws.list, nil
}

// windows are built from the nemesis's operations. It performs one at a time: they come in the order of their invocations.
type windows struct {
	list []Window
	byID map[string]int // where in list
}

func (ws *windows) add(p *Pair) error {
	if p.Invoke.F == FHeal {
		if p.Outcome() == OK {
			for i := range ws.list {
				ws.list[i].end(p, nil)
			}
		}
		return nil
	}
	_, start, ok := FamilyOf(p.Invoke.F)
	if !ok {
		return nil
	}
	fault, err := faultOf(p)
	if err != nil {
		return err
	}
	if start {
		return ws.start(p, fault)
	}
	return ws.stop(p, fault)
}

// faultOf is the fault as the completion tells it, else as the invocation does.
func faultOf(p *Pair) (Fault, error) {
	value := p.Invoke.Value
	if p.HasComplete && p.Complete.Value != nil {
		value = p.Complete.Value
	}
	var f Fault
	if err := json.Unmarshal(orNull(value), &f); err != nil {
		return f, fmt.Errorf("its value is no fault: %w", err)
	}
	if f.ID == "" {
		return f, fmt.Errorf(`its value has no fault's "id": %.80s`, orNull(value))
	}
	return f, nil
}

func orNull(value json.RawMessage) json.RawMessage {
	if value == nil {
		return json.RawMessage("null")
	}
	return value
}

func (ws *windows) start(p *Pair, f Fault) error {
	if i, ok := ws.byID[f.ID]; ok {
		return fmt.Errorf("fault %s was started before, at index %d", f.ID, ws.list[i].StartInvoke.Index)
	}
	w := Window{Fault: f, StartInvoke: momentOf(&p.Invoke), Open: true}
	if p.HasComplete {
		w.StartComplete = momentOf(&p.Complete)
	}
	switch p.Outcome() {
	case OK:
		if w.Proved = string(orNull(f.Proof)) != "null"; !w.Proved {
			w.Unsure = append(w.Unsure, p.Invoke.F+": ok without a proof")
		}
	case Fail:
		w.Open = false
		if w.Skipped = p.Complete.Error; w.Skipped == "" {
			w.Skipped = "no reason given"
		}
	case Info, Invoke:
		w.Unsure = append(w.Unsure, unsure(p))
	}
	ws.byID[f.ID] = len(ws.list)
	ws.list = append(ws.list, w)
	return nil
}

func (ws *windows) stop(p *Pair, f Fault) error {
	i, ok := ws.byID[f.ID]
	if !ok {
		return fmt.Errorf("fault %s was never started", f.ID)
	}
	w := &ws.list[i]
	if p.Outcome() == OK {
		w.end(p, f.Proof)
	} else if w.Open {
		w.Unsure = append(w.Unsure, unsure(p))
	}
	return nil
}

// unsure says why nobody knows what a start or stop did.
func unsure(p *Pair) string {
	if !p.HasComplete {
		return p.Invoke.F + ": the history ends before it is done"
	}
	if p.Complete.Error == "" {
		return p.Invoke.F + ": no reason given"
	}
	return p.Invoke.F + ": " + p.Complete.Error
}

// end closes a window that is open.
func (w *Window) end(p *Pair, proof json.RawMessage) {
	if !w.Open {
		return
	}
	w.Open = false
	w.StopInvoke, w.StopComplete, w.StopProof = momentOf(&p.Invoke), momentOf(&p.Complete), proof
}

func momentOf(op *Op) Moment { return Moment{Known: true, Index: op.Index, Time: op.Time} }
