package main

import (
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// systemCategory is what help texts list these flags under.
const systemCategory = "System"

// programFlags say which programs are to be had.
func programFlags() []cli.Flag {
	const category = systemCategory
	return []cli.Flag{
		&cli.StringFlag{Name: "version", Category: category, Usage: "`VERSION` of the system: 3.5.4, v3.5.4, or 3.6 for its newest patch (default: etcd " + defaultEtcd + ", Kubernetes " + defaultKube + ")"},
		&cli.StringFlag{Name: "etcd-version", Category: category, Usage: "`VERSION` of etcd (default: " + defaultEtcd + ")"},
		&cli.StringFlag{Name: "kube-version", Category: category, Usage: "`VERSION` of Kubernetes (default: " + defaultKube + ")"},
		&cli.StringSliceFlag{Name: "binary", Category: category, Usage: "use this `FILE`, or COMPONENT=FILE, instead of installing a version; may be repeated"},
	}
}

// systemFlags say how the programs are run.
func systemFlags() []cli.Flag {
	const category = systemCategory
	return []cli.Flag{
		&cli.StringFlag{Name: "etcd-args", Category: category, Usage: "more `FLAGS` for etcd, separated by spaces"},
		&cli.StringSliceFlag{Name: "kube-args", Category: category, Usage: "more `COMPONENT=FLAGS` for a component of Kubernetes, separated by spaces; may be repeated"},
		&cli.StringFlag{Name: "feature-gates", Category: category, Usage: "feature gates of every component of Kubernetes: `A=true,B=false`"},
		&cli.StringFlag{Name: "etcd-endpoints", Category: category, Value: "local", Usage: "the etcd members that an API server uses: local, its node's; all"},
		&cli.StringSliceFlag{Name: "without", Category: category, Usage: "leave out this `COMPONENT` of the system on every node; may be repeated"},
		&cli.StringFlag{Name: "profile", Category: category, Usage: "`PROFILE` of the system's times and limits: fast, stock, stress (default: the system's first, see `faultline list systems`)"},
		&cli.DurationFlag{Name: "converge-within", Category: category, Usage: "what is observed must match what is declared this long after the last fault and change; later is invalid (default: later is unknown)"},
		&cli.StringFlag{Name: "plant", Category: category, Usage: "let this `MISBEHAVIOUR` loose on the system, to see that it is found: see `faultline list plants`"},
	}
}

// systemPlan is what a command line says about the system.
type systemPlan struct {
	version, etcdVersion, kubeVersion, profile string
	// binaries are given ones, and kubeArgs further arguments, by component.
	binaries  map[string]string
	etcdArgs  []string
	kubeArgs  map[string][]string
	gates     string
	endpoints string
	without   []string
	plant     string
	// within is --converge-within; 0: not stated.
	within time.Duration
}

func systemPlanFrom(c *cli.Context) systemPlan {
	p := systemPlan{
		version: c.String("version"), etcdVersion: c.String("etcd-version"), kubeVersion: c.String("kube-version"), profile: c.String("profile"),
		etcdArgs: strings.Fields(c.String("etcd-args")), kubeArgs: map[string][]string{},
		gates: c.String("feature-gates"), endpoints: c.String("etcd-endpoints"), without: c.StringSlice("without"),
		plant: c.String("plant"), within: c.Duration("converge-within"),
	}
	for _, word := range c.StringSlice("kube-args") {
		component, flags, _ := strings.Cut(word, "=")
		p.kubeArgs[component] = append(p.kubeArgs[component], strings.Fields(flags)...)
	}
	return p
}

// check refuses what this system does not have.
func (p *systemPlan) check(c *cli.Context, s systemRow) error {
	var err error
	if p.binaries, err = parseBinaries(c.StringSlice("binary"), s); err != nil {
		return err
	}
	for component := range p.kubeArgs {
		if !slices.Contains(s.components, component) {
			return usagef("--kube-args %s: want COMPONENT=FLAGS, of %s%s", component, strings.Join(s.components, ", "), suggest(component, s.components))
		}
	}
	for _, component := range p.without {
		if !slices.Contains(s.removable, component) {
			return usagef("--without %s: %s can run without %s%s", component, s.name, firstWord(strings.Join(s.removable, ", "), "nothing"), suggest(component, s.removable))
		}
	}
	for _, flag := range []string{"kube-version", "kube-args", "feature-gates", "etcd-endpoints", "converge-within", "plant"} {
		if c.IsSet(flag) && !s.kubernetes {
			return usagef("--%s is for workloads of Kubernetes; this one runs on %s alone", flag, s.name)
		}
	}
	switch {
	case p.version != "" && (p.etcdVersion != "" && !s.kubernetes || p.kubeVersion != ""):
		return usagef("--version and --%s-version both name the version of %s: leave one out", s.name, s.name)
	case p.within < 0:
		return usagef("--converge-within %v: want more than 0", p.within)
	}
	if p.plant != "" {
		if err := oneOf("--plant", &p.plant, plantNames()); err != nil {
			return err
		}
	}
	return oneOf("--profile", &p.profile, s.profiles)
}

// parseBinaries understands FILE, where the system has one component, and COMPONENT=FILE.
func parseBinaries(words []string, s systemRow) (map[string]string, error) {
	out := map[string]string{}
	for _, word := range words {
		component, file, named := strings.Cut(word, "=")
		if !named && len(s.components) == 1 {
			component, file = s.components[0], word
		}
		if !slices.Contains(s.components, component) {
			return nil, usagef("--binary %s: want COMPONENT=FILE, of %s%s", word, strings.Join(s.components, ", "), suggest(component, s.components))
		}
		if out[component] != "" {
			return nil, usagef("--binary gives %s twice", component)
		}
		out[component] = file
	}
	return out, nil
}
