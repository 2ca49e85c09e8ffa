package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/binaries"
	"github.com/faultline/faultline/internal/etcd"
	"github.com/faultline/faultline/internal/kube"
	"github.com/faultline/faultline/internal/kube/declared"
	"github.com/faultline/faultline/internal/kube/install"
	"github.com/faultline/faultline/results"
)

// defaultKube is the line of Kubernetes that is tested unless another is named.
const defaultKube = "1.36"

func kubeSystem() systemRow {
	return systemRow{
		name: "kube", doc: "Kubernetes' control plane over etcd: API server, controller manager, scheduler and kubelet on every node",
		profiles: kube.Profiles(), components: kube.Components(), removable: kube.Removable(), kubernetes: true,
		settle: kube.Settle,
		blank: func(p plan) harness.System {
			s, err := kube.Outline(kubeOptions(p))
			if err != nil {
				return new(kube.System) // the plan was checked
			}
			return s
		},
		check: func(p plan) error {
			_, err := kube.Outline(kubeOptions(p))
			return err
		},
		install: installKubeSystem,
	}
}

func kubeOptions(p plan) kube.Options {
	return kube.Options{
		Profile: p.profile, EtcdArgs: p.etcdArgs, Args: p.kubeArgs, FeatureGates: p.gates, Without: p.without, Endpoints: p.endpoints,
		Kinds: p.workload.Kinds,
	}
}

func installKubeSystem(ctx context.Context, con *console, p plan) (installed, error) {
	etcdBinary, err := installEtcd(ctx, con, p.etcdVersion, p.binaries[etcd.Component])
	if err != nil {
		return installed{}, err
	}
	set, err := installKube(ctx, con, firstWord(p.version, p.kubeVersion), p.binaries)
	if err != nil {
		return installed{}, err
	}
	if err := install.EtcdFits(set.Version, etcdBinary.Version); err != nil {
		return installed{}, err
	}
	if err := gatesFit(ctx, set, p.gates); err != nil {
		return installed{}, err
	}
	return installed{
		software: append(kubeProducts(set, p.kubeArgs), etcdProduct(etcdBinary, p.etcdArgs)),
		make: func(nodes []harness.Node, token string) (underTest, error) {
			o := kubeOptions(p)
			o.Nodes, o.Token, o.Binaries, o.Etcd = nodes, token, set, etcdBinary
			s, err := kube.New(o)
			return &kubeUnderTest{s, nodes}, err
		},
	}, nil
}

func installKube(ctx context.Context, con *console, version string, given map[string]string) (install.Set, error) {
	cache, err := cacheDir()
	if err != nil {
		return install.Set{}, err
	}
	files := map[string]string{}
	for component, file := range given {
		if component != etcd.Component {
			files[component] = file
		}
	}
	if len(files) == 0 {
		version = firstWord(version, defaultKube)
	}
	installer := install.Installer{Cache: cache, Progress: func(line string) { con.say("%s", line) }}
	set, err := installer.Install(ctx, version, files)
	if errors.Is(err, install.ErrUnknownVersion) {
		return set, usageError{err}
	}
	if set.Note != "" {
		con.say("%s", set.Note)
	}
	return set, err
}

// gatesFit asks the programs that can be asked about the feature gates, before anything starts.
func gatesFit(ctx context.Context, set install.Set, gates string) error {
	if gates == "" {
		return nil
	}
	for _, program := range []binaries.Binary{set.APIServer, set.ControllerManager, set.Scheduler} {
		if err := install.GatesFit(ctx, program, gates); err != nil {
			return fmt.Errorf("--feature-gates: %w", err)
		}
	}
	return nil
}

func kubeProducts(set install.Set, args map[string][]string) []results.Product {
	var out []results.Product
	for _, b := range set.All() {
		out = append(out, results.Product{
			Name: b.Name, Version: b.Version, SHA256: b.SHA256, Source: string(b.Source), Args: args[b.Name],
		})
	}
	return out
}

// kubeUnderTest adds what the nodes' container runtimes know to what Kubernetes tells of itself.
type kubeUnderTest struct {
	*kube.System
	nodes []harness.Node
}

// RuntimeSpans are how long each container ran, by the log of its node's runtime. Of a node whose log can't be read they say that.
func (k *kubeUnderTest) RuntimeSpans(ctx context.Context, began time.Time) ([]history.Op, error) {
	logs, err := k.RuntimeLogs(ctx)
	var ops []history.Op
	for _, n := range k.nodes {
		log, read := logs[n.Name()]
		spans, spanErr := declared.Spans(n.Name(), bytes.NewReader(log), began)
		if !read || spanErr != nil {
			spans = []history.Op{{
				Type: history.Info, Process: history.Evidence, F: history.FRuntime, Node: n.Name(),
				Error: "the container runtime's log could not be read",
			}}
		}
		ops, err = append(ops, spans...), errors.Join(err, spanErr)
	}
	return ops, err
}

func plantNames() []string {
	var names []string
	for _, p := range declared.Plants {
		names = append(names, p.Name)
	}
	return names
}

func plantRows() []row {
	var out []row
	for _, p := range declared.Plants {
		out = append(out, row{Name: p.Name, Doc: p.Doc})
	}
	return out
}

// plantNamed is the misbehaviour to let loose in a run.
func plantNamed(name string) (declared.Plant, bool) {
	i := slices.IndexFunc(declared.Plants, func(p declared.Plant) bool { return p.Name == name })
	if i < 0 {
		return declared.Plant{}, false
	}
	return declared.Plants[i], true
}
