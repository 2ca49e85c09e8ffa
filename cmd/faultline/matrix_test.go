package main

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
)

// unplanted are the checkers that judge no promise of the system, and why no planted bug is theirs to find.
var unplanted = map[string]string{
	"stats":        "counts",
	"errors":       "says what nobody foresaw, in answers that an imagined system does not give",
	"logs":         "reads the nodes' logs, and an imagined system has none",
	"availability": "measures",
	"exercise":     "judges the run, and is never invalid",
}

// TestEveryCheckerFindsABug: each checker that judges a promise has a planted bug that makes it fire.
func TestEveryCheckerFindsABug(t *testing.T) {
	found := map[string][]string{}
	for _, trial := range selftestTrials(1) {
		if trial.Bug == healthyName {
			continue
		}
		if err := trial.run(context.Background(), 1); err != nil {
			t.Fatal(err)
		}
		for name := range trial.By {
			found[name] = append(found[name], trial.Bug+" under "+trial.Workload)
		}
	}
	for _, name := range checkerNames() {
		why, exempt := unplanted[name]
		switch {
		case exempt && len(found[name]) > 0:
			t.Errorf("%s is said to find no planted bug (%s), but found %v", name, why, found[name])
		case !exempt && len(found[name]) == 0:
			t.Errorf("no planted bug makes %s fire: nobody knows that it can", name)
		}
	}
	for name := range unplanted {
		if !slices.Contains(checkerNames(), name) {
			t.Errorf("there is no checker %q", name)
		}
	}
}

// TestReadmeHasTheMatrix: the README's table has every row of the self-test, each as it must be.
func TestReadmeHasTheMatrix(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, begun := strings.Cut(string(b), matrixBegin)
	table, _, ended := strings.Cut(rest, matrixEnd)
	if !begun || !ended {
		t.Fatal("the README has no place for the self-test's table")
	}
	var rows []string
	for line := range strings.Lines(table) {
		words := strings.Fields(line)
		if len(words) > 3 && strings.Contains(words[1], "/") {
			rows = append(rows, words[0]+" "+words[1])
			if strings.Contains(line, "WRONG") {
				t.Errorf("the README has a row that came out wrong: %s", line)
			}
		}
	}
	var want []string
	for _, trial := range selftestTrials(1) {
		want = append(want, trial.Bug+" "+trial.Workload)
	}
	if !slices.Equal(rows, want) {
		t.Error("the README's table is not the self-test's: run faultline selftest --write README.md")
		for _, r := range want {
			if !slices.Contains(rows, r) {
				t.Errorf("missing: %s", r)
			}
		}
	}
}
