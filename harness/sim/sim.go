// Package sim runs tests in imagined time, against a replicated store that lives in memory and can be given
// a bug: how Faultline tests itself. Everything happens in one goroutine, in an order that the seed
// fixes: the same generator, options and seed give the same history to the byte.
//
// The store is linearizable by construction. Its nodes pass requests to a leader, which needs a majority; what is
// imagined is the way there and back: latencies, cuts, killed and paused nodes, elections, clients that
// run out of patience while their request is still under way. So operations of unknown outcome happen late, or never.
// Its clients speak the operations of the workloads register, set and append.
package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// Options say what is imagined. The zero value is three healthy nodes.
type Options struct {
	// Nodes is how many; 0 is 3. They are called n1, n2, …
	Nodes int
	// Seed fixes every latency, election, and strike of the bug.
	Seed uint64
	// Bug is the name of a row of Bugs; empty is a healthy system.
	Bug string
	// Workload is whose operations the clients speak: register (the default), set or append.
	Workload string
	// Timeout is how long a client waits for an operation; 0 is one second.
	Timeout time.Duration
}

// System is the imagined system, with its clock. It is good for one Run. Not safe for concurrent use.
type System struct {
	clock   clock
	rand    *rand.Rand
	bug     flaw
	lists   bool // keys hold lists
	timeout time.Duration

	nodes    []*node
	leader   *node // nil: none
	electing bool
	store    *store
	log      []entry
	// limbo are proposals that were under way when their leader was lost, and that the next one may commit.
	limbo []func()
	// cut tells from whom to whom messages are lost; clientCut, which nodes the clients can't reach.
	cut       [][]bool
	clientCut []bool
	dropped   int // messages lost to cuts
}

// node is one member.
type node struct {
	id     int
	name   string
	up     bool
	paused bool
	// starts counts how often it was started.
	starts int
	// replica is what it has applied of the log, which is less than all while it lags.
	replica *store
	applied int
	// asleep is what reached it while it was paused; waiting is what it can't pass on to a leader.
	asleep  []func()
	waiting []func()
	calls   []*call
	// fork is what this node has made of the store on its own, with the bug that allows it.
	fork *store
}

// What the imagined network and its members take.
const (
	latencyMin     = 200 * time.Microsecond
	latencyMean    = 600 * time.Microsecond // on top
	applyLagMean   = 10 * time.Millisecond  // until a follower applies what it was sent
	electionMin    = 150 * time.Millisecond
	electionSpread = 300 * time.Millisecond
)

// ErrUnknownWorkload is one that the imagined clients do not speak.
var ErrUnknownWorkload = errors.New("no workload of the simulator (want register, set or append)")

// New makes a system. The error is ErrUnknownBug or ErrUnknownWorkload.
func New(o Options) (*System, error) {
	bug, err := flawNamed(o.Bug)
	if err != nil {
		return nil, err
	}
	switch o.Workload {
	case "", "register", "set", "append":
	default:
		return nil, fmt.Errorf("%q: %w", o.Workload, ErrUnknownWorkload)
	}
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.Timeout == 0 {
		o.Timeout = time.Second
	}
	s := &System{
		rand: rand.New(rand.NewPCG(o.Seed, 0x73696d)), // reproducible chance is the point
		bug:  bug, lists: o.Workload == "set", timeout: o.Timeout, store: newStore(),
		cut: make([][]bool, o.Nodes), clientCut: make([]bool, o.Nodes),
	}
	for i := range o.Nodes {
		s.nodes = append(s.nodes, &node{
			id: i, name: "n" + strconv.Itoa(i+1), up: true, starts: 1, replica: newStore(),
		})
		s.cut[i] = make([]bool, o.Nodes)
	}
	s.leader = s.nodes[s.rand.IntN(o.Nodes)]
	return s, nil
}

// Nodes are the names of the nodes, for harness.Test.
func (s *System) Nodes() []string {
	names := make([]string, len(s.nodes))
	for i, n := range s.nodes {
		names[i] = n.name
	}
	return names
}

// Now is the imagined time. A history.Writer whose options are this clock and no flush interval
// writes the same bytes for the same operations.
func (s *System) Now() time.Duration { return s.clock.now }

// chance tells whether something that happens once in n times happens now.
func (s *System) chance(n int) bool { return s.rand.IntN(n) == 0 }

// between is a random duration.
func (s *System) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(s.rand.Int64N(int64(hi-lo)))
}

// latency is how long one message takes.
func (s *System) latency() time.Duration {
	return latencyMin + time.Duration(s.rand.ExpFloat64()*float64(latencyMean))
}
