package generator_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	. "github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

// workload is what the workloads are made of: a stream for each worker, beside a nemesis.
func workload(seed uint64, concurrency int) Generator {
	keys := KeyStream{Prefix: "k", Keys: 5, OpsPerKey: 40, Concurrency: concurrency}
	number := func(name string) Generator {
		return PerKey(keys, func(ctx *Context, _ string) history.Op {
			return history.Op{F: name, Value: strconv.AppendInt(nil, ctx.Rand.Int64N(1000), 10)}
		})
	}
	clients := EachWorker(func(Worker) Generator {
		return Stagger(20*ms, Mix(Weighted{1, number("read")}, Weighted{2, number("write")}))
	})
	faults := Stagger(500*ms, Func(func(ctx *Context) history.Op {
		return history.Op{F: "break", Value: strconv.AppendInt(nil, ctx.Rand.Int64N(1000), 10)}
	}))
	return Seeded(seed, "run", Phases(
		TimeLimit(5*time.Second, Any(Clients(clients), NemesisOnly(faults))),
		Clients(EachWorker(func(Worker) Generator { return Limit(3, number("final")) })),
	))
}

// drawn are the operations by worker, in its order, without their times.
func drawn(t *testing.T, g Generator, concurrency int, latencies uint64) map[int][]string {
	t.Helper()
	r := rand.New(rand.NewPCG(latencies, 1))
	ops, err := Play(g, concurrency, 1<<20, func(op history.Op) (history.Op, time.Duration) {
		op.Type = history.OK
		if r.IntN(20) == 0 {
			op.Type = history.Info
		}
		return op, time.Duration(r.Int64N(int64(60 * ms)))
	})
	if err != nil {
		t.Fatal(err)
	}
	out := map[int][]string{}
	for _, op := range ops {
		if op.Type == history.Invoke {
			w := -1
			if op.Process.IsClient() {
				w = int(op.Process) % concurrency
			}
			out[w] = append(out[w], fmt.Sprintf("%s %s %s", op.F, op.Key, op.Value))
		}
	}
	return out
}

// TestEachWorkersNthOperation: whatever the latencies and outcomes, a seed fixes each worker's n-th operation.
func TestEachWorkersNthOperation(t *testing.T) {
	const concurrency = 7
	want := drawn(t, workload(42, concurrency), concurrency, 0)
	for latencies := uint64(1); latencies < 10; latencies++ {
		got := drawn(t, workload(42, concurrency), concurrency, latencies)
		for w := -1; w < concurrency; w++ {
			a, b := phases(want[w]), phases(got[w])
			if len(a[0]) < 5 || len(b[0]) < 5 {
				t.Fatalf("worker %d drew only %v and %v", w, a[0], b[0])
			}
			for p := range a {
				for n := range min(len(a[p]), len(b[p])) {
					if a[p][n] != b[p][n] {
						t.Fatalf("worker %d, phase %d, operation %d: %q, with other latencies %q", w, p, n, a[p][n], b[p][n])
					}
				}
			}
		}
	}
	other := drawn(t, workload(43, concurrency), concurrency, 0)
	same := 0
	for n := range min(len(want[0]), len(other[0])) {
		if want[0][n] == other[0][n] {
			same++
		}
	}
	if same > len(want[0])/4 {
		t.Errorf("another seed drew the same operation %d times in %d", same, len(want[0]))
	}
	if fmt.Sprint(want[0][:20]) == fmt.Sprint(want[1][:20]) {
		t.Error("two workers drew the same operations")
	}
}

// phases splits off the final operations: how many come before depends on the latencies.
func phases(ops []string) [2][]string {
	for i, op := range ops {
		if op[:5] == "final" {
			return [2][]string{ops[:i], ops[i:]}
		}
	}
	return [2][]string{ops, nil}
}

// TestOneSharedStreamIsNotEnough: without EachWorker, which worker draws what depends on the latencies. It shows that
// TestEachWorkersNthOperation can fail.
func TestOneSharedStreamIsNotEnough(t *testing.T) {
	shared := func() Generator {
		return Seeded(1, "x", Limit(200, Clients(Func(func(ctx *Context) history.Op {
			return history.Op{F: "a", Value: strconv.AppendInt(nil, ctx.Rand.Int64N(1000), 10)}
		}))))
	}
	if fmt.Sprint(drawn(t, shared(), 3, 0)) == fmt.Sprint(drawn(t, shared(), 3, 1)) {
		t.Error("three workers shared a stream and drew the same at other latencies")
	}
}

func TestStaggerKeepsTheRate(t *testing.T) {
	ops, err := Play(Stagger(10*ms, f("a")), 50, 1000, OK(25*ms))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, op := range ops {
		if op.Type != history.Invoke {
			continue
		}
		if lo := time.Duration(n) * 10 * ms; op.Time < lo || op.Time > lo+10*ms+1 {
			t.Fatalf("operation %d at %v, want it in its slot from %v", n, op.Time, lo)
		}
		n++
	}
	if n != 1000 {
		t.Errorf("%d operations", n)
	}
}

func TestStaggerCatchesUp(t *testing.T) {
	first := true
	ops, err := Play(TimeLimit(time.Second, Stagger(10*ms, f("a"))), 1, 1000, func(op history.Op) (history.Op, time.Duration) {
		op.Type = history.OK
		if first {
			first = false
			return op, 500 * ms
		}
		return op, ms
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(ops) / 2; n < 99 || n > 100 {
		t.Errorf("%d operations in a second at one each 10 ms, want 100 although one took half a second", n)
	}
}

func TestMixDrawsByWeight(t *testing.T) {
	count := map[string]int{}
	ops, err := Play(Mix(Weighted{1, f("a")}, Weighted{3, f("b")}), 1, 10_000, OK(ms))
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range ops {
		if op.Type == history.Invoke {
			count[op.F]++
		}
	}
	if a := count["a"]; a < 2300 || a > 2700 || a+count["b"] != 10_000 {
		t.Errorf("drew %v of 10000, want a quarter and three", count)
	}
}

func TestKeyStream(t *testing.T) {
	s := KeyStream{Prefix: "k", Keys: 20, OpsPerKey: 300, Concurrency: 6}
	const draws = 20_000 // of each worker
	uses, users, first, last := map[string]int{}, map[string]map[int]bool{}, map[string]int{}, map[string]int{}
	for n := range draws {
		for w := range s.Concurrency {
			k := s.Key(uint64(n), rand.New(rand.NewPCG(uint64(w), uint64(n))))
			if users[k] == nil {
				users[k], first[k] = map[int]bool{}, n
			}
			uses[k]++
			users[k][w] = true
			last[k] = n
		}
	}
	open := make([]int, draws)
	for k := range uses {
		for n := first[k]; n <= last[k]; n++ {
			open[n]++
		}
	}
	for n, keys := range open {
		if keys > s.Keys {
			t.Fatalf("%d keys are in use at draw %d, want at most %d", keys, n, s.Keys)
		}
	}
	full := 0
	for k, n := range uses {
		if first[k] < 1000 || last[k] > draws-1000 {
			continue // of the first generation, or not over yet
		}
		full++
		if n < s.OpsPerKey/2 || n > s.OpsPerKey*3/2 {
			t.Errorf("key %s had %d operations, want about %d", k, n, s.OpsPerKey)
		}
		if len(users[k]) != s.Concurrency {
			t.Errorf("key %s was used by %d workers of %d", k, len(users[k]), s.Concurrency)
		}
	}
	if want := draws * s.Concurrency / s.OpsPerKey; full < want*8/10 {
		t.Errorf("%d keys had their whole life, want about %d", full, want)
	}
}

// wrong proposes what no runner can do.
type wrong struct {
	op history.Op
	s  Status
}

func (w *wrong) Next(*Context) (history.Op, Status, Generator) { return w.op, w.s, &wrong{w.op, w.s} }
func (w *wrong) Update(*Context, history.Op) Generator         { return w }

func TestDispatcherRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		g    Generator
		want error
	}{
		{"a process that never was", &wrong{history.Op{F: "a", Process: 9}, Ready}, ErrNotFree},
		{"evidence", &wrong{history.Op{F: "a", Process: history.Evidence}, Ready}, ErrNotFree},
		{"a busy process", &wrong{history.Op{F: "a", Process: 1}, Ready}, ErrNotFree},
		{"waiting for nothing", &wrong{history.Op{}, Pending}, ErrStuck},
		{"spinning", &wrong{history.Op{Time: 1}, Pending}, ErrSpins},
	} {
		if _, err := Play(c.g, 2, 10, OK(ms)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestManyWorkers(t *testing.T) {
	const concurrency = 200 // more than three words of bits
	ops, err := Play(Clients(EachWorker(func(w Worker) Generator { return Limit(1, f(fmt.Sprint(int(w)))) })), concurrency, 1<<20, OK(ms))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, op := range ops {
		if op.Type == history.Invoke {
			if op.F != op.Process.String() {
				t.Errorf("process %s performed %s's operation", op.Process, op.F)
			}
			seen[op.F] = true
		}
	}
	if len(seen) != concurrency {
		t.Errorf("%d workers of %d did something", len(seen), concurrency)
	}
}

// BenchmarkDispatch is what one operation costs in generators: a paced register workload, ten and a hundred workers.
func BenchmarkDispatch(b *testing.B) {
	for _, concurrency := range []int{10, 100} {
		b.Run(fmt.Sprintf("workers=%d", concurrency), func(b *testing.B) {
			b.ReportAllocs()
			d := NewDispatcher(Clients(Seeded(1, "x", EachWorker(func(Worker) Generator {
				return PerKey(KeyStream{"k", 20, 300, concurrency}, func(*Context, string) history.Op { return history.Op{F: "read"} })
			}))), concurrency)
			for n := range b.N {
				op, _, s, err := d.Next(time.Duration(n + 1))
				if s != Ready || err != nil {
					b.Fatal(s, err)
				}
				op.Type = history.OK
				if err := d.Complete(time.Duration(n+1), op); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
