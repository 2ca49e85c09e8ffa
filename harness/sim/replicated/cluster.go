// Package replicated is a replicated store in imagined time: members that elect a leader, a log that a majority must have, a network
// between them, and everything that can happen to these. It can be given a flaw.
//
// The store is linearizable by construction. Its nodes pass requests to a leader, which needs a majority; what is
// imagined is the way there and back: latencies, cuts, killed and paused nodes, elections, clients that
// run out of patience while their request is still under way. So operations of unknown outcome happen late, or never.
package replicated

import (
	"math/rand/v2"
	"strconv"
	"time"
)

// Cluster is the members, their network and their clock. All happens in one goroutine. Not safe for concurrent use.
type Cluster struct {
	Clock Clock
	// Rand is all chance there is.
	Rand *rand.Rand
	// OnApply, where not nil, is told of each node that has applied more of the log, or that was killed, started, stopped, or goes on.
	OnApply func(*Node)

	flaw     Flaw
	nodes    []*Node
	leader   *Node // nil: none
	electing bool
	store    *store
	log      []Entry
	// limbo are proposals that were under way when their leader was lost, and that the next one may commit.
	limbo []func()
	// cut tells from whom to whom messages are lost.
	cut     [][]bool
	dropped int // messages lost to cuts between nodes
	// term counts elections.
	term   uint64
	leases leases
	// past and compactions are for watches.
	past        past
	compactions []int64
	// hidden is what nodes show instead of recent writes of others, with the bug that has them do so.
	hidden map[string]hidden
}

// Node is one member.
type Node struct {
	// Outside is the way from the clients to it.
	Outside Path

	cluster *Cluster
	id      int
	name    string
	up      bool
	paused  bool
	// starts counts how often it was started.
	starts int
	// replica is what it has applied of the log, which is less than all while it lags.
	replica *store
	applied int
	// asleep is what reached it while it was paused; waiting is what it can't pass on to a leader.
	asleep  []func()
	waiting []func()
	calls   []*call
	watches []*Watch
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

// New makes a cluster of nodes called n1, n2, …; the seed fixes every latency, election, and strike of the flaw.
func New(nodes int, seed uint64, flaw Flaw) *Cluster {
	s := &Cluster{
		Rand: rand.New(rand.NewPCG(seed, 0x73696d)), // reproducible chance is the point
		flaw: flaw, store: newStore(), cut: make([][]bool, nodes), term: 1, leases: newLeases(),
	}
	for i := range nodes {
		s.nodes = append(s.nodes, &Node{
			cluster: s, id: i, name: "n" + strconv.Itoa(i+1), up: true, starts: 1, replica: newStore(),
		})
		s.cut[i] = make([]bool, nodes)
	}
	s.leader = s.nodes[s.Rand.IntN(nodes)]
	return s
}

// Nodes are the members.
func (s *Cluster) Nodes() []*Node { return s.nodes }

// Leader is the node that leads now; nil: none.
func (s *Cluster) Leader() *Node { return s.leader }

// Log is what was committed, the oldest first. It must not be changed.
func (s *Cluster) Log() []Entry { return s.log }

// ID counts the nodes from 0.
func (n *Node) ID() int { return n.id }

// Name is the node's.
func (n *Node) Name() string { return n.name }

// Up tells whether it runs; Paused, whether it was stopped; Starts, how often it was started.
func (n *Node) Up() bool { return n.up }

// Paused is told with Up.
func (n *Node) Paused() bool { return n.paused }

// Starts is told with Up.
func (n *Node) Starts() int { return n.starts }

// Applied is how many entries of the log it has applied.
func (n *Node) Applied() int { return n.applied }

// tell tells who wants to know it that a node has more, or works again.
func (s *Cluster) tell(n *Node) {
	n.pumpWatches()
	if s.OnApply != nil {
		s.OnApply(n)
	}
}

// Chance tells whether something that happens once in n times happens now.
func (s *Cluster) Chance(n int) bool { return s.Rand.IntN(n) == 0 }

// Between is a random duration.
func (s *Cluster) Between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(s.Rand.Int64N(int64(hi-lo)))
}

// Latency is how long one message takes.
func (s *Cluster) Latency() time.Duration {
	return latencyMin + s.Exponential(latencyMean)
}

// Exponential is a random duration of an exponential distribution.
func (s *Cluster) Exponential(mean time.Duration) time.Duration {
	return time.Duration(s.Rand.ExpFloat64() * float64(mean))
}
