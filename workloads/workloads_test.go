package workloads

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

// readless have no choice of reads.
var readless = []string{"kube/lease", "etcd/lock", "etcd/lock-set", "etcd/lease", "etcd/election", "etcd/watch"}

func TestLookup(t *testing.T) {
	for _, w := range Workloads {
		got, err := Lookup(w.Name)
		if err != nil || got.Name != w.Name {
			t.Errorf("%s: %v, %v", w.Name, got.Name, err)
		}
		if w.Doc == "" || w.New == nil || w.Clients == nil || w.Minimum == (checker.Minimum{}) || len(w.Reads) == 0 && !slices.Contains(readless, w.Name) {
			t.Errorf("%s lacks a column", w.Name)
		}
	}
	for name, near := range map[string]string{"etcd/regster": "etcd/register", "set": "etcd/set", "append": "etcd/append", "": "etcd/wr"} {
		if _, err := Lookup(name); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "did you mean "+near+"?") {
			t.Errorf("%q: %v, want %s", name, err, near)
		}
	}
}

// beyondStore are workloads that take more than the store imagined here has: leases, watches.
var beyondStore = []string{"etcd/lock", "etcd/lock-set", "etcd/lease", "etcd/election", "etcd/watch"}

// TestEveryReadAndModel: each kind of read and each model that the table names can be asked for.
func TestEveryReadAndModel(t *testing.T) {
	for _, w := range Workloads {
		for _, read := range append([]string{""}, w.Reads...) {
			for _, model := range append([]string{""}, w.Models...) {
				o := options
				o.Read, o.Model = read, model
				if _, err := w.New(o); err != nil {
					t.Errorf("%s --read %q --model %q: %v", w.Name, read, model, err)
				}
			}
		}
	}
}

// ofEtcd are the workloads that the store imagined here can play. Those of Kubernetes, and those beyond this store, are played by the simulator, in
// the self-test.
func ofEtcd() []Workload {
	return slices.DeleteFunc(slices.Clone(Workloads), func(w Workload) bool {
		return !strings.HasPrefix(w.Name, "etcd/") || slices.Contains(beyondStore, w.Name)
	})
}

var options = Options{Keys: 3, OpsPerKey: 20, Concurrency: 4, Rate: 1000, Seed: 7}

// played is what a workload's main and final phases yield against an imagined system.
func played(t *testing.T, w Workload, o Options, invocations int, complete func(history.Op) (history.Op, time.Duration)) (ops []history.Op, final int, parts Parts) {
	t.Helper()
	parts, err := w.New(o)
	if err != nil {
		t.Fatal(err)
	}
	g := generator.Seq(generator.Limit(invocations, parts.Main), generator.Synchronize(parts.Final))
	ops, err = generator.Play(generator.Clients(g), o.Concurrency, 100_000, complete)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	final = slices.IndexFunc(ops, func(op history.Op) bool {
		if op.Type == history.Invoke {
			seen++
		}
		return seen > invocations
	})
	return ops, final, parts
}

// drawnBy are the operations that each worker drew, in its order.
func drawnBy(ops []history.Op, concurrency int) [][]string {
	out := make([][]string, concurrency)
	for _, op := range ops {
		if op.Type == history.Invoke {
			w := int(op.Process) % concurrency
			out[w] = append(out[w], op.F+" "+op.Key+" "+string(op.Value))
		}
	}
	return out
}

// What a worker's n-th operation is depends on the seed alone, not on how fast or how well others went.
func TestTheSeedFixesEachWorkersOperations(t *testing.T) {
	for _, w := range Workloads {
		calls := 0
		erratic := func(op history.Op) (history.Op, time.Duration) {
			calls++
			op.Type = []history.Type{history.OK, history.Fail, history.Info}[calls%3]
			return op, time.Duration(calls*7919%50) * time.Millisecond
		}
		steady, final, _ := played(t, w, options, 400, generator.OK(time.Millisecond))
		other, otherFinal, _ := played(t, w, options, 400, erratic)
		a, b := drawnBy(steady[:final], options.Concurrency), drawnBy(other[:otherFinal], options.Concurrency)
		for i := range a {
			n := min(len(a[i]), len(b[i]))
			if n < 20 || !slices.Equal(a[i][:n], b[i][:n]) {
				t.Errorf("%s: worker %d drew other operations for the same seed (%d compared)", w.Name, i, n)
			}
		}
		o := options
		o.Seed++
		third, thirdFinal, _ := played(t, w, o, 400, generator.OK(time.Millisecond))
		if c := drawnBy(third[:thirdFinal], o.Concurrency); slices.Equal(a[0], c[0]) {
			t.Errorf("%s: another seed drew the same operations", w.Name)
		}
	}
}

func TestElementsAreUnique(t *testing.T) {
	for _, name := range []string{"etcd/set", "etcd/append", "etcd/wr", "etcd/stm", "etcd/long-fork"} {
		w, err := Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		ops, _, _ := played(t, w, options, 2000, generator.OK(time.Millisecond))
		seen := map[string]bool{}
		for _, op := range ops {
			if op.Type != history.Invoke {
				continue
			}
			for _, e := range elements(t, op) {
				if seen[e] {
					t.Errorf("%s: element %s twice", name, e)
				}
				seen[e] = true
			}
		}
		if len(seen) < 400 {
			t.Errorf("%s: only %d elements", name, len(seen))
		}
	}
}

// elements are what an operation adds or appends.
func elements(t *testing.T, op history.Op) []string {
	t.Helper()
	switch op.F {
	case "add":
		return []string{string(op.Value)}
	case "txn":
		var micros [][]json.RawMessage
		if err := json.Unmarshal(op.Value, &micros); err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, m := range micros {
			if string(m[0]) != `"r"` {
				out = append(out, string(m[2]))
			}
		}
		return out
	}
	return nil
}

// Every worker reads every recent key at the end, again where that failed, and gives up in the end.
func TestFinalReads(t *testing.T) {
	for _, w := range ofEtcd() {
		ops, final, _ := played(t, w, options, 400, generator.OK(time.Millisecond))
		if w.Name == "etcd/kv" { // all its keys are read at once
			for _, op := range ops[final:] {
				if !strings.Contains(string(op.Value), `"range","kv/","kv0"`) {
					t.Errorf("%s: %s %s among the final reads", w.Name, op.F, op.Value)
				}
			}
			continue
		}
		used := map[string]bool{}
		for _, op := range ops[:final] {
			for _, k := range keysOf(op) {
				used[k] = true
			}
		}
		type reading struct {
			p   history.Process
			key string
		}
		read := map[reading]bool{}
		for _, op := range ops[final:] {
			if op.Type != history.OK {
				continue
			}
			if len(elements(t, op)) > 0 || !slices.Contains([]string{"read", "txn", "generate", "dequeue"}, op.F) {
				t.Errorf("%s: %s %s among the final reads", w.Name, op.F, op.Value)
			}
			for _, k := range keysOf(op) {
				read[reading{op.Process, k}] = true
			}
		}
		var last []string
		for k := range used {
			last = append(last, k)
		}
		slices.SortFunc(last, func(a, b string) int { return len(b)*1000 - len(a)*1000 + strings.Compare(b, a) })
		for _, k := range last[:options.Keys] {
			for p := range history.Process(options.Concurrency) {
				// A queue is emptied by every other one.
				if !read[reading{p, k}] && !read[reading{p ^ 1, k}] {
					t.Errorf("%s: process %v did not read %s at the end", w.Name, p, k)
				}
			}
		}

		// A system that is down ends it too.
		down := func(op history.Op) (history.Op, time.Duration) {
			op.Type = history.Fail
			return op, time.Millisecond
		}
		ops, final, _ = played(t, w, options, 400, down)
		if n := len(ops) - final; n < options.Concurrency*finalSlack || n > 20*options.Concurrency*(finalSlack+finalKeysMax) {
			t.Errorf("%s: %d final operations on a system that is down", w.Name, n)
		}
	}
}

func keysOf(op history.Op) []string {
	if op.Key != "" {
		return []string{op.Key}
	}
	return microKeys(op)
}

func TestOptionsThatCannotWork(t *testing.T) {
	for _, w := range Workloads {
		for _, o := range []Options{
			{OpsPerKey: 1, Concurrency: 1},
			{Keys: 1, Concurrency: 1},
			{Keys: 1, OpsPerKey: 1},
			{Keys: 1, OpsPerKey: 1, Concurrency: 1, Rate: -1},
			{Keys: 1, OpsPerKey: 1, Concurrency: 1, Model: "casual"},
		} {
			if _, err := w.New(o); err == nil && (o.Model == "" || len(w.Models) > 0) {
				t.Errorf("%s takes %+v", w.Name, o)
			}
		}
	}
}

// store is a linearizable system in memory, or one with a bug.
type store struct {
	registers map[string]int
	versions  map[string]int64
	lists     map[string][]int
	counters  map[string]int
	revision  int64
	// loseEvery: each so manieth write is acknowledged and not carried out; 0: none.
	loseEvery int
	writes    int
}

func newStore(loseEvery int) *store {
	return &store{registers: map[string]int{}, versions: map[string]int64{}, lists: map[string][]int{}, counters: map[string]int{}, loseEvery: loseEvery}
}

// write carries out a change, unless the bug strikes.
func (s *store) write(change func(revision int64)) int64 {
	s.writes++
	s.revision++
	if s.loseEvery == 0 || s.writes%s.loseEvery != 0 {
		change(s.revision)
	}
	return s.revision
}

func (s *store) perform(t *testing.T, op history.Op) (history.Op, time.Duration) {
	t.Helper()
	op.Type = history.OK
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	switch op.F {
	case "read":
		if strings.HasPrefix(op.Key, "b") {
			op.Value = s.balances(t, op)
			break
		}
		if strings.HasPrefix(op.Key, "s") {
			op.Value, op.Version = jsonOf(append([]int{}, s.lists[op.Key]...)), s.versions[op.Key]
			break
		}
		op.Value, op.Version = json.RawMessage("null"), s.versions[op.Key]
		if strings.HasPrefix(op.Key, "c") {
			op.Value = jsonOf(s.counters[op.Key])
		}
		if v, ok := s.registers[op.Key]; ok {
			op.Value = jsonOf(v)
		}
	case "write":
		var v int
		must(json.Unmarshal(op.Value, &v))
		op.Version = s.write(func(r int64) { s.registers[op.Key], s.versions[op.Key] = v, r })
	case "cas":
		var v []int
		must(json.Unmarshal(op.Value, &v))
		seen, ok := s.registers[op.Key]
		switch {
		case ok && seen == v[0]:
			op.Value = jsonOf([]any{v[0], v[1], true})
			op.Version = s.write(func(r int64) { s.registers[op.Key], s.versions[op.Key] = v[1], r })
		case ok:
			op.Value, op.Version = jsonOf([]any{v[0], v[1], false, seen}), s.versions[op.Key]
		default:
			op.Value = jsonOf([]any{v[0], v[1], false, nil})
		}
	case "add":
		var e int
		must(json.Unmarshal(op.Value, &e))
		op.Version = s.write(func(r int64) {
			s.lists[op.Key], s.versions[op.Key] = append(s.lists[op.Key], e), r
			s.counters[op.Key] += e
		})
	case "enqueue":
		var e int
		must(json.Unmarshal(op.Value, &e))
		op.Version = s.write(func(int64) { s.lists[op.Key] = append(s.lists[op.Key], e) })
	case "dequeue":
		list := s.lists[op.Key]
		if len(list) == 0 {
			op.Value = nil
			break
		}
		op.Value = jsonOf(list[0])
		op.Version = s.write(func(int64) { s.lists[op.Key] = list[1:] })
	case "generate":
		id := s.counters[op.Key] + 1
		op.Value = jsonOf(id)
		op.Version = s.write(func(int64) { s.counters[op.Key] = id })
	case "delete":
		if _, ok := s.registers[op.Key]; ok {
			op.Version = s.write(func(int64) {
				delete(s.registers, op.Key)
				delete(s.versions, op.Key)
			})
		}
	case "transfer":
		op.Value, op.Version = s.transfer(t, op)
	case "txn":
		op.Value = s.transact(t, op)
	}
	op.Revision = s.revision
	return op, time.Millisecond
}

// What the generators yield is what the checkers understand: a system that keeps its promises is Valid, one that
// acknowledges writes and loses them is Invalid.
func TestGeneratorsAndCheckersAgree(t *testing.T) {
	for _, w := range ofEtcd() {
		if w.Name == "etcd/kv" {
			continue // what requests do is imagined in package sim alone: the self-test has them
		}
		for loseEvery, want := range map[int]checker.Verdict{0: checker.Valid, 50: checker.Invalid} {
			s := newStore(loseEvery)
			ops, final, parts := played(t, w, options, 1000, func(op history.Op) (history.Op, time.Duration) { return s.perform(t, op) })
			mark := history.Op{Type: history.Invoke, Time: ops[final].Time, Process: history.Nemesis, F: history.FFinalReads}
			marked := mark
			marked.Type = history.OK
			ops = slices.Insert(ops, final, mark, marked)
			for i := range ops {
				ops[i].Index = int64(i)
			}
			var verdicts []checker.Verdict
			for _, c := range parts.Checkers {
				r, err := c.Check(t.Context(), history.Slice(ops), checker.Budget{Time: time.Minute, MemoryBytes: 1 << 30})
				if err != nil {
					t.Fatal(err)
				}
				verdicts = append(verdicts, r.Verdict)
				if want == checker.Valid && r.Verdict != want {
					t.Errorf("%s: %s says %v: %v %v", w.Name, c.Name(), r.Verdict, r.Reasons, r.Anomalies)
				}
			}
			if v := checker.Compose(verdicts...); v != want {
				t.Errorf("%s losing every %d-th write is %v", w.Name, loseEvery, v)
			}
		}
	}
}
