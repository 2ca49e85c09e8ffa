package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/faultline/faultline/harness/cluster"
	"github.com/faultline/faultline/harness/control"
)

// runOnNode opens a shell on a node, or runs a command there, on the user's own terminal. The command's exit code
// becomes ours.
func runOnNode(c *cli.Context, made *cluster.Cluster, name string, args []string) error {
	defer made.Close()
	var known []string
	for _, n := range made.Nodes() {
		if n.Name() == name {
			return atTerminal(c, n, args)
		}
		known = append(known, n.Name())
	}
	return usagef("cluster %s has no node %q%s; it has %s", made.Name(), name, suggest(name, known), strings.Join(known, ", "))
}

func atTerminal(c *cli.Context, n *cluster.Node, args []string) error {
	t := control.Terminal{Stdin: os.Stdin, Stdout: c.App.Writer, Stderr: c.App.ErrWriter}
	stdin := int(os.Stdin.Fd())
	if term.IsTerminal(stdin) && term.IsTerminal(int(os.Stdout.Fd())) {
		before, err := term.MakeRaw(stdin)
		if err != nil {
			return fmt.Errorf("take the terminal: %w", err)
		}
		defer func() { _ = term.Restore(stdin, before) }()
		t.Kind = firstWord(os.Getenv("TERM"), "xterm")
		resized, stop := terminalSizes()
		defer stop()
		t.Size, t.Resized = terminalSize(), resized
	}
	err := n.Shell(c.Context, args, t)
	var exit *control.ExitError
	if errors.As(err, &exit) && exit.Code > 0 {
		return remoteExit(exit.Code)
	}
	return err
}

func terminalSize() control.TerminalSize {
	columns, rows, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil {
		return control.TerminalSize{Columns: 80, Rows: 24}
	}
	return control.TerminalSize{Columns: columns, Rows: rows}
}

// terminalSizes gives each new size of the terminal until stop is called.
func terminalSizes() (sizes <-chan control.TerminalSize, stop func()) {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	out := make(chan control.TerminalSize, 1)
	go func() {
		for range changed {
			select {
			case out <- terminalSize():
			default: // the one before has not been sent yet; the next change tells
			}
		}
	}()
	return out, func() { signal.Stop(changed); close(changed) }
}
