package cluster

import (
	"fmt"
	"testing"
	"time"

	"github.com/faultline/faultline/harness/control"
)

// BenchmarkFaults is what a fault costs: each figure is one request over SSH and its effect on the node.
func BenchmarkFaults(b *testing.B) {
	ctx := needRoot(b)
	c := up(b, ctx, Options{Nodes: 2, Name: "a"})
	n1, n2 := c.Nodes()[0], c.Nodes()[1]
	startEcho(b, ctx, n1)
	signal := func(sig control.Signal) error {
		_, err := n1.Signal(ctx, "echo", sig)
		return err
	}
	for _, step := range []struct {
		name string
		do   func(i int) error
	}{
		{"run", func(int) error { _, err := n1.Run(ctx, control.Cmd{Args: []string{"true"}}); return err }},
		{"processes", func(int) error { _, err := n1.Processes(ctx); return err }},
		{"cut", func(i int) error { return n1.Cut(ctx, fmt.Sprint(i), peerRule(n2.Addr(), false)) }},
		{"uncut", func(i int) error { _, err := n1.Uncut(ctx, fmt.Sprint(i)); return err }},
		{"stop", func(int) error { return signal(control.SIGSTOP) }},
		{"continue", func(int) error { return signal(control.SIGCONT) }},
		{"kill", func(int) error { return signal(control.SIGKILL) }},
	} {
		b.Run(step.name, func(b *testing.B) {
			for i := range b.N {
				if err := step.do(i); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkUp is from nothing to the first command on every node, and back.
func BenchmarkUp(b *testing.B) {
	ctx := needRoot(b)
	for _, nodes := range []int{3, 5, 7} {
		b.Run(fmt.Sprint(nodes), func(b *testing.B) {
			var down time.Duration
			for range b.N {
				c, err := Up(ctx, Options{Nodes: nodes})
				if err != nil {
					b.Fatal(err)
				}
				began := time.Now()
				if err := c.Down(ctx); err != nil {
					b.Fatal(err)
				}
				down += time.Since(began)
			}
			b.ReportMetric(float64(down.Milliseconds())/float64(b.N), "ms-down/op")
		})
	}
}
