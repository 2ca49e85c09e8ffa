package harness_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

// observer is what a function sees.
type observer func(ctx context.Context, record func(*history.Op) error) error

func (o observer) Observe(ctx context.Context, record func(*history.Op) error) error {
	return o(ctx, record)
}

func sample() *history.Op {
	return &history.Op{Type: history.OK, Process: 7, F: history.FSample, Node: "n1"}
}

// evidence splits what was recorded.
func (f *fixture) evidence() (seen, ops []history.Op) {
	f.h.mu.Lock()
	defer f.h.mu.Unlock()
	for _, op := range f.h.ops {
		if op.Process == history.Evidence {
			seen = append(seen, op)
		} else {
			ops = append(ops, op)
		}
	}
	return seen, ops
}

// withObserver lets clients work until the observer has seen enough.
func withObserver(o observer, enough <-chan struct{}) *fixture {
	f := newFixture(2, generator.Clients(generator.Limit(20, generator.Repeat(op("a")))), func(_ context.Context, op history.Op) history.Op {
		if op.Index > 20 {
			<-enough
		}
		op.Type = history.OK
		return op
	})
	f.Observer = o
	return f
}

// TestObserverSeesTheWholeRun: from before the first operation to the last one, in one order with them, as evidence, and with nothing
// of it in the summary.
func TestObserverSeesTheWholeRun(t *testing.T) {
	enough := make(chan struct{})
	var ended bool
	f := withObserver(func(ctx context.Context, record func(*history.Op) error) error {
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for range 10 {
					if err := record(sample()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		close(enough)
		<-ctx.Done()
		if err := record(sample()); err != nil {
			t.Errorf("a last sample: %v", err)
		}
		ended = true
		return ctx.Err()
	}, enough)
	f.Observe = func(history.Op) {}
	s, err := f.run(t.Context(), t)
	if err != nil || s.OK != 20 || s.Fail+s.Info != 0 || !ended {
		t.Errorf("%+v, %v, observer ended %v", s, err, ended)
	}
	seen, ops := f.evidence()
	if len(seen) != 31 || len(ops) != 40 {
		t.Errorf("%d samples, %d other operations", len(seen), len(ops))
	}
	if last := seen[len(seen)-1].Index; last < 40 {
		t.Errorf("the last sample is number %d: before the last operation", last)
	}
	if err := history.Validate(history.Slice(f.h.ops)); err != nil {
		t.Errorf("the history: %v", err)
	}
}

// TestObserverBreaks: its error and its panic end the run, and are told.
func TestObserverBreaks(t *testing.T) {
	errBlind := errors.New("blind")
	for name, c := range map[string]struct {
		observe observer
		want    string
	}{
		"error": {func(context.Context, func(*history.Op) error) error { return errBlind }, "observe the system: blind"},
		"panic": {func(context.Context, func(*history.Op) error) error { panic("boom") }, "the observer panicked: boom"},
		"not an operation": {func(_ context.Context, record func(*history.Op) error) error {
			return record(&history.Op{F: history.FSample})
		}, "unknown operation type"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(2, generator.Clients(generator.Stagger(time.Millisecond, generator.Repeat(op("a")))), ok)
			f.Observer = c.observe
			if name == "not an operation" {
				w, err := history.Create(t.TempDir() + "/h")
				if err != nil {
					t.Fatal(err)
				}
				defer w.Close()
				f.History = w
			}
			if _, err := f.run(t.Context(), t); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	// A history that breaks under the observer is a broken history.
	f := newFixture(1, generator.Clients(generator.Stagger(time.Hour, generator.Repeat(op("a")))), ok)
	f.h.breakAt = 3
	f.Observer = observer(func(ctx context.Context, record func(*history.Op) error) error {
		for ctx.Err() == nil {
			if err := record(sample()); err != nil {
				return err
			}
		}
		return nil
	})
	if _, err := f.run(t.Context(), t); !errors.Is(err, errDiskFull) {
		t.Errorf("a broken history: %v", err)
	}
}

// TestObserverThatEndsEarly changes nothing for the run.
func TestObserverThatEndsEarly(t *testing.T) {
	enough := make(chan struct{})
	close(enough)
	f := withObserver(func(context.Context, func(*history.Op) error) error { return nil }, enough)
	if s, err := f.run(t.Context(), t); err != nil || s.OK != 20 {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestObserverThatHangs is left behind within the grace, and what it records later is dropped.
func TestObserverThatHangs(t *testing.T) {
	enough, release, late := make(chan struct{}), make(chan struct{}), make(chan error)
	close(enough)
	f := withObserver(func(_ context.Context, record func(*history.Op) error) error {
		<-release
		late <- record(sample())
		return nil
	}, enough)
	var s harness.Summary
	var err error
	if s, err = f.run(t.Context(), t); err != nil || s.OK != 20 {
		t.Errorf("%+v, %v", s, err)
	}
	close(release)
	if err := <-late; err == nil {
		t.Error("a late sample was recorded")
	}
	if seen, _ := f.evidence(); len(seen) != 0 {
		t.Errorf("recorded %v", seen)
	}
}

// TestObserverEndsWithACancelledRun: its context is done when the run's is.
func TestObserverEndsWithACancelledRun(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	f := newFixture(1, generator.Clients(generator.Stagger(time.Hour, generator.Repeat(op("a")))), ok)
	f.Observer = observer(func(ctx context.Context, _ func(*history.Op) error) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	})
	if _, err := f.run(ctx, t); err != nil {
		t.Error(err)
	}
}
