package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/faultline/faultline/harness/control"
)

// signalBound bounds how long a signal may take to show its effect, where the request gives no bound.
const signalBound = 15 * time.Second

// SignalRequest asks for a signal to a process that was started.
type SignalRequest struct {
	Name   string         `json:"name"`
	Signal control.Signal `json:"signal"`
	// Bound is how long the effect may take to show; 0: 15 s.
	Bound time.Duration `json:"bound_ns,omitempty"`
	Lease Lease         `json:"lease"`
}

// signal sends a signal to the process's group and returns when the kernel shows the effect.
func (s state) signal(ctx context.Context, q SignalRequest) (control.ProcessState, error) {
	if q.Bound <= 0 {
		q.Bound = signalBound
	}
	send, ok := map[control.Signal]func(context.Context, SignalRequest) error{
		control.SIGKILL: s.end,
		control.SIGTERM: s.end,
		control.SIGSTOP: s.stop,
		control.SIGCONT: s.cont,
	}[q.Signal]
	if !ok {
		return control.ProcessState{}, fmt.Errorf("signal %q: only KILL, TERM, STOP and CONT", q.Signal)
	}
	if err := send(ctx, q); err != nil {
		return control.ProcessState{}, fmt.Errorf("SIG%s to %s: %w", q.Signal, q.Name, err)
	}
	r, err := s.known(q.Name)
	return r.state(), err
}

// known is the record of a process that must have been started.
func (s state) known(name string) (record, error) {
	r, found, err := s.record(name)
	if err == nil && !found {
		err = fmt.Errorf("no process %q was started on this node", name)
	}
	return r, err
}

// end kills or terminates the process, if it runs, and in any case its supervisor's wish to start it again.
func (s state) end(ctx context.Context, q SignalRequest) error {
	var r record
	err := s.locked(ctx, func() error {
		var err error
		if r, err = s.known(q.Name); err != nil {
			return err
		}
		if err := s.unwant(r); err != nil {
			return err
		}
		if r.Alive() {
			if q.Signal == control.SIGKILL {
				err = signalGroup(r.PID, unix.SIGKILL)
			} else {
				// A stopped process would not see its end before it continues.
				err = errors.Join(signalGroup(r.PID, unix.SIGTERM), signalGroup(r.PID, unix.SIGCONT))
			}
		}
		return errors.Join(err, s.forget(stopFault, q.Name))
	})
	if err != nil {
		return err
	}
	what := fmt.Sprintf("end of process %d", r.PID)
	err = await(ctx, q.Bound, what, func() (bool, error) { return !r.Alive(), nil })
	if err != nil {
		return err
	}
	return awaitSupervisor(ctx, q.Name, r.Supervisor)
}

// stop freezes the process; journaled, so that heal continues it.
func (s state) stop(ctx context.Context, q SignalRequest) error {
	var r record
	err := s.locked(ctx, func() error {
		var err error
		if r, err = s.known(q.Name); err != nil {
			return err
		}
		if !r.Alive() {
			return fmt.Errorf("it does not run: %s", r.state().Exit)
		}
		if err := s.journal(ctx, fault{Kind: stopFault, ID: q.Name, Process: r.Identity}, q.Lease); err != nil {
			return err
		}
		return signalGroup(r.PID, unix.SIGSTOP)
	})
	if err != nil {
		return err
	}
	return await(ctx, q.Bound, fmt.Sprintf("stop of process %d", r.PID), func() (bool, error) {
		return allStopped(r.Identity)
	})
}

// cont lets the process run again. One that has ended needs nothing.
func (s state) cont(ctx context.Context, q SignalRequest) error {
	var r record
	err := s.locked(ctx, func() error {
		var err error
		if r, err = s.known(q.Name); err != nil {
			return err
		}
		if r.Alive() {
			if err := signalGroup(r.PID, unix.SIGCONT); err != nil {
				return err
			}
		}
		return s.forget(stopFault, q.Name)
	})
	if err != nil {
		return err
	}
	return awaitContinued(ctx, q.Bound, r.Identity)
}

func awaitContinued(ctx context.Context, bound time.Duration, id Identity) error {
	return await(ctx, bound, fmt.Sprintf("process %d to continue", id.PID), func() (bool, error) {
		st, err := readStat(id.PID)
		gone := err != nil || st.startTicks != id.StartTicks
		return gone || !st.stopped(), nil
	})
}

// signalGroup signals the process group that a process leads. A group that is gone is no error.
func signalGroup(pid int, sig unix.Signal) error {
	if pid <= 1 {
		return fmt.Errorf("no process group %d", pid) // -1 would be everything
	}
	if err := unix.Kill(-pid, sig); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process group %d: %w", pid, err)
	}
	return nil
}
