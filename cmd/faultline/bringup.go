package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/cluster"
	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/nemesis"
	"github.com/faultline/faultline/results"
)

// localCluster is the name of the cluster that a run makes for itself.
const localCluster = "local"

// bringUp installs the system's version on this machine and brings up the nodes, side by side.
func (s *session) bringUp(ctx context.Context) (installed, error) {
	var programs installed
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		programs, err = s.kind.install(ctx, s.con, s.plan)
		return err
	})
	group.Go(func() (err error) {
		s.cluster, err = openCluster(ctx, s.con, s.plan)
		return err
	})
	err := group.Wait()
	return programs, err
}

// openCluster makes the run's own cluster, or opens the one that was named.
func openCluster(ctx context.Context, con *console, p plan) (*cluster.Cluster, error) {
	binary, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the faultline binary: %w", err)
	}
	progress := func(line string) { con.detail("%s", line) }
	if p.sshConfig != "" {
		hosts, err := sshHosts(con, p.sshConfig, p.nodes)
		if err != nil {
			return nil, err
		}
		return cluster.Remote(ctx, cluster.RemoteOptions{Hosts: hosts, Binary: binary, Progress: progress})
	}
	reapLeftovers(ctx, con)
	if p.cluster != localCluster {
		return cluster.Attach(ctx, p.cluster)
	}
	return cluster.Up(ctx, cluster.Options{Nodes: len(p.nodes), Keep: p.keep, Binary: binary, Progress: progress})
}

// reapLeftovers removes what drivers that died have left behind.
func reapLeftovers(ctx context.Context, con *console) {
	removed, err := cluster.Reap(ctx)
	for _, what := range removed {
		con.say("removed what an earlier run left: %s", what)
	}
	if err != nil {
		con.warn("leftovers of earlier runs: %v", err)
	}
}

func (s *session) nodes() []harness.Node {
	made := s.cluster.Nodes()
	nodes := make([]harness.Node, len(made))
	for i, n := range made {
		nodes[i] = n
	}
	return nodes
}

// sshHosts reads how to reach hosts from an ssh_config file.
func sshHosts(con *console, file string, names []string) ([]control.Config, error) {
	local, err := control.LocalSSHConfigOptions()
	if err != nil {
		return nil, err
	}
	local.Sudo = true
	local.Warn = func(line string) { con.warn("%s", line) }
	hosts, err := control.FromSSHConfig(file, names, local)
	if err != nil {
		return nil, usageError{err}
	}
	return hosts, nil
}

// start starts the system on the nodes and prepares the workload and the faults.
func (s *session) start(ctx context.Context, programs installed) error {
	nodes := s.nodes()
	if len(nodes) != len(s.plan.nodes) {
		return usagef("cluster %s has %d nodes, --nodes asks for %d", s.plan.cluster, len(nodes), len(s.plan.nodes))
	}
	var err error
	// The run directory's name is what tells this run's processes from any other's.
	if s.system, err = programs.make(nodes, filepath.Base(s.dir.Path)); err != nil {
		return err
	}
	s.record.Software = programs.software
	for _, n := range nodes {
		s.record.Nodes = append(s.record.Nodes, results.Node{Name: n.Name(), Addr: n.Addr()})
	}
	s.con.say("starting %s on %d nodes", describe(programs.software), len(nodes))
	if err := s.system.Start(ctx); err != nil {
		return err
	}
	if err := s.saveKubeconfig(); err != nil {
		return fmt.Errorf("save the kubeconfig: %w", err)
	}
	if s.parts, err = s.plan.workload.New(s.plan.options); err != nil {
		return err
	}
	env := nemesis.Env{System: s.system, Nodes: nodes, Clients: s.cluster.ClientAddr()}
	if s.faults, err = nemesis.New(env, s.plan.requests, s.nemesisOptions()); err != nil {
		return err
	}
	s.record.Requested = s.faults.Requested
	s.saysBound()
	s.con.say("running %s for %s, nemesis %s", s.plan.workload.Name, s.plan.options.TimeLimit, s.plan.requests)
	return s.dir.SaveTest(s.record)
}

// cacheDir is where binaries of systems under test are kept.
func cacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w (set XDG_CACHE_HOME or HOME)", err)
	}
	return filepath.Join(base, "faultline"), nil
}
