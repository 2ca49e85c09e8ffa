package etcd

import (
	"context"
	"time"
)

// This file is the package's only use of the wall clock: waiting for real processes and telling people how long
// something took. Nothing in a history or a verdict depends on it.

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

// stopwatch starts now and tells how long it has been running.
func stopwatch() func() time.Duration {
	began := time.Now()                                      //nolint:forbidigo // progress of an installation, for people
	return func() time.Duration { return time.Since(began) } //nolint:forbidigo // likewise
}

// every calls f at each interval until the function that it returns is called, which waits for a call under way.
func every(interval time.Duration, f func()) (stop func()) {
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
