package workloads

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/kube/observe"
)

// declaredRows are the workloads that declare state.
func declaredRows() []Workload {
	return []Workload{kubeDeployment(), kubeStatefulSet(), kubeJob(), kubeGC(), kubeNodeFailure(), kubeServiceIP(), kubeQuota()}
}

// optionsOf are a row's defaults for a run of four workers.
func optionsOf(w Workload) Options {
	o := Options{Keys: w.Defaults.Keys, OpsPerKey: w.Defaults.OpsPerKey, Concurrency: 4, Rate: w.Defaults.Rate, Seed: 7}
	if o.OpsPerKey == 0 {
		o.OpsPerKey = 300
	}
	return o
}

func declarationOf(t *testing.T, op history.Op) (d history.Declaration) {
	t.Helper()
	if err := json.Unmarshal(op.Value, &d); err != nil {
		t.Fatalf("%s %s: %v", op.F, op.Value, err)
	}
	return d
}

func TestDeclaredRows(t *testing.T) {
	for _, w := range declaredRows() {
		if w.Name == "" || w.Doc == "" || w.New == nil || w.Clients == nil || w.Minimum == (checker.Minimum{}) || len(w.Reads) == 0 || w.Defaults.Rate == 0 {
			t.Errorf("%s lacks a column", w.Name)
		}
		for _, k := range w.Kinds {
			if !slices.Contains(observe.Kinds(), k) {
				t.Errorf("%s: kind %s can't be observed", w.Name, k)
			}
		}
		for _, o := range []Options{{OpsPerKey: 1, Concurrency: 1}, {Keys: 1, Concurrency: 1}, {Keys: 1, OpsPerKey: 1}, {Keys: 1, OpsPerKey: 1, Concurrency: 1, Rate: -1}} {
			if _, err := w.New(o); err == nil {
				t.Errorf("%s takes %+v", w.Name, o)
			}
		}
	}
}

// What a worker's n-th declaration is depends on the seed alone.
func TestTheSeedFixesEachWorkersDeclarations(t *testing.T) {
	for _, w := range declaredRows() {
		o, calls := optionsOf(w), 0
		erratic := func(op history.Op) (history.Op, time.Duration) {
			calls++
			op.Type = []history.Type{history.OK, history.Fail, history.Info}[calls%3]
			return op, time.Duration(calls*7919%500) * time.Millisecond
		}
		steady, final, _ := played(t, w, o, 400, generator.OK(time.Millisecond))
		other, otherFinal, _ := played(t, w, o, 400, erratic)
		a, b := drawnBy(steady[:final], o.Concurrency), drawnBy(other[:otherFinal], o.Concurrency)
		for i := range a {
			n := min(len(a[i]), len(b[i]))
			if n < 20 || !slices.Equal(a[i][:n], b[i][:n]) {
				t.Errorf("%s: worker %d drew other declarations for the same seed (%d compared)", w.Name, i, n)
			}
		}
		o.Seed++
		third, thirdFinal, _ := played(t, w, o, 400, generator.OK(time.Millisecond))
		if c := drawnBy(third[:thirdFinal], o.Concurrency); slices.Equal(a[0], c[0]) {
			t.Errorf("%s: another seed drew the same declarations", w.Name)
		}
	}
}

// Every write that leaves its number has another one, and each worker begins by making something.
func TestChangesAreUnique(t *testing.T) {
	for _, w := range declaredRows() {
		o := optionsOf(w)
		ops, final, _ := played(t, w, o, 1000, generator.OK(time.Millisecond))
		seen, begun := map[int64]bool{}, map[history.Process]bool{}
		for _, op := range ops[:final] {
			if op.Type != history.Invoke {
				continue
			}
			d := declarationOf(t, op)
			if !begun[op.Process] && op.F != "create" {
				t.Errorf("%s: process %v begins with %s", w.Name, op.Process, op.F)
			}
			begun[op.Process] = true
			if numbered := op.F != "read" && op.F != "delete"; numbered != (d.Change != 0) || seen[d.Change] && d.Change != 0 {
				t.Errorf("%s: %s has change %d", w.Name, op.F, d.Change)
			}
			seen[d.Change] = true
			if op.F == "delete" && d.How == "" || op.F == "scale" && d.Replicas == nil || op.F == "rollout" && d.Image == "" {
				t.Errorf("%s: %s %s", w.Name, op.F, op.Value)
			}
		}
		if len(seen) < 100 {
			t.Errorf("%s: only %d changes in 1000 operations", w.Name, len(seen))
		}
	}
}

// At the end every object that was touched is read, by all workers where there are few of them, and a system that is down ends it too.
func TestFinalReadsOfDeclarations(t *testing.T) {
	for _, w := range declaredRows() {
		o := optionsOf(w)
		for _, n := range []int{50, 3000} {
			ops, final, _ := played(t, w, o, n, generator.OK(time.Millisecond))
			readers := map[string]map[history.Process]bool{}
			for _, op := range ops[final:] {
				if op.F != "read" {
					t.Errorf("%s: %s among the final reads", w.Name, op.F)
				}
				if op.Type != history.OK {
					continue
				}
				if readers[op.Key] == nil {
					readers[op.Key] = map[history.Process]bool{}
				}
				readers[op.Key][op.Process] = true
			}
			want := min(o.Concurrency, max(1, finalReadsMax/len(readers)))
			for _, op := range ops[:final] {
				if got := len(readers[op.Key]); got < want {
					t.Errorf("%s: %s is read by %d processes at the end, want %d", w.Name, op.Key, got, want)
					break
				}
			}
		}
		down := func(op history.Op) (history.Op, time.Duration) {
			op.Type = history.Fail
			return op, time.Millisecond
		}
		if ops, final, _ := played(t, w, o, 50, down); len(ops)-final < o.Concurrency*finalSlack {
			t.Errorf("%s: %d final operations on a system that is down", w.Name, len(ops)-final)
		}
	}
}

// What the generators yield is what the checker understands: a control plane that keeps what was declared is Valid, one that loses
// acknowledged writes is Invalid.
func TestDeclarationsAndCheckersAgree(t *testing.T) {
	for _, w := range declaredRows() {
		for loseEvery, want := range map[int]checker.Verdict{0: checker.Valid, 20: checker.Invalid} {
			s := &desired{loseEvery: loseEvery, objects: map[string]desiredObject{}}
			ops, final, parts := played(t, w, optionsOf(w), 1500, func(op history.Op) (history.Op, time.Duration) { return s.perform(t, op) })
			mark := history.Op{Type: history.Invoke, Time: ops[final].Time, Process: history.Nemesis, F: history.FFinalReads}
			marked := mark
			marked.Type = history.OK
			ops = slices.Insert(ops, final, mark, marked)
			for i := range ops {
				ops[i].Index = int64(i)
			}
			c := parts.Checkers[slices.IndexFunc(parts.Checkers, func(c checker.Checker) bool { return c.Name() == "declared" })]
			r, err := c.Check(t.Context(), history.Slice(ops), checker.Budget{Time: time.Minute, MemoryBytes: 1 << 30})
			if err != nil {
				t.Fatal(err)
			}
			if r.Verdict != want {
				t.Errorf("%s losing every %d-th write: %v: %v %v", w.Name, loseEvery, r.Verdict, r.Reasons, r.Anomalies)
			}
			t.Logf("%s losing every %d-th write: %s", w.Name, loseEvery, r.Summary)
		}
	}
}

// desired is a store of declared state in memory, or one that acknowledges some writes and does not carry them out.
type desired struct {
	loseEvery, writes int
	revision          int64
	objects           map[string]desiredObject
}

type desiredObject struct {
	history.Declaration
	version int64
}

func (s *desired) perform(t *testing.T, op history.Op) (history.Op, time.Duration) {
	t.Helper()
	op.Type = history.OK
	d := declarationOf(t, op)
	o, there := s.objects[op.Key]
	switch {
	case op.F == "read" && there:
		kind := d.Kind
		d, op.Version = o.Declaration, o.version
		d.Kind = kind
	case op.F == "create" && there:
		d.Refused = "exists"
	case op.F == "create" && d.Owner != "" && s.objects[d.Owner].version == 0,
		op.F != "create" && !there:
		d.Refused = "absent"
	default:
		s.write(&op, &d, o)
	}
	op.Value = jsonOf(d)
	return op, time.Millisecond
}

func (s *desired) write(op *history.Op, d *history.Declaration, o desiredObject) {
	s.writes++
	s.revision += 2 // others write too
	lost := s.loseEvery > 0 && s.writes%s.loseEvery == 0
	if op.F == "delete" {
		d.UID = o.UID
		if !lost {
			s.gone(op.Key)
		}
		return
	}
	op.Version = s.revision
	if op.F == "create" {
		d.UID = op.Key + "." + jsonText(s.revision)
		o.Declaration = *d
	}
	if op.F == "rollback" {
		d.Image = images[0]
	}
	o.Change, d.UID = d.Change, o.UID
	if d.Replicas != nil {
		o.Replicas = d.Replicas
	}
	if d.Image != "" {
		o.Image = d.Image
	}
	o.version = s.revision
	if !lost {
		s.objects[op.Key] = o
	}
}

// gone removes an object with what belongs to it.
func (s *desired) gone(key string) {
	delete(s.objects, key)
	for k, o := range s.objects {
		if o.Owner == key {
			s.gone(k)
		}
	}
}

func jsonText(v any) string { return strings.Trim(string(jsonOf(v)), `"`) }
