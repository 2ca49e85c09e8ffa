package harness_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

// TestCancelled: operations that end within the grace keep their outcome, the others become info, once.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	release := make(chan struct{})
	var begun sync.WaitGroup
	begun.Add(3)
	f := newFixture(3, generator.Clients(generator.Repeat(op("a"))), func(ctx context.Context, op history.Op) history.Op {
		begun.Done()
		op.Type = history.OK
		switch op.Process {
		case 0: // ends by itself, soon after the run is to end
			if ctx.Err() != nil {
				op.Error = "the client's context ended with the run's"
			}
			time.Sleep(20 * time.Millisecond)
		case 1: // heeds its context
			<-ctx.Done()
			op.Type, op.Error = history.Info, ctx.Err().Error()
		default: // heeds nothing, and returns when the run is over
			<-release
		}
		return op
	})
	go func() {
		begun.Wait()
		cancel()
	}()
	s, err := f.run(ctx, t)
	if err != nil || s.OK != 1 || s.Info != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	if got := f.lines(); got != "0 ok / 1 info context canceled / 2 info still open 200ms after the run was to end" {
		t.Error(got)
	}
	if f.closed.Load() != 2 {
		t.Errorf("closed %d clients, want the two that are not in use", f.closed.Load())
	}
	close(release) // the late return
	for deadline := time.Now().Add(5 * time.Second); f.closed.Load() != 3; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the client that returned late was not closed")
		}
	}
	f.h.mu.Lock()
	defer f.h.mu.Unlock()
	if err := wellFormed(f.h.ops, false); err != nil {
		t.Error("after the late return: ", err)
	}
}

// TestCancelledWhileOpening: what was drawn and not begun leaves no trace.
func TestCancelledWhileOpening(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	f := newFixture(1, generator.Repeat(op("a")), ok)
	f.Open = func(ctx context.Context, _ history.Process, _ string) (harness.Client, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	s, err := f.run(ctx, t)
	if err != nil || s.OK+s.Fail+s.Info != 0 || len(f.h.ops) != 0 {
		t.Errorf("%+v, %v, %v", s, err, f.h.ops)
	}
}

func TestCancelledBeforeItBegan(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	f := newFixture(1, generator.Repeat(op("a")), ok)
	if s, err := f.run(ctx, t); err != nil || len(f.h.ops) != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestNemesisIsCutAtOnce: a run that is to end does not wait for the nemesis's patience.
func TestNemesisIsCutAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	f := newFixture(1, generator.NemesisOnly(generator.Once(op("await-healthy"))), ok)
	f.Grace = time.Minute
	f.n.invoke = func(ctx context.Context, op history.Op) history.Op {
		cancel()
		<-ctx.Done()
		op.Type, op.Error = history.Info, "not healthy yet"
		return op
	}
	if _, err := f.run(ctx, t); err != nil {
		t.Error(err)
	}
	if got := f.lines(); got != "nemesis info not healthy yet" {
		t.Error(got)
	}
}
