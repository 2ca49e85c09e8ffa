package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness/formats"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/results"
	"github.com/faultline/faultline/workloads"
)

func checkCommand() *cli.Command {
	return &cli.Command{
		Name:      "check",
		Usage:     "judge a recorded history again, offline",
		ArgsUsage: "RUN|FILE",
		Description: "RUN is a run directory: it is judged as `test` did, also when its driver was killed. FILE is a history, judged by\n" +
			"--checker: Faultline's own, JSON lines from elsewhere, EDN of Jepsen, Elle and Knossos, logs of Jepsen's as Porcupine has them, or\n" +
			"a report folder of etcd's robustness tests; which it is shows its content. What breaks a rule of histories is refused, and so is a checker that does not know the history's\n" +
			"operations. Exits as `test` does.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "checker", Usage: "judge by this `CHECKER` alone, or several (a,b), see `faultline list checkers`"},
			&cli.StringFlag{Name: "model", Usage: "hold the system to this `MODEL` (default: the run's)"},
			&cli.StringFlag{Name: "read", Usage: "kind of read that the history has (default: the run's)"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usagef("name one run directory or history file (got %d words)", c.NArg())
			}
			con := newConsole(c)
			path := c.Args().First()
			if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
				return usagef("%s does not exist", path)
			}
			dir, err := results.Open(path)
			if err != nil || !isDir(path) {
				return checkFile(c.Context, con, path, c.String("checker"), c.String("model"), c.String("read"))
			}
			return checkRun(c.Context, con, dir, c.String("checker"), c.String("model"), c.String("read"))
		},
	}
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// checkRun judges a run directory as its own test did, unless told otherwise.
func checkRun(ctx context.Context, con *console, dir results.Dir, name, model, read string) error {
	warnTampered(con, dir)
	t, err := dir.LoadTest()
	if err != nil {
		return err
	}
	if name == "" && model == "" && read == "" {
		r, err := checkDir(ctx, con, dir)
		if err != nil {
			return err
		}
		before, err := dir.LoadResults()
		if errors.Is(err, fs.ErrNotExist) {
			return report(con, dir, r) // its driver died before it could judge
		}
		if err != nil {
			return err
		}
		// An archived run stays as it is: its checksums speak of what the run wrote.
		r.Elapsed.Run, r.Elapsed.ToFirstOp, r.CPU = before.Elapsed.Run, before.Elapsed.ToFirstOp, before.CPU
		return printResults(con, dir.Path, t, r)
	}
	if model != "" {
		t.Options.Model = model
	}
	if read != "" {
		t.Options.Read = read
	}
	return checkOther(ctx, con, dir, t, name)
}

// checkOther judges a run by other means than its own; its results stay as they are.
func checkOther(ctx context.Context, con *console, dir results.Dir, t results.Test, name string) error {
	checkers, err := checkersOf(t)
	if err != nil {
		return err
	}
	asked := notAsked
	if name != "" {
		asked = askedOfRun
		if checkers, err = namedCheckers(name, t.Options.Model, t.Options.Read); err != nil {
			return err
		}
	}
	src, note, err := openHistory(dir.File(results.HistoryFile))
	if err != nil {
		return err
	}
	r, err := judge(ctx, src, checkers, asked)
	if err != nil {
		return err
	}
	r.Workload, r.Seed, r.Note, r.Model, r.Read = t.Workload, t.Seed, note, t.Options.Model, t.Options.Read
	return printResults(con, "", t, r)
}

// checkDir judges the history of a run directory by the checkers of its test.
func checkDir(ctx context.Context, con *console, dir results.Dir) (results.Results, error) {
	t, err := dir.LoadTest()
	if err != nil {
		return results.Results{}, err
	}
	checkers, err := checkersOf(t)
	if err != nil {
		return results.Results{}, err
	}
	src, note, err := openHistory(dir.File(results.HistoryFile))
	if err != nil {
		return results.Results{}, err
	}
	con.detail("checking %s", dir.File(results.HistoryFile))
	r, err := judge(ctx, src, checkers, notAsked)
	if err != nil {
		return results.Results{}, err
	}
	r.Workload, r.Seed, r.Note, r.Model, r.Read = t.Workload, t.Seed, note, t.Options.Model, t.Options.Read
	return r, nil
}

// checkersOf are the checkers of a recorded test: its workload's and the common ones.
func checkersOf(t results.Test) ([]checker.Checker, error) {
	w, err := workloads.Lookup(t.Workload)
	if err != nil {
		return nil, err
	}
	parts, err := w.New(workloads.Options{
		Keys: t.Options.Keys, OpsPerKey: t.Options.OpsPerKey, Concurrency: t.Options.Concurrency, Rate: t.Options.Rate,
		TimeLimit: t.Options.TimeLimit, Read: t.Options.Read, Model: t.Options.Model, Seed: t.Seed,
	})
	if err != nil {
		return nil, fmt.Errorf("workload %s: %w", t.Workload, err)
	}
	return append(parts.Checkers, commonCheckers(w.Minimum, t.Requested)...), nil
}

// checkFile judges a history that is no run of ours by a checker that is named.
func checkFile(ctx context.Context, con *console, path, name, model, read string) error {
	if name == "" {
		return usagef("%s is not a run directory: say how to judge it with --checker (%s)", path, strings.Join(checkerNames(), ", "))
	}
	checkers, err := namedCheckers(name, model, read)
	if err != nil {
		return err
	}
	src, note, err := openHistory(path)
	if err != nil {
		return err
	}
	r, err := judge(ctx, src, checkers, askedOfFile)
	if err != nil {
		return err
	}
	r.Note, r.Model, r.Read = note, model, read
	return printResults(con, "", results.Test{}, r)
}

// openHistory opens a history of any format; whoever reads it is told what is wrong with it. The note says whether it is a recovered prefix.
func openHistory(path string) (src history.Source, note string, err error) {
	src, err = formats.Open(path)
	if err != nil {
		return nil, "", err
	}
	return src, history.Recovered(src), nil
}

func warnTampered(con *console, dir results.Dir) {
	wrong, err := dir.VerifyChecksums()
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		con.warn("%v", err)
	case len(wrong) > 0:
		con.warn("changed since the run ended (checksums differ): %s", strings.Join(wrong, ", "))
	}
}

// report saves the results of a run and prints them.
func report(con *console, dir results.Dir, r results.Results) error {
	t, err := dir.LoadTest()
	if err != nil {
		return err
	}
	for _, res := range r.Checkers {
		for _, a := range res.Artifacts {
			if err := dir.SaveFile(a.Name, a.Content); err != nil {
				return err
			}
		}
	}
	if err := errors.Join(dir.SaveResults(r), dir.SaveChecksums()); err != nil {
		return err
	}
	return printResults(con, dir.Path, t, r)
}

func printResults(con *console, path string, t results.Test, r results.Results) error {
	if con.json {
		enc := json.NewEncoder(con.out)
		enc.SetIndent("", "  ")
		if err := enc.Encode(r); err != nil {
			return err
		}
		return asExit(r.Verdict)
	}
	con.summarize(con.out, path, t, r)
	return asExit(r.Verdict)
}
