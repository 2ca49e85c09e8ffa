package main

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/faultline/faultline/nemesis"
	"github.com/faultline/faultline/workloads"
)

func testCommand() *cli.Command {
	return &cli.Command{
		Name:         "test",
		Usage:        "run a workload against a real system while faults strike, and judge what happened",
		ArgsUsage:    "WORKLOAD",
		BashComplete: completeWorkloads,
		Description: "Runs WORKLOAD (see `faultline list workloads`) on an embedded cluster of this machine, or on hosts reached by SSH,\n" +
			"and exits with the verdict: 0 valid, 1 invalid, 2 unknown, 254 usage, 255 the harness failed.\n\n" +
			"   faultline test etcd/register --nemesis partition,kill,pause --time-limit 60s\n" +
			"   faultline test etcd/register --read serializable --model linearizable --nemesis partition:leader",
		Flags: slices.Concat(clusterFlags(), programFlags(), systemFlags(), runFlags()),
		Action: func(c *cli.Context) error {
			p, err := planFrom(c)
			if err != nil {
				return err
			}
			return runTest(c.Context, newConsole(c), p)
		},
	}
}

func clusterFlags() []cli.Flag {
	const category = "Nodes"
	return []cli.Flag{
		&cli.StringFlag{Name: "nodes", Category: category, Value: "3", Usage: "how many embedded nodes (1–7), or the `NAMES` of hosts: n1,n2,n3"},
		&cli.StringFlag{Name: "cluster", Category: category, Value: "local", Usage: "`NAME` of a cluster that is up (see `faultline cluster up`); local: one for this run alone"},
		&cli.StringFlag{Name: "ssh-config", Category: category, Usage: "reach the hosts of --nodes as this ssh_config `FILE` says"},
		&cli.BoolFlag{Name: "keep", Category: category, Usage: "leave the cluster and the system running afterwards"},
	}
}

func runFlags() []cli.Flag {
	const category = "Run"
	return []cli.Flag{
		&cli.StringFlag{Name: "nemesis", Category: category, Value: "none", Usage: "faults, `LIST` of family or family:word+word, see `faultline list faults`; all; none"},
		&cli.DurationFlag{Name: "nemesis-interval", Category: category, Value: 10 * time.Second, Usage: "from one fault's start to the next of its family; each lasts half of it"},
		&cli.BoolFlag{Name: "overlap", Category: category, Value: true, Usage: "families run independently, their faults may be in force at once; --overlap=false: they take turns"},
		&cli.DurationFlag{Name: "time-limit", Category: category, Value: time.Minute, Usage: "how long clients and faults run"},
		&cli.DurationFlag{Name: "quiet-limit", Category: category, Value: time.Minute, Usage: "how long the system may take to be well again after the last fault"},
		&cli.DurationFlag{Name: "op-timeout", Category: category, Value: 2 * time.Second, Usage: "deadline of each operation"},
		&cli.Float64Flag{Name: "rate", Category: category, Value: 500, Usage: "operations per second over all clients, 0: as fast as they can; some workloads have a default of their own"},
		&cli.StringFlag{Name: "concurrency", Category: category, Value: "2n", Usage: "how many clients at once; 2n: two per node"},
		&cli.IntFlag{Name: "keys", Category: category, Value: 20, Usage: "how many keys (objects) are in use at once; some workloads have a default of their own"},
		&cli.IntFlag{Name: "ops-per-key", Category: category, Value: 300, Usage: "after about so many operations a fresh key takes a key's place"},
		&cli.Uint64Flag{Name: "seed", Category: category, Usage: "the `SEED` that replays a schedule (default: drawn, and printed)"},
		&cli.StringFlag{Name: "read", Category: category, Usage: "kind of read: linearizable, serializable (default: the workload's)"},
		&cli.StringFlag{Name: "model", Category: category, Usage: "hold the system to this `MODEL` instead of what it promises for these reads"},
		&cli.StringFlag{Name: "out", Category: category, Value: "runs", Usage: "`FOLDER` for run directories"},
	}
}

// plan is a command line of `test`, understood and checked.
type plan struct {
	workload workloads.Workload
	options  workloads.Options
	requests string // --nemesis as given

	nodes     []string // names, in order
	cluster   string
	sshConfig string
	keep      bool

	systemPlan

	interval, quiet, opTimeout time.Duration
	overlap                    bool

	out     string
	command string
}

func planFrom(c *cli.Context) (plan, error) {
	p := plan{
		requests: c.String("nemesis"), cluster: c.String("cluster"), sshConfig: c.String("ssh-config"), keep: c.Bool("keep"),
		systemPlan: systemPlanFrom(c),
		interval:   c.Duration("nemesis-interval"), overlap: c.Bool("overlap"),
		quiet: c.Duration("quiet-limit"), opTimeout: c.Duration("op-timeout"), out: c.String("out"),
	}
	var err error
	if p.workload, err = oneWorkload(c); err != nil {
		return plan{}, err
	}
	if p.cluster != localCluster && !c.IsSet("nodes") {
		p.nodes, err = nodesOf(c, p.cluster)
	} else {
		p.nodes, err = parseNodes(c.String("nodes"), p.sshConfig != "")
	}
	if err != nil {
		return plan{}, err
	}
	p.options = workloads.Options{
		Keys: c.Int("keys"), OpsPerKey: c.Int("ops-per-key"), Rate: c.Float64("rate"), TimeLimit: c.Duration("time-limit"),
		Read: c.String("read"), Model: c.String("model"), Seed: c.Uint64("seed"),
	}
	p.adoptDefaults(c)
	if !c.IsSet("seed") {
		p.options.Seed = rand.Uint64() >> 11 //nolint:forbidigo // the one draw that nothing can replay; 53 bits survive JSON readers
	}
	if p.options.Concurrency, err = parseConcurrency(c.String("concurrency"), len(p.nodes)); err != nil {
		return plan{}, err
	}
	if err := p.systemPlan.check(c, systemOf(p.workload)); err != nil {
		return plan{}, err
	}
	if err := p.check(); err != nil {
		return plan{}, err
	}
	p.command = p.commandLine(c)
	return p, nil
}

// adoptDefaults gives flags that were not set the workload's own meaning.
func (p *plan) adoptDefaults(c *cli.Context) {
	d := p.workload.Defaults
	if d.Rate > 0 && !c.IsSet("rate") {
		p.options.Rate = d.Rate
	}
	if d.Keys > 0 && !c.IsSet("keys") {
		p.options.Keys = d.Keys
	}
	if d.OpsPerKey > 0 && !c.IsSet("ops-per-key") {
		p.options.OpsPerKey = d.OpsPerKey
	}
}

func oneWorkload(c *cli.Context) (workloads.Workload, error) {
	if c.NArg() != 1 {
		return workloads.Workload{}, usagef("name one workload, such as etcd/register (got %d words); `faultline list workloads` lists them", c.NArg())
	}
	w, err := workloads.Lookup(c.Args().First())
	if err != nil {
		return w, usageError{err}
	}
	return w, nil
}

// parseNodes understands a number of embedded nodes, or names.
func parseNodes(word string, remote bool) ([]string, error) {
	n, err := strconv.Atoi(word)
	if err == nil {
		if n < 1 || n > 7 {
			return nil, usagef("--nodes %d: an embedded cluster has 1 to 7 nodes", n)
		}
		names := make([]string, n)
		for i := range names {
			names[i] = "n" + strconv.Itoa(i+1)
		}
		return names, nil
	}
	names := strings.Split(word, ",")
	seen := map[string]bool{}
	for _, name := range names {
		if name == "" || seen[name] {
			return nil, usagef("--nodes %s: names must be different and not empty", word)
		}
		seen[name] = true
	}
	if !remote {
		return nil, usagef("--nodes %s names hosts: say how to reach them with --ssh-config FILE", word)
	}
	return names, nil
}

// parseConcurrency understands "10" and "2n", n being the number of nodes.
func parseConcurrency(word string, nodes int) (int, error) {
	factor := 1
	number, perNode := strings.CutSuffix(word, "n")
	if perNode {
		factor = nodes
		if number == "" {
			number = "1"
		}
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n*factor > 10_000 {
		return 0, usagef("--concurrency %q: want a number from 1 to 10000, or a multiple of the nodes such as 2n", word)
	}
	return n * factor, nil
}

// check refuses values that make no sense, before anything starts.
func (p *plan) check() error {
	switch o := p.options; {
	case o.Keys < 1:
		return usagef("--keys %d: want 1 or more", o.Keys)
	case o.OpsPerKey < 1:
		return usagef("--ops-per-key %d: want 1 or more", o.OpsPerKey)
	case o.Rate < 0:
		return usagef("--rate %v: want 0 (as fast as possible) or more", o.Rate)
	case o.TimeLimit <= 0:
		return usagef("--time-limit %v: want more than 0", o.TimeLimit)
	case p.within > 0 && len(p.workload.Kinds) == 0:
		return usagef("--converge-within: %s declares nothing that anything has to converge to", p.workload.Name)
	case p.interval <= 0:
		return usagef("--nemesis-interval %v: want more than 0", p.interval)
	case p.opTimeout <= 0:
		return usagef("--op-timeout %v: want more than 0", p.opTimeout)
	case p.quiet <= 0:
		return usagef("--quiet-limit %v: want more than 0", p.quiet)
	}
	if err := oneOf("--read", &p.options.Read, p.workload.Reads); err != nil {
		return err
	}
	if p.options.Model != "" {
		if err := oneOf("--model", &p.options.Model, p.workload.Models); err != nil {
			return err
		}
	}
	if _, err := nemesis.Parse(p.requests); err != nil {
		return usageError{err}
	}
	if _, err := p.workload.New(p.options); err != nil {
		return usageError{err}
	}
	if check := systemOf(p.workload).check; check != nil {
		if err := check(*p); err != nil {
			return usageError{err}
		}
	}
	return nil
}

// oneOf checks a value against the words allowed; empty takes the first.
func oneOf(flag string, value *string, words []string) error {
	switch {
	case len(words) == 0 && *value == "":
		return nil
	case len(words) == 0:
		return usagef("%s %q: this workload has no choice there", flag, *value)
	case *value == "":
		*value = words[0]
		return nil
	}
	for _, w := range words {
		if w == *value {
			return nil
		}
	}
	return usagef("%s %q: want one of %s%s", flag, *value, strings.Join(words, ", "), suggest(*value, words))
}

// commandLine is what runs this test again: every flag that was set, and the seed.
func (p *plan) commandLine(c *cli.Context) string {
	words := []string{"faultline", "test", p.workload.Name}
	for _, f := range c.Command.Flags {
		name := f.Names()[0]
		if !c.IsSet(name) || name == "seed" || name == "out" || findFlag(&cli.Command{Flags: commonFlags()}, name) != nil {
			continue
		}
		if isBool(f) {
			word := "--" + name
			if !c.Bool(name) {
				word += "=false"
			}
			words = append(words, word)
			continue
		}
		values := []string{asText(c.Value(name))}
		if _, many := f.(*cli.StringSliceFlag); many {
			values = c.StringSlice(name)
		}
		for _, v := range values {
			words = append(words, "--"+name, shellWord(v))
		}
	}
	return strings.Join(append(words, "--seed", strconv.FormatUint(p.options.Seed, 10)), " ")
}
