package observe

import (
	"context"
	"time"
)

// This file is the package's only use of the wall clock: when to look again, and for how long what was seen has matched.

// monotonic is the time since it was made.
func monotonic() func() time.Duration {
	began := time.Now()                                      //nolint:forbidigo // how long a live wait has held; a history's times are the recorder's
	return func() time.Duration { return time.Since(began) } //nolint:forbidigo // likewise
}

// pause waits for d, or until ctx is done, whose error it then returns.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
