package harness

import (
	"context"
	"time"
)

// This file is the only place of this package that waits by the wall clock. Operations get
// their times from the Recorder.

// Pause waits for d, or until ctx is done, whose error it then returns; it returns that at once, or nil, where d is not positive. It is for what
// waits for real systems: nothing in a history or a verdict may depend on it.
func Pause(ctx context.Context, d time.Duration) error {
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

// alarm is a timer that is used again and again.
type alarm struct{ timer *time.Timer }

func newAlarm() *alarm {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &alarm{t}
}

// in sets the alarm and returns what it rings. What it was set to before is forgotten.
func (a *alarm) in(d time.Duration) <-chan time.Time {
	a.timer.Reset(d)
	return a.timer.C
}

// off releases the alarm.
func (a *alarm) off() { a.timer.Stop() }
