package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/workloads"

	"github.com/faultline/faultline/harness/history"
)

// TestAPrefixNeverPasses: the same operations are valid in a history that ended by itself and unknown in one that did not.
func TestAPrefixNeverPasses(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(*history.Writer) error
		want int
	}{
		{"complete", (*history.Writer).Close, exitValid},
		{"prefix", (*history.Writer).Abandon, exitUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "h.zst")
			w, err := history.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, typ := range []history.Type{history.Invoke, history.OK} {
				if err := w.Append(&history.Op{Type: typ, F: "write", Key: "x", Value: json.RawMessage("1")}); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.end(w); err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			got := Main(t.Context(), []string{"faultline", "check", path, "--checker", "linearizable"}, &stdout, &stderr)
			if got != c.want || (got == exitUnknown) != strings.Contains(stdout.String(), "recovered prefix") {
				t.Errorf("exit %d, want %d\n%s%s", got, c.want, stdout.String(), stderr.String())
			}
		})
	}
}

// TestEveryWorkloadHasItsSystem: a workload's name begins with a row of the table of systems.
func TestEveryWorkloadHasItsSystem(t *testing.T) {
	for _, w := range workloads.Workloads {
		s := systemOf(w)
		if s.install == nil || len(s.profiles) == 0 || len(s.components) == 0 {
			t.Errorf("%s: system %q is not in the table", w.Name, s.name)
			continue
		}
		if name := s.blank(plan{}).Name(); name != s.name {
			t.Errorf("the row %q makes a system that calls itself %q", s.name, name)
		}
	}
}

// TestEveryCheckerCanBeAskedFor: what a workload is judged by has its row in the table of checkers, under the name that its results have.
func TestEveryCheckerCanBeAskedFor(t *testing.T) {
	for _, w := range workloads.Workloads {
		parts, err := w.New(workloads.Options{Keys: 1, OpsPerKey: 1, Concurrency: 1})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range append(parts.Checkers, commonCheckers(w.Minimum, nil)...) {
			if !slices.Contains(checkerNames(), c.Name()) {
				t.Errorf("%s is judged by %q, which `check --checker` does not know", w.Name, c.Name())
			}
		}
	}
}

// TestEveryCheckerSaysWhatItKnows: one that judges operations of certain functions says which, so that it can't be asked about others.
func TestEveryCheckerSaysWhatItKnows(t *testing.T) {
	whatever := []string{"convergence", "identities", "quota", "stats", "errors", "logs", "members", "availability", "exercise"}
	for _, row := range checkerTable() {
		c, err := row.make("", "")
		if err != nil {
			t.Fatal(err)
		}
		if _, knows := c.(checker.Knower); knows == slices.Contains(whatever, row.name) {
			t.Errorf("%s: says which functions it knows: %v (see checker/knows.go)", row.name, knows)
		}
	}
}
