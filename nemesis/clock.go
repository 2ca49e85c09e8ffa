package nemesis

import (
	"context"
	"time"
)

// This file is the package's only use of the wall clock: waiting for what the nodes do. Schedules take
// their time from the generator's context.

// pollEvery is how often until asks again.
const pollEvery = 50 * time.Millisecond

// until asks again and again until the answer is yes, an error comes, or the context is done; it tells whether it was yes.
func until(ctx context.Context, every time.Duration, ask func() (bool, error)) (bool, error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		yes, err := ask()
		if yes || err != nil {
			return yes, err
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-tick.C:
		}
	}
}

// share is a context that ends after half of what is left of the parent's time, or after most.
func share(ctx context.Context, most time.Duration) (context.Context, context.CancelFunc) {
	if end, ok := ctx.Deadline(); ok {
		most = min(most, time.Until(end)/2) //nolint:forbidigo // a context's deadline is on the wall clock
	}
	return context.WithTimeout(ctx, most)
}

// elapsed waits; it tells whether the whole time went by before the context was done.
func elapsed(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
