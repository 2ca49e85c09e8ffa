package main

import (
	"context"
	"syscall"
	"time"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/results"
)

// meterEvery is how often the processor time of the system's processes is read. What a process used is lost when it is
// killed and started again between two readings, which makes the harness's share look larger, never smaller.
const meterEvery = 5 * time.Second

// meter measures the processor time that the harness and the system use during a run.
type meter struct {
	nodes  []harness.Node
	self   time.Duration
	system time.Duration
	seen   map[processID]time.Duration
	cancel context.CancelFunc
	done   chan struct{}
}

// processID names one process of one node for good.
type processID struct {
	node       string
	pid        int
	startTicks uint64
}

func startMeter(ctx context.Context, nodes []harness.Node) *meter {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	m := &meter{nodes: nodes, self: ownCPU(), seen: map[processID]time.Duration{}, cancel: cancel, done: make(chan struct{})}
	m.read(ctx, false)
	go m.loop(ctx)
	return m
}

func (m *meter) loop(ctx context.Context) {
	defer close(m.done)
	tick := time.NewTicker(meterEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			m.read(ctx, true)
		case <-ctx.Done():
			return
		}
	}
}

// read adds what each process used since the last reading; a process that is new in a later reading started since.
func (m *meter) read(ctx context.Context, addNew bool) {
	ctx, cancel := context.WithTimeout(ctx, meterEvery)
	defer cancel()
	for _, n := range m.nodes {
		states, err := n.Processes(ctx)
		if err != nil {
			continue // a node that can't be asked now is asked again at the next tick
		}
		for _, s := range states {
			id := processID{n.Name(), s.PID, s.StartTicks}
			before, known := m.seen[id]
			if known || addNew {
				m.system += max(0, s.CPU-before)
			}
			m.seen[id] = max(before, s.CPU)
		}
	}
}

func (m *meter) stop() *results.CPU {
	m.cancel()
	<-m.done
	m.read(context.Background(), true)
	return &results.CPU{Harness: ownCPU() - m.self, System: m.system}
}

// ownCPU is the processor time that this process has used.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// kernelRelease is this machine's, as uname -r prints it.
func kernelRelease() string {
	var u syscall.Utsname
	if err := syscall.Uname(&u); err != nil {
		return ""
	}
	out := make([]byte, 0, len(u.Release))
	for _, b := range u.Release {
		if b == 0 {
			break
		}
		out = append(out, byte(b))
	}
	return string(out)
}
