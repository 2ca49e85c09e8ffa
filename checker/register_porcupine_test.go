package checker

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/anishathalye/porcupine"
)

// byPorcupine decides what a sweep decides, by Porcupine's search.
func (r *register) byPorcupine(ctx context.Context, ops []regOp, memoryBytes int64) outcome {
	m := newMeter(ctx, len(ops), memoryBytes)
	before := m.left
	ok := porcupine.CheckOperations(r.model(regState{}, m), operations(ops))
	out := outcome{verdict: Invalid, spent: m.spent, states: before - m.left}
	switch {
	case ok:
		out.verdict, out.spent = Valid, ""
	case m.spent != "":
		out.verdict = Unknown
	}
	return out
}

// Sweeps agree with Porcupine on histories that are too long for the twin that tries everything.
func TestSweepAgreesWithPorcupine(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	var n [3]int
	for range *twinRounds / 50 {
		h := randomRegisterOf(rnd, 5+rnd.IntN(60), 2+rnd.IntN(8), 2+rnd.IntN(4))
		var f findings
		rs, err := f.registersOf(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		if len(rs) == 0 {
			continue
		}
		got := rs[0].search(t.Context(), rs[0].searchable(false), 64<<20)
		want := rs[0].byPorcupine(t.Context(), rs[0].searchable(false), 64<<20)
		n[got.verdict]++
		if got.verdict != want.verdict && want.verdict != Unknown {
			t.Fatalf("the sweep says %s, Porcupine %s\n%s", got.verdict, want.verdict, show(h))
		}
	}
	t.Logf("%d valid, %d invalid, %d unknown", n[Valid], n[Invalid], n[Unknown])
	if n[Valid] < *twinRounds/250 || n[Invalid] < *twinRounds/250 || n[Unknown] > 0 {
		t.Error("too one-sided to show anything")
	}
}
