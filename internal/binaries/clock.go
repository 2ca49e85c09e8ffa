package binaries

import (
	"context"
	"time"
)

// This file is the package's only use of the wall clock: waiting for other processes and telling people how long
// something took. Nothing in a history or a verdict depends on it.

// Pause waits for d, or until ctx is done, whose error it then returns.
func Pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stopwatch starts now and tells how long it has been running.
func Stopwatch() func() time.Duration {
	began := time.Now()                                      //nolint:forbidigo // progress of an installation, for people
	return func() time.Duration { return time.Since(began) } //nolint:forbidigo // likewise
}

// Every calls f at each interval until the function that it returns is called, which waits for a call under way.
func Every(interval time.Duration, f func()) (stop func()) {
	quit, gone := make(chan struct{}), make(chan struct{})
	t := time.NewTicker(interval)
	go func() {
		defer close(gone)
		for {
			select {
			case <-t.C:
				f()
			case <-quit:
				return
			}
		}
	}()
	return func() {
		t.Stop()
		close(quit)
		<-gone
	}
}
