package transactions

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/faultline/faultline/harness/history"
)

// recordedHistory is a history of a store that is strictly serializable by construction.
func recordedHistory(t *testing.T, kind Kind, seed uint64, transactions int) history.Slice {
	t.Helper()
	var b bytes.Buffer
	g := recording{w: bufio.NewWriter(&b), r: rand.New(rand.NewPCG(seed, 3)), kind: kind}
	g.record(transactions)
	if err := g.w.Flush(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "history.jsonl")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := history.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := history.Load(src)
	if err != nil {
		t.Fatal(err)
	}
	return loaded.Slice
}

func TestNoFalseAlarmOnWhatIsValidByConstruction(t *testing.T) {
	for _, kind := range []Kind{ListAppend, RWRegister} {
		for seed := range uint64(15) {
			r, err := Check(context.Background(), recordedHistory(t, kind, seed, 400+int(seed)*100), Options{Kind: kind})
			if err != nil || len(r.Anomalies) > 0 || len(r.Unknown) > 0 {
				t.Errorf("kind %d, seed %d: %v %v %+v", kind, seed, err, r.Unknown, r.Anomalies)
			}
		}
	}
}

// TestPlantedFaultsAreFound changes one read of a history that was valid.
func TestPlantedFaultsAreFound(t *testing.T) {
	for _, plant := range []struct {
		kind Kind
		want string // empty: anything
		fits func(list []any) bool
		read func(list []any) any
	}{
		{ListAppend, "garbage-read", func(l []any) bool { return len(l) > 0 }, func(l []any) any { return append(slices.Clone(l), 999_999) }},
		{ListAppend, "duplicate-elements", func(l []any) bool { return len(l) > 1 }, func(l []any) any { return append(slices.Clone(l), l[0]) }},
		{ListAppend, "incompatible-order", func(l []any) bool { return len(l) > 10 && len(l) < 20 }, func(l []any) any {
			l = slices.Clone(l)
			l[0], l[1] = l[1], l[0]
			return l
		}},
		{ListAppend, "", func(l []any) bool { return len(l) > 20 }, func(l []any) any { return l[:2] }}, // stale
		{ListAppend, "", func(l []any) bool { return len(l) > 20 }, func([]any) any { return nil }},
		{RWRegister, "garbage-read", nil, func([]any) any { return 999_999 }},
		{RWRegister, "", nil, func([]any) any { return nil }},
	} {
		for seed := range uint64(5) {
			h := recordedHistory(t, plant.kind, seed, 600)
			if !plantRead(t, h, plant.fits, plant.read) {
				continue
			}
			r, err := Check(context.Background(), h, Options{Kind: plant.kind})
			if err != nil {
				t.Fatal(err)
			}
			if !r.Broken || plant.want != "" && r.Found[plant.want] == 0 {
				t.Errorf("kind %d, seed %d: planted %q, found %v", plant.kind, seed, plant.want, r.Found)
			}
		}
	}
}

// plantRead changes the only micro-operation of an ok transaction in the second half that fits.
func plantRead(t *testing.T, h history.Slice, fits func([]any) bool, read func([]any) any) bool {
	t.Helper()
	for i := len(h) / 2; i < len(h); i++ {
		if h[i].Type != history.OK {
			continue
		}
		var micros [][]any
		if err := json.Unmarshal(h[i].Value, &micros); err != nil {
			t.Fatal(err)
		}
		if len(micros) != 1 || micros[0][0] != "r" || micros[0][2] == nil {
			continue
		}
		list, _ := micros[0][2].([]any)
		if fits != nil && !fits(list) || fits == nil && micros[0][2].(float64) < 20 {
			continue
		}
		micros[0][2] = read(list)
		b, err := json.Marshal(micros)
		if err != nil {
			t.Fatal(err)
		}
		h[i].Value = b
		return true
	}
	return false
}
