// Package sim runs tests in imagined time, against a replicated store that lives in memory and can be given
// a bug: how Faultline tests itself. Everything happens in one goroutine, in an order that the seed
// fixes: the same generator, options and seed give the same history to the byte.
//
// The store is package replicated's, the API servers over it, with all that works through them, package controlplane's. The store's own
// clients, here, speak the operations of the workloads of etcd.
package sim

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/harness/sim/controlplane"
	"github.com/faultline/faultline/harness/sim/replicated"
)

// Options say what is imagined. The zero value is three healthy nodes.
type Options struct {
	// Nodes is how many; 0 is 3. They are called n1, n2, …
	Nodes int
	// Seed fixes every latency, election, and strike of the bug.
	Seed uint64
	// Bug is the name of a row of Bugs; empty is a healthy system.
	Bug string
	// Workload is whose operations the clients speak: register (the default), set, append, … of the store itself; or kube/set, … of the
	// API servers over it.
	Workload string
	// Timeout is how long a client waits for an operation; 0 is one second.
	Timeout time.Duration
	// Read is the kind of read of kube/register and kube/set; empty is quorum.
	Read string
	// Kinds are sampled during the run, where the workload is of API servers; empty: nothing is. Rules tell what of them does not match.
	Kinds []string
	Rules history.Rules
}

// System is the imagined system, with its clock. It is good for one Run. Not safe for concurrent use.
type System struct {
	store *replicated.Cluster
	// plane are the API servers over the store; nil: the clients speak to the store.
	plane *controlplane.Plane
	// lists: keys hold lists, counters: numbers, 0 at first.
	lists, counters bool
	requests        *requests
	// registers: transactions are of registers, banks: reads are of all accounts of a bank.
	registers, banks bool
	timeout          time.Duration
	// owners counts the leases of owners of locks and elections.
	owners int64
	// sessions and compacted are what the clients of ranges of keys have seen.
	sessions  map[history.Process]*history.KeysSeen
	compacted atomic.Int64
	// observer samples kinds, by rules; nil: nothing is.
	observer *controlplane.Observer
	kinds    []string
	rules    history.Rules
}

// planePrefix begins the names of the workloads of API servers.
const planePrefix = "kube/"

// spoken are the workloads whose operations the clients speak.
var spoken = []string{
	"", "register", "set", "append", "deletes", "counter", "unique-ids", "queue", "kv",
	"lock", "lock-set", "lease", "election", "watch",
	"wr", "stm", "bank", "long-fork",
	"kube/register", "kube/set", "kube/list", "kube/watch", "kube/lease",
	"kube/deployment", "kube/statefulset", "kube/job", "kube/gc", "kube/node-failure", "kube/service-ip", "kube/quota",
}

// ErrUnknownWorkload is one that the imagined clients do not speak.
var ErrUnknownWorkload = fmt.Errorf("no workload of the simulator (want one of %s)", strings.Join(spoken[1:], ", "))

// New makes a system. The error is ErrUnknownBug or ErrUnknownWorkload.
func New(o Options) (*System, error) {
	bug, err := bugNamed(o.Bug)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(spoken, o.Workload) {
		return nil, fmt.Errorf("%q: %w", o.Workload, ErrUnknownWorkload)
	}
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.Timeout == 0 {
		o.Timeout = time.Second
	}
	s := &System{
		store: replicated.New(o.Nodes, o.Seed, bug.store), lists: o.Workload == "set" || o.Workload == "lock-set", counters: o.Workload == "counter",
		timeout: o.Timeout, sessions: map[history.Process]*history.KeysSeen{}, kinds: o.Kinds, rules: o.Rules, requests: newRequests(),
	}
	s.registers, s.banks = slices.Contains(registers, o.Workload), o.Workload == "bank"
	if strings.HasPrefix(o.Workload, planePrefix) {
		s.plane = controlplane.New(s.store, controlplane.Options{
			Flaw: bug.plane, Timeout: o.Timeout, Read: o.Read, Sets: o.Workload == "kube/set",
		})
	}
	return s, nil
}

// Nodes are the names of the nodes, for harness.Test.
func (s *System) Nodes() []string {
	var names []string
	for _, n := range s.store.Nodes() {
		names = append(names, n.Name())
	}
	return names
}

// Now is the imagined time. A history.Writer whose options are this clock and no flush interval
// writes the same bytes for the same operations.
func (s *System) Now() time.Duration { return s.store.Clock.Now() }
