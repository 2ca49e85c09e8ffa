package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

// Memory is a history in memory that takes its time from an imagined system. It is a harness.Recorder.
type Memory struct {
	history.Slice
	s *System
}

// Memory makes an empty history with this system's clock.
func (s *System) Memory() *Memory { return &Memory{s: s} }

// Append sets the operation's index and time and keeps it.
func (m *Memory) Append(op *history.Op) error {
	op.Index, op.Time = int64(len(m.Slice)), m.s.Now()
	m.Slice = append(m.Slice, *op)
	return nil
}

// Now is the imagined time.
func (m *Memory) Now() time.Duration { return m.s.Now() }

// run is the state of a Run.
type run struct {
	t        harness.Test
	s        *System
	dispatch *generator.Dispatcher
	summary  harness.Summary
	// asked is false once something happened that may have changed the generator's answer.
	asked bool
	err   error // of the history: it ends the run
}

// ctxEvery is after how many events Run looks at its context.
const ctxEvery = 1024

// Run runs a test on an imagined system, in imagined time, as harness.Run does on a real one. t.Open, t.Nemesis, t.Grace and
// t.HealTimeout are not used: the system brings its clients and its nemesis, which knows Faults and the operations
// of the phases of a run (heal, await-healthy, final-reads, members). t.History must take its time from
// s.Now: see System.Memory. The error is the harness's; when ctx is done the run ends with it.
func Run(ctx context.Context, t harness.Test, s *System) (harness.Summary, error) {
	if len(t.Nodes) == 0 {
		t.Nodes = s.Nodes()
	}
	if t.Concurrency < 1 || t.Generator == nil || t.History == nil {
		return harness.Summary{}, errors.New("the test needs workers, a generator and a history")
	}
	r := &run{t: t, s: s, dispatch: generator.NewDispatcher(t.Generator, t.Concurrency)}
	begun := s.Now()
	if s.plane != nil && len(s.kinds) > 0 {
		s.observer = s.plane.Observe(s.kinds, s.rules, func(op history.Op) { r.record(&op) })
	}
	if s.plane == nil {
		r.sampleMembers()
	}
	err := r.loop(ctx)
	if s.plane != nil && err == nil {
		for _, op := range s.plane.Evidence() {
			r.record(&op)
		}
		err = r.err
	}
	r.summary.Elapsed = s.Now() - begun
	return r.summary, err
}

// hashEvery is how often the members are asked for their hashes while the run goes on.
const hashEvery = 2 * time.Second

// sampleMembers records what the members say of themselves, again and again.
func (r *run) sampleMembers() {
	r.s.store.Clock.After(hashEvery, func() {
		r.record(&history.Op{Type: history.Info, Process: history.Evidence, F: history.FHashes, Value: encode(r.s.store.Members())})
		r.sampleMembers()
	})
}

func (r *run) loop(ctx context.Context) error {
	var wake time.Duration // when to ask the generator again though nothing was completed; 0: never
	for n := 0; r.err == nil; n++ {
		if n%ctxEvery == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !r.asked {
			op, w, status, err := r.dispatch.Next(r.s.Now())
			switch {
			case err != nil:
				return err
			case status == generator.Ready:
				r.invoke(op, w)
				continue
			case status == generator.Done && r.dispatch.Open() == 0:
				return nil
			}
			r.asked, wake = true, op.Time
		}
		at, ok := r.s.store.Clock.Next()
		switch {
		case wake > 0 && (!ok || wake < at):
			r.s.store.Clock.Pass(wake)
			r.asked = false
		case ok:
			r.s.store.Clock.Step()
		default:
			return fmt.Errorf("%d operations are open, and nothing is to happen any more", r.dispatch.Open())
		}
	}
	return r.err
}

// invoke records an invocation and sets the operation going.
func (r *run) invoke(op history.Op, w generator.Worker) {
	if w != generator.NemesisWorker {
		op.Node = r.t.Nodes[int(w)%len(r.t.Nodes)]
	}
	r.record(&op)
	if w == generator.NemesisWorker {
		r.s.breakOrMend(op, r.complete)
		return
	}
	invoke := r.s.invoke
	if r.s.plane != nil {
		invoke = r.s.plane.Invoke
	}
	if err := invoke(op, op.Node, r.complete); err != nil {
		r.err = errors.Join(r.err, err)
	}
}

// complete records a completion.
func (r *run) complete(completion history.Op) {
	r.record(&completion)
	r.summary.Count(completion)
	r.asked = false
	r.err = errors.Join(r.err, r.dispatch.Complete(r.s.Now(), completion))
}

func (r *run) record(op *history.Op) {
	if err := r.t.History.Append(op); err != nil {
		r.err = errors.Join(r.err, fmt.Errorf("record %s %s by process %s: %w", op.Type, op.F, op.Process, err))
		return
	}
	if r.t.Observe != nil {
		r.t.Observe(*op)
	}
}
