// Package harness runs a test: workers draw operations from a generator, invoke them on clients,
// and record them in a history, while the nemesis breaks the system under test.
// It knows no particular system; what it needs of one is in small interfaces.
package harness

import (
	"context"
	"time"

	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/harness/history"
)

// Node is a machine of the run: reached by SSH, with the node's half of Faultline on it.
// Implemented by the cluster package over control.Host; faked in tests.
type Node interface {
	control.Host
	// Addr is the node's IP address as the other nodes and the clients use it.
	Addr() string
	// Install makes sure that the file at path local on the driver is on the node, verified by
	// SHA-256 and executable, and returns its path there. Nothing is sent if it is there already.
	Install(ctx context.Context, local string) (remote string, err error)
	// Start starts a supervised process. It is an error if one of that name is running.
	Start(ctx context.Context, p control.Process) (control.ProcessState, error)
	// Signal sends SIGKILL, SIGTERM, SIGSTOP or SIGCONT to a process that Start started, found by its id and
	// start time, never by its name. For SIGKILL and SIGTERM it returns when the process is gone, for the
	// others when the kernel shows it stopped or running, each within a bound.
	Signal(ctx context.Context, name string, sig control.Signal) (control.ProcessState, error)
	// Processes tells the state of everything that Start started.
	Processes(ctx context.Context) ([]control.ProcessState, error)
	// Cut drops or resets traffic that arrives at this node, as the rules say, under an id. The rules are journaled on
	// the node before they act; the control connection is never touched.
	Cut(ctx context.Context, id string, rules []control.CutRule) error
	// Uncut undoes a Cut and returns what it had caught. Undoing what is not there is no error.
	Uncut(ctx context.Context, id string) ([]control.CutCount, error)
	// CutCounts tells what a Cut in force has caught so far.
	CutCounts(ctx context.Context, id string) ([]control.CutCount, error)
	// Heal undoes every fault on the node: cuts are removed, stopped processes continue. Killed processes stay dead.
	// Idempotent. It tells what it undid.
	Heal(ctx context.Context) (undone []string, err error)
}

// System is a system under test, set up on the nodes of a run. What else it can do is asked for by the
// optional interfaces below, in constructors, so that what can't work fails before the run starts.
type System interface {
	// Name is etcd, kube, …
	Name() string
	// Components are the names of the processes it runs on each node: etcd; kube-apiserver, …
	Components() []string
	// Links are the kinds of connection that a partition can cut.
	Links() []Link
	// Start installs and starts everything and returns when it is healthy. On error the text has the end of the log.
	Start(ctx context.Context) error
	// StartComponent starts one component again that was killed; running is no error.
	StartComponent(ctx context.Context, node, component string) error
	// AwaitHealthy returns when every member is well, or with what is not when ctx is done.
	AwaitHealthy(ctx context.Context) error
	// Stop ends every process of the system. Safe to call at any time, more than once.
	Stop(ctx context.Context) error
}

// Link is a kind of connection between parts of a system, told by its ports.
type Link struct {
	// Name is peer, client, apiserver-etcd, …
	Name string
	// Ports are the TCP ports that its servers listen on.
	Ports []int
	// Outside: the clients are not nodes (they are Faultline's own, on the driver): nodes are cut from them, not from each other.
	Outside bool
	// Local is the loopback address at which a node's own processes, and no others, reach the link's server on that node; empty: the
	// link is between nodes. A local link is cut on each node that is struck, and says nothing about the others.
	Local string
	// Everywhere: the link of one node also reaches the servers of the other nodes (by their addresses and these ports), as that of
	// an API server that uses every etcd member. A cut of a local link cuts that too.
	Everywhere bool
}

// Leader is a System that can tell its leader.
type Leader interface {
	// Leader is the node that leads now; an error if there is none or it can't be told.
	Leader(ctx context.Context) (node string, err error)
}

// Membership is a System whose members can be compared.
type Membership interface {
	// Members asks each member for its state, at one revision; see history.MemberState.
	Members(ctx context.Context) ([]history.MemberState, error)
}

// ComponentLeader is a System whose components elect leaders of their own.
type ComponentLeader interface {
	// Electing are the components that do, in the order of Components. It can be asked before the system runs.
	Electing() []string
	// LeaderOf is the node on which a component, one of Electing, leads now.
	LeaderOf(ctx context.Context, component string) (node string, err error)
}

// Caches is a System whose servers answer reads from caches of their own.
type Caches interface {
	// CacheLag asks a node's server for a cached read and, beside, for the newest revision.
	CacheLag(ctx context.Context, node string) (Lag, error)
	// CacheLink is the name of the link that a server's cache is fed by.
	CacheLink() string
}

// Lag is how far a cache is behind.
type Lag struct {
	// Cached and Newest are revisions of the store.
	Cached int64 `json:"cached"`
	Newest int64 `json:"newest"`
	// Age is for how long the newest has been newer than the cached; 0 where it is not.
	Age time.Duration `json:"age_ns"`
}

// Mover is a System whose components can be made to use another node's server.
type Mover interface {
	// Movable are the components that can be moved. It can be asked before the system runs.
	Movable() []string
	// Move starts a node's component again so that it uses the server of another node; the node's own moves it back. Moving
	// it to where it is is no error.
	Move(ctx context.Context, node, component, server string) error
}

// WriteWatcher is a System that can tell when one of its components writes.
type WriteWatcher interface {
	// Writers are the components whose writes can be told, the most telling one first. It can be asked before the system runs.
	Writers() []string
	// AwaitWrite returns after the n-th write (from 1) that a component makes after a change of what is declared, and says
	// what was written; an error when ctx is done before.
	AwaitWrite(ctx context.Context, component string, n int) (what string, err error)
}

// Companions is a System that runs more on each node than its components: processes that no fault strikes by itself, and that end and begin
// with the node.
type Companions interface {
	// Companions are their names, in the order in which they are started, before the components. StartComponent starts them too.
	Companions() []string
}

// Churner is a System in which objects can be made and removed that its components would act on.
type Churner interface {
	// Churn makes n objects and removes them again, and says what it did.
	Churn(ctx context.Context, n int) (what string, err error)
}

// Converger is a System whose observed state follows a declared one.
type Converger interface {
	// AwaitConverged returns when what is observed has matched what is declared for the time hold, or, when ctx is done, with what
	// does not match.
	AwaitConverged(ctx context.Context, hold time.Duration) ([]history.Mismatch, error)
}

// Witness is a System that can tell, after the run, which writes happened.
type Witness interface {
	// Writes records each write that the system's store has, as operations of history.Evidence (history.FCommitted). It may leave out
	// some. record sets the operation's index and time. The error says from where on writes are missing, or is record's.
	Writes(ctx context.Context, record func(*history.Op) error) error
}

// Observer is a System that can be watched beside the clients.
type Observer interface {
	// Observe records what it sees as operations of history.Evidence (samples), until ctx is done, and returns soon after. What
	// can't be seen is recorded as such. record sets the operation's index, time and process, but not its type, and is
	// safe for concurrent use. The error is record's; it ends the run.
	Observe(ctx context.Context, record func(*history.Op) error) error
}
