package kube

import (
	"context"
	"time"
)

// This file is the package's only use of the wall clock: waiting for real processes, dating certificates, and telling how long a cache has
// been behind. No verdict depends on it.

// now is the driver's time.
func now() time.Time {
	return time.Now() //nolint:forbidigo // see above
}

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
