package main

import (
	"errors"
	"fmt"

	"github.com/faultline/faultline/checker"
)

// Exit codes, as scripts and CI rely on them.
const (
	exitValid   = 0
	exitInvalid = 1
	exitUnknown = 2
	exitUsage   = 254
	exitHarness = 255
)

// usageError is a mistake in the command line: exit 254.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// verdictError carries a verdict that is not Valid to the exit code. It has been printed already.
type verdictError struct{ verdict checker.Verdict }

func (e verdictError) Error() string { return e.verdict.String() }

// asExit makes the error that ends a command with the code of a verdict.
func asExit(v checker.Verdict) error {
	if v == checker.Valid {
		return nil
	}
	return verdictError{v}
}

// remoteExit is the exit code of a command that the user ran on a node; it has said what there is to say.
type remoteExit int

func (e remoteExit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// silent tells whether an error has been told already.
func silent(err error) bool {
	var verdict verdictError
	var remote remoteExit
	return errors.As(err, &verdict) || errors.As(err, &remote)
}

func exitCode(err error) int {
	var verdict verdictError
	var usage usageError
	var remote remoteExit
	switch {
	case err == nil:
		return exitValid
	case errors.As(err, &remote):
		return int(remote)
	case errors.As(err, &verdict):
		if verdict.verdict == checker.Invalid {
			return exitInvalid
		}
		return exitUnknown
	case errors.As(err, &usage):
		return exitUsage
	}
	return exitHarness
}
