package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/cluster"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/nemesis"
	"github.com/faultline/faultline/results"
	"github.com/faultline/faultline/workloads"
)

// Bounds of the parts of a run that must end whatever happened to it.
const (
	healTimeout     = 30 * time.Second
	graceTimeout    = 5 * time.Second
	collectTimeout  = time.Minute
	teardownTimeout = time.Minute
)

// session is one run of `test`, from its plan to its verdict.
type session struct {
	con   *console
	plan  plan
	watch stopwatch

	dir    results.Dir
	record results.Test
	logs   *os.File

	cluster *cluster.Cluster
	kind    systemRow
	system  underTest
	parts   workloads.Parts
	faults  nemesis.Package

	toFirstOp, ran time.Duration
	cpu            *results.CPU
}

// runTest runs a plan to its verdict. What it made is taken down however it ends, and that going wrong
// loses no verdict.
func runTest(ctx context.Context, con *console, p plan) error {
	s := &session{con: con, plan: p, kind: systemOf(p.workload), watch: startWatch()}
	if err := s.refuseImpossible(); err != nil {
		return err
	}
	if err := s.begin(); err != nil {
		return err
	}
	defer s.logs.Close()
	runErr := s.run(ctx)
	s.teardown(ctx)
	if runErr != nil {
		return s.failed(runErr)
	}
	return s.judge(ctx)
}

// refuseImpossible finds out, before anything starts, whether this system on these nodes can be
// broken as asked.
func (s *session) refuseImpossible() error {
	scope := nemesis.Env{System: s.kind.blank(s.plan), Clients: "known later"}.Scope()
	scope.Nodes = s.plan.nodes
	if _, err := nemesis.Check(s.plan.requests, scope); err != nil {
		return usageError{err}
	}
	return nil
}

func (s *session) nemesisOptions() nemesis.Options {
	return nemesis.Options{Interval: s.plan.interval, Overlap: s.plan.overlap, Seed: s.plan.options.Seed}
}

// begin makes the run directory and says what is going to happen.
func (s *session) begin() error {
	o := s.plan.options
	started := s.watch.began
	dir, err := results.Create(s.plan.out, s.plan.workload.Name, started, o.Seed)
	if err != nil {
		return err
	}
	s.dir = dir
	if s.logs, err = os.Create(dir.File(results.LogFile)); err != nil {
		return fmt.Errorf("open the run's log: %w", err)
	}
	s.con.logTo(s.logs)
	s.record = results.Test{
		Workload: s.plan.workload.Name, System: s.kind.name, Command: s.plan.command, Seed: o.Seed,
		Options: results.Options{
			Nemesis: s.plan.requests, NemesisInterval: s.plan.interval, NemesisOverlap: s.plan.overlap, TimeLimit: o.TimeLimit,
			QuietLimit: s.plan.quiet, OpTimeout: s.plan.opTimeout, Rate: o.Rate, Concurrency: o.Concurrency,
			Keys: o.Keys, OpsPerKey: o.OpsPerKey, Read: o.Read, Model: o.Model, Profile: s.plan.profile, SystemArgs: s.plan.etcdArgs,
			KubeArgs: s.plan.kubeArgs, FeatureGates: s.plan.gates, EtcdEndpoints: s.endpoints(), Without: s.plan.without, Plant: s.plan.plant, ConvergeWithin: s.plan.within,
		},
		Harness: thisHarness(kernelRelease()), Started: started.UTC(),
	}
	s.con.say("seed %d, run directory %s", o.Seed, dir.Path)
	return dir.SaveTest(s.record)
}

// run brings everything up, runs the clients and the nemesis, and closes the history. Its error is
// the harness's.
func (s *session) run(ctx context.Context) error {
	programs, err := s.bringUp(ctx)
	if err != nil {
		return err
	}
	if err := s.start(ctx, programs); err != nil {
		s.keepLogs(ctx)
		return err
	}
	writer, err := history.Create(s.dir.File(results.HistoryFile))
	if err != nil {
		return fmt.Errorf("open the history: %w", err)
	}
	runErr := s.exercise(ctx, writer)
	collectErr := s.collect(ctx, writer)
	end := writer.Close
	if ctx.Err() != nil || runErr != nil {
		s.warnf("the run was stopped early: what only a complete run can show is unknown")
		end = writer.Abandon
	}
	closeErr := end()
	s.record.Ended = time.Now().UTC() //nolint:forbidigo // a date for people
	return errors.Join(runErr, collectErr, closeErr, s.dir.SaveTest(s.record))
}

// exercise runs the clients and the nemesis against the system.
func (s *session) exercise(ctx context.Context, writer *history.Writer) error {
	open, err := s.plan.workload.Clients(s.system, harness.ClientOptions{Read: s.plan.options.Read, Timeout: s.plan.opTimeout})
	if err != nil {
		return err
	}
	unplant, err := s.plant(ctx)
	if err != nil {
		return err
	}
	defer unplant()
	progress := newProgress(s.con, s.plan.options.TimeLimit)
	meter := startMeter(ctx, s.nodes())
	stop := progress.show()
	beforeRun := s.watch.elapsed()
	_, err = harness.Run(ctx, harness.Test{
		Nodes:       s.plan.nodes,
		Concurrency: s.plan.options.Concurrency,
		Generator:   nemesis.Phases(s.parts.Main, s.parts.Final, s.faults, nemesis.Shape{TimeLimit: s.plan.options.TimeLimit, Quiet: s.plan.quiet, Converge: s.convergence()}),
		Open:        open,
		Nemesis:     s.faults.Nemesis,
		History:     writer,
		Observe:     progress.observe,
		Observer:    s.observer(),
		Grace:       graceTimeout,
		HealTimeout: healTimeout,
	})
	stop()
	s.cpu = meter.stop()
	s.ran = writer.Now()
	if first := progress.firstOp.Load(); first > 0 {
		s.toFirstOp = beforeRun + time.Duration(first)
	}
	return err
}

// collect takes from the nodes what the checkers need, and what people want to read.
func (s *session) collect(ctx context.Context, writer *history.Writer) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), collectTimeout)
	defer cancel()
	evidence, err := s.system.LogEvidence(ctx)
	if err != nil {
		s.warnf("the nodes' logs could not be searched: %v", err)
	}
	for _, op := range slices.Concat(evidence, s.spans(ctx, writer), s.watchdogs(ctx)) {
		if err := writer.Append(&op); err != nil {
			return fmt.Errorf("record evidence: %w", err)
		}
	}
	s.witness(ctx, writer)
	s.keepLogs(ctx)
	return nil
}

// witness records which writes happened, where the system can tell. Without it a verdict is possible too, so that what goes wrong is a warning.
func (s *session) witness(ctx context.Context, writer *history.Writer) {
	w, ok := s.system.(harness.Witness)
	if !ok {
		return
	}
	if err := w.Writes(ctx, writer.Append); err != nil {
		s.warnf("which writes of unknown outcome happened can't be told of all: %v", err)
	}
}

// keepLogs copies the nodes' logs into the run directory, as far as there are any.
func (s *session) keepLogs(ctx context.Context) {
	if s.system == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), collectTimeout)
	defer cancel()
	if err := s.system.CollectLogs(ctx, s.dir.File(results.NodesDir), false); err != nil {
		s.warnf("the nodes' logs could not be copied: %v", err)
	}
}

// watchdogs are what the nodes' watchdogs undid because this driver was too late, as evidence.
func (s *session) watchdogs(ctx context.Context) []history.Op {
	var ops []history.Op
	for _, n := range s.cluster.Nodes() {
		undone, err := n.WatchdogFired(ctx)
		if err != nil {
			s.warnf("%s: its watchdog can't be asked: %v", n.Name(), err)
			continue
		}
		if len(undone) == 0 {
			continue
		}
		value, err := json.Marshal(undone)
		if err != nil {
			s.warnf("%s: %v", n.Name(), err)
			continue
		}
		ops = append(ops, history.Op{Type: history.Info, Process: history.Evidence, F: history.FWatchdog, Node: n.Name(), Value: value})
	}
	return ops
}

// teardown leaves nothing behind. What goes wrong is a warning: the verdict stands.
func (s *session) teardown(ctx context.Context) {
	if s.plan.keep && s.cluster != nil {
		s.con.say("kept: cluster %s is still up (`faultline cluster down %s` ends it)", s.cluster.Name(), s.cluster.Name())
		_ = s.cluster.Close()
		return
	}
	s.dropKubeconfig()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), teardownTimeout)
	defer cancel()
	if s.system != nil {
		if err := s.system.Stop(ctx); err != nil {
			s.warnf("stopping %s: %v", s.system.Name(), err)
		}
	}
	if s.cluster == nil {
		return
	}
	if s.plan.cluster != localCluster {
		// Somebody else's cluster stays up, without what this run put there.
		if err := errors.Join(s.purge(ctx), s.cluster.Close()); err != nil {
			s.warnf("leaving cluster %s: %v", s.cluster.Name(), err)
		}
		return
	}
	if err := errors.Join(s.purge(ctx), s.cluster.Down(ctx)); err != nil {
		s.warnf("taking the cluster down: %v", err)
	}
}

// purge removes the run's files from hosts that outlive it.
func (s *session) purge(ctx context.Context) error {
	if s.system == nil || s.plan.sshConfig == "" && s.plan.cluster == localCluster {
		return nil
	}
	return s.system.Purge(ctx)
}

func (s *session) warnf(format string, args ...any) {
	s.con.warn(format, args...)
	s.record.Warnings = append(s.record.Warnings, fmt.Sprintf(format, args...))
}

// failed keeps in the run directory that the harness failed, and why.
func (s *session) failed(err error) error {
	s.record.Failure = err.Error()
	s.con.logger().Error(err.Error())
	return errors.Join(err, s.dir.SaveTest(s.record), s.dir.SaveChecksums())
}

// judge checks the history that is on disk, exactly as `check` would.
func (s *session) judge(ctx context.Context) error {
	if err := s.dir.SaveTest(s.record); err != nil {
		return err
	}
	r, err := checkDir(context.WithoutCancel(ctx), s.con, s.dir)
	if err != nil {
		return s.failed(err)
	}
	r.Elapsed.ToFirstOp, r.Elapsed.Run, r.CPU = s.toFirstOp, s.ran, s.cpu
	return report(s.con, s.dir, r)
}
