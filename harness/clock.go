package harness

import "time"

// This file is the only place of this package that waits by the wall clock. Operations get
// their times from the Recorder.

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
