package harness

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/faultline/faultline/harness/history"
)

// errObserved is what an observer gets that records after the run went on without it.
var errObserved = errors.New("the run does not listen to its observer any more")

// watch is the observer of a run at work, in its own goroutine.
type watch struct {
	run   *runner
	leave context.CancelFunc
	ended chan struct{}
	err   error // owned by the goroutine until ended is closed

	// mu: recording holds it for reading, and so ends before deaf is set.
	mu   sync.RWMutex
	deaf bool
}

// watch begins to observe. What breaks the observer calls fail: the run is to end then.
func (r *runner) watch(ctx context.Context, fail func()) *watch {
	ctx, cancel := context.WithCancel(ctx)
	w := &watch{run: r, leave: cancel, ended: make(chan struct{})}
	if r.t.Observer == nil {
		close(w.ended)
		return w
	}
	go func() {
		defer close(w.ended)
		if err := w.observe(ctx); err != nil && (ctx.Err() == nil || !errors.Is(err, ctx.Err())) {
			w.err = fmt.Errorf("observe the system: %w", err)
			fail()
		}
	}()
	return w
}

func (w *watch) observe(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the observer panicked: %v\n%s", v, debug.Stack())
		}
	}()
	return w.run.t.Observer.Observe(ctx, w.record)
}

// record records what the observer saw, as evidence. Safe for concurrent use.
func (w *watch) record(op *history.Op) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.deaf {
		return errObserved
	}
	op.Process = history.Evidence
	return w.run.record(op)
}

// end ends the observer, whose context is done, and returns what broke it. One that hangs is left behind after the grace:
// what it records then is dropped.
func (w *watch) end() error {
	select {
	case <-w.ended:
		return w.err
	case <-w.run.alarm.in(w.run.t.Grace):
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deaf = true
	return nil
}
