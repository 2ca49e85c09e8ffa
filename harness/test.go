package harness

import (
	"context"
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
	// Generator yields the operations of clients and of the nemesis.
	Generator generator.Generator
	Open      OpenClient
	// Nemesis may be nil where the generator never asks for it.
	Nemesis Nemesis
	History Recorder
	// Observe, where not nil, is told of each operation after it was recorded, in any order across
	// workers. It must be fast and safe for concurrent use.
	Observe func(history.Op)
	// Grace bounds how long the run waits for open operations after it was cancelled, before it records them as info.
	Grace time.Duration
	// HealTimeout bounds the nemesis's Heal that ends every run, however it ended.
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

// Run's contract: it draws operations from t.Generator until that is done or ctx is, invokes them, and
// records everything in t.History. Whatever happens (ctx cancelled, a client's panic, an error of the
// history) every open operation gets its completion, and t.Nemesis.Heal is called at the end.
// The error is the harness's (history broken, a generator that proposes a busy process); nil says nothing about the system.
var _ func(ctx context.Context, t Test) error = Run
