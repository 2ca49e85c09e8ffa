package generator

import "github.com/faultline/faultline/harness/history"

// Threads is a view of the runner's workers: which of them a generator may use, which of those are
// free, and which process each has now.
type Threads interface {
	// Len is the number of client workers in the whole run (not of this view).
	Len() int
	// Free yields the free workers of this view, in a fixed order.
	Free() []Worker
	// All are the workers of this view, free or not.
	All() []Worker
	// Process is the process that a worker has now.
	Process(w Worker) history.Process
	// Worker is the worker of a process; ok is false for a process that has ended.
	Worker(p history.Process) (w Worker, ok bool)
}
