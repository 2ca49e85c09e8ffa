package history

import "time"

// This file is the package's only use of the wall clock.

// sinceNow is a clock that begins at 0 now and never runs backwards.
func sinceNow() func() time.Duration {
	start := time.Now()                                      //nolint:forbidigo // a run without a clock of its own is on the wall clock
	return func() time.Duration { return time.Since(start) } //nolint:forbidigo // as above
}

// every calls do once in a while until stop is closed.
func every(interval time.Duration, stop <-chan struct{}, do func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			do()
		}
	}
}
