// Package control reaches nodes over SSH: commands as argument vectors, files up and down, tunnels.
package control

import (
	"context"
	"io"
	"io/fs"
	"net"
)

// Cmd is a command to run on a node. It is an argument vector; quoting for the remote shell happens
// in one place, inside this package.
type Cmd struct {
	Args []string
	// Stdin is what the command reads; nil is an empty input.
	Stdin io.Reader
	// Env are variables to set, "NAME=value", beside the node's own.
	Env []string
	// Dir is the directory to run in; empty is the login's.
	Dir string
	// Idempotent commands may be run again (a bounded number of times) when the connection broke before their end.
	Idempotent bool
}

// Output is what a command that exited with 0 printed.
type Output struct {
	Stdout []byte
	Stderr []byte
}

// ExitError is a command that ran and exited with another code than 0, or by a signal. Its text
// names the node, the command, the code and the end of stderr.
type ExitError struct {
	Node       string
	Args       []string
	Code       int    // -1 where a signal ended it
	Signal     string // "KILL", …; empty where it exited
	StderrTail string
	Output     Output
}

// Host is one node, as the driver reaches it. Safe for concurrent use.
type Host interface {
	// Name is the node's name in this run: n1, n2, …
	Name() string
	// Run runs a command to its end. Its error is an *ExitError if the command ran and failed, else it is about
	// reaching the node.
	Run(ctx context.Context, cmd Cmd) (Output, error)
	// Upload writes a file whole or not at all: it is renamed into its place when complete.
	Upload(ctx context.Context, from io.Reader, to string, mode fs.FileMode) error
	// Download reads a file into w.
	Download(ctx context.Context, from string, w io.Writer) error
	// Dial opens a TCP connection from the node, through the SSH connection.
	Dial(ctx context.Context, addr string) (net.Conn, error)
	// Close ends the connection. Safe to call more than once.
	Close() error
}
