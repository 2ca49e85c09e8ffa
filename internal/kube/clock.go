package kube

import "time"

// This file is the package's only use of the wall clock, beside harness.Pause: dating certificates, and telling how long a cache has been
// behind. No verdict depends on it.

// now is the driver's time.
func now() time.Time {
	return time.Now() //nolint:forbidigo // see above
}
