package observe

import "time"

// This file is the package's only use of the wall clock, beside harness.Pause: when to look again, and for how long what was seen has matched.

// monotonic is the time since it was made.
func monotonic() func() time.Duration {
	began := time.Now()                                      //nolint:forbidigo // how long a live wait has held; a history's times are the recorder's
	return func() time.Duration { return time.Since(began) } //nolint:forbidigo // likewise
}
