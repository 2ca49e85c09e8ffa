package nemesis

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

func packageOf(t *testing.T, n int, list string, o Options) Package {
	t.Helper()
	pkg, err := New(newWorld(n).env(), list, o)
	if err != nil {
		t.Fatal(err)
	}
	return pkg
}

// outcomes completes nemesis operations with a type that depends on the function, after a time.
func outcomes(after time.Duration, of func(op history.Op) history.Type) func(history.Op) (history.Op, time.Duration) {
	return func(op history.Op) (history.Op, time.Duration) {
		op.Type = of(op)
		return op, after
	}
}

func fine(history.Op) history.Type { return history.OK }

// play runs a package's schedule against an imagined system and writes each operation on a line.
func play(t *testing.T, g generator.Generator, most int, complete func(history.Op) (history.Op, time.Duration)) ([]history.Op, string) {
	t.Helper()
	ops, err := generator.Play(g, 1, most, complete)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, op := range ops {
		fmt.Fprintln(&b, line(t, op))
	}
	return ops, b.String()
}

func line(t *testing.T, op history.Op) string {
	var f history.Fault
	if len(op.Value) > 0 && (strings.HasPrefix(op.F, "start") || strings.HasPrefix(op.F, "stop")) {
		if err := json.Unmarshal(op.Value, &f); err != nil {
			t.Fatal(err)
		}
	}
	s := fmt.Sprintf("%8.3fs %-6s %-6s %s", op.Time.Seconds(), op.Process, op.Type, op.F)
	if f.ID == "" {
		return s
	}
	return fmt.Sprintf("%s %s %s (%s) %s", s, f.ID, f.Variant, f.Requested, f.Detail)
}

func TestSchedules(t *testing.T) {
	ten := Options{Interval: 10 * time.Second, Seed: 7}
	overlap := ten
	overlap.Overlap = true
	moot := outcomes(time.Second, func(op history.Op) history.Type {
		if op.F == "start-partition" && op.Time < 20*time.Second {
			return history.Fail
		}
		return history.OK
	})
	for _, c := range []struct {
		file, list string
		o          Options
		complete   func(history.Op) (history.Op, time.Duration)
	}{
		{"turns.txt", "all", ten, outcomes(100*time.Millisecond, fine)},
		{"overlap.txt", "all", overlap, outcomes(100*time.Millisecond, fine)},
		{"rotation.txt", "partition:leader,kill:etcd,partition:ring+drop,partition", ten, outcomes(0, fine)},
		{"moot.txt", "partition:leader+drop,kill:one", ten, moot},
		{"late.txt", "pause:one", ten, outcomes(7*time.Second, fine)},
	} {
		t.Run(c.file, func(t *testing.T) {
			pkg := packageOf(t, 5, c.list, c.o)
			_, got := play(t, pkg.Generator.(*schedule).until(time.Minute), 100, c.complete)
			golden(t, c.file, got)
		})
	}
}

// plans are the planned parts of the starts, by the number of the fault: everything but when it really happened.
func plans(ops []history.Op) []string {
	var out []string
	for _, op := range ops {
		var f history.Fault
		if op.Type != history.Invoke || !strings.HasPrefix(op.F, "start-") || json.Unmarshal(op.Value, &f) != nil || strings.Contains(f.ID, ".") {
			continue
		}
		out = append(out, string(op.Value))
	}
	return out
}

// Whatever completions come back, and however late: the n-th fault of a family is the same.
func TestSeedFixesThePlan(t *testing.T) {
	for _, overlap := range []bool{false, true} {
		o := Options{Interval: 10 * time.Second, Seed: 42, Overlap: overlap}
		list := "all,partition:leader,kill:minority"
		reference, _ := play(t, packageOf(t, 5, list, o).Generator, 60, outcomes(time.Millisecond, fine))
		byFamily := func(ops []history.Op) map[string][]string {
			m := map[string][]string{}
			for _, p := range plans(ops) {
				family, _, _ := strings.Cut(strings.TrimPrefix(p, `{"id":"`), "-")
				m[family] = append(m[family], p)
			}
			return m
		}
		want := byFamily(reference)
		for s := range uint64(50) {
			r := rand.New(rand.NewPCG(s, 0))
			ops, _ := play(t, packageOf(t, 5, list, o).Generator, 60, func(op history.Op) (history.Op, time.Duration) {
				op.Type = []history.Type{history.OK, history.Fail, history.Info}[r.IntN(3)]
				return op, time.Duration(r.Int64N(int64(8 * time.Second)))
			})
			for family, got := range byFamily(ops) {
				n := min(len(got), len(want[family]))
				if fmt.Sprint(got[:n]) != fmt.Sprint(want[family][:n]) {
					t.Fatalf("overlap %v, timing %d: %s went\n%v\nwant\n%v", overlap, s, family, got[:n], want[family][:n])
				}
			}
		}
		other, _ := play(t, packageOf(t, 5, list, Options{Interval: 10 * time.Second, Seed: 43, Overlap: overlap}).Generator, 60, outcomes(time.Millisecond, fine))
		if fmt.Sprint(plans(other)) == fmt.Sprint(plans(reference)) {
			t.Errorf("overlap %v: another seed has the same plan", overlap)
		}
	}
}

// A start has one stop, before the next start of its family; without overlap before any other start.
func TestStartsAndStopsPair(t *testing.T) {
	for _, overlap := range []bool{false, true} {
		o := Options{Interval: 4 * time.Second, Seed: 1, Overlap: overlap}
		for s := range uint64(50) {
			r := rand.New(rand.NewPCG(s, 1))
			g := packageOf(t, 3, "all", o).Generator.(*schedule).until(50 * time.Second)
			ops, _ := play(t, g, 1000, func(op history.Op) (history.Op, time.Duration) {
				op.Type = []history.Type{history.OK, history.OK, history.Fail, history.Info}[r.IntN(4)]
				if strings.HasPrefix(op.F, "stop") && op.Type == history.Fail {
					op.Type = history.OK
				}
				return op, time.Duration(r.Int64N(int64(3 * time.Second)))
			})
			force := map[string]string{} // family → id
			for _, op := range ops {
				var f history.Fault
				if err := json.Unmarshal(op.Value, &f); err != nil {
					t.Fatal(err)
				}
				_, start, _ := history.FamilyOf(op.F)
				switch {
				case start && op.Type == history.Invoke:
					if op.Time >= 50*time.Second+1 {
						t.Errorf("starts after the limit: %s", line(t, op))
					}
					if force[f.Family] != "" || (!overlap && len(force) > 0) {
						t.Fatalf("%s while %v in force", line(t, op), force)
					}
					force[f.Family] = f.ID
				case start && op.Type == history.Fail:
					delete(force, f.Family)
				case !start && op.Type == history.Invoke && force[f.Family] != f.ID:
					t.Fatalf("%s while %v in force", line(t, op), force)
				case !start && op.Type != history.Invoke:
					delete(force, f.Family)
				}
			}
			if len(force) > 0 {
				t.Errorf("never stopped: %v", force)
			}
		}
	}
}

// Every entry of the list is served, and a bare partition goes through all shapes before one comes twice.
func TestEveryRequestAndShapeIsServed(t *testing.T) {
	pkg := packageOf(t, 5, "partition,kill:n2,kill:leader,pause:all", Options{Interval: time.Second, Seed: 9})
	ops, _ := play(t, pkg.Generator, 2*3*8, outcomes(0, fine))
	served, shapes := map[string]int{}, map[string]int{}
	for _, op := range ops {
		var f history.Fault
		if op.Type == history.Invoke && strings.HasPrefix(op.F, "start-") {
			if err := json.Unmarshal(op.Value, &f); err != nil {
				t.Fatal(err)
			}
			served[f.Requested]++
			if f.Family == "partition" {
				first, _, _ := strings.Cut(f.Variant, "+")
				shapes[first]++
			}
		}
	}
	for _, r := range pkg.Requested {
		if served[r] == 0 {
			t.Errorf("%s is never served: %v", r, served)
		}
	}
	if len(shapes) != 8 {
		t.Errorf("8 partitions have %d shapes: %v", len(shapes), shapes)
	}
}

// A nemesis that is too slow for its interval neglects no family.
func TestSlowNemesisServesEveryFamily(t *testing.T) {
	pkg := packageOf(t, 3, "all", Options{Interval: 3 * time.Second, Overlap: true, Seed: 4})
	ops, _ := play(t, pkg.Generator, 60, outcomes(3*time.Second, fine))
	starts := map[string]int{}
	for _, op := range ops {
		if op.Type == history.OK && strings.HasPrefix(op.F, "start-") {
			starts[op.F]++
		}
	}
	for _, f := range pkg.Requested {
		if starts[history.StartOf(f)] < 8 {
			t.Errorf("30 starts are %v: want about as many of each", starts)
		}
	}
}

// Asking changes nothing: two answers to one question are the same.
func TestScheduleIsPure(t *testing.T) {
	g := packageOf(t, 5, "all", Options{Interval: time.Second, Seed: 3, Overlap: true}).Generator
	ops, first := play(t, g, 50, outcomes(time.Millisecond, fine))
	if _, second := play(t, g, 50, outcomes(time.Millisecond, fine)); first != second || len(ops) != 100 {
		t.Errorf("played again (%d operations), the schedule differs:\n%s\n%s", len(ops), first, second)
	}
}
