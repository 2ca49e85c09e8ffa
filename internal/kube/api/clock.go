package api

import (
	"context"
	"time"
)

// This file is the package's only use of the wall clock, beside harness.Pause: waiting for real servers.

// expire calls cancel with context.DeadlineExceeded after d, unless stop is called before.
func expire(cancel context.CancelCauseFunc, d time.Duration) (stop func() bool) {
	return time.AfterFunc(d, func() { cancel(context.DeadlineExceeded) }).Stop //nolint:forbidigo // the deadline of a beginning, where what begins has none
}
