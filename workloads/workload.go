// Package workloads joins what clients do (a generator), how it is judged (checkers) and how it reaches a
// system (clients). A file per workload; workloads.go is the table of them.
package workloads

import (
	"time"

	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/generator"
)

// Workload is a row of the table.
type Workload struct {
	// Name is system/workload, as on the command line: etcd/register.
	Name string
	// Doc is one line for help texts and the README.
	Doc string
	// Reads are the kinds of read it can do, the default first; empty where it has no choice.
	Reads []string
	// Models are what --model may name, the default of each kind of read first.
	Models []string
	// Minimum is what a run must have exercised, or it is Unknown.
	Minimum checker.Minimum
	// New makes the system-neutral part.
	New func(o Options) (Parts, error)
	// Kinds are the kinds of object that are observed during the run, for convergence; empty: none are, and the run does
	// not wait for it.
	Kinds []string
	// Clients makes the part that talks to the system.
	Clients harness.NewClients
	// Defaults are what flags mean for it that are not given.
	Defaults Defaults
}

// Defaults are a workload's own; 0 stands for what is usual.
type Defaults struct {
	// Rate is operations per second over all workers: what changes the declared state of a whole cluster comes at another pace
	// than reads and writes of registers.
	Rate      float64
	Keys      int
	OpsPerKey int
}

// Options are the flags that shape a workload.
type Options struct {
	Keys        int
	OpsPerKey   int
	Concurrency int
	// Rate is operations per second over all workers; 0: as fast as they can.
	Rate float64
	// TimeLimit is how long the main phase lasts; workloads do not enforce it.
	TimeLimit time.Duration
	// Read and Model are names from Workload.Reads and Workload.Models.
	Read  string
	Model string
	Seed  uint64
}

// Parts are a workload ready to run.
type Parts struct {
	// Main yields client operations for as long as it is asked.
	Main generator.Generator
	// Final yields the final reads, by every process, and is then done.
	Final generator.Generator
	// Checkers are the workload's own. The ones that every run has (statistics, errors, logs, members, availability, coverage) come
	// beside them.
	Checkers []checker.Checker
}
