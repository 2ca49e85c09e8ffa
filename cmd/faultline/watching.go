package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/kube/api"
)

// observer watches the system beside the clients: a store's members always, API servers where the workload has anything to be watched.
func (s *session) observer() harness.Observer {
	o, ok := s.system.(harness.Observer)
	if !ok || s.kind.kubernetes && len(s.plan.workload.Kinds) == 0 {
		return nil
	}
	return o
}

// convergence is what the run waits for before its final reads; nil where nothing is declared.
func (s *session) convergence() *history.Convergence {
	if s.observer() == nil || s.kind.settle == nil {
		return nil
	}
	within, hold := s.kind.settle(s.plan.profile)
	c := history.Convergence{BoundMS: within.Milliseconds(), HoldMS: hold.Milliseconds()}
	if s.plan.within > 0 {
		c.BoundMS, c.Stated = s.plan.within.Milliseconds(), true
	}
	return &c
}

// saysBound tells before the run how long it may take to converge, and what later means.
func (s *session) saysBound() {
	c := s.convergence()
	if c == nil {
		return
	}
	bound, meaning := time.Duration(c.BoundMS)*time.Millisecond, "later is unknown, since nobody stated a bound (--converge-within)"
	if c.Stated {
		meaning = "later is invalid"
	}
	s.con.say("to converge within %s after the last fault and change, and to stay so for %s; %s",
		bound, time.Duration(c.HoldMS)*time.Millisecond, meaning)
}

// endpoints is --etcd-endpoints, where it means something.
func (s *session) endpoints() string {
	if !s.kind.kubernetes {
		return ""
	}
	return s.plan.endpoints
}

// spanner is a system whose containers' lives are logged by something else than the system.
type spanner interface {
	RuntimeSpans(ctx context.Context, began time.Time) ([]history.Op, error)
}

// spans are the containers' lives, as evidence.
func (s *session) spans(ctx context.Context, writer *history.Writer) []history.Op {
	system, ok := s.system.(spanner)
	if !ok {
		return nil
	}
	began := time.Now().Add(-writer.Now()) //nolint:forbidigo // the nodes' logs have the time of day
	ops, err := system.RuntimeSpans(ctx, began)
	if err != nil {
		s.warnf("the container runtimes' logs could not all be read: %v", err)
	}
	return ops
}

// plant lets the misbehaviour that was asked for loose, until it is told to stop.
func (s *session) plant(ctx context.Context) (stop func(), err error) {
	if s.plan.plant == "" {
		return func() {}, nil
	}
	servers, ok := s.system.(api.Servers)
	p, known := plantNamed(s.plan.plant)
	if !ok || !known {
		return nil, fmt.Errorf("--plant %s is not for %s", s.plan.plant, s.system.Name())
	}
	s.con.warn("planted: %s (%s): this run is to be found invalid", p.Name, p.Doc)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx, servers, s.plan.nodes, s.plan.options.Seed) }()
	return func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			s.warnf("planted %s: %v", p.Name, err)
		}
	}, nil
}

// kubeconfigFile is in the run directory while the cluster can be reached.
const kubeconfigFile = "kubeconfig"

// saveKubeconfig lets kubectl reach the system, where it is one that kubectl knows.
func (s *session) saveKubeconfig() error {
	k, ok := s.system.(interface{ Kubeconfig() []byte })
	if !ok {
		return nil
	}
	return os.WriteFile(s.dir.File(kubeconfigFile), k.Kubeconfig(), 0o600)
}

// dropKubeconfig removes it with the cluster: its keys open nothing any more.
func (s *session) dropKubeconfig() {
	if err := os.Remove(s.dir.File(kubeconfigFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.warnf("%v", err)
	}
}
