package checker

import (
	"testing"

	"github.com/faultline/faultline/harness/history"
)

// twinCounter sums up anew for every read. It knows one counter.
func twinCounter(ops []history.Pair, versioned bool) bool {
	direction := int64(0)
	up, down := false, false
	number := func(v []byte) (n int64) {
		sign := int64(1)
		for _, c := range v {
			switch {
			case c == '-':
				sign = -1
			case c >= '0' && c <= '9':
				n = 10*n + int64(c-'0')
			}
		}
		return sign * n
	}
	for _, p := range ops {
		if n := number(p.Invoke.Value); p.Invoke.F == "add" {
			up, down = up || n > 0, down || n < 0
		}
	}
	if up != down || !up {
		direction = 1
		if down {
			direction = -1
		}
	}
	for _, r := range ops {
		if r.Invoke.F != "read" || r.Outcome() != history.OK {
			continue
		}
		var low, high, newest int64
		value := number(r.Complete.Value)
		for _, a := range ops {
			n := number(a.Invoke.Value)
			acked := a.Outcome() == history.OK
			switch {
			case a.Invoke.F == "read" && acked && direction*number(a.Complete.Value) > direction*value && a.Complete.Index < r.Invoke.Index:
				return true
			case a.Invoke.F == "read":
				continue
			}
			before := acked && a.Complete.Index < r.Invoke.Index
			if before {
				newest = max(newest, a.Complete.Version)
			}
			counts, may := before, a.Invoke.Index < r.Complete.Index
			if versioned && acked {
				counts, may = a.Complete.Version <= r.Complete.Version, false
			}
			switch {
			case counts:
				low, high = low+n, high+n
			case may:
				low, high = low+min(n, 0), high+max(n, 0)
			}
		}
		if value < low || value > high || versioned && r.Complete.Version < newest {
			return true
		}
	}
	return false
}

func compareCounters(t testing.TB, seed uint64, lies int, versions bool) (invalid bool) {
	h := tinyHistory(seed, 0, int(seed%4)-3, "add", "read") //nolint:gosec // -3 to 0
	n := int(seed % 17)                                     //nolint:gosec // small
	keys := map[string][]history.Pair{}
	for i := range h {
		op := &h[i]
		if !versions {
			op.Version, op.Revision = 0, 0
		}
		if n++; lies > 0 && op.F == "read" && op.Type == history.OK && n%lies == 0 {
			op.Value = []byte([]string{"0", "1", "3", "-2"}[n%4])
			op.Version = max(0, op.Version-int64(n%2))
		}
	}
	for p, err := range history.ClientPairs(h) {
		if err != nil {
			t.Fatal(err)
		}
		keys[p.Invoke.Key] = append(keys[p.Invoke.Key], p)
	}
	twin := false
	for _, ops := range keys {
		adds, plain, told := 0, 0, 0
		for _, p := range ops {
			switch {
			case p.Outcome() != history.OK:
			case p.Invoke.F == "add":
				adds++
				if p.Complete.Version == 0 {
					plain++
				}
			case p.Complete.Version > 0:
				told++
			}
		}
		twin = twinCounter(ops, adds > 0 && plain == 0 && told > 0) || twin
	}
	v, names := verdictOf(t, must(t)(Counter(CounterOptions{})), h)
	if (v == Invalid) != twin {
		t.Fatalf("seed %d, lies %d, versions %v: %v %v, its twin %v\n%s", seed, lies, versions, v, names, twin, history.Format(h))
	}
	if lies == 0 && v == Invalid {
		t.Fatalf("seed %d, versions %v: %v of a history without a lie\n%s", seed, versions, names, history.Format(h))
	}
	return v == Invalid
}

// TestCounterTwin: counters are judged as by summing up anew for every read.
func TestCounterTwin(t *testing.T) {
	invalid := 0
	for seed := range uint64(4000) {
		if compareCounters(t, seed, int(seed/4%3*3), seed%8 < 4) { //nolint:gosec // 0, 3 or 6
			invalid++
		}
	}
	if invalid < 500 {
		t.Errorf("only %d of the histories were invalid", invalid)
	}
	t.Logf("%d of 4000 invalid", invalid)
}

func FuzzCounter(f *testing.F) {
	f.Add(uint64(1), uint8(0), true)
	f.Add(uint64(2), uint8(5), false)
	f.Fuzz(func(t *testing.T, seed uint64, lies uint8, versions bool) {
		compareCounters(t, seed, int(lies%16), versions)
	})
}
