package checker

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/faultline/faultline/harness/history"
)

func TestLinearizable(t *testing.T) {
	runTranscripts(t, must(t)(Linearizable(LinearizableOptions{})), []transcriptCase{
		{name: "nothing", history: ``, want: "unknown", why: "nothing to check"},
		{name: "absent, written, read", history: `0 read x null / 0 write x 1 v=3 / 1 read x 1 v=3`, want: "valid"},
		{name: "no versions", history: `0 read x null / 0 write x 1 / 1 read x 1 / 1 cas x [1,2] / 0 read x 2`, want: "valid"},
		{
			name:    "a read may see a concurrent write or not",
			history: `0 invoke write x 1 / 1 read x null / 2 read x 1 v=2 / 0 ok write x 1 v=2`, want: "valid",
		},
		{
			name:    "stale by version",
			history: `0 write x 3 v=57 / 0 write x 1 v=91 / 4 read x 3 v=57 n=n2 / 1 read x 1 v=91`,
			want:    "invalid stale-read x [5 3]",
			why:     "read 5 of x by process 4 on n2 returned 3 (version 57), but write 3 of 1 (version 91) had completed before it began",
		},
		{
			name:    "stale by version though the value came back",
			history: `0 write x 3 v=5 / 0 write x 1 v=6 / 0 write x 3 v=7 / 1 read x 3 v=5 / 1 read x 3 v=7`, want: "invalid stale-read x [7 5]",
		},
		{name: "stale by value", history: `0 write x 3 / 0 write x 1 / 1 read x 3`, want: "invalid stale-read x [5 3]"},
		{name: "stale absence", history: `0 write x 3 v=4 / 1 read x null`, want: "invalid stale-read x [3 1]"},
		{
			name:    "an acknowledged write that nobody ever saw",
			history: `0 write x 3 v=5 / 0 write x 1 v=6 / 1 read x 3 v=5 / 2 read x 3 v=5`,
			want:    "invalid lost-write x [5 3] lost-write x [7 3]",
		},
		{name: "garbage", history: `0 write x 1 / 1 read x 4`, want: "invalid garbage-read x [3]"},
		{name: "garbage version", history: `0 write x 1 v=3 / 1 write x 2 v=4 / 1 read x 2 v=4 / 1 read x 1 v=3`, want: "invalid stale-read x [7 3]"},
		{name: "aborted", history: `0 invoke write x 4 / 0 fail write x 4 ! refused / 1 read x 4`, want: "invalid aborted-read x [3 1]"},
		{
			name: "aborted by version", history: `0 write x 4 v=2 / 0 invoke write x 4 / 0 fail write x 4 ! refused / 1 read x 4 v=3`,
			want: "invalid aborted-read x [5 3]",
		},
		{name: "future by value", history: `1 read x 4 / 0 write x 4`, want: "invalid future-read x [1 3]"},
		{name: "future by version", history: `0 write x 4 v=2 / 1 read x 4 v=3 / 0 write x 4 v=3`, want: "invalid future-read x [3 5]"},
		{
			name: "applied twice", history: `0 write x 1 v=2 / 1 write x 2 v=3 / 2 read x 1 v=4`, want: "invalid duplicate-write x [5 1]",
			why: "no write was given that version",
		},
		{name: "an unknown write explains the version", history: `0 write x 1 v=2 / 3 invoke write x 1 / 1 write x 2 v=3 / 2 read x 1 v=4`, want: "valid"},
		{
			name:    "one unknown write explains one version only",
			history: `3 invoke write x 1 / 1 write x 2 v=3 / 2 read x 1 v=4 / 1 write x 2 v=5 / 2 read x 1 v=6`, want: "invalid garbage-read x [8]",
		},
		{name: "an unknown write may be late", history: `3 invoke write x 1 / 3 info write x 1 / 1 write x 2 / 1 read x 2 / 1 read x 1`, want: "valid"},
		{
			name:    "nor does one that was invoked later explain a version",
			history: `0 write x 1 v=2 / 0 write x 2 v=3 / 1 read x 1 v=4 / 4 invoke write x 1`, want: "invalid duplicate-write x [5 1]",
		},
		{
			name:    "nor one whose guard can't have held",
			history: `0 write x 1 v=2 / 3 invoke cas x [4,1] / 0 write x 2 v=3 / 1 read x 1 v=4 / 4 invoke write x 1`, want: "invalid nonlinearizable x [6 1]",
		},
		{
			name:    "a chain of unknown operations explains a version",
			history: `0 write x 2 v=2 / 3 invoke write x 4 / 4 invoke cas x [4,1] / 1 read x 1 v=4`, want: "valid",
		},
		{
			name:    "if there is a version for each",
			history: `0 write x 2 v=2 / 3 invoke write x 4 / 4 invoke cas x [4,1] / 1 read x 1 v=3`, want: "invalid nonlinearizable x [5 1]",
		},
		{
			name:    "a refusal may be all that sees an unknown write",
			history: `0 write x 1 / 3 invoke write x 2 / 1 cas x [1,5,false] / 0 write x 1 / 0 read x 1`, want: "valid",
		},
		{
			name: "the search names the operation that can't follow, not one that an open write explains",
			history: `9 read x null / 0 invoke write x 1 / 1 read x 1 v=2 / 2 invoke write x 5 / 1 write x 3 / 1 read x 5 / 1 write x 3 / 1 read x 5
				0 ok write x 1 v=2`,
			want: "invalid nonlinearizable x [13 5 9 11]",
		},
		{name: "but only once", history: `3 invoke write x 1 / 1 write x 2 / 1 read x 1 / 1 write x 2 / 1 read x 1`, want: "invalid nonlinearizable x [8 0 4 6]"},
		{name: "an unknown compare-and-set may do nothing", history: `0 write x 1 / 3 invoke cas x [1,2] / 3 info cas x [1,2] / 0 read x 1`, want: "valid"},
		{name: "an unknown compare-and-set may never match", history: `0 write x 1 / 3 invoke cas x [4,2] / 0 read x 1`, want: "valid"},
		{
			name:    "an unknown compare-and-set needs its old value",
			history: `0 write x 1 / 3 invoke cas x [4,2] / 0 read x 2`, want: "invalid nonlinearizable x [4]",
		},
		{
			name:    "a guard that was ignored",
			history: `0 write x 1 v=2 / 0 write x 3 v=3 / 1 cas x [1,2,true] v=4 / 1 read x 2 v=4`, want: "invalid cas-mismatch x [5 3]",
		},
		{
			name:    "a guard that was ignored, told by versions only",
			history: `0 invoke write x 1 / 2 write x 3 v=2 / 1 cas x [1,2,true] v=3 / 0 ok write x 1 v=4 / 1 read x 1 v=4`,
			want:    "invalid cas-mismatch x [4 2]", why: "the version before it holds 3",
		},
		{
			name:    "no version is left for an unknown write before it",
			history: `3 invoke write x 1 / 0 write x 3 v=2 / 1 cas x [1,2,true] v=3`, want: "invalid cas-mismatch x [4 2]",
		},
		{name: "an unknown write before it", history: `3 invoke write x 1 / 0 write x 3 v=2 / 1 cas x [1,2,true] v=4`, want: "valid"},
		{name: "a value that was written again is not stale", history: `0 write x 1 / 0 write x 2 / 0 write x 1 / 0 write x 1 / 1 read x 1`, want: "valid"},
		{name: "a refusal", history: `0 write x 1 / 1 cas x [2,3,false] / 1 read x 1`, want: "valid"},
		{name: "a refusal that saw", history: `0 write x 1 v=2 / 1 cas x [2,3,false,1] v=2 / 1 read x 1 v=2`, want: "valid"},
		{name: "a refusal without a reason", history: `0 write x 1 v=2 / 1 cas x [1,3,false]`, want: "invalid nonlinearizable x [3 1]"},
		{name: "a refusal that saw what it expected", history: `0 write x 1 v=2 / 1 cas x [1,3,false,1]`, want: "invalid cas-mismatch x [3]"},
		{name: "a stale refusal", history: `0 write x 1 v=2 / 0 write x 2 v=3 / 1 cas x [3,4,false,1] v=2 / 0 read x 2 v=3`, want: "invalid stale-read x [5 3]"},
		{name: "a failed compare-and-set says nothing", history: `0 write x 1 / 1 invoke cas x [1,3] / 1 fail cas x [1,3] / 1 read x 1`, want: "valid"},
		{name: "one version, two values", history: `0 write x 1 v=2 / 1 write x 2 v=2`, want: "invalid version-mismatch x [3 1]", why: "two values"},
		{name: "one version, two writes", history: `0 write x 1 v=2 / 1 write x 1 v=2`, want: "invalid version-mismatch x [3 1]", why: "two writes"},
		{name: "versions fall", history: `0 write x 1 v=4 / 1 write x 1 v=3`, want: "invalid version-mismatch x [3 1]", why: "versions must rise"},
		{
			name:    "keys are judged apart, the smallest failing one is explained",
			history: `0 write a 1 / 0 write b 1 / 0 write b 2 / 1 read b 1 / 1 read a 1 / 0 write c 1 / 0 write c 2 / 0 read c 2 / 1 read c 1`,
			want:    "invalid stale-read b [7 5] stale-read c [17 13]",
		},
	})
}

// A read of an old state of the whole store is stale, though nobody wrote its key in between.
func TestStoreOrder(t *testing.T) {
	const old = `0 write x 1 v=2 r=2 / 0 write y 1 v=3 r=3 / 1 read x 1 v=2 r=2`
	runTranscripts(t, must(t)(Linearizable(LinearizableOptions{})), []transcriptCase{
		{name: "new", history: `0 write x 1 v=2 r=2 / 0 write y 1 v=3 r=3 / 1 read x 1 v=2 r=3`, want: "valid"},
		{
			name: "old", history: old, want: "invalid stale-read x [5 3]",
			why: "at revision 2 of the store, but write 3 of 1 (version 3) on y had completed at revision 3 before it began",
		},
		{name: "concurrent", history: `0 write x 1 v=2 r=2 / 1 invoke read x / 0 write y 1 v=3 r=3 / 1 ok read x 1 v=2 r=2`, want: "valid"},
		{name: "told of the key rather", history: `0 write x 1 v=2 r=2 / 0 write x 2 v=3 r=3 / 1 read x 1 v=2 r=2 / 0 read x 2 v=3 r=3`, want: "invalid stale-read x [5 3]", why: "write 3 of 2 (version 3) had completed before it began"},
		{name: "revisions fall", history: `0 write x 1 v=3 r=3 / 0 write y 1 v=2 r=2`, want: "invalid version-mismatch y [3 1]"},
	})
	runTranscripts(t, must(t)(Linearizable(LinearizableOptions{Read: ReadSerializable})), []transcriptCase{
		{name: "stale reads are allowed", history: old, want: "valid (stale-read x [5 3])"},
	})
	runTranscripts(t, must(t)(Linearizable(LinearizableOptions{IgnoreVersions: true})), []transcriptCase{
		{name: "revisions are no promise", history: old, want: "valid"},
	})
}

// A system whose versions promise nothing is judged by values.
func TestLinearizableIgnoresVersions(t *testing.T) {
	runTranscripts(t, must(t)(Linearizable(LinearizableOptions{IgnoreVersions: true})), []transcriptCase{
		{name: "versions fall", history: `0 write x 1 v=4 / 1 write x 2 v=3 / 1 read x 2 v=3`, want: "valid"},
	})
}

func TestSerializableReads(t *testing.T) {
	runTranscripts(t, must(t)(Linearizable(LinearizableOptions{Read: ReadSerializable})), []transcriptCase{
		{name: "stale is allowed", history: `0 write x 3 v=5 / 0 write x 1 v=6 / 1 read x 3 v=5`, want: "valid (stale-read x [5 3])"},
		{name: "stale absence is allowed", history: `0 write x 3 v=5 / 1 read x null`, want: "valid (stale-read x [3 1])"},
		{name: "garbage is not", history: `0 write x 3 v=5 / 1 read x 4 v=5`, want: "invalid garbage-read x [3] version-mismatch x [3 1]"},
		{name: "nor is the future", history: `0 write x 3 v=5 / 1 read x 3 v=6 / 0 write x 3 v=6`, want: "invalid future-read x [3 5]"},
		{name: "nor a version that nobody wrote", history: `0 write x 3 v=5 / 1 read x 3 v=4`, want: "invalid garbage-read x [3] (stale-read x [3 1])"},
		{
			name:    "writes linearize",
			history: `0 write x 1 v=2 / 0 write x 3 v=3 / 1 cas x [1,2,true] v=4`, want: "invalid cas-mismatch x [5 3]",
		},
		{
			name:    "one process does not go back",
			history: `0 write x 3 v=5 / 0 write x 1 v=6 / 1 read x 1 v=6 n=n1 / 1 read x 3 v=5 n=n1`,
			want:    "invalid non-monotonic-read x [7 5] (stale-read x [7 3])",
		},
		{
			name:    "nor does it forget",
			history: `0 write x 3 v=5 / 1 read x 3 v=5 n=n1 / 1 read x null n=n1`,
			want:    "invalid non-monotonic-read x [5 3] (stale-read x [5 1])",
		},
		{
			name: "unless its member was restarted",
			history: `0 write x 3 v=5 / 0 write x 1 v=6 / 1 read x 1 v=6 n=n1
				nemesis start-kill {"id":"kill-1","family":"kill","proof":1} / nemesis stop-kill {"id":"kill-1","proof":1}
				1 read x 3 v=5 n=n1`,
			want: "valid (non-monotonic-read x [11 5]) (stale-read x [11 3])",
		},
		{
			name: "a partition restarts nothing",
			history: `0 write x 3 v=5 / 0 write x 1 v=6 / 1 read x 1 v=6 n=n1
				nemesis start-partition {"id":"partition-1","family":"partition","proof":1}
				1 read x 3 v=5 n=n1`,
			want: "invalid non-monotonic-read x [9 5] (stale-read x [9 3])",
		},
		{
			name:    "two processes may",
			history: `0 write x 3 v=5 / 0 write x 1 v=6 / 1 read x 1 v=6 n=n1 / 2 read x 3 v=5 n=n2`, want: "valid (stale-read x [7 3])",
		},
	})
	runTranscripts(t, must(t)(Linearizable(LinearizableOptions{Read: ReadSerializable, Model: ModelLinearizable})), []transcriptCase{
		{name: "the model asked for counts", history: `0 write x 3 v=5 / 0 write x 1 v=6 / 1 read x 3 v=5`, want: "invalid lost-write x [5 3]"},
	})
	if _, err := Linearizable(LinearizableOptions{Model: "causal"}); err == nil {
		t.Error("an unknown model is taken")
	}
}

// The picture of a violation is small and has the faults in it.
func TestLinearizablePicture(t *testing.T) {
	var b strings.Builder
	for range 2000 {
		b.WriteString("0 write x 1 / 1 read x 1 / 0 write x 2 / 1 read x 2 / ")
	}
	b.WriteString(`nemesis start-kill {"id":"kill-7","family":"kill","proof":1} / 0 write x 3 / 1 read x 2 / 0 write x 1`)
	h := transcript(t, b.String())
	r, err := must(t)(Linearizable(LinearizableOptions{})).Check(context.Background(), h, Budget{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Artifacts) != 1 {
		t.Fatalf("%d artifacts, want 1: %s", len(r.Artifacts), told(r))
	}
	html := r.Artifacts[0].Content
	if len(html) > pictureBytesMax || len(html) < 1000 {
		t.Errorf("the picture has %d bytes", len(html))
	}
	if !strings.Contains(string(html), "kill-7") {
		t.Error("the picture does not show the fault")
	}
	if want := "linearizable-x.html"; r.Artifacts[0].Name != want {
		t.Errorf("named %q, want %q", r.Artifacts[0].Name, want)
	}
}

// A search that would not end stops at its memory, and says so; so does one that runs out of time.
func TestLinearizableKeepsItsBudget(t *testing.T) {
	h := exploding(9)
	c := must(t)(Linearizable(LinearizableOptions{}))
	r, err := c.Check(context.Background(), h, Budget{MemoryBytes: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if r.Verdict != Unknown || len(r.Reasons) == 0 || !strings.Contains(r.Reasons[0], "out of memory") {
		t.Errorf("got %s, reasons %q; want unknown for want of memory", r.Verdict, r.Reasons)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if r, err = c.Check(ctx, h, Budget{MemoryBytes: 1 << 40}); err != nil {
		t.Fatal(err)
	}
	if r.Verdict != Unknown || !strings.Contains(strings.Join(r.Reasons, " "), "out of time") {
		t.Errorf("got %s, reasons %q; want unknown for want of time", r.Verdict, r.Reasons)
	}
}

// A register that can't be searched does not hide a contradiction that needs no search.
func TestLinearizableSoundBeforeSearch(t *testing.T) {
	h := exploding(9)
	n := h[len(h)-1].Index + 1
	late := history.Process(1000)
	h = append(h,
		history.Op{Index: n, Time: time.Second, Type: history.Invoke, Process: late, F: "read", Key: "x"},
		history.Op{Index: n + 1, Time: time.Second, Type: history.OK, Process: late, F: "read", Key: "x", Value: json.RawMessage("77")})
	v, names := verdictOf(t, must(t)(Linearizable(LinearizableOptions{})), h)
	if v != Invalid || len(names) != 1 || names[0] != "garbage-read" {
		t.Errorf("got %s %v, want invalid garbage-read", v, names)
	}
}

// Unknown writes do not blow up a search: only the ones that the next operation sees are tried.
func TestSearchOfUnknownWritesIsSmall(t *testing.T) {
	var b strings.Builder
	const n = 30
	for i := range n {
		fmt.Fprintf(&b, "%d invoke write x %d / ", i, i)
	}
	for i := range n {
		fmt.Fprintf(&b, "100 write x 99 / 100 read x %d / ", n-1-i)
	}
	c := must(t)(Linearizable(LinearizableOptions{}))
	for _, tc := range []struct {
		end  string
		want Verdict
	}{{"100 read x 0", Valid}, {"100 write x 99 / 100 read x 0", Invalid}} {
		r, err := c.Check(context.Background(), transcript(t, b.String()+tc.end), Budget{MemoryBytes: 8 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict != tc.want {
			t.Errorf("%s: %s %q, want %s", tc.end, r.Verdict, r.Reasons, tc.want)
		}
	}
}

// An order by versions is claimed only where it is one, whatever other checks would say of the same history.
func TestFitClaimsNoMore(t *testing.T) {
	for _, tc := range []struct {
		history string
		want    bool
	}{
		{`0 write x 1 v=2 / 0 write x 2 v=3 / 0 read x 2 v=3`, true},
		{`0 write x 1 v=2 / 0 write x 2 v=3 / 0 read x 1 v=2`, false},
		{`0 write x 1 v=3 / 0 write x 2 v=2`, false},
		{`0 read x 2 v=3 / 0 write x 2 v=3`, false},
		{`3 invoke write x 1 / 0 write x 3 v=2 / 1 cas x [1,2,true] v=3`, false},
	} {
		var f findings
		rs, err := f.registersOf(t.Context(), transcript(t, tc.history))
		if err != nil {
			t.Fatal(err)
		}
		c, ok := chainOf(rs[0], false)
		if got := ok && c.fit(); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.history, got, tc.want)
		}
	}
}
