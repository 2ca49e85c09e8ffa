package nemesis

import (
	"strings"
	"testing"
	"time"

	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

// Unhealthy after the heal, members that can't be asked: the run goes through all its phases.
func TestPhasesEndWhateverHappens(t *testing.T) {
	pkg := packageOf(t, 3, "kill:leader,pause", Options{Interval: 4 * time.Second, Seed: 5})
	main := generator.Stagger(3*time.Second, generator.Repeat(history.Op{F: "write"}))
	final := generator.EachProcess(generator.Once(history.Op{F: "read"}))
	for _, c := range []struct {
		file string
		of   func(history.Op) history.Type
	}{
		{"phases.txt", fine},
		{"phases-unwell.txt", func(op history.Op) history.Type {
			switch {
			case op.Process == history.Nemesis, op.F == "read":
				return history.Info
			}
			return history.OK
		}},
	} {
		g := generator.Seeded(1, "run", Phases(main, final, pkg, Shape{TimeLimit: 9 * time.Second, Quiet: 5 * time.Second}))
		ops, err := generator.Play(g, 2, 1000, outcomes(3*time.Second/2, c.of))
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, op := range ops {
			if !strings.HasPrefix(op.F, "start") && !strings.HasPrefix(op.F, "stop") && len(op.Value) > 0 {
				op.F += " " + string(op.Value)
			}
			b.WriteString(strings.TrimRight(line(t, op), " ") + "\n")
		}
		golden(t, c.file, b.String())
	}
}

func TestPhasesWithoutFaults(t *testing.T) {
	pkg := packageOf(t, 3, "none", Options{})
	ops, err := generator.Play(Phases(nil, nil, pkg, Shape{TimeLimit: time.Second, Quiet: time.Second}), 2, 1000, generator.OK(0))
	if err != nil {
		t.Fatal(err)
	}
	var fs []string
	for _, op := range ops {
		if op.Type == history.Invoke {
			fs = append(fs, op.F)
		}
	}
	if got := strings.Join(fs, " "); got != "heal await-healthy final-reads members" {
		t.Errorf("got %s", got)
	}
}

// A run that must converge waits for it once the system is well, and before the final reads.
func TestPhasesAwaitConvergence(t *testing.T) {
	pkg := packageOf(t, 3, "none", Options{})
	shape := Shape{TimeLimit: time.Second, Quiet: time.Second, Converge: &history.Convergence{BoundMS: 30000, HoldMS: 5000, Stated: true}}
	ops, err := generator.Play(Phases(nil, nil, pkg, shape), 2, 1000, generator.OK(0))
	if err != nil {
		t.Fatal(err)
	}
	var fs []string
	for _, op := range ops {
		if op.Type == history.Invoke {
			fs = append(fs, op.F)
		}
		if op.F == history.FAwaitConverged && string(op.Value) != `{"bound_ms":30000,"hold_ms":5000,"stated":true}` {
			t.Errorf("asked for %s", op.Value)
		}
	}
	if got := strings.Join(fs, " "); got != "heal await-healthy await-converged final-reads members" {
		t.Errorf("got %s", got)
	}
}
