package collections

import "time"

// This file is the package's only use of the wall clock: terms of leaders are told in times, relative to the invocation that they are part of.

// stopwatch starts now and tells how long it has been running.
func stopwatch() func() time.Duration {
	began := time.Now()                                      //nolint:forbidigo // monotonic, added to the time of the invocation
	return func() time.Duration { return time.Since(began) } //nolint:forbidigo // likewise
}
