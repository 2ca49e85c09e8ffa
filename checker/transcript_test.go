package checker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// transcript reads the notation of history.ParseText, and beside it operations without a type: "0 write x 1 v=3" is an
// invocation and, right after it, its ok completion.
func transcript(t testing.TB, text string) history.Slice {
	t.Helper()
	var full []string
	for line := range strings.SplitSeq(text, "\n") {
		for op := range strings.SplitSeq(line, " / ") {
			op = strings.TrimSpace(op)
			words := strings.Fields(op)
			if len(words) < 2 || strings.HasPrefix(op, "#") {
				continue
			}
			if _, err := history.ParseType(words[1]); err == nil {
				full = append(full, op)
				continue
			}
			who, what := words[0], strings.TrimSpace(strings.TrimPrefix(op, words[0]))
			full = append(full, who+" invoke "+what, who+" ok "+what)
		}
	}
	h, err := history.ParseText(strings.Join(full, "\n"))
	if err != nil {
		t.Fatalf("transcript: %v\n%s", err, strings.Join(full, "\n"))
	}
	return h
}

// cut is a history whose end is missing.
type cut struct{ history.Slice }

func (cut) Complete() bool { return false }

// told is a result in one line: "invalid stale-read x [5 3]", allowed anomalies in parentheses.
func told(r Result) string {
	words := []string{r.Verdict.String()}
	for _, a := range r.Anomalies {
		w := a.Name
		if a.Key != "" {
			w += " " + a.Key
		}
		w += " " + fmt.Sprint(a.Ops)
		if a.Allowed {
			w = "(" + w + ")"
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

// transcriptCase is a history and what a checker says of it.
type transcriptCase struct {
	name    string
	history string
	want    string
	// why must be part of the first anomaly's sentence, or of the reasons if there is none.
	why string
	// cut: the history's end is missing.
	cut bool
}

// runTranscripts judges each case.
func runTranscripts(t *testing.T, c Checker, cases []transcriptCase) {
	t.Helper()
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			var src history.Source = transcript(t, tc.history)
			if tc.cut {
				src = cut{src.(history.Slice)}
			}
			r, err := c.Check(context.Background(), src, Budget{Time: time.Minute, MemoryBytes: 64 << 20})
			if err != nil {
				t.Fatal(err)
			}
			why := strings.Join(r.Reasons, "; ")
			if len(r.Anomalies) > 0 {
				why = r.Anomalies[0].Why + "; " + why
			}
			if got := told(r); got != tc.want {
				t.Errorf("got  %s\nwant %s\n%s", got, tc.want, why)
			}
			if !strings.Contains(why, tc.why) {
				t.Errorf("does not say %q: %s", tc.why, why)
			}
			if r.Verdict == Unknown && len(r.Reasons) == 0 {
				t.Error("unknown without a reason")
			}
		})
	}
}

// must makes a checker or ends the test.
func must(t testing.TB) func(c Checker, err error) Checker {
	return func(c Checker, err error) Checker {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
}

// verdictOf is one checker's verdict and the names of its anomalies.
func verdictOf(t testing.TB, c Checker, src history.Source) (Verdict, []string) {
	t.Helper()
	r, err := c.Check(context.Background(), src, Budget{Time: time.Minute, MemoryBytes: 256 << 20})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, a := range r.Anomalies {
		if !slices.Contains(names, a.Name) {
			names = append(names, a.Name)
		}
	}
	return r.Verdict, names
}
