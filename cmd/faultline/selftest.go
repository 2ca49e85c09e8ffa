package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/harness/sim"
	"github.com/faultline/faultline/internal/kube/observe"
	"github.com/faultline/faultline/nemesis"
	"github.com/faultline/faultline/workloads"
)

// The self-test's runs, in imagined time: long enough for every planted bug to strike several times.
const (
	selftestLimit       = 20 * time.Second
	selftestQuiet       = 10 * time.Second
	selftestInterval    = 3 * time.Second
	selftestConcurrency = 6
	selftestNodes       = 3
	// selftestRate is the pace of workloads that have none of their own, selftestPace how many times faster the others go: the imagined
	// control plane follows at once.
	selftestRate = 200
	selftestPace = 5
	// selftestBound is how long the imagined control plane may take to converge: it tries again ten times a second.
	selftestBound = 12 * time.Second
	selftestHold  = 2 * time.Second
)

// foundShare is the least share of seeds in which a planted bug must be found: 19 of 20.
const foundShare = 0.95

func selftestCommand() *cli.Command {
	return &cli.Command{
		Name:  "selftest",
		Usage: "plant bugs in an imagined system and see that the checkers find each of them",
		Description: "Runs every workload, with its real generators, faults and checkers, against an in-memory system in imagined time: healthy, and\n" +
			"with one bug at a time. Exits 1 when a bug is not found in 19 of 20 seeds, or the healthy system is not called valid.",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "seeds", Value: 20, Usage: "how many seeds for each bug and workload"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "the first `SEED`"},
			&cli.StringFlag{Name: "write", Usage: "put the table into this `FILE` (README.md) as well, between its marks"},
			&cli.StringFlag{Name: "bug", Usage: "only this `BUG` (healthy: none)"},
			&cli.StringFlag{Name: "workload", Usage: "only this `WORKLOAD`"},
		},
		Action: func(c *cli.Context) error {
			if c.Int("seeds") < 1 {
				return usagef("--seeds %d: want 1 or more", c.Int("seeds"))
			}
			trials := selftestTrials(c.Int("seeds"))
			trials = slices.DeleteFunc(trials, func(t trial) bool {
				return c.String("bug") != "" && c.String("bug") != t.Bug || c.String("workload") != "" && c.String("workload") != t.Workload
			})
			if len(trials) == 0 {
				return usagef("no row of the table has the bug %q under the workload %q", c.String("bug"), c.String("workload"))
			}
			return selftest(c.Context, newConsole(c), trials, c.Uint64("seed"), c.String("write"))
		},
	}
}

// trial is one bug (or none) under one workload, over all seeds.
type trial struct {
	Bug      string `json:"bug"`
	Workload string `json:"workload"`
	Seeds    int    `json:"seeds"`
	// Found and Valid count the runs that were called invalid and valid; the rest was unknown.
	Found int `json:"found"`
	Valid int `json:"valid"`
	// By counts, for each checker, the runs that it called invalid, Named those in which it named an anomaly.
	By    map[string]int            `json:"by"`
	Named map[string]map[string]int `json:"named"`
	// Unknowns are the reasons of runs that were unknown, some of them.
	Unknowns []string `json:"unknowns,omitempty"`
	workload workloads.Workload
}

// healthyName is the row of the system without a bug.
const healthyName = "healthy"

// good tells whether the trial came out as it must.
func (t trial) good() bool {
	if t.Bug == healthyName {
		return t.Valid == t.Seeds
	}
	return float64(t.Found) >= foundShare*float64(t.Seeds)
}

func selftest(ctx context.Context, con *console, trials []trial, seed uint64, file string) error {
	watch := startWatch()
	seeds := trials[0].Seeds
	con.say("self-test: seeds %d to %d", seed, seed+uint64(seeds)-1)
	group, runCtx := errgroup.WithContext(ctx)
	group.SetLimit(2)
	for i := range trials {
		group.Go(func() error { return trials[i].run(runCtx, seed) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	if err := printTrials(con, trials); err != nil {
		return err
	}
	if file != "" {
		if err := writeMatrix(file, trials); err != nil {
			return err
		}
	}
	con.say("%d runs in %s", len(trials)*seeds, watch.elapsed().Round(time.Second))
	bad := 0
	for _, t := range trials {
		if !t.good() {
			bad++
		}
	}
	if bad > 0 {
		con.say("%s of the table came out wrong: do not trust a verdict of this build", plural(bad, "row"))
		return asExit(checker.Invalid)
	}
	return nil
}

func selftestTrials(seeds int) []trial {
	var out []trial
	for _, w := range workloads.Workloads {
		out = append(out, trial{Bug: healthyName, Workload: w.Name, Seeds: seeds, workload: w})
	}
	for _, b := range sim.Bugs {
		for _, w := range workloads.Workloads {
			for _, shape := range b.Workloads {
				if shape == shapeOf(w) {
					out = append(out, trial{Bug: b.Name, Workload: w.Name, Seeds: seeds, workload: w})
				}
			}
		}
	}
	return out
}

// shapeOf is what the simulator knows a workload by: those of the store itself have no system's name before them.
func shapeOf(w workloads.Workload) string { return strings.TrimPrefix(w.Name, "etcd/") }

func (t *trial) run(ctx context.Context, seed uint64) error {
	t.By, t.Named = map[string]int{}, map[string]map[string]int{}
	for i := range t.Seeds {
		found, err := t.once(ctx, seed+uint64(i))
		if err != nil {
			return fmt.Errorf("%s under %s, seed %d: %w", t.Bug, t.Workload, seed+uint64(i), err)
		}
		t.enter(found)
	}
	return nil
}

// once is one run in imagined time, judged by the checkers that a real run has.
func (t *trial) once(ctx context.Context, seed uint64) ([]checker.Result, error) {
	parts, err := t.workload.New(selftestOptions(t.workload.Defaults, seed))
	if err != nil {
		return nil, err
	}
	o := sim.Options{Nodes: selftestNodes, Seed: seed, Workload: shapeOf(t.workload)}
	shape := nemesis.Shape{TimeLimit: selftestLimit, Quiet: selftestQuiet}
	if len(t.workload.Kinds) > 0 {
		o.Kinds, o.Rules = t.workload.Kinds, observe.RulesOf(t.workload.Kinds)
		shape.Converge = &history.Convergence{BoundMS: selftestBound.Milliseconds(), HoldMS: selftestHold.Milliseconds(), Stated: true}
	}
	if t.Bug != healthyName {
		o.Bug = t.Bug
	}
	system, err := sim.New(o)
	if err != nil {
		return nil, err
	}
	memory := system.Memory()
	faults := nemesis.Package{Generator: system.Faults(seed, selftestInterval)}
	_, err = sim.Run(ctx, harness.Test{
		Concurrency: selftestConcurrency, History: memory,
		Generator: nemesis.Phases(parts.Main, parts.Final, faults, shape),
	}, system)
	if err != nil {
		return nil, err
	}
	checkers := append(parts.Checkers, commonCheckers(t.workload.Minimum, nil)...)
	return checker.Run(ctx, memory, withoutLogs(checkers), checker.Budget{Time: checkTime, MemoryBytes: checkMemoryBytes})
}

// selftestOptions are a workload's in imagined time.
func selftestOptions(d workloads.Defaults, seed uint64) workloads.Options {
	return workloads.Options{
		Keys: cmp.Or(d.Keys, 5), OpsPerKey: cmp.Or(d.OpsPerKey, 200), Concurrency: selftestConcurrency,
		Rate: cmp.Or(d.Rate*selftestPace, selftestRate), TimeLimit: selftestLimit, Seed: seed,
	}
}

// withoutLogs leaves out the checker of logs: an imagined system has none.
func withoutLogs(checkers []checker.Checker) []checker.Checker {
	var out []checker.Checker
	for _, c := range checkers {
		if c.Name() != checker.Logs().Name() {
			out = append(out, c)
		}
	}
	return out
}

// name counts the anomalies that a checker named.
func (t *trial) name(r checker.Result) {
	names := t.Named[r.Checker]
	if names == nil {
		names = map[string]int{}
		t.Named[r.Checker] = names
	}
	seen := map[string]bool{}
	for _, a := range r.Anomalies {
		if !a.Allowed && !seen[a.Name] {
			seen[a.Name] = true
			names[a.Name]++
		}
	}
}

// reasonsKept bounds the reasons that a trial keeps.
const reasonsKept = 3

func (t *trial) enter(found []checker.Result) {
	verdict := checker.Overall(found)
	switch verdict {
	case checker.Invalid:
		t.Found++
	case checker.Valid:
		t.Valid++
	case checker.Unknown:
	}
	for _, r := range found {
		if r.Verdict == checker.Invalid {
			t.By[r.Checker]++
			t.name(r)
		}
		if verdict == checker.Unknown && len(t.Unknowns) < reasonsKept {
			t.Unknowns = append(t.Unknowns, r.Reasons...)
		}
	}
}
