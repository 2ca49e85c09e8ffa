package harness

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

// Summary counts what a run did.
type Summary struct {
	// OK, Fail and Info count the clients' operations by how they completed.
	OK, Fail, Info int64
	// Elapsed is how long the run took, without the heal at its end.
	Elapsed time.Duration
}

// Count adds a completion; operations of the nemesis do not count.
func (s *Summary) Count(completion history.Op) {
	if !completion.Process.IsClient() {
		return
	}
	switch completion.Type {
	case history.OK:
		s.OK++
	case history.Fail:
		s.Fail++
	case history.Info:
		s.Info++
	case history.Invoke:
	}
}

// runner is the state of a Run. Its goroutine draws from the generator; the workers record.
type runner struct {
	t        Test
	dispatch *generator.Dispatcher
	workers  []*worker // the clients, then the nemesis if there is one
	mail     *mailbox
	spare    []report
	alarm    *alarm
	stopping atomic.Bool   // no operation may begin any more
	stop     chan struct{} // closed with it
	ended    sync.WaitGroup
	summary  Summary
}

// Run runs a test to its end: it draws operations from t.Generator until that is done or ctx is, invokes them, and
// records everything in t.History. Whatever happens (ctx done, a client's panic, an error of the
// history) every open operation gets its completion as far as the history takes it, and t.Nemesis.Heal is called at the end.
//
// When ctx is done no operation begins any more. The nemesis's context is then done too; the clients' is after
// half of t.Grace, and what is still open after all of it is recorded as info; a late return is dropped.
//
// t.Observer observes from before the first operation until the generator is done or ctx is; its error ends the run. One that does
// not return within t.Grace then is left behind, and what it records later is dropped.
//
// The error is the harness's (history broken, a generator that proposes a busy process, an observer that broke, a heal that
// failed); nil says nothing about the system, nor that ctx was not done.
func Run(ctx context.Context, t Test) (Summary, error) {
	if err := t.check(); err != nil {
		return Summary{}, err
	}
	r := newRunner(t)
	defer r.alarm.off()
	begun := t.History.Now()
	clients, cutClients := context.WithCancel(context.WithoutCancel(ctx))
	defer cutClients()
	nemesis, cutNemesis := context.WithCancel(ctx)
	defer cutNemesis()
	for _, w := range r.workers {
		bound := clients
		if w.id == generator.NemesisWorker {
			bound = nemesis
		}
		r.ended.Go(func() { w.loop(bound) })
	}
	drawing, stopDrawing := context.WithCancel(ctx)
	defer stopDrawing()
	seen := r.watch(ctx, stopDrawing)
	err := r.draw(drawing)
	cutNemesis()
	seen.leave()
	err = errors.Join(err, r.drain(cutClients), seen.end())
	r.summary.Elapsed = t.History.Now() - begun
	return r.summary, errors.Join(err, r.heal(ctx))
}

func newRunner(t Test) *runner {
	if t.Grace == 0 {
		t.Grace = DefaultGrace
	}
	if t.HealTimeout == 0 {
		t.HealTimeout = DefaultHealTimeout
	}
	r := &runner{
		t: t, mail: newMailbox(), alarm: newAlarm(), stop: make(chan struct{}),
		dispatch: generator.NewDispatcher(t.Generator, t.Concurrency),
	}
	for i := range t.Concurrency {
		r.workers = append(r.workers, &worker{
			run: r, id: generator.Worker(i), node: t.Nodes[i%len(t.Nodes)], in: make(chan history.Op, 1),
		})
	}
	if t.Nemesis != nil {
		r.workers = append(r.workers, &worker{run: r, id: generator.NemesisWorker, in: make(chan history.Op, 1)})
	}
	return r
}

// draw dispatches operations until the generator is done and all are completed, or ctx is done.
func (r *runner) draw(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the generator panicked: %v\n%s", v, debug.Stack())
		}
	}()
	now := r.t.History.Now()
	for ctx.Err() == nil {
		op, w, status, err := r.dispatch.Next(now)
		switch {
		case err != nil:
			return err
		case status == generator.Ready:
			if err := r.hand(w, op); err != nil {
				return err
			}
			continue
		case status == generator.Done && r.dispatch.Open() == 0:
			return nil
		}
		if err := r.await(ctx.Done(), op.Time); err != nil {
			return err
		}
		now = r.t.History.Now()
	}
	return nil
}

// hand gives an operation to its worker, which is waiting for one.
func (r *runner) hand(w generator.Worker, op history.Op) error {
	if w != generator.NemesisWorker {
		r.workers[w].in <- op
		return nil
	}
	if r.t.Nemesis == nil {
		return fmt.Errorf("the generator proposed %s for the nemesis, but the test has none", op.F)
	}
	r.workers[len(r.workers)-1].in <- op
	return nil
}

// await waits for reports of workers, until a time of the run (0: without end) or until cut, and takes in what there is.
func (r *runner) await(cut <-chan struct{}, until time.Duration) error {
	var ring <-chan time.Time
	if until > 0 {
		ring = r.alarm.in(until - r.t.History.Now())
	}
	select {
	case <-r.mail.wake:
		// Others that are about to report get their chance to, so that one round takes them all.
		runtime.Gosched()
	case <-ring:
	case <-cut:
	}
	return r.takeReports()
}

// takeReports tells the dispatcher what the workers reported.
func (r *runner) takeReports() error {
	reports := r.mail.take(r.spare)
	now := r.t.History.Now()
	var err error
	for i := range reports {
		completion := &reports[i].op
		r.summary.Count(*completion)
		err = errors.Join(err, reports[i].err)
		if completion.Type == history.Invoke {
			// Never begun: for the generator it did not happen. Only at the end of a run.
			completion.Type = history.Fail
		}
		err = errors.Join(err, r.dispatch.Complete(now, *completion))
		*completion = history.Op{} // the value must not live on here
	}
	r.spare = reports
	return err
}

// drain ends the workers: the open operations get their time to complete, the others are abandoned.
func (r *runner) drain(cutClients func()) error {
	r.dispatch.Stop()
	r.stopping.Store(true)
	close(r.stop)
	err := r.settle(r.t.Grace / 2)
	cutClients()
	err = errors.Join(err, r.settle(r.t.Grace-r.t.Grace/2))
	if r.dispatch.Open() > 0 {
		err = errors.Join(err, r.abandonOpen())
	}
	for _, w := range r.workers {
		close(w.in)
	}
	r.awaitWorkers()
	return errors.Join(err, r.takeReports())
}

// settle waits for the open operations, within a bound.
func (r *runner) settle(bound time.Duration) error {
	var err error
	end := r.t.History.Now() + bound
	for r.dispatch.Open() > 0 && r.t.History.Now() < end {
		err = errors.Join(err, r.await(nil, end))
	}
	return err
}

// abandonOpen records the outcome of everything that is still open as unknown.
func (r *runner) abandonOpen() error {
	var err error
	for _, w := range r.workers {
		completion, open, e := w.abandon(fmt.Sprintf("still open %s after the run was to end", r.t.Grace))
		if open {
			r.summary.Count(completion)
		}
		err = errors.Join(err, e)
	}
	return err
}

// awaitWorkers waits until the workers have closed their clients; one that hangs is left behind.
func (r *runner) awaitWorkers() {
	closed := make(chan struct{})
	go func() {
		r.ended.Wait()
		close(closed)
	}()
	select {
	case <-closed:
	case <-r.alarm.in(r.t.Grace):
	}
}

// heal undoes every fault, whatever became of ctx.
func (r *runner) heal(ctx context.Context) error {
	if r.t.Nemesis == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.t.HealTimeout)
	defer cancel()
	if err := r.t.Nemesis.Heal(ctx); err != nil {
		return fmt.Errorf("heal at the end of the run: %w", err)
	}
	return nil
}

// record appends an operation to the history and shows it to the observer.
func (r *runner) record(op *history.Op) error {
	if err := r.t.History.Append(op); err != nil {
		return fmt.Errorf("record %s %s by process %s: %w", op.Type, op.F, op.Process, err)
	}
	if r.t.Observe != nil {
		r.t.Observe(*op)
	}
	return nil
}

// pause waits; it tells whether the whole time went by before the run was to end or ctx was done.
func (r *runner) pause(ctx context.Context, d time.Duration) bool {
	a := newAlarm()
	defer a.off()
	select {
	case <-a.in(d):
		return true
	case <-r.stop:
	case <-ctx.Done():
	}
	return false
}
