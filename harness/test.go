package harness

import (
	"errors"
	"fmt"
	"time"

	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

// Recorder is where a run's operations go: it gives each its index and time, in one total order.
// *history.Writer is one. Safe for concurrent use.
type Recorder interface {
	// Append sets op.Index and op.Time and records the operation. An error means that the history is broken
	// (disk full): the run ends with it.
	Append(op *history.Op) error
	// Now is the time since the run began, on the clock that Append uses.
	Now() time.Duration
}

// Test is what Run runs.
type Test struct {
	// Nodes are the names of the nodes; worker w's clients are pinned to Nodes[w % len(Nodes)].
	Nodes []string
	// Concurrency is the number of workers, each with one process at a time: at first process w,
	// after an unknown outcome w + Concurrency, and so on.
	Concurrency int
	// Generator yields the operations of clients and of the nemesis. It is asked in one goroutine.
	Generator generator.Generator
	Open      OpenClient
	// Nemesis may be nil where the generator never asks for it.
	Nemesis Nemesis
	History Recorder
	// Observe, where not nil, is told of each operation after it was recorded, in any order across
	// workers. It must be fast and safe for concurrent use.
	Observe func(history.Op)
	// Observer, where not nil, watches the system for as long as the generator has operations to come, in a goroutine of its own.
	// What it records is in the history as history.Evidence, among the operations.
	Observer Observer
	// Grace bounds how long the run waits for open operations after it was cancelled, before it records them as info.
	// 0 is DefaultGrace.
	Grace time.Duration
	// HealTimeout bounds the nemesis's Heal that ends every run, however it ended. 0 is DefaultHealTimeout.
	HealTimeout time.Duration
}

// ClientOptions are what a workload asks of the clients of a system.
type ClientOptions struct {
	// Read is the kind of read: linearizable, serializable, cached, …
	Read string
	// Timeout is the deadline of each operation.
	Timeout time.Duration
}

// NewClients makes the clients of one workload for one system. It refuses options that the system
// can't serve. It is the column that joins a system-neutral workload to a system.
type NewClients func(sys System, o ClientOptions) (OpenClient, error)

// What a Test's zero durations mean.
const (
	DefaultGrace       = 5 * time.Second
	DefaultHealTimeout = time.Minute
)

// check tells what keeps a test from being run.
func (t *Test) check() error {
	switch {
	case len(t.Nodes) == 0:
		return errors.New("the test has no nodes")
	case t.Concurrency < 1:
		return fmt.Errorf("the test has %d workers; it needs at least 1", t.Concurrency)
	case t.Generator == nil, t.Open == nil, t.History == nil:
		return errors.New("the test needs a generator, clients and a history")
	}
	return nil
}
