package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// The marks between which a file has the matrix of planted bugs and checkers.
const (
	matrixBegin = "<!-- selftest: written by faultline selftest --write README.md -->"
	matrixEnd   = "<!-- /selftest -->"
)

func printTrials(con *console, trials []trial) error {
	if con.json {
		enc := json.NewEncoder(con.out)
		enc.SetIndent("", "  ")
		return enc.Encode(trials)
	}
	return matrix(con.out, trials, func(word string) string { return con.paint(word, red) })
}

// matrix is the table of planted bugs and workloads: in how many seeds which checkers found each, and by which names.
func matrix(out io.Writer, trials []trial, paint func(string) string) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "planted bug\tworkload\tfound\tby (anomalies)")
	for _, t := range trials {
		result := fmt.Sprintf("%d of %d", t.Found, t.Seeds)
		if t.Bug == healthyName {
			result = fmt.Sprintf("valid in %d of %d", t.Valid, t.Seeds)
		}
		more := t.finders()
		if !t.good() {
			more = strings.TrimSpace(more + "  " + paint("WRONG") + " " + strings.Join(t.Unknowns, "; "))
		}
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("%s\t%s\t%s\t%s", t.Bug, t.Workload, result, more), "\t"))
	}
	return w.Flush()
}

// finders are the checkers that found the bug, with how often and the anomalies they named, the most frequent first.
func (t trial) finders() string {
	var out []string
	for _, name := range byCount(t.By) {
		found := fmt.Sprintf("%s %d", name, t.By[name])
		if names := byCount(t.Named[name]); len(names) > 0 {
			found += " (" + strings.Join(names, ", ") + ")"
		}
		out = append(out, found)
	}
	return strings.Join(out, "; ")
}

// byCount are the words of a count, the most frequent first.
func byCount(counts map[string]int) []string {
	return slices.SortedFunc(maps.Keys(counts), func(a, b string) int { return cmp.Or(counts[b]-counts[a], strings.Compare(a, b)) })
}

// writeMatrix puts the table into a file, between its marks.
func writeMatrix(path string, trials []trial) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	head, rest, begun := strings.Cut(string(b), matrixBegin)
	_, tail, ended := strings.Cut(rest, matrixEnd)
	if !begun || !ended {
		return usagef("%s has no place for the table: it needs the lines %s and %s", path, matrixBegin, matrixEnd)
	}
	var table strings.Builder
	if err := matrix(&table, trials, func(word string) string { return word }); err != nil {
		return err
	}
	runs := 0
	for _, t := range trials {
		runs += t.Seeds
	}
	text := fmt.Sprintf("%s%s\nOf %d runs the last time:\n```\n%s```\n%s%s", head, matrixBegin, runs, table.String(), matrixEnd, tail)
	return os.WriteFile(path, []byte(text), 0o644) //nolint:gosec // a document
}
