package harness

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

// ErrMisfit is a client or a nemesis that returned something that is no completion of what it was given.
var ErrMisfit = errors.New("not a completion of the operation that was invoked")

// Bounds of the wait before a client is opened again after that failed: it doubles from the first.
const (
	openBackoffMin = 10 * time.Millisecond
	openBackoffMax = time.Second
)

// worker performs operations, one at a time, in its own goroutine: it records the invocation right before
// the call, and the completion right after it.
type worker struct {
	run  *runner
	id   generator.Worker
	node string
	in   chan history.Op

	client   Client
	process  history.Process // whose client that is
	failures int             // to open a client, in a row

	mu        sync.Mutex
	op        history.Op // that is open
	open      bool
	abandoned bool // the run ended without this worker: what it returns is dropped
}

// loop performs what comes in until that is closed. ctx bounds the operations.
func (w *worker) loop(ctx context.Context) {
	defer w.closeClient()
	for op := range w.in {
		r, drop := w.perform(ctx, op)
		if drop {
			return
		}
		w.run.mail.post(r)
	}
}

// perform performs one operation. drop: the run went on without this worker.
func (w *worker) perform(ctx context.Context, op history.Op) (r report, drop bool) {
	op.Node = w.node
	invoke, unopened := w.prepare(ctx, op.Process)
	if begun, err := w.begin(&op); err != nil || !begun {
		return report{op, err}, w.isAbandoned()
	}
	var completion history.Op
	if unopened != nil {
		completion = op
		completion.Type, completion.Error = history.Fail, unopened.Error()
	} else {
		completion = call(ctx, invoke, op)
	}
	misfit := checkCompletion(op, &completion)
	drop, err := w.end(op, &completion)
	return report{completion, errors.Join(misfit, err)}, drop
}

// begin records the invocation, unless the run is at its end.
func (w *worker) begin(op *history.Op) (begun bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.abandoned || w.run.stopping.Load() {
		return false, nil
	}
	if err := w.run.record(op); err != nil {
		return false, err
	}
	w.op, w.open = *op, true
	return true, nil
}

// end records the completion, unless the run recorded one itself.
func (w *worker) end(op history.Op, completion *history.Op) (drop bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.abandoned {
		return true, nil
	}
	w.open = false
	if err = w.run.record(completion); err != nil {
		// A completion that can't be recorded as it is must not leave its operation open.
		*completion = unknown(op, "the completion could not be recorded: "+err.Error())
		return false, errors.Join(err, ignoreBroken(w.run.record(completion), err))
	}
	return false, nil
}

// abandon takes the open operation away from the worker and records that its outcome is unknown.
// It tells whether there was one.
func (w *worker) abandon(why string) (completion history.Op, open bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.abandoned = true
	if !w.open {
		return history.Op{}, false, nil
	}
	w.open = false
	completion = unknown(w.op, why)
	return completion, true, w.run.record(&completion)
}

func (w *worker) isAbandoned() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.abandoned
}

// prepare gives what performs the operations of a process: the nemesis, or the process's client,
// which is opened if need be.
func (w *worker) prepare(ctx context.Context, p history.Process) (invoke invoker, err error) {
	if w.id == generator.NemesisWorker {
		return w.run.t.Nemesis.Invoke, nil
	}
	if w.client != nil && w.process == p {
		return w.client.Invoke, nil
	}
	w.closeClient()
	if w.failures > 0 && !w.run.pause(ctx, backoff(w.failures)) {
		return nil, errors.New("the run is at its end")
	}
	client, err := open(ctx, w.run.t.Open, p, w.node)
	if err != nil {
		w.failures++
		return nil, fmt.Errorf("open a client of %s: %w", w.node, err)
	}
	w.client, w.process, w.failures = client, p, 0
	return client.Invoke, nil
}

// closeClient closes the client, if there is one. What it says or how it breaks changes nothing in the history.
func (w *worker) closeClient() {
	if w.client == nil {
		return
	}
	defer func() { _ = recover() }()
	client := w.client
	w.client = nil
	_ = client.Close()
}

// invoker is the Invoke of a client or a nemesis.
type invoker func(ctx context.Context, op history.Op) history.Op

// call calls it; a panic is a completion of unknown outcome.
func call(ctx context.Context, invoke invoker, op history.Op) (completion history.Op) {
	defer func() {
		if v := recover(); v != nil {
			completion = unknown(op, panicText(v))
		}
	}()
	return invoke(ctx, op)
}

// open opens a client; a panic is an error.
func open(ctx context.Context, o OpenClient, p history.Process, node string) (c Client, err error) {
	defer func() {
		if v := recover(); v != nil {
			c, err = nil, errors.New(panicText(v))
		}
	}()
	c, err = o(ctx, p, node)
	if err == nil && c == nil {
		err = errors.New("no client and no error")
	}
	return c, err
}

// checkCompletion tells what keeps completion from being one of op, and makes it an honest one then.
func checkCompletion(op history.Op, completion *history.Op) error {
	var what string
	switch got := completion; {
	case got.Type != history.OK && got.Type != history.Fail && got.Type != history.Info:
		what = "type " + got.Type.String()
	case got.Process != op.Process:
		what = "process " + got.Process.String()
	case got.F != op.F:
		what = "function " + got.F
	case got.Key != op.Key:
		what = "key " + got.Key
	default:
		completion.Node = op.Node
		return nil
	}
	err := fmt.Errorf("%s %q by process %s was answered with %s: %w", op.F, op.Key, op.Process, what, ErrMisfit)
	*completion = unknown(op, err.Error())
	return err
}

// unknown is the completion of an operation whose outcome nobody knows.
func unknown(op history.Op, why string) history.Op {
	op.Type, op.Error = history.Info, why
	return op
}

// panicText tells what panicked, and where.
func panicText(v any) string {
	pcs := make([]uintptr, 16)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	for {
		f, more := frames.Next()
		if f.Function != "" && f.Function != "runtime.gopanic" && f.Function != "runtime.panicmem" && f.Function != "runtime.sigpanic" {
			return fmt.Sprintf("panic: %v (in %s, line %d)", v, f.Function, f.Line)
		}
		if !more {
			return fmt.Sprintf("panic: %v", v)
		}
	}
}

// backoff is the wait after so many failures in a row.
func backoff(failures int) time.Duration {
	return min(openBackoffMin<<min(failures-1, 20), openBackoffMax)
}

// ignoreBroken drops a second error that says the same as the first.
func ignoreBroken(second, first error) error {
	if second != nil && second.Error() == first.Error() {
		return nil
	}
	return second
}
