package declared

import (
	"context"
	"time"
)

// pause waits for d, or until ctx is done, whose error it then returns. It is the package's only use of the wall clock: the pace of what is
// planted.
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
