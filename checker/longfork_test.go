package checker

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/faultline/faultline/harness/history"
)

func TestLongFork(t *testing.T) {
	const (
		// Both writes are under way for as long as reads are.
		begun = `0 invoke txn [["w","x",1]] / 1 invoke txn [["w","y",2]] / `
		x     = `2 txn [["r","x",1],["r","y",null]]`
		y     = `3 txn [["r","x",null],["r","y",2]]`
		forkY = `2 invoke txn [["r","x",null],["r","y",null]] / 3 invoke txn [["r","x",null],["r","y",null]] / 2 ok txn [["r","x",1],["r","y",null]] / 3 ok txn [["r","x",null],["r","y",2]]`
	)
	cases := []transcriptCase{
		{name: "nothing", history: ``, want: "unknown", why: "no transaction read"},
		{name: "nothing in between", history: `0 txn [["w","x",1]] / 1 txn [["r","x",1],["r","y",null]] / 1 txn [["r","z",null]]`, want: "valid"},
		{name: "only whole reads", history: `0 txn [["w","x",1]] / 1 txn [["r","x",1]] / 1 txn [["r","x",1],["r","z",1]]`, want: "unknown", why: "z is not judged: 5 read a value of it, and nobody wrote it"},
		{name: "one order", history: begun + x + ` / 3 txn [["r","x",1],["r","y",2]]`, want: "valid"},
		{name: "nothing seen", history: begun + `2 txn [["r","x",null],["r","y",null]]`, want: "unknown", why: "no read saw one key written and another not yet"},
		{
			name: "fork", history: begun + forkY, want: "invalid long-fork y [5 4 1 0]",
			why: "5 by process 3 sees y written (by 1) and not x (by 0); 4 by process 2 sees x and not y",
		},
		{name: "fork of an unknown write", history: begun + `0 info txn [["w","x",1]] ! timeout / ` + forkY, want: "invalid long-fork y [6 5 1 2]"},
		{name: "in larger reads", history: begun + strings.ReplaceAll(forkY, `"y",null]]`, `"y",null],["r","z",null]]`), want: "invalid long-fork y [5 4 1 0]"},
		{name: "one after the other", history: begun + x + ` / ` + y, want: "invalid long-fork y [5 3 1 0] stale-read x [5 3]"},
		{name: "of its own", history: begun + forkY[:len(forkY)-1] + `,["r","q",null],["w","q",1],["r","q",1]]`, want: "invalid long-fork y [5 4 1 0]"},
		{name: "a failed write", history: `0 invoke txn [["w","x",1]] / 0 fail txn [["w","x",1]] / 1 txn [["r","x",1],["r","y",null]]`, want: "unknown", why: "nobody wrote it"},
		{name: "written twice", history: begun + `4 txn [["w","x",3]] / ` + forkY, want: "unknown", why: "x is not judged"},
	}
	runTranscripts(t, must(t)(LongFork(TransactionOptions{})), cases)
	allowing := []transcriptCase{{name: "allowed", history: begun + forkY, want: "valid (long-fork y [5 4 1 0])"}}
	for _, model := range []string{"parallel-snapshot-isolation", "read-committed", "update-serializable"} {
		runTranscripts(t, must(t)(LongFork(TransactionOptions{Model: model})), allowing)
	}
	for _, model := range []string{"snapshot-isolation", "prefix", "repeatable-read", "serializable"} {
		runTranscripts(t, must(t)(LongFork(TransactionOptions{Model: model})), []transcriptCase{
			{name: "ruled out", history: begun + forkY, want: "invalid long-fork y [5 4 1 0]"},
			{name: "real time is not kept to", history: begun + x + ` / 3 txn [["r","x",null],["r","y",null]]`, want: "valid (stale-read x [5 3])", why: "5 by process 3 does not see x written, but 3, which was over before, did"},
		})
	}
	if _, err := LongFork(TransactionOptions{Model: "cached"}); err == nil {
		t.Error("a model of registers is taken for one of transactions")
	}
}

// randomForks are reads of three keys, each of which shows any of them.
func randomForks(seed uint64) history.Slice {
	r := rand.New(rand.NewPCG(seed, 6))
	var h history.Slice
	record := func(p history.Process, typ history.Type, value string) {
		h = append(h, history.Op{Index: int64(len(h)), Process: p, Type: typ, F: "txn", Value: json.RawMessage(value)})
	}
	for k := range 3 {
		record(history.Process(k), history.Invoke, fmt.Sprintf(`[["w","k%d",1]]`, k))
	}
	level := r.IntN(4) // of order: how many keys are written for sure
	for i := range 2 + r.IntN(3) {
		var micros []string
		for k := range 3 {
			if r.IntN(5) == 0 {
				continue
			}
			value := "null"
			if k < level || r.IntN(3) == 0 {
				value = "1"
			}
			micros = append(micros, fmt.Sprintf(`["r","k%d",%s]`, k, value))
		}
		if len(micros) == 0 {
			continue
		}
		value := "[" + strings.Join(micros, ",") + "]"
		record(history.Process(3+i), history.Invoke, strings.ReplaceAll(value, "1]", "null]"))
		record(history.Process(3+i), history.OK, value)
	}
	return h
}

func compareForks(t testing.TB, seed uint64) bool {
	h := randomForks(seed)
	sees := func(op history.Op, key int, value string) bool {
		return op.Type == history.OK && strings.Contains(string(op.Value), fmt.Sprintf(`"k%d",%s]`, key, value))
	}
	twin := false
	for _, a := range h {
		for _, b := range h {
			for x := range 3 {
				for y := range 3 {
					twin = twin || sees(a, x, "1") && sees(a, y, "null") && sees(b, x, "null") && sees(b, y, "1")
				}
			}
		}
	}
	v, names := verdictOf(t, must(t)(LongFork(TransactionOptions{Model: "snapshot-isolation"})), h)
	if (v == Invalid) != twin {
		t.Fatalf("seed %d: %v %v, its twin %v\n%s", seed, v, names, twin, history.Format(h))
	}
	return twin
}

// TestLongForkTwin: forks are found as by comparing every read with every other.
func TestLongForkTwin(t *testing.T) {
	forks := 0
	for seed := range uint64(3000) {
		if compareForks(t, seed) {
			forks++
		}
	}
	if forks < 100 {
		t.Errorf("%d of 3000 histories had forks", forks)
	}
	t.Logf("%d of 3000 have forks", forks)
}

func FuzzLongFork(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { compareForks(t, seed) })
}
