// Package results keeps what a run leaves behind: its directory, what was asked for, what was found.
// It reads histories and verdicts and knows no system.
package results

import (
	"time"

	"github.com/faultline/faultline/checker"
)

// Schema is the version of test.json and results.json. It grows when a field changes its meaning; readers
// refuse a larger one than their own.
const Schema = 1

// Test is test.json: everything needed to run the test again, and what it ran on.
type Test struct {
	Schema   int    `json:"schema"`
	Workload string `json:"workload"`
	System   string `json:"system"`
	// Command is the command line that runs this test again, with the seed.
	Command string  `json:"command"`
	Seed    uint64  `json:"seed"`
	Options Options `json:"options"`
	// Requested are the entries of --nemesis after expansion.
	Requested []string  `json:"requested_faults"`
	Nodes     []Node    `json:"nodes"`
	Software  []Product `json:"software"`
	Harness   Harness   `json:"harness"`
	Started   time.Time `json:"started"`
	// Ended is when the history was closed; zero while the run goes on, or when its driver died.
	Ended time.Time `json:"ended,omitzero"`
	// Failure is why the harness failed, if it did: then there is no verdict on the system.
	Failure string `json:"failure,omitempty"`
	// Warnings are what went wrong beside the verdict, such as a teardown that failed.
	Warnings []string `json:"warnings,omitempty"`
}

// Options are the flags of a run, as resolved.
type Options struct {
	Nemesis         string        `json:"nemesis"`
	NemesisInterval time.Duration `json:"nemesis_interval_ns"`
	NemesisOverlap  bool          `json:"nemesis_overlap"`
	TimeLimit       time.Duration `json:"time_limit_ns"`
	QuietLimit      time.Duration `json:"quiet_limit_ns"`
	OpTimeout       time.Duration `json:"op_timeout_ns"`
	Rate            float64       `json:"rate"`
	Concurrency     int           `json:"concurrency"`
	Keys            int           `json:"keys"`
	OpsPerKey       int           `json:"ops_per_key"`
	Read            string        `json:"read,omitempty"`
	Model           string        `json:"model,omitempty"`
	Profile         string        `json:"profile,omitempty"`
	SystemArgs      []string      `json:"system_args,omitempty"`
	// The rest is for Kubernetes.
	KubeArgs      map[string][]string `json:"kube_args,omitempty"`
	FeatureGates  string              `json:"feature_gates,omitempty"`
	EtcdEndpoints string              `json:"etcd_endpoints,omitempty"`
	// Without are components that were left out; Plant is a misbehaviour that was let loose on purpose.
	Without []string `json:"without,omitempty"`
	Plant   string   `json:"plant,omitempty"`
	// ConvergeWithin is the bound that the user stated; 0: none.
	ConvergeWithin time.Duration `json:"converge_within_ns,omitempty"`
}

// Node is one machine of a run.
type Node struct {
	Name   string `json:"name"`
	Addr   string `json:"addr"`
	Kernel string `json:"kernel,omitempty"`
}

// Product is a program of the system under test, as installed.
type Product struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"`
	// Source is given, cache, release or module.
	Source string   `json:"source"`
	Args   []string `json:"args,omitempty"`
}

// Harness is the Faultline that ran.
type Harness struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	Kernel  string `json:"kernel,omitempty"`
	CPUs    int    `json:"cpus"`
}

// Results is results.json: what the checkers decided, and what was seen on the way.
type Results struct {
	Schema   int             `json:"schema"`
	Workload string          `json:"workload"`
	Seed     uint64          `json:"seed"`
	Verdict  checker.Verdict `json:"verdict"`
	// Complete is false for the history of a run that did not end by itself.
	Complete bool   `json:"complete"`
	Note     string `json:"note,omitempty"`
	// Read and Model name the promise that the verdict is about.
	Read     string           `json:"read,omitempty"`
	Model    string           `json:"model,omitempty"`
	Counts   Counts           `json:"counts"`
	Faults   []Fault          `json:"faults"`
	Checkers []checker.Result `json:"checkers"`
	Elapsed  Elapsed          `json:"elapsed"`
	CPU      *CPU             `json:"cpu,omitempty"`
}

// Counts are the client operations by outcome.
type Counts struct {
	OK   int64 `json:"ok"`
	Fail int64 `json:"fail"`
	Info int64 `json:"info"`
}

// Fault is one fault of the run, as a line of its story.
type Fault struct {
	ID      string        `json:"id"`
	Variant string        `json:"variant"`
	Nodes   []string      `json:"nodes"`
	Start   time.Duration `json:"start_ns"`
	End     time.Duration `json:"end_ns,omitempty"`
	Proved  bool          `json:"proved"`
	Proof   string        `json:"proof,omitempty"`
	Note    string        `json:"note,omitempty"`
}

// Elapsed is where the time of a run went.
type Elapsed struct {
	// ToFirstOp is from the command's start to the first client operation.
	ToFirstOp time.Duration `json:"to_first_op_ns,omitempty"`
	Run       time.Duration `json:"run_ns"`
	Check     time.Duration `json:"check_ns"`
}

// CPU is the processor time used while the history was recorded.
type CPU struct {
	Harness time.Duration `json:"harness_ns"`
	System  time.Duration `json:"system_ns"`
}

// Share is the harness's share of all the processor time, between 0 and 1.
func (c CPU) Share() float64 {
	if all := c.Harness + c.System; all > 0 {
		return float64(c.Harness) / float64(all)
	}
	return 0
}
