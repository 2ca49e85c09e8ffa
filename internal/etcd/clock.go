package etcd

import (
	"context"
	"time"
)

// This file is the package's only use of the wall clock: waiting for real processes. Nothing in a history or a verdict depends on it.

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
