package nemesis

import (
	"errors"
	"fmt"
	"strings"

	"github.com/faultline/faultline/harness/history"
)

// moot is a fault that found nothing to act on, and did nothing.
type moot struct{ why string }

func (m moot) Error() string { return "skipped: " + m.why }

func skip(format string, args ...any) error { return moot{fmt.Sprintf(format, args...)} }

// unproved is a fault that did all it should, or was undone, without the proof of its effect.
type unproved struct{ why string }

func (u unproved) Error() string { return "not proved: " + u.why }

func doubt(format string, args ...any) error { return unproved{fmt.Sprintf(format, args...)} }

func isMoot(err error) bool {
	var m moot
	return errors.As(err, &m)
}

func isUnproved(err error) bool {
	var u unproved
	return errors.As(err, &u)
}

// undone: nothing of the fault is in force any more.
func undone(err error) bool { return err == nil || isUnproved(err) }

// outcome is the type of a completion with this error; see history.Fault.
func outcome(err error) history.Type {
	switch {
	case err == nil:
		return history.OK
	case isMoot(err):
		return history.Fail
	}
	return history.Info
}

// oneLine is the text of joined errors on one line.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
