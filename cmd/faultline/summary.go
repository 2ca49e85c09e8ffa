package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/results"
)

// anomaliesShown bounds what the console says of each checker; all are in results.json.
const anomaliesShown = 5

// Colours of verdicts.
const (
	green  = 32
	red    = 31
	yellow = 33
)

// summarize prints what a person needs to act on a result.
func (c *console) summarize(w io.Writer, dir string, t results.Test, r results.Results) {
	fmt.Fprintf(w, "\n%s  %s\n", c.verdict(r.Verdict), headline(t, r))
	for _, res := range r.Checkers {
		fmt.Fprintf(w, "  %s  %-14s %s\n", c.verdict(res.Verdict), res.Checker, res.Summary)
		for _, reason := range res.Reasons {
			fmt.Fprintf(w, "             why unknown: %s\n", reason)
		}
		printAnomalies(w, res)
	}
	if !r.Complete {
		fmt.Fprintf(w, "not complete, so it can't be valid: %s\n", firstWord(r.Note, "the history does not say that the run ended by itself"))
	}
	for _, warning := range t.Warnings {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
	printFaults(w, r)
	if dir != "" {
		printFiles(w, dir, r)
	}
	if t.Command != "" {
		fmt.Fprintf(w, "run again: %s\n", t.Command)
	}
}

func printFiles(w io.Writer, dir string, r results.Results) {
	fmt.Fprintf(w, "files:     %s\n", dir)
	for _, res := range r.Checkers {
		for _, a := range res.Artifacts {
			fmt.Fprintf(w, "look at:   %s/%s\n", dir, a.Name)
		}
	}
}

func (c *console) verdict(v checker.Verdict) string {
	word := fmt.Sprintf("%-7s", strings.ToUpper(v.String()))
	switch v {
	case checker.Valid:
		return c.paint(word, green)
	case checker.Invalid:
		return c.paint(word, red)
	case checker.Unknown:
	}
	return c.paint(word, yellow)
}

func headline(t results.Test, r results.Results) string {
	what := t.Workload
	if what == "" {
		what = "history"
	}
	if len(t.Software) > 0 {
		what += " on " + describe(t.Software)
	}
	if len(t.Nodes) > 0 {
		what += fmt.Sprintf(", %d nodes", len(t.Nodes))
	}
	if t.Options.Nemesis != "" {
		what += ", nemesis " + t.Options.Nemesis
	}
	if r.Read != "" {
		what += ", " + r.Read + " reads"
	}
	if r.Model != "" {
		what += ", held to " + r.Model
	}
	what += fmt.Sprintf(": %d ok, %d fail, %d info", r.Counts.OK, r.Counts.Fail, r.Counts.Info)
	if r.Elapsed.Run > 0 {
		what += fmt.Sprintf(" in %s, checked in %s", r.Elapsed.Run.Round(100*time.Millisecond), r.Elapsed.Check.Round(10*time.Millisecond))
	}
	return what
}

func printAnomalies(w io.Writer, res checker.Result) {
	shown := 0
	for _, a := range res.Anomalies {
		if shown == anomaliesShown {
			fmt.Fprintf(w, "             … and more: all of them are in %s\n", results.ResultsFile)
			return
		}
		allowed := ""
		if a.Allowed {
			allowed = " (allowed by what these reads promise)"
		}
		fmt.Fprintf(w, "             %s%s: %s\n", a.Name, allowed, a.Why)
		shown++
	}
}

func printFaults(w io.Writer, r results.Results) {
	if len(r.Faults) == 0 {
		return
	}
	fmt.Fprintln(w, "faults:")
	for _, f := range r.Faults {
		state := "not proved"
		if f.Proved {
			state = "took effect"
		}
		if f.Note != "" {
			state = clip(f.Note)
		}
		span := fmt.Sprintf("%5.1fs–%.1fs", f.Start.Seconds(), f.End.Seconds())
		if f.End == 0 {
			span = fmt.Sprintf("%5.1fs–", f.Start.Seconds())
		}
		fmt.Fprintf(w, "  %-14s %-14s %-28s on %-10s %s\n", span, f.ID, f.Variant, strings.Join(f.Nodes, ","), state)
	}
}

// noteMax bounds what the console says of one fault; results.json has all of it.
const noteMax = 100

func clip(text string) string {
	if runes := []rune(text); len(runes) > noteMax {
		return string(runes[:noteMax]) + " …"
	}
	return text
}

// firstWord is the first word that is not empty.
func firstWord(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}
