// Package harness runs a test: workers draw operations from a generator, invoke them on clients,
// and record them in a history, while the nemesis breaks the system under test.
// It knows no particular system; what it needs of one is in small interfaces.
package harness

import (
	"context"

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
