package cluster

import (
	"context"
	"fmt"
	"time"
)

// This file is the only place of the package that reads a clock or waits for one.

// wallClock is now, for people.
func wallClock() time.Time {
	return time.Now().UTC().Truncate(time.Second) //nolint:forbidigo // when a cluster was made, for its list
}

// await polls until done says so. Its error says what was waited for when the bound or ctx ended first.
func await(ctx context.Context, bound time.Duration, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	every := time.NewTicker(5 * time.Millisecond)
	defer every.Stop()
	for {
		ok, err := done()
		if err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %v: %w", what, bound, ctx.Err())
		case <-every.C:
		}
	}
}

// repeat calls f at intervals until ctx is done.
func repeat(ctx context.Context, interval time.Duration, f func()) {
	every := time.NewTicker(interval)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			f()
		}
	}
}
