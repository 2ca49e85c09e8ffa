package control

import "time"

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
	// Restarts counts how often it was started again after it had ended by itself, since Start.
	Restarts int `json:"restarts,omitempty"`
	// Restarting: it has ended by itself, and will be started again in a moment.
	Restarting bool `json:"restarting,omitempty"`
	// CPU is the processor time it used so far, user and system.
	CPU time.Duration `json:"cpu_ns"`
	// RSSBytes is its resident memory.
	RSSBytes int64 `json:"rss_bytes"`
}

// CutRule selects TCP traffic that arrives at a node: from others, or, with To, what the node says to itself.
type CutRule struct {
	// From is the sender's address; empty: anyone but the node itself.
	From string `json:"from,omitempty"`
	// To is the loopback address (127.0.1.3) of a server that the node's own processes talk to: what they send to it, and what is
	// answered from it, is meant, and nothing from other nodes. It can't stand beside From: clients of every loopback server have
	// the same address.
	To string `json:"to,omitempty"`
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
	To      string `json:"to,omitempty"`
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}
