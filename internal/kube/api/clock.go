package api

import (
	"context"
	"time"
)

// This file is the package's only use of the wall clock: waiting for real servers.

// pause waits for d, or until ctx is done, whose error it then returns.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// expire calls cancel with context.DeadlineExceeded after d, unless stop is called before.
func expire(cancel context.CancelCauseFunc, d time.Duration) (stop func() bool) {
	return time.AfterFunc(d, func() { cancel(context.DeadlineExceeded) }).Stop //nolint:forbidigo // the deadline of a beginning, where what begins has none
}
