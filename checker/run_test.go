package checker

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// fake is a checker that does what its function says.
type fake struct {
	name  string
	check func(ctx context.Context, h history.Source, b Budget) (Result, error)
}

func (f fake) Name() string { return f.name }

func (f fake) Check(ctx context.Context, h history.Source, b Budget) (Result, error) {
	return f.check(ctx, h, b)
}

func says(name string, v Verdict) Checker {
	return fake{name, func(context.Context, history.Source, Budget) (Result, error) { return Result{Verdict: v}, nil }}
}

func TestRunKeepsOrderAndNames(t *testing.T) {
	rs, err := Run(context.Background(), history.Slice{}, []Checker{says("a", Valid), says("b", Invalid), says("c", Unknown)}, Budget{})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		name    string
		verdict Verdict
	}{{"a", Valid}, {"b", Invalid}, {"c", Unknown}} {
		if rs[i].Checker != want.name || rs[i].Verdict != want.verdict {
			t.Errorf("%d: got %s %s, want %s %s", i, rs[i].Checker, rs[i].Verdict, want.name, want.verdict)
		}
	}
	if len(rs[2].Reasons) == 0 {
		t.Error("an unknown without a reason")
	}
	if got := Overall(rs); got != Invalid {
		t.Errorf("overall %s, want invalid", got)
	}
	if got := Overall(nil); got != Unknown {
		t.Errorf("of nothing: %s, want unknown", got)
	}
}

// A checker that panics does not take the others with it.
func TestRunRecovers(t *testing.T) {
	rs, err := Run(context.Background(), history.Slice{}, []Checker{
		fake{"broken", func(context.Context, history.Source, Budget) (Result, error) {
			var none []int
			_ = none[len(none)]
			return Result{Verdict: Valid}, nil
		}}, says("b", Invalid),
	}, Budget{})
	if err != nil {
		t.Fatal(err)
	}
	if rs[0].Verdict != Unknown || rs[1].Verdict != Invalid {
		t.Errorf("got %s and %s, want unknown and invalid", rs[0].Verdict, rs[1].Verdict)
	}
	if why := strings.Join(rs[0].Reasons, ""); !strings.Contains(why, "panicked: runtime error: index out of range [0] with length 0 at run_test.go:") {
		t.Errorf("reason: %s", why)
	}
}

// unreadable fails after its operations.
type unreadable struct{ history.Slice }

var errUnreadable = errors.New("offset 812: checksum differs")

func (u unreadable) Ops() func(yield func(history.Op, error) bool) {
	return func(yield func(history.Op, error) bool) {
		for op, err := range u.Slice.Ops() {
			if !yield(op, err) {
				return
			}
		}
		yield(history.Op{}, errUnreadable)
	}
}

// A history that can't be read is an error of every checker, and no verdict.
func TestRunUnreadable(t *testing.T) {
	all := everyChecker(t)
	rs, err := Run(context.Background(), unreadable{transcript(t, `0 write x 1`)}, all, Budget{})
	if !errors.Is(err, errUnreadable) {
		t.Fatalf("error %v", err)
	}
	for i, r := range rs {
		if r.Verdict != Unknown || !strings.Contains(err.Error(), "check "+all[i].Name()) {
			t.Errorf("%s: %s; error %v", r.Checker, r.Verdict, err)
		}
	}
}

func everyChecker(t testing.TB) []Checker {
	return []Checker{
		must(t)(Linearizable(LinearizableOptions{})), must(t)(SetWith(SetOptions{})), AppendInternal(), Stats(), Errors(), Logs(), Members(), Availability(),
		Exercise(Minimum{}, nil),
	}
}

// No checker passes an empty history, or one that ran out of time.
func TestNothingPasses(t *testing.T) {
	for _, c := range everyChecker(t) {
		if v, _ := verdictOf(t, c, history.Slice{}); v != Unknown {
			t.Errorf("%s calls an empty history %s", c.Name(), v)
		}
	}
	var b strings.Builder
	for range 2000 {
		b.WriteString("0 write x 1 / ")
	}
	h := transcript(t, b.String())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	rs, err := Run(ctx, h, everyChecker(t), Budget{Time: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rs {
		if r.Verdict != Unknown || len(r.Reasons) == 0 {
			t.Errorf("%s is %s without time, reasons %q", r.Checker, r.Verdict, r.Reasons)
		}
	}
}

// reading counts how often a history is read.
type reading struct {
	history.Slice
	times *atomic.Int64
}

func (r reading) Ops() func(yield func(history.Op, error) bool) {
	r.times.Add(1)
	return r.Slice.Ops()
}

func (reading) Complete() bool { return false }

// A history that fits is decoded once, and stays incomplete if it was; one that does not fit is read by each checker.
func TestRunReadsOnce(t *testing.T) {
	h := transcript(t, strings.Repeat("0 write x 1 / ", 3000))
	for _, tc := range []struct {
		memory int64
		once   bool
	}{{64 << 20, true}, {1 << 20, false}} {
		var times atomic.Int64
		rs, err := Run(context.Background(), reading{h, &times}, everyChecker(t), Budget{MemoryBytes: tc.memory})
		if err != nil {
			t.Fatal(err)
		}
		if once := times.Load() == 1; once != tc.once {
			t.Errorf("with %d bytes it was read %d times", tc.memory, times.Load())
		}
		if !strings.Contains(strings.Join(rs[8].Reasons, ""), "incomplete") {
			t.Errorf("with %d bytes the history passes for complete: %q", tc.memory, rs[8].Reasons)
		}
	}
}

// The time of a run is shared by all its checkers.
func TestRunHonoursTime(t *testing.T) {
	waits := fake{"waits", func(ctx context.Context, _ history.Source, b Budget) (Result, error) {
		<-ctx.Done()
		return Result{Reasons: []string{"out of time"}}, nil
	}}
	rs, err := Run(context.Background(), history.Slice{}, slices.Repeat([]Checker{waits}, 5), Budget{Time: 20 * time.Millisecond})
	if err != nil || Overall(rs) != Unknown {
		t.Errorf("%v, %v", rs, err)
	}
}

func TestElements(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{`null`, ``},
		{``, ``},
		{`[]`, ``},
		{` [ ] `, ``},
		{`[1]`, `1`},
		{`[1, 2,3]`, `1|2|3`},
		{`[[1,2],{"a":[3,4]},"x,]"]`, `[1,2]|{"a":[3,4]}|"x,]"`},
		{`["a\"b,", null, true]`, `"a\"b,"|null|true`},
		{`1`, `error`},
		{`[1,]`, `error`},
		{`[,1]`, `error`},
		{`[1`, `error`},
		{`[[1]`, `error`},
		{`["a]`, `error`},
	} {
		got, err := elements(json.RawMessage(tc.in))
		text := make([]string, len(got))
		for i := range got {
			text[i] = string(got[i])
		}
		joined := strings.Join(text, "|")
		if err != nil {
			joined = "error"
		}
		if joined != tc.want {
			t.Errorf("elements(%s) = %s, want %s", tc.in, joined, tc.want)
		}
	}
}

// elements splits every array that encoding/json accepts as it does.
func FuzzElements(f *testing.F) {
	for _, s := range []string{`[1,[2,"]"],{"a":1}]`, `["\\",""]`, `null`, `[`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := elements(json.RawMessage(s))
		var want []json.RawMessage
		if json.Unmarshal([]byte(s), &want) != nil {
			return // what is no JSON never comes so far; it only must not panic
		}
		if err != nil || len(got) != len(want) {
			t.Fatalf("%q: got %q, %v; want %q", s, got, err, want)
		}
		for i := range got {
			if string(got[i]) != strings.TrimSpace(string(want[i])) {
				t.Fatalf("%q: element %d is %q, want %q", s, i, got[i], want[i])
			}
		}
	})
}
