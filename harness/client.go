package harness

import (
	"context"
	"errors"

	"github.com/faultline/faultline/harness/history"
)

// ErrNotApplied marks an error as a definite rejection: the system said no before, or instead of,
// applying the operation. Only errors that wrap it may become a fail; each place that does so cites
// where the system gives that answer. Everything else is of unknown outcome.
var ErrNotApplied = errors.New("not applied")

// Outcome is the type of a completion with this error: OK for nil, Fail for a definite
// rejection, Info for anything else.
func Outcome(err error) history.Type {
	switch {
	case err == nil:
		return history.OK
	case errors.Is(err, ErrNotApplied):
		return history.Fail
	}
	return history.Info
}

// Client performs the operations of one process, one at a time. It must not retry behind the
// runner's back: one invocation is at most one attempt, or every attempt is recorded.
type Client interface {
	// Invoke performs an operation and returns its completion: the invocation with Type, Value,
	// Version, Revision and Error set. It returns within its own deadline, and soon after ctx is done.
	// A panic is recorded as an info completion.
	Invoke(ctx context.Context, op history.Op) history.Op
	// Close releases the client's connection. It is called once, never during an Invoke.
	Close() error
}

// OpenClient makes the client of a new process, pinned to a node. An error is recorded as the failure of the operation
// that the process would have begun with: nothing was sent.
type OpenClient func(ctx context.Context, process history.Process, node string) (Client, error)

// Nemesis performs the operations of history.Nemesis: it breaks and mends.
type Nemesis interface {
	// Invoke performs a nemesis operation and returns its completion; see history.Fault for what the
	// types mean.
	Invoke(ctx context.Context, op history.Op) history.Op
	// Heal undoes every fault that is in force or may be. It is safe to call at any time, more than
	// once, and after a failed Invoke.
	Heal(ctx context.Context) error
}
