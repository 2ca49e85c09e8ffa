package node

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// This file is the only place of the package that reads a clock or waits for one.

// sinceBoot is the time since the machine started, sleep included. Faults may move the wall clock of a process, so
// leases are never measured with that.
func sinceBoot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0 // the call has no way to fail with a clock the kernel has had since 2.6.39
	}
	return time.Duration(ts.Nano())
}

// await polls until done says so. Its error says what was waited for when the bound or ctx ended first.
func await(ctx context.Context, bound time.Duration, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	every := time.Millisecond
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		ok, err := done()
		if err != nil || ok {
			return err
		}
		timer.Reset(every)
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %v: %w", what, bound, ctx.Err())
		case <-timer.C:
		}
		every = min(2*every, 20*time.Millisecond)
	}
}

// pause waits for d, or until one of the two is done, and tells whether d has passed.
func pause(ctx context.Context, d time.Duration, stop <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	case <-stop:
		return false
	}
}
