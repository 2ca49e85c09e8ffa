package control

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	// stderrTailMax bounds what of a command's stderr is in an error's text, in bytes.
	stderrTailMax = 2 << 10
	// commandTextMax bounds how much of a command is in an error's text, in bytes.
	commandTextMax = 200
)

// ErrClosed is in the errors of a host that was closed.
var ErrClosed = errors.New("the connection was closed by Close")

// Error names the node, the command, how it ended and the end of its stderr.
func (e *ExitError) Error() string {
	how := "exit " + strconv.Itoa(e.Code)
	if e.Signal != "" {
		how = "killed by SIG" + e.Signal
	}
	text := fmt.Sprintf("%s: %s: %s", e.Node, commandText(e.Args), how)
	if tail := strings.TrimSpace(e.StderrTail); tail != "" {
		text += ": " + tail
	}
	if strings.Contains(e.StderrTail, "sudo: a password is required") {
		text += " (let the user run sudo without a password: NOPASSWD in sudoers, or log in as root)"
	}
	return text
}

// ConnError is a node that could not be reached or logged in to: nothing was run.
type ConnError struct {
	Node string
	// Login is user@address:port; Via are the jump hosts' on the way.
	Login string
	Via   []string
	// Why says what happened and what to do, in a sentence.
	Why string
	Err error
}

func (e *ConnError) Error() string {
	way := e.Login
	if len(e.Via) > 0 {
		way += " through " + strings.Join(e.Via, ", ")
	}
	return fmt.Sprintf("%s: can't connect to %s: %s", e.Node, way, e.Why)
}

func (e *ConnError) Unwrap() error { return e.Err }

// LostError is a connection that broke after a command may have started: whether it ran is not known.
type LostError struct {
	Node string
	Args []string
	Err  error
}

func (e *LostError) Error() string {
	return fmt.Sprintf("%s: %s: the connection broke before the command ended, so what it did is not known: %v", e.Node, commandText(e.Args), e.Err)
}

func (e *LostError) Unwrap() error { return e.Err }

// AuthError is a server that took none of the keys that were offered. It is wrapped in a ConnError.
type AuthError struct {
	// Tried are the keys, each with its origin and fingerprint; Unusable are those that
	// could not even be offered, with the reason.
	Tried    []string
	Unusable []string
	Err      error
}

func (e *AuthError) Error() string {
	var text strings.Builder
	if len(e.Tried) == 0 {
		text.WriteString("no key to log in with: give an identity file, or start an agent (ssh-agent) and add one (ssh-add)")
	} else {
		fmt.Fprintf(&text, "the server refused every key: tried %s; add one of them to the user's authorized_keys on the node, or give another identity file", strings.Join(e.Tried, ", "))
	}
	if len(e.Unusable) > 0 {
		fmt.Fprintf(&text, "; not usable: %s", strings.Join(e.Unusable, ", "))
	}
	return text.String()
}

func (e *AuthError) Unwrap() error { return e.Err }

// HostKeyError is a host that showed another key than the one expected, or one that nobody vouched for.
// It is wrapped in a ConnError.
type HostKeyError struct {
	// Host is as a known_hosts file writes it: address, or [address]:port.
	Host string
	// Fingerprint is of the key that the host showed, "SHA256:…".
	Fingerprint string
	// Changed: another key was expected. Else the host is unknown.
	Changed bool
	// Where is the FILE:LINE of the expected key, or the files that do not list the host.
	Where string
	// Fix says what to do about it.
	Fix string
	Err error
}

func (e *HostKeyError) Error() string {
	if e.Changed {
		return fmt.Sprintf("host key of %s changed: it shows %s, %s has another; %s", e.Host, e.Fingerprint, e.Where, e.Fix)
	}
	return fmt.Sprintf("host key of %s is not known: it shows %s, which is not in %s; %s", e.Host, e.Fingerprint, e.Where, e.Fix)
}

func (e *HostKeyError) Unwrap() error { return e.Err }

// commandText is a command as an error shows it.
func commandText(args []string) string {
	text := Quote(args)
	if len(text) <= commandTextMax {
		return text
	}
	return strings.ToValidUTF8(text[:commandTextMax], "") + "…"
}

// tail is the end of what was printed, cut at a line where it is too long.
func tail(printed []byte, bytesMax int) string {
	if len(printed) <= bytesMax {
		return strings.ToValidUTF8(string(printed), "\uFFFD")
	}
	end := string(printed[len(printed)-bytesMax:])
	if _, whole, ok := strings.Cut(end, "\n"); ok && whole != "" {
		end = whole
	}
	return "…" + strings.ToValidUTF8(end, "\uFFFD")
}
