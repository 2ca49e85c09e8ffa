package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/results"
	"github.com/faultline/faultline/workloads"
)

// underTest is a system on the nodes of a run, with what `test` asks of every one.
type underTest interface {
	harness.System
	// LogEvidence searches the nodes' logs for what must not be there.
	LogEvidence(ctx context.Context) ([]history.Op, error)
	// CollectLogs copies each node's logs into a folder, and the data too if asked.
	CollectLogs(ctx context.Context, dir string, withData bool) error
	// Purge removes the run's files from the nodes.
	Purge(ctx context.Context) error
}

// systemRow is a row of the table of systems.
type systemRow struct {
	name, doc string
	// profiles are what --profile may name, the default first.
	profiles []string
	// components are what --binary and --kube-args may name.
	components []string
	// removable are the components that --without may leave out.
	removable []string
	// kubernetes: the flags for Kubernetes mean something.
	kubernetes bool
	// settle is how long a profile gives what is observed to match what is declared, and how long it must then match without a break.
	settle func(profile string) (within, hold time.Duration)
	// blank tells components, links and abilities before anything is up.
	blank func(p plan) harness.System
	// check refuses, where not nil, a plan that this system can't be run by.
	check func(p plan) error
	// install finds or makes the programs of the plan's versions, on this machine.
	install func(ctx context.Context, con *console, p plan) (installed, error)
}

// installed are the programs of a system, ready to be put on nodes.
type installed struct {
	software []results.Product
	// make prepares the system; token is unique for the run.
	make func(nodes []harness.Node, token string) (underTest, error)
}

// systems is the table of systems under test.
func systems() []systemRow {
	return []systemRow{etcdSystem(), kubeSystem()}
}

// systemOf is the system of a workload: the first part of its name.
func systemOf(w workloads.Workload) systemRow {
	name, _, _ := strings.Cut(w.Name, "/")
	i := slices.IndexFunc(systems(), func(s systemRow) bool { return s.name == name })
	if i < 0 {
		return systemRow{name: name} // a test holds that every workload has its system
	}
	return systems()[i]
}

func systemRows() []row {
	var out []row
	for _, s := range systems() {
		out = append(out, row{Name: s.name, Doc: s.doc, More: "--profile " + strings.Join(s.profiles, ", ") + "\ncomponents: " + strings.Join(s.components, ", ")})
	}
	return out
}

// describe is the software as people name it: "Kubernetes 1.36.3 on etcd 3.6.16".
func describe(software []results.Product) string {
	var words []string
	for _, p := range software {
		name := p.Name
		if name != "etcd" {
			name = "Kubernetes"
		}
		if p.Version == "" {
			continue // given, and tells none
		}
		if word := name + " " + p.Version; !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	return strings.Join(words, " on ")
}
