// Package history is the only contract between running a test and judging it: the operations that
// clients and the nemesis performed, in one total order, and the append-only file that keeps them.
//
// Order is the Index. An invoke gets its index and time before the client is called, a completion
// after the client returned, so that "a completed before b began" is a.Index < b.Index and nothing
// else. Times are for people and plots; checkers take real time from the index.
package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Type says where an operation is in its life.
type Type uint8

// The four types. OK: it happened, and the value is what it returned. Fail: it certainly did not
// happen. Info: its outcome is unknown, and its process never runs again.
const (
	Invoke Type = iota + 1
	OK
	Fail
	Info
)

var typeNames = [...]string{Invoke: "invoke", OK: "ok", Fail: "fail", Info: "info"}

// ErrUnknownType is what parsing any other word than invoke, ok, fail or info gives.
var ErrUnknownType = errors.New("unknown operation type (want invoke, ok, fail or info)")

// String is the type's word in the history file.
func (t Type) String() string {
	if t < Invoke || t > Info {
		return "type(" + strconv.Itoa(int(t)) + ")"
	}
	return typeNames[t]
}

// ParseType is the inverse of String.
func ParseType(s string) (Type, error) {
	for t := Invoke; t <= Info; t++ {
		if typeNames[t] == s {
			return t, nil
		}
	}
	return 0, fmt.Errorf("%q: %w", s, ErrUnknownType)
}

// MarshalText writes the type's word.
func (t Type) MarshalText() ([]byte, error) {
	if t < Invoke || t > Info {
		return nil, ErrUnknownType
	}
	return []byte(typeNames[t]), nil
}

// UnmarshalText reads the type's word.
func (t *Type) UnmarshalText(b []byte) (err error) {
	*t, err = ParseType(string(b))
	return err
}

// Process is a logical single-threaded client: at most one of its operations is open at a time.
// Client processes are numbers from 0; the two others have names.
type Process int64

// The processes that are not clients.
const (
	// Nemesis breaks things; its operations carry a Fault as value.
	Nemesis Process = -1
	// Evidence carries what was extracted after the run: what a WAL or a watch proves about an
	// operation of unknown outcome, and what the nodes' logs said.
	Evidence Process = -2
)

// String is the process's number, or its name.
func (p Process) String() string {
	switch p {
	case Nemesis:
		return "nemesis"
	case Evidence:
		return "evidence"
	}
	return strconv.FormatInt(int64(p), 10)
}

// IsClient tells clients from the nemesis and from evidence.
func (p Process) IsClient() bool { return p >= 0 }

// Op is one line of a history: an invocation, or its completion.
type Op struct {
	// Index is the operation's place in the one total order; 0 is the first.
	Index int64
	// Time is how long after the beginning of the run, by the driver's monotonic clock.
	Time    time.Duration
	Type    Type
	Process Process
	// F is the function: read, write, cas, add, txn, start-partition, …
	F string
	// Key is the independent object that the operation is about; empty where there is one only.
	Key string
	// Value is JSON, its shape a contract of the workload. nil means null.
	Value json.RawMessage
	// Version is the version of the value that was read or written, as the system numbers it
	// (etcd: mod revision; Kubernetes: resourceVersion); 0 where the system gave none.
	Version int64
	// Revision is the state of the whole store at which the operation took effect or looked
	// (etcd: the response header's revision); 0 where the system gave none.
	Revision int64
	// Node is the node that the client is pinned to.
	Node string
	// Error is why a completion is fail or info, or what an ok one noticed.
	Error string
}

// Source is a history that can be read any number of times, from the beginning, in index order.
// Ops ends with the first error; a truncated file that could be read as a prefix is not an error
// but a Source whose Complete is false.
type Source interface {
	// Ops yields each operation. The Op's Value must not be changed; it stays valid.
	Ops() func(yield func(Op, error) bool)
	// Complete tells whether the run ended by itself: what only a complete history can show
	// (final reads, convergence) is Unknown on any other.
	Complete() bool
}

// Slice is a history in memory, as tests and small files use it. It is complete.
type Slice []Op

// Ops yields the operations of the slice.
func (s Slice) Ops() func(yield func(Op, error) bool) {
	return func(yield func(Op, error) bool) {
		for _, op := range s {
			if !yield(op, nil) {
				return
			}
		}
	}
}

// Complete is true.
func (s Slice) Complete() bool { return true }
