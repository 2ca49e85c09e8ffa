package checker

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/faultline/faultline/harness/history"
)

var twinRounds = flag.Int("twin.rounds", 20_000, "how many random histories the checker and its dumb twin must agree on")

// twin decides linearizability by trying everything: every order that real time allows, every unknown operation applied or not, and for
// each of those every version it might have been given. It shares nothing with the checker but the operations.
type twin struct {
	ops      []regOp
	stale    bool // reads may look at any moment up to their completion
	versions int64
}

func (w *twin) linearizes() bool {
	for i := range w.ops {
		w.versions = max(w.versions, w.ops[i].version)
	}
	w.versions += int64(len(w.ops)) + 1
	return w.from(make([]bool, len(w.ops)), 0, 0)
}

// from tries to place the operations that are not done, on a register with a value and a version.
func (w *twin) from(done []bool, value int32, version int64) bool {
	bound, open := int64(never), false
	for i := range w.ops {
		if !done[i] && !w.ops[i].unknown() {
			bound, open = min(bound, w.ops[i].ret), true
		}
	}
	if !open {
		return true // what is left is unknown, and may never have happened
	}
	for i := range w.ops {
		o := &w.ops[i]
		call := o.call
		if w.stale && o.kind == regRead {
			call = -1
		}
		if done[i] || call > bound {
			continue
		}
		done[i] = true
		if w.apply(done, o, value, version) {
			return true
		}
		done[i] = false
	}
	return false
}

func (w *twin) apply(done []bool, o *regOp, value int32, version int64) bool {
	switch o.kind {
	case regRead:
		return o.value == value && (o.version == 0 || o.version == version) && w.from(done, value, version)
	case regRefused:
		if o.seen && (o.value != value || o.version != 0 && o.version != version) {
			return false
		}
		return o.old != value && w.from(done, value, version)
	case regSwap:
		if o.old != value {
			return false
		}
	case regWrite, regEnd:
	}
	if o.version > 0 {
		return o.version > version && w.from(done, o.value, o.version)
	}
	for v := version + 1; v <= w.versions; v++ {
		if w.from(done, o.value, v) {
			return true
		}
	}
	return false
}

// randomRegister runs a few operations on a real register, then perhaps spoils what was recorded.
func randomRegister(r *rand.Rand) history.Slice {
	return randomRegisterOf(r, 2+r.IntN(6), 4, 1+r.IntN(3))
}

// randomRegisterOf is randomRegister with so many operations, at most concurrent of them at once, on so many values.
func randomRegisterOf(r *rand.Rand, left, concurrent, domain int) history.Slice {
	type pending struct {
		op      history.Op
		applied bool
		done    history.Op
	}
	var (
		h         history.Slice
		open      []*pending
		value     = "null"
		version   = int64(0)
		process   = history.Process(0)
		withinfo  = r.IntN(4) // of 8
		versioned = r.IntN(3) // never, always, sometimes
	)
	random := func() string { return strconv.Itoa(r.IntN(domain)) }
	record := func(op history.Op) {
		op.Index = int64(len(h))
		h = append(h, op)
	}
	apply := func(p *pending) {
		p.applied, p.done = true, p.op
		p.done.Type = history.OK
		switch p.op.F {
		case fRead:
			p.done.Value, p.done.Version = json.RawMessage(value), version
		case fWrite:
			version += 1 + int64(r.IntN(2))
			value, p.done.Version = string(p.op.Value), version
		case fCAS:
			parts, _ := elements(p.op.Value)
			before := value
			if before == string(parts[0]) {
				version += 1 + int64(r.IntN(2))
				value = string(parts[1])
				p.done.Value, p.done.Version = json.RawMessage(fmt.Sprintf("[%s,%s,true]", parts[0], parts[1])), version
			} else if r.IntN(2) == 0 {
				p.done.Value = json.RawMessage(fmt.Sprintf("[%s,%s,false]", parts[0], parts[1]))
			} else {
				p.done.Value, p.done.Version = json.RawMessage(fmt.Sprintf("[%s,%s,false,%s]", parts[0], parts[1], before)), version
			}
		}
		if versioned == 0 || versioned == 2 && r.IntN(3) == 0 {
			p.done.Version = 0
		}
	}
	for left > 0 || len(open) > 0 {
		if left > 0 && (len(open) == 0 || len(open) < concurrent && r.IntN(2) == 0) {
			op := history.Op{Type: history.Invoke, Process: process, F: fRead, Key: "x"}
			switch r.IntN(3) {
			case 0:
				op.F, op.Value = fWrite, json.RawMessage(random())
			case 1:
				op.F, op.Value = fCAS, json.RawMessage("["+random()+","+random()+"]")
			}
			record(op)
			open = append(open, &pending{op: op})
			process++
			left--
			continue
		}
		i := r.IntN(len(open))
		p := open[i]
		if !p.applied && r.IntN(8) < withinfo {
			// Of unknown outcome from now on: it may still be applied, at any time, or never.
			if r.IntN(2) == 0 {
				apply(p)
			}
			open = slices.Delete(open, i, i+1)
			continue
		}
		if !p.applied {
			apply(p)
			continue
		}
		record(p.done)
		open = slices.Delete(open, i, i+1)
	}
	for range r.IntN(4) {
		spoil(r, h, domain)
	}
	return h
}

// spoil changes one completion to what the register did not say.
func spoil(r *rand.Rand, h history.Slice, domain int) {
	op := &h[r.IntN(len(h))]
	for tries := 0; op.Type == history.Invoke && tries < 4; tries++ {
		op = &h[r.IntN(len(h))]
	}
	if op.Type == history.Invoke {
		return
	}
	switch r.IntN(4) {
	case 0:
		op.Version = max(0, op.Version+int64(r.IntN(5)-2))
	case 1:
		if op.F != fRead {
			op.Version = 0
			return
		}
		op.Value = json.RawMessage(strconv.Itoa(r.IntN(domain)))
	case 2:
		switch parts, _ := elements(op.Value); {
		case op.F == fCAS && len(parts) > 2:
			op.Value = json.RawMessage(fmt.Sprintf("[%s,%s,%v]", parts[0], parts[1], string(parts[2]) != "true"))
		case op.F == fRead:
			op.Value = json.RawMessage("null")
		}
	case 3:
		op.Type = history.Fail
	}
}

// decide is what the checker says of a single register: its verdict, and whether a search gave it.
func decide(t testing.TB, h history.Slice, stale bool) (v Verdict, searched bool, ops []regOp, f findings) {
	t.Helper()
	j := &linearizableJudge{allowStale: stale, blamed: map[int64]bool{}}
	registers, err := j.f.registersOf(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	if len(registers) == 0 {
		return Valid, false, nil, j.f
	}
	r := registers[0]
	if j.withoutSearch(r) {
		if j.f.broken > 0 {
			return Invalid, false, r.ops, j.f
		}
		return Valid, false, r.ops, j.f
	}
	return r.search(t.Context(), r.searchable(stale), 64<<20).verdict, true, r.ops, j.f
}

// agree fails the test where the checker and its twin disagree on a history.
func agree(t testing.TB, h history.Slice) (v Verdict, searched bool) {
	t.Helper()
	v, searched, ops, f := decide(t, h, false)
	want := Invalid
	if (&twin{ops: ops}).linearizes() {
		want = Valid
	}
	if v != want {
		t.Fatalf("checker says %s, twin %s; searched: %v, anomalies: %+v\n%s", v, want, searched, f.anomalies, show(h))
	}
	// With stale reads allowed the checker may miss what reads contradict together, but must not make things up.
	if v, searched, ops, f := decide(t, h, true); v == Invalid && (&twin{ops: ops, stale: true}).linearizes() {
		t.Fatalf("stale reads allowed: checker says invalid, twin valid; searched: %v, anomalies: %+v\n%s", searched, f.anomalies, show(h))
	} else if v == Valid && !searched && !(&twin{ops: ops, stale: true}).linearizes() {
		t.Fatalf("stale reads allowed: checker found an order, twin none\n%s", show(h))
	}
	return v, searched
}

func show(h history.Slice) (s string) {
	for _, op := range h {
		s += fmt.Sprintf("%d %s %s x %s v=%d\n", op.Process, op.Type, op.F, op.Value, op.Version)
	}
	return s
}

// The checker agrees with a twin that tries everything, on random histories, good and spoiled.
func TestLinearizableAgreesWithTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var valid, invalid, searched int
	for range *twinRounds {
		v, s := agree(t, randomRegister(r))
		if v == Valid {
			valid++
		} else {
			invalid++
		}
		if s {
			searched++
		}
	}
	t.Logf("%d valid, %d invalid; %d by search", valid, invalid, searched)
	if valid < *twinRounds/4 || invalid < *twinRounds/10 || searched < *twinRounds/20 {
		t.Errorf("too one-sided to show anything: %d valid, %d invalid, %d by search", valid, invalid, searched)
	}
}

func FuzzLinearizableAgreesWithTwin(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) {
		agree(t, randomRegister(rand.New(rand.NewPCG(a, b))))
	})
}

// exploding is a history without versions that no search finishes: a compare-and-set of unknown outcome from each value to each other one, then
// reads that need more of them than there are, whatever way is taken.
func exploding(values int) history.Slice {
	var h history.Slice
	add := func(typ history.Type, p int, f, value string) {
		h = append(h, history.Op{
			Index: int64(len(h)), Time: time.Duration(len(h)), Type: typ, Process: history.Process(p), F: f, Key: "x", Value: json.RawMessage(value),
		})
	}
	add(history.Invoke, 0, fWrite, "0")
	add(history.OK, 0, fWrite, "0")
	n := 1
	for a := range values {
		for b := range values {
			if a != b {
				add(history.Invoke, n, fCAS, fmt.Sprintf("[%d,%d]", a, b))
				n++
			}
		}
	}
	for i := range n {
		add(history.Invoke, 0, fRead, "null")
		add(history.OK, 0, fRead, strconv.Itoa((i+1)*(1+i%3)%values))
	}
	return h
}
