package etcd

import "time"

// This file is the package's only use of the wall clock: what an operation that lasts saw is told in times relative to its invocation.

// stopwatch starts now and tells how long it has been running.
func stopwatch() func() time.Duration {
	began := time.Now()                                      //nolint:forbidigo // monotonic, added to the time of the invocation
	return func() time.Duration { return time.Since(began) } //nolint:forbidigo // likewise
}
