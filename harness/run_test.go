package harness_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

// memory is a recorder in memory that can break.
type memory struct {
	mu      sync.Mutex
	ops     []history.Op
	begun   time.Time
	breakAt int // the number of operations after which it is broken; 0: never
}

var errDiskFull = errors.New("no space left on device")

func (m *memory) Append(op *history.Op) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.breakAt > 0 && len(m.ops) >= m.breakAt {
		return errDiskFull
	}
	op.Index, op.Time = int64(len(m.ops)), time.Since(m.begun)
	m.ops = append(m.ops, *op)
	return nil
}

func (m *memory) Now() time.Duration { return time.Since(m.begun) }

// client is what a function does.
type client struct {
	invoke func(ctx context.Context, op history.Op) history.Op
	closed *atomic.Int64
}

func (c client) Invoke(ctx context.Context, op history.Op) history.Op { return c.invoke(ctx, op) }

func (c client) Close() error {
	c.closed.Add(1)
	return nil
}

// nemesis counts its heals.
type nemesis struct {
	invoke func(ctx context.Context, op history.Op) history.Op
	heals  atomic.Int64
	err    error
}

func (n *nemesis) Invoke(ctx context.Context, op history.Op) history.Op { return n.invoke(ctx, op) }

func (n *nemesis) Heal(ctx context.Context) error {
	n.heals.Add(1)
	return errors.Join(ctx.Err(), n.err)
}

// fixture is a test with one way to do operations.
type fixture struct {
	harness.Test
	h              *memory
	n              *nemesis
	opened, closed atomic.Int64
}

func ok(_ context.Context, op history.Op) history.Op {
	op.Type = history.OK
	return op
}

func newFixture(concurrency int, g generator.Generator, invoke func(context.Context, history.Op) history.Op) *fixture {
	f := &fixture{h: &memory{begun: time.Now()}, n: &nemesis{invoke: ok}}
	f.Test = harness.Test{
		Nodes: []string{"n1", "n2", "n3"}, Concurrency: concurrency, Generator: g, History: f.h, Nemesis: f.n,
		Open: func(context.Context, history.Process, string) (harness.Client, error) {
			f.opened.Add(1)
			return client{invoke, &f.closed}, nil
		},
		Grace: 200 * time.Millisecond, HealTimeout: time.Second,
	}
	return f
}

// run runs it within a bound, and checks what holds for every run: the history is well formed, every operation is
// completed once, the nemesis healed, and every client that was opened was closed.
func (f *fixture) run(ctx context.Context, t *testing.T) (harness.Summary, error) {
	t.Helper()
	type outcome struct {
		s   harness.Summary
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		s, err := harness.Run(ctx, f.Test)
		done <- outcome{s, err}
	}()
	var o outcome
	select {
	case o = <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("the run does not end")
	}
	if f.n != nil && f.n.heals.Load() != 1 {
		t.Errorf("healed %d times, want once", f.n.heals.Load())
	}
	f.h.mu.Lock()
	defer f.h.mu.Unlock()
	if err := wellFormed(f.h.ops, f.h.breakAt > 0); err != nil {
		t.Error(err)
	}
	return o.s, o.err
}

// wellFormed checks the order contract.
func wellFormed(ops []history.Op, mayEndOpen bool) error {
	open := map[history.Process]history.Op{}
	ended := map[history.Process]bool{}
	for i, op := range ops {
		if op.Index != int64(i) || (i > 0 && op.Time < ops[i-1].Time) {
			return fmt.Errorf("operation %d has index %d and time %v", i, op.Index, op.Time)
		}
		if op.Process == history.Evidence {
			continue // no operation
		}
		invoke, busy := open[op.Process]
		switch {
		case op.Type == history.Invoke && (busy || ended[op.Process]):
			return fmt.Errorf("process %s invokes %d while it is busy or after it ended", op.Process, i)
		case op.Type == history.Invoke:
			open[op.Process] = op
			continue
		case !busy:
			return fmt.Errorf("completion %d of process %s has no invocation", i, op.Process)
		case invoke.F != op.F || invoke.Key != op.Key || invoke.Node != op.Node:
			return fmt.Errorf("completion %d is not one of %d", i, invoke.Index)
		}
		delete(open, op.Process)
		ended[op.Process] = op.Type == history.Info && op.Process.IsClient()
	}
	if len(open) > 0 && !mayEndOpen {
		return fmt.Errorf("%d operations were never completed", len(open))
	}
	return nil
}

func op(f string) history.Op { return history.Op{F: f, Key: "k"} }

// lines are the completions, "process type error".
func (f *fixture) lines() string {
	var out []string
	for _, o := range f.h.ops {
		if o.Type != history.Invoke {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s", o.Process, o.Type, o.Error)))
		}
	}
	return strings.Join(out, " / ")
}

func TestRun(t *testing.T) {
	f := newFixture(5, generator.Clients(generator.Limit(1000, generator.Repeat(op("a")))), ok)
	var seen atomic.Int64
	f.Observe = func(history.Op) { seen.Add(1) }
	s, err := f.run(context.Background(), t)
	if err != nil || s.OK != 1000 || s.Fail+s.Info != 0 || s.Elapsed <= 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if seen.Load() != 2000 || len(f.h.ops) != 2000 {
		t.Errorf("observed %d of %d operations", seen.Load(), len(f.h.ops))
	}
	if f.opened.Load() > 5 || f.opened.Load() != f.closed.Load() {
		t.Errorf("opened %d clients, closed %d", f.opened.Load(), f.closed.Load())
	}
}

// TestUnknownOutcome: the process ends, its worker goes on with a new one on the same node and with a new client.
func TestUnknownOutcome(t *testing.T) {
	f := newFixture(2, generator.OnWorkers(generator.Limit(3, generator.Repeat(op("a"))), 1),
		func(_ context.Context, op history.Op) history.Op {
			op.Type, op.Error = history.Info, "who knows"
			return op
		})
	var opened []string
	inner := f.Open
	f.Open = func(ctx context.Context, p history.Process, node string) (harness.Client, error) {
		opened = append(opened, fmt.Sprint(p, "@", node))
		return inner(ctx, p, node)
	}
	s, err := f.run(context.Background(), t)
	if err != nil || s.Info != 3 {
		t.Errorf("%+v, %v", s, err)
	}
	if got := strings.Join(opened, " "); got != "1@n2 3@n2 5@n2" {
		t.Errorf("opened %s", got)
	}
	if f.closed.Load() != 3 {
		t.Errorf("closed %d clients of 3", f.closed.Load())
	}
}

func TestPanicOfAClient(t *testing.T) {
	f := newFixture(1, generator.Limit(2, generator.Repeat(op("a"))), func(context.Context, history.Op) history.Op { panic("boom") })
	s, err := f.run(context.Background(), t)
	if err != nil || s.Info != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	if got := f.lines(); strings.Count(got, "info panic: boom (in ") != 2 || !strings.Contains(got, "TestPanicOfAClient") {
		t.Error(got)
	}
}

// TestOpenFails: nothing was sent, so it is a fail; the process goes on; and failing does not spin.
func TestOpenFails(t *testing.T) {
	f := newFixture(1, generator.Limit(6, generator.Repeat(op("a"))), ok)
	inner, tries := f.Open, 0
	f.Open = func(ctx context.Context, p history.Process, node string) (harness.Client, error) {
		if tries++; tries == 3 {
			panic("no such thing")
		}
		if tries < 5 {
			return nil, errors.New("refused")
		}
		return inner(ctx, p, node)
	}
	s, err := f.run(context.Background(), t)
	if err != nil || s.Fail != 4 || s.OK != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	if got := f.lines(); !strings.HasPrefix(got, "0 fail open a client of n1: refused / 0 fail") || !strings.HasSuffix(got, "0 ok / 0 ok") {
		t.Error(got)
	}
	if s.Elapsed < 70*time.Millisecond { // 10 + 20 + 40 + 80 ms
		t.Errorf("four failures took only %v", s.Elapsed)
	}
}

func TestMisfits(t *testing.T) {
	for name, change := range map[string]func(*history.Op){
		"type invoke":  func(op *history.Op) { op.Type = history.Invoke },
		"no type":      func(op *history.Op) { op.Type = 0 },
		"process":      func(op *history.Op) { op.Process++ },
		"function":     func(op *history.Op) { op.F = "b" },
		"key":          func(op *history.Op) { op.Key = "other" },
		"nothing left": func(op *history.Op) { *op = history.Op{} },
	} {
		f := newFixture(2, generator.Repeat(op("a")), func(_ context.Context, op history.Op) history.Op {
			op.Type = history.OK
			change(&op)
			return op
		})
		if _, err := f.run(context.Background(), t); !errors.Is(err, harness.ErrMisfit) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHistoryBreaks(t *testing.T) {
	for _, at := range []int{1, 2, 3, 10, 11} {
		f := newFixture(3, generator.Repeat(op("a")), ok)
		f.h.breakAt = at
		if _, err := f.run(context.Background(), t); !errors.Is(err, errDiskFull) {
			t.Errorf("broken after %d: %v", at, err)
		}
	}
}

func TestHealFails(t *testing.T) {
	f := newFixture(1, generator.Limit(1, generator.Repeat(op("a"))), ok)
	f.n.err = errors.New("a node is gone")
	if _, err := f.run(context.Background(), t); !errors.Is(err, f.n.err) {
		t.Error(err)
	}
}

// panics is a generator that breaks in the middle of a run.
type panics struct{ generator.Generator }

func (panics) Next(ctx *generator.Context) (history.Op, generator.Status, generator.Generator) {
	if !ctx.Threads.AllFree() {
		panic("a bug in a generator")
	}
	p, _ := ctx.Anyone()
	return history.Op{Type: history.Invoke, F: "a", Process: p}, generator.Ready, panics{}
}

func (panics) Update(*generator.Context, history.Op) generator.Generator { return panics{} }

func TestGeneratorBreaks(t *testing.T) {
	f := newFixture(2, panics{}, ok)
	if _, err := f.run(context.Background(), t); err == nil || !strings.Contains(err.Error(), "a bug in a generator") {
		t.Error(err)
	}
	f = newFixture(2, generator.NemesisOnly(generator.Once(op("x"))), ok)
	f.Nemesis, f.n = nil, nil
	if _, err := f.run(context.Background(), t); err == nil || !strings.Contains(err.Error(), "has none") {
		t.Error(err)
	}
}

func TestRefusesWhatItCannotRun(t *testing.T) {
	for _, test := range []harness.Test{
		{},
		{Nodes: []string{"n1"}},
		{Nodes: []string{"n1"}, Concurrency: 1},
	} {
		if _, err := harness.Run(context.Background(), test); err == nil {
			t.Errorf("ran %+v", test)
		}
	}
}

// TestPlannedTimes: nothing is invoked before its time, and the runner wakes up for it.
func TestPlannedTimes(t *testing.T) {
	f := newFixture(4, generator.Limit(20, generator.Stagger(5*time.Millisecond, generator.Repeat(op("a")))), ok)
	s, err := f.run(context.Background(), t)
	if err != nil || s.OK != 20 || s.Elapsed < 95*time.Millisecond {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestSeedFixesOperations: with random latencies and outcomes, each worker draws the same operations in every run.
func TestSeedFixesOperations(t *testing.T) {
	const concurrency = 4
	once := func() [concurrency][]string {
		f := newFixture(concurrency, generator.TimeLimit(150*time.Millisecond, registers(concurrency)), func(_ context.Context, op history.Op) history.Op {
			time.Sleep(rand.N(2 * time.Millisecond))
			op.Type = history.OK
			if rand.IntN(10) == 0 {
				op.Type = history.Info
			}
			return op
		})
		if _, err := f.run(context.Background(), t); err != nil {
			t.Fatal(err)
		}
		var out [concurrency][]string
		for _, o := range f.h.ops {
			if o.Type == history.Invoke {
				w := int(o.Process) % concurrency
				out[w] = append(out[w], fmt.Sprintf("%s %s %s", o.F, o.Key, o.Value))
			}
		}
		return out
	}
	a, b := once(), once()
	for w := range a {
		n := min(len(a[w]), len(b[w]))
		if n < 10 {
			t.Fatalf("worker %d drew only %d operations", w, n)
		}
		for i := range n {
			if a[w][i] != b[w][i] {
				t.Fatalf("worker %d, operation %d: %q, then %q", w, i, a[w][i], b[w][i])
			}
		}
	}
}

// TestWellFormedFindsWhatIsNot shows that the check of every run above can fail.
func TestWellFormedFindsWhatIsNot(t *testing.T) {
	invoke := history.Op{Type: history.Invoke, F: "a"}
	done := history.Op{Type: history.OK, F: "a", Index: 1}
	for name, ops := range map[string][]history.Op{
		"open":            {invoke},
		"completed twice": {invoke, done, {Type: history.Info, F: "a", Index: 2}},
		"busy":            {invoke, {Type: history.Invoke, F: "a", Index: 1}},
		"ended":           {invoke, {Type: history.Info, F: "a", Index: 1}, {Type: history.Invoke, F: "a", Index: 2}},
		"index":           {done},
	} {
		if wellFormed(ops, false) == nil {
			t.Errorf("%s: not noticed", name)
		}
	}
}
