// Package node is the node's half of Faultline, run on every node as the hidden command
// "faultline node VERB": the embedded node's first process and SSH server, the supervisor of the system's
// processes, the traffic cuts, and the watchdog that undoes faults when the driver is gone.
//
// A verb reads one JSON value from standard input and writes one to standard output. It exits with 0, or with 1
// and the reason on standard error. What it must remember is in a state directory on the node, so that any
// later verb, also one of another driver, can undo it.
package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// DefaultStateDir is where a node remembers what it runs and what is broken on it. It is on a file system that a
// reboot empties, as a reboot also ends the processes and the cuts.
const DefaultStateDir = "/run/faultline"

// BinaryPath is where an embedded node sees the faultline executable.
const BinaryPath = "/opt/faultline/bin/faultline"

// call is what a verb works with.
type call struct {
	state  state
	args   []string
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

// verb is one of the node's commands.
type verb struct {
	name string
	run  func(ctx context.Context, c call) error
}

// verbs is the table of the node's commands.
func verbs() []verb {
	return []verb{
		{"init", runInit},
		{"probe", runProbe},
		{"serve", runServe},
		{"supervise", runSupervise},
		{"watchdog", runWatchdog},
		{"start", answer(state.start)},
		{"signal", answer(state.signal)},
		{"processes", answer(state.processes)},
		{"cut", answer(state.cut)},
		{"uncut", answer(state.uncut)},
		{"counts", answer(state.counts)},
		{"heal", answer(state.heal)},
		{"renew", answer(state.renew)},
		{"status", answer(state.status)},
		{"hello", answer(state.hello)},
		{"sums", answer(state.sums)},
		{"clean", answer(state.clean)},
		{"check", answer(state.check)},
	}
}

// Main runs a verb: args are what follows "faultline node", and may begin with "--state DIR". It returns the exit code.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if err := dispatch(ctx, args, stdin, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "faultline node:", err)
		return 1
	}
	return 0
}

func dispatch(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	c := call{state: state{dir: DefaultStateDir, table: tableName}, stdin: stdin, stdout: stdout, stderr: stderr}
	if len(args) >= 2 && args[0] == "--state" {
		c.state.dir, args = args[1], args[2:]
	}
	if len(args) == 0 {
		return errors.New("no verb given; it is run by the driver, not by hand")
	}
	c.args = args[1:]
	var names []string
	for _, v := range verbs() {
		if v.name == args[0] {
			if err := v.run(ctx, c); err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
			return nil
		}
		names = append(names, v.name)
	}
	return fmt.Errorf("unknown verb %q; there are: %s", args[0], strings.Join(names, ", "))
}

// None is the request of a verb that needs nothing, and the answer of one that has nothing to tell.
type None struct{}

// answer makes a verb of a function from request to response.
func answer[Q, A any](f func(s state, ctx context.Context, request Q) (A, error)) func(context.Context, call) error {
	return func(ctx context.Context, c call) error {
		var request Q
		if err := json.NewDecoder(c.stdin).Decode(&request); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read the request: %w", err)
		}
		response, err := f(c.state, ctx, request)
		if err != nil {
			return err
		}
		if err := json.NewEncoder(c.stdout).Encode(response); err != nil {
			return fmt.Errorf("write the response: %w", err)
		}
		return nil
	}
}
