package checker

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// following is a made-up system: clients declare, things follow a little later, caches follow the store, faults hold both up.
type following struct {
	rng     *rand.Rand
	b       strings.Builder
	now     int
	version int64
	// want, have and at are of each thing; caches are what each server shows: since has the time of the state, in the order of versions.
	want, have, at [4]int64
	caches         [2]string
	cut            [2]bool
	held           bool
}

func (w *following) state() string {
	var words []string
	for i := range w.want {
		if w.at[i] > 0 {
			words = append(words, fmt.Sprintf("t%d=%d/%d@%d", i, w.have[i], w.want[i], w.at[i]))
		}
	}
	return fmt.Sprintf("r=%d %s", w.version, strings.Join(words, " "))
}

func (w *following) line(format string, args ...any) {
	fmt.Fprintf(&w.b, "%d %s\n", w.now, fmt.Sprintf(format, args...))
}

// second lets things follow what is declared, unless a fault holds them up, and samples.
func (w *following) second() {
	w.now++
	for i := range w.want {
		if w.at[i] > 0 && w.have[i] != w.want[i] && !w.held && w.rng.IntN(2) == 0 {
			w.version++
			w.have[i], w.at[i] = w.have[i]+sign(w.want[i]-w.have[i]), w.version
		}
	}
	for i := range w.caches {
		if !w.cut[i] {
			w.caches[i] = w.state()
		}
	}
	w.line("quorum %s", w.state())
	for i, cached := range w.caches {
		switch {
		case w.rng.IntN(30) == 0 && w.cut[i]:
			w.line("n%d error timeout", i+1)
		case cached != "":
			w.line("n%d %s", i+1, cached)
		}
	}
	w.line("store %s", w.state())
}

func sign(n int64) int64 {
	if n < 0 {
		return -1
	}
	return 1
}

// run is a minute of clients and faults, and a quiet end. broken, where not nil, is asked before each second of the end.
func (w *following) run(stated bool, broken func(*following)) string {
	faults := map[string]int{}
	for n := 1; w.now < 60; {
		if w.rng.IntN(2) == 0 {
			i := w.rng.IntN(len(w.want))
			w.version++
			w.want[i], w.at[i] = w.rng.Int64N(6), w.version
			w.line("declare t%d", i)
		}
		if w.rng.IntN(6) == 0 && len(faults) < 2 {
			id := fmt.Sprintf("%s-%d", []string{"kill", "cut"}[w.rng.IntN(2)], n)
			faults[id], n = w.now+1+w.rng.IntN(10), n+1
			w.line("start %s", id)
		}
		for _, id := range slices.Sorted(maps.Keys(faults)) {
			if faults[id] <= w.now {
				w.line("stop %s", id)
				delete(faults, id)
			}
		}
		w.held = len(faults) > 0 && w.rng.IntN(3) > 0
		w.cut = [2]bool{len(faults) > 0, len(faults) > 1}
		w.second()
	}
	for _, id := range slices.Sorted(maps.Keys(faults)) {
		w.line("stop %s", id)
	}
	w.held, w.cut = false, [2]bool{}
	w.line("healthy")
	w.line("await 60 5%s", map[bool]string{true: " stated"}[stated])
	for range 61 {
		w.second()
		if broken != nil {
			broken(w)
		}
	}
	w.line("converged")
	w.second()
	return w.b.String()
}

// TestConvergeHoldsForHealthyRuns: whatever the faults, a run of a system that follows is valid; and each way not to follow is found in
// nearly all of the same runs.
func TestConvergeHoldsForHealthyRuns(t *testing.T) {
	c := must(t)(Converge(ConvergeOptions{Rules: things}))
	const runs = 24
	found := map[string]int{}
	defects := map[string]func(w *following){
		anomalyStalled: func(w *following) {
			if !w.held {
				w.version++
				w.held, w.want[0], w.at[0] = true, 9, w.version
			}
		},
		anomalyOscillating: func(w *following) {
			w.version++
			w.held = true // nobody else writes to it
			w.have[1], w.want[1], w.at[1] = int64(w.now/2%2), 1, w.version
		},
		anomalyDivergent: func(w *following) { w.cut[1] = w.cut[1] || w.have == w.want; w.caches[1] += " ghost=1/1@1" },
	}
	for seed := range uint64(runs) {
		fresh := func() *following { return &following{rng: rand.New(rand.NewPCG(seed, 1))} }
		text := fresh().run(seed%2 == 0, nil)
		h := converging(t, text)
		if err := history.Validate(h); err != nil {
			t.Fatal(err)
		}
		r, err := c.Check(context.Background(), h, Budget{Time: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict != Valid || len(r.Anomalies) > 0 {
			t.Fatalf("seed %d: %s: %v %+v\n%s", seed, r.Verdict, r.Reasons, r.Anomalies, text)
		}
		for name, broken := range defects {
			h := converging(t, strings.Replace(fresh().run(true, broken), " converged\n", " gave-up\n", 1))
			if v, names := verdictOf(t, c, h); v == Invalid && slices.Contains(names, name) {
				found[name]++
			}
		}
	}
	for name := range defects {
		if found[name] < runs*95/100 {
			t.Errorf("%s was found in %d of %d runs", name, found[name], runs)
		}
	}
}
