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
	Start(ctx context.Context, p Process) (ProcessState, error)
	// Signal sends SIGKILL, SIGTERM, SIGSTOP or SIGCONT to a process that Start started, found by its id and
	// start time, never by its name. For SIGKILL and SIGTERM it returns when the process is gone, for the
	// others when the kernel shows it stopped or running, each within a bound.
	Signal(ctx context.Context, name string, sig Signal) (ProcessState, error)
	// Processes tells the state of everything that Start started.
	Processes(ctx context.Context) ([]ProcessState, error)
	// Cut drops or resets traffic that arrives at this node, as the rules say, under an id. The rules are journaled on
	// the node before they act; the control connection is never touched.
	Cut(ctx context.Context, id string, rules []CutRule) error
	// Uncut undoes a Cut and returns what it had caught. Undoing what is not there is no error.
	Uncut(ctx context.Context, id string) ([]CutCount, error)
	// CutCounts tells what a Cut in force has caught so far.
	CutCounts(ctx context.Context, id string) ([]CutCount, error)
	// Heal undoes every fault on the node: cuts are removed, stopped processes continue. Killed processes stay dead.
	// Idempotent. It tells what it undid.
	Heal(ctx context.Context) (undone []string, err error)
}

// Signal is one that a nemesis or a system may send.
type Signal string

// The signals.
const (
	SIGKILL Signal = "KILL"
	SIGTERM Signal = "TERM"
	SIGSTOP Signal = "STOP"
	SIGCONT Signal = "CONT"
)

// Process says how to start a process under the node's supervisor.
type Process struct {
	// Name is the component's: etcd, kube-apiserver, …; unique on the node.
	Name string   `json:"name"`
	Args []string `json:"args"`
	Env  []string `json:"env,omitempty"`
	Dir  string   `json:"dir,omitempty"`
	// Log is the file on the node that standard output and error are appended to.
	Log string `json:"log"`
	// Restart: start it again when it exits by itself (not after Signal killed it), after this long; 0: do not.
	Restart time.Duration `json:"restart,omitempty"`
}

// ProcessState is what the node knows of a supervised process.
type ProcessState struct {
	Name string `json:"name"`
	// PID is in the node's own numbering.
	PID int `json:"pid"`
	// StartTicks is the kernel's start time of the process (field 22 of /proc/PID/stat): with PID it
	// names one process for good, and a changed one proves a restart.
	StartTicks uint64 `json:"start_ticks"`
	// Status is running, stopped (by SIGSTOP) or exited.
	Status string `json:"status"`
	// Exit says how it ended: "exit 1", "signal killed"; empty while it runs.
	Exit string `json:"exit,omitempty"`
	// CPU is the processor time it used so far, user and system.
	CPU time.Duration `json:"cpu_ns"`
	// RSSBytes is its resident memory.
	RSSBytes int64 `json:"rss_bytes"`
}

// CutRule selects TCP traffic that arrives at a node.
type CutRule struct {
	// From is the sender's address; empty: anyone but the node itself.
	From string `json:"from,omitempty"`
	// Ports are the link's: traffic to one of them, and answers from one of them, is meant.
	// Server: only connections to this node's ports (dport); Client: only answers to this
	// node's own connections (sport); both false: both.
	Ports      []int `json:"ports"`
	ServerOnly bool  `json:"server_only,omitempty"`
	ClientOnly bool  `json:"client_only,omitempty"`
	// Reset answers with a TCP reset instead of dropping silently.
	Reset bool `json:"reset,omitempty"`
}

// CutCount is what a rule has caught.
type CutCount struct {
	From    string `json:"from,omitempty"`
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
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
