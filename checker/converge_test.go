package checker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// convergeCase is a run in the notation of converging, and what is said of it.
type convergeCase struct {
	name, run string
	// want is the verdict and the names of the anomalies with their keys, allowed ones in parentheses.
	want string
	// says must be in the anomalies' sentences, the reasons or the summary.
	says string
	cut  bool
}

func toldOfRun(r Result) string {
	words := []string{r.Verdict.String()}
	for _, a := range r.Anomalies {
		w := a.Name + " " + a.Key
		if a.Allowed {
			w = "(" + w + ")"
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

func runConverge(t *testing.T, cases []convergeCase) {
	t.Helper()
	c := must(t)(Converge(ConvergeOptions{Rules: things, Server: "server"}))
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			var src history.Source = converging(t, tc.run)
			if tc.cut {
				src = cut{src.(history.Slice)}
			}
			if err := history.Validate(src); err != nil {
				t.Fatal(err)
			}
			r, err := c.Check(context.Background(), src, Budget{Time: time.Minute, MemoryBytes: 64 << 20})
			if err != nil {
				t.Fatal(err)
			}
			all := []string{r.Summary}
			for _, a := range r.Anomalies {
				all = append(all, a.Why)
			}
			text := strings.Join(append(all, r.Reasons...), "\n")
			if got := toldOfRun(r); got != tc.want {
				t.Errorf("got  %s\nwant %s\n%s", got, tc.want, text)
			}
			if !strings.Contains(text, tc.says) {
				t.Errorf("does not say %q:\n%s", tc.says, text)
			}
			if r.Verdict == Unknown && len(r.Reasons) == 0 {
				t.Error("unknown without a reason")
			}
		})
	}
}

// quarrel is two that fight over an object, from 11 s to 51 s.
const quarrel = `
		11 all d=1/3@20
		12 all d=3/3@21
		13 all d=3/1@22
		14..20 all d=1/3@23
		21 all d=3/1@25
		22..30 all d=1/3@26
		31..39 all d=3/1@27
		40 gave-up
		41..50 all d=1/3@28`

// flicker is an object that matches in every other second.
func flicker(from, to int) string {
	var b strings.Builder
	for at := from; at <= to; at++ {
		fmt.Fprintf(&b, "\n%d all d=%d/3@%d", at, 2+at%2, at)
	}
	return b.String()
}

func TestConverge(t *testing.T) {
	const begun = "0 declare d\n1 all d=0/3@5\n5 all d=3/3@8\n6 start kill-1\n7 all d=1/3@9\n8 stop kill-1\n9 healthy\n"
	const stated = begun + "10 await 30 5 stated\n"
	runConverge(t, []convergeCase{
		{name: "nothing", run: "", want: "unknown", says: "nothing was observed"},
		{
			name: "converged", run: stated + "10 all d=1/3@9\n12..20 all d=3/3@12\n20 converged\n21 all d=3/3@12", want: "valid",
			says: "converged 4.0 s after the last fault (bound 30s, stated); per fault: kill-1 4.0 s; per kind: Thing p50 5.0 s max 5.0 s",
		},
		{
			name: "stalled", run: stated + "11..39 all d=1/3@9\n40 gave-up\n41 all d=1/3@9", want: "invalid stalled d",
			says: "Thing d: 1 of 3, 33.0 s after the last fault (bound 30s); nothing was written for 33.0 s: maker",
		},
		{
			name: "stalled, and written to no effect", run: stated + "11..20 all d=1/3@10\n21..39 all d=1/3@30\n40 gave-up\n41 all d=1/3@30", want: "invalid stalled d",
			says: "what was written since changed nothing for 33.0 s",
		},
		{
			name: "stalled, but nobody stated the bound", run: begun + "10 await 30 5\n11..39 all d=1/3@9\n40 gave-up\n41 all d=1/3@9", want: "unknown (stalled d)",
			says: "which nobody stated as a bound and the system may exceed by itself: 1 mismatches at first, 1 half way, 1 at the end: not falling",
		},
		{
			name: "the profile's bound, longer than it may take", run: begun + "10 await 30 5 retry=20\n11..39 all d=1/3@9\n40 gave-up\n41 all d=1/3@9",
			want: "invalid stalled d",
		},
		{
			name: "the profile's bound, shorter than it may take", run: begun + "10 await 30 5 retry=300\n11..39 all d=1/3@9\n40 gave-up\n41 all d=1/3@9",
			want: "unknown (stalled d)",
		},
		{
			name: "merely slow", run: begun + `10 await 30 5
				11 all d=1/9@10
				15 all d=2/9@11
				20 all d=3/9@12
				25 all d=4/9@13
				30 all d=5/9@14
				35 all d=6/9@15
				40 gave-up
				41 all d=7/9@16`, want: "unknown (slow d)", says: "the last change was 0.0 s before",
		},
		{name: "samples end before the bound", run: stated + "11..20 all d=1/3@9", want: "unknown", says: "the wait did not end"},
		{name: "oscillating", run: stated + quarrel, want: "invalid oscillating d", says: "to what it was before"},
		{
			name: "it oscillated, and then settled", run: stated + "11 all d=1/3@20\n12 all d=3/3@21\n13 all d=1/3@22\n14..30 all d=3/3@23\n30 converged\n31 all d=3/3@23",
			want: "valid",
		},
		{
			name: "what is declared goes back and forth, and what is observed at once",
			run:  stated + "11..16 all d=3/3@20\n17 all d=1/1@21\n20..25 all d=3/3@22\n26..35 all d=1/1@23\n36..38 all d=3/3@24\n40 gave-up\n41 all d=1/1@25",
			want: "invalid oscillating d", says: "goes back and forth",
		},
		{name: "orphaned by a finalizer", run: stated + "11..39 all d=3/3@9!\n40 gave-up\n41 all d=3/3@9!", want: "invalid orphaned d"},
		{name: "orphaned by its owner", run: stated + "11..39 all d=3/3@9^\n40 gave-up\n41 all d=3/3@9^", want: "invalid orphaned d"},
		{name: "finalized in time", run: stated + "11..20 all d=3/3@9!\n21..30 all e=1/1@40\n30 converged\n31 all e=1/1@40", want: "valid"},
		{name: "duplicated", run: stated + "11..39 all d=3/3@9 p=1/1@10+\n40 gave-up\n41 all d=3/3@9 p=1/1@10+", want: "invalid duplicated p"},
		{
			name: "what an owner suffers its dependents suffer too", run: stated + "11..39 all d=1/3@9 p=0/1@9<d\n40 gave-up\n41 all d=1/3@9 p=0/1@9<d",
			want: "invalid stalled d",
		},
		{
			name: "a dependent is written to: it goes on", run: stated + `11..30 all d=1/3@9 p=0/1@9<d
				31 all d=1/3@9 p=0/2@15<d
				40 gave-up
				41 all d=1/3@9 p=0/3@16<d`, want: "invalid slow d",
		},
		{
			name: "incomplete", cut: true, run: stated + "11..39 all d=1/3@9\n40 gave-up\n41 all d=1/3@9", want: "unknown", says: "the history is incomplete",
		},
		{
			name: "a fault that did not end", run: "0 declare d\n1 all d=3/3@5\n6 start kill-1\n9 healthy\n10 await 30 5 stated\n11..39 all d=1/3@9\n40 gave-up\n41 all d=1/3@9",
			want: "unknown", says: "kill-1 (kill) was not proved to have ended",
		},
		{
			name: "not well", run: "0 declare d\n1 all d=3/3@5\n9 unhealthy\n10 await 30 5 stated\n11..39 all d=1/3@9\n40 gave-up\n41 all d=1/3@9",
			want: "unknown", says: "did not get well",
		},
		{name: "nothing declared", run: "0 read d\n10 await 30 5\n11..20 all d=3/3@9\n20 converged\n21 all d=3/3@9", want: "unknown", says: "nothing was declared"},
		{name: "nobody waited", run: "0 declare d\n11..20 all d=3/3@9", want: "unknown", says: "did not wait"},
		{
			name: "one fault's end, while another is in force", says: "per fault: kill-1 5.0 s with cut-2, cut-2 2.0 s;",
			run: "0 declare d\n1 all d=3/3@5\n2 start kill-1\n3 start cut-2\n4 all d=1/3@6\n5 stop kill-1\n6..7 all d=1/3@6\n8 stop cut-2\n9 healthy\n" +
				"9 await 30 5 stated\n9 all d=2/3@8\n10..16 all d=3/3@9\n16 converged\n17 all d=3/3@9", want: "valid",
		},
		{
			name: "the next fault comes too early", says: "per fault: kill-1 until the next, kill-2 3.0 s, kill-3 0.0 s;",
			run: "0 declare d\n1 all d=3/3@5\n2 start kill-1\n3 all d=1/3@6\n4 stop kill-1\n5 start kill-2\n6 all d=1/3@6\n7 stop kill-2\n8..9 all d=2/3@8\n" +
				"10..18 all d=3/3@9\n19 start kill-3\n20 stop kill-3\n20 healthy\n20 await 30 5 stated\n21..26 all d=3/3@9\n26 converged\n27 all d=3/3@9", want: "valid",
		},
		{name: "held for too short a time", run: stated + "11..37 all d=1/3@9\n38 all d=3/3@12\n40 gave-up\n41 all d=3/3@12", want: "unknown", says: "but not yet for 5s"},
		{
			name: "a late blip after it converged", run: stated + "11..14 all d=2/3@9\n14..38 all d=3/3@12\n39..44 all d=2/3@13\n45 gave-up\n45 all d=2/3@13",
			want: "unknown", says: "but at the end Thing d does not any more",
		},
		{
			name: "a late orphan", run: stated + "11..38 all d=3/3@12\n39..44 all d=3/3@12 o=1/1@14^\n45 gave-up\n45 all d=3/3@12 o=1/1@14^",
			want: "unknown", says: "but at the end Thing o does not any more",
		},
		{
			name: "it converged, and then did not match for the bound", run: stated + "11..38 all d=3/3@12\n39..69 all d=2/3@13\n70 gave-up\n70 all d=2/3@13",
			want: "invalid stalled d",
		},
		{
			name: "what it was before it converged does not make it oscillate", want: "unknown", says: "but at the end Thing d does not any more",
			run: stated + "11 all d=2/3@20\n12 all d=3/3@21\n13 all d=2/3@22\n14..38 all d=3/3@23\n39..44 all d=2/3@24\n45 gave-up\n45 all d=2/3@24",
		},
		{
			name: "a late flicker, over at the end", want: "unknown", says: "everything matched for",
			run: stated + "11..36 all d=3/3@21\n37 all d=2/3@22\n38..39 all d=3/3@23\n40 all d=2/3@24\n41 gave-up\n41..42 all d=3/3@25\n43 all d=2/3@26\n44 all d=3/3@27",
		},
		{
			name: "it converged, and then oscillates for the bound", want: "invalid oscillating d", run: stated + "11..20 all d=3/3@20" + flicker(21, 52) + "\n53 gave-up\n54 all d=2/3@90",
		},
		{
			name: "a change of unknown outcome came late",
			run:  "0 declare? d\n9 healthy\n10 await 30 5 stated\n11..30 all d=3/3@9\n31..39 all d=3/4@15\n40 gave-up\n41 all d=3/4@15",
			want: "unknown",
		},
		{
			name: "a server that can't be read", run: stated + "11..39 quorum d=3/3@9\n40 gave-up\n41 n1 error refused\n42 quorum d=3/3@9",
			want: "unknown", says: "it can't be read: refused",
		},
	})
}

// behind has a quorum list and one server show the newest state, another one an old one.
func behind(from, to int) string {
	var b strings.Builder
	for at := from; at <= to; at++ {
		fmt.Fprintf(&b, "%d quorum d=3/3@20\n%d n1 d=3/3@20\n%d n2 d=3/3@5\n", at, at, at)
	}
	return b.String()
}

func TestConvergeViews(t *testing.T) {
	const stated = "0 declare d\n1 all d=3/3@5\n9 healthy\n10 await 30 5 stated\n"
	const fine = "11..20 all d=3/3@5\n20 converged\n"
	runConverge(t, []convergeCase{
		{name: "agree", run: stated + fine + "21 all d=3/3@5", want: "valid"},
		{
			name: "a cache is wrong at one revision, twice", run: stated + fine + "21..22 n2 r=5 d=3/3@4\n22 store d=3/3@5\n23 n2 r=5 d=3/3@4\n23 store d=3/3@5", want: "invalid divergent d",
			says: "at revision 5 the cache of n2 has its version 4, the store has its version 5",
		},
		{
			name: "a cache has what is gone", run: stated + fine + "21 n2 r=8 d=3/3@5 e=1/1@4\n21 store r=8 d=3/3@5\n22 n2 r=8 d=3/3@5 e=1/1@4\n22 store r=8 d=3/3@5", want: "invalid divergent e",
			says: "the cache of n2 has its version 4, the store does not have it, and again in 1 more comparison after the last change: server on n2",
		},
		{
			name: "once only", run: stated + fine + "21 n2 r=8 d=3/3@5 e=1/1@4\n21 store r=8 d=3/3@5\n22 all d=3/3@5\n23 all d=3/3@5", want: "unknown", says: "no second comparison confirmed it",
		},
		{
			name: "before the quiet only", run: "0 n2 r=5 d=3/3@4\n0 store d=3/3@5\n0 n2 r=5 d=3/3@4\n0 store d=3/3@5\n" + stated + fine + "21 all d=3/3@5",
			want: "valid (divergent d)", says: "while the run went on",
		},
		{
			name: "different revisions may differ", run: stated + fine + "21 n2 r=7 d=3/3@4\n21 store r=8 d=3/3@5\n22 n2 r=7 d=3/3@4\n22 store r=8 d=3/3@5\n23 all d=3/3@5", want: "valid",
		},
		{
			name: "a cache stays behind", run: stated + "11 all d=3/3@20\n" + behind(12, 39) + "40 gave-up\n41 quorum d=3/3@20\n41 n1 d=3/3@20\n41 n2 d=3/3@5",
			want: "invalid divergent n2", says: "it shows Thing, of revision 5, a quorum list had a newer one",
		},
		{
			name: "a cache is a little newer and older while all goes on changing", run: stated + `11..38 all d=1/3@20
				39 quorum d=1/3@20
				39 n1 d=3/3@21
				39 n2 d=3/3@19
				40 gave-up
				40 quorum d=1/3@22
				40 n1 d=1/3@22
				41 n2 d=3/3@20 e=0/1@17
				41 n1 d=1/3@22`, want: "invalid stalled d",
		},
		{
			name: "a cache was behind", run: stated + "11 all d=3/3@20\n" + behind(12, 20) + "21..30 all d=3/3@20\n30 converged\n31 all d=3/3@20", want: "valid",
		},
		{
			name: "a view was never compared", run: "0 all d=3/3@5\n0 declare d\n9 healthy\n10 await 30 5 stated\n11..20 quorum d=3/3@5\n20 n1 r=6 d=3/3@5\n20 n2 r=5 d=3/3@5\n20 converged\n21..26 quorum d=3/3@5\n27 store d=3/3@5",
			want: "unknown", says: "the view n1 was not compared with the store",
		},
		{name: "two kinds, both compared", run: stated + fine + "20 all k=Box b=1/1@4\n21 all d=3/3@5\n21 all k=Box b=1/1@4", want: "valid"},
		{
			name: "of one kind the store was never looked at", run: stated + fine + "20 quorum k=Box b=1/1@4\n20 n1 k=Box b=1/1@4\n20 n2 k=Box b=1/1@4\n21 all d=3/3@5",
			want: "unknown", says: "the view quorum was not compared with the store at one revision after the last change: Box",
		},
		{
			name: "of one kind the store could not be read", want: "unknown", says: "not compared with the store at one revision after the last change: Box (the store could not be read: compacted)",
			run: stated + fine + "20 quorum k=Box b=1/1@4\n20 n1 k=Box b=1/1@4\n20 n2 k=Box b=1/1@4\n20 store error k=Box compacted\n21 all d=3/3@5",
		},
		{
			name: "of one kind one cache has another revision", want: "unknown", says: "the view n2 was not compared with the store at one revision after the last change: Box",
			run: stated + fine + "20 quorum k=Box b=1/1@4\n20 n1 k=Box b=1/1@4\n20 n2 k=Box r=5 b=1/1@4\n20 store k=Box b=1/1@4\n21 all d=3/3@5",
		},
		{name: "a kind without any object, compared", run: stated + fine + "20 all k=Box r=7\n21 all d=3/3@5", want: "valid"},
		{
			name: "a kind without any object, not compared", run: stated + fine + "20 quorum k=Box r=7\n20 n1 k=Box r=7\n20 n2 k=Box r=7\n21 all d=3/3@5",
			want: "unknown", says: "the view n1 was not compared with the store at one revision after the last change: Box",
		},
		{name: "the store could be read later", run: stated + "10 store error no answer\n" + fine + "21 all d=3/3@5", want: "valid"},
	})
}

// TestConvergeKeepsToItsBudget: without memory or time the verdict is Unknown, and says so.
func TestConvergeKeepsToItsBudget(t *testing.T) {
	c := must(t)(Converge(ConvergeOptions{Rules: things}))
	h := converging(t, "0 declare d\n1 all d=3/3@5 e=1/1@6\n9 healthy\n10 await 30 5\n11..2000 all d=3/3@8 e=1/1@6\n2001 converged\n2002 all d=3/3@8 e=1/1@6")
	stopped, cancel := context.WithCancel(context.Background())
	cancel()
	for _, b := range []struct {
		ctx    context.Context
		memory int64
		want   string
	}{{context.Background(), 4 * objectBytes, "out of memory"}, {stopped, 1 << 30, "out of time"}} {
		r, err := c.Check(b.ctx, h, Budget{MemoryBytes: b.memory})
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict != Unknown || !strings.Contains(strings.Join(r.Reasons, "; "), b.want) {
			t.Errorf("%s: %v, want …%s…", r.Verdict, r.Reasons, b.want)
		}
	}
	if v, _ := verdictOf(t, c, h); v != Valid {
		t.Errorf("within the budget it is %s", v)
	}
	if _, err := Converge(ConvergeOptions{}); err == nil {
		t.Error("no rules are taken")
	}
	h[len(h)-1].Value = raw(`{"view":"n1"}`)
	if _, err := c.Check(context.Background(), h, Budget{}); !errors.Is(err, ErrMalformed) {
		t.Errorf("a sample without a kind gives %v", err)
	}
}
