// Command faultline runs consistency tests against a control plane while breaking everything around it, and
// judges the recorded histories. It is the only place that prints, prompts or exits.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/faultline/faultline/internal/node"
)

func main() {
	// The node's half is another program in the same file: it has its own words and knows no flags of ours.
	if len(os.Args) > 1 && os.Args[1] == "node" {
		os.Exit(node.Main(context.Background(), os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	ctx, stop := interruptible()
	code := Main(ctx, os.Args, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// interruptible gives a context that ends at the first SIGINT or SIGTERM. The second one ends the
// process at once: what is left behind then is cleaned by the next command.
func interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		if _, ok := <-signals; !ok {
			return
		}
		cancel()
		if _, ok := <-signals; ok {
			_, _ = os.Stderr.WriteString("\nfaultline: stopped at once; `faultline heal` cleans what is left\n")
			os.Exit(exitHarness)
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		cancel()
	}
}
