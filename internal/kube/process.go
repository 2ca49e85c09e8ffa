package kube

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/internal/etcd"
)

// States of a process, as control.ProcessState tells them.
const (
	statusRunning = "running"
	statusStopped = "stopped"
)

func alive(st control.ProcessState) bool {
	return st.Status == statusRunning || st.Status == statusStopped
}

// states is what a node knows of its processes, by name.
func (n *node) states(ctx context.Context) (map[string]control.ProcessState, error) {
	list, err := n.Processes(ctx)
	if err != nil {
		return nil, fmt.Errorf("processes of %s: %w", n.Name(), err)
	}
	out := map[string]control.ProcessState{}
	for _, st := range list {
		out[st.Name] = st
	}
	return out, nil
}

// Companions is the container runtime.
func (s *System) Companions() []string {
	if !s.runs(Kubelet) {
		return nil
	}
	return []string{Runtime}
}

// StartComponent starts a node's component again with the arguments that it had, and with the kubelet also the container runtime, if that is
// gone as well; or the runtime alone. Running is no error.
func (s *System) StartComponent(ctx context.Context, name, component string) error {
	n := s.node(name)
	if n == nil || !s.runs(component) && !slices.Contains(s.Companions(), component) {
		return fmt.Errorf("kube: no component %s on node %s", component, name)
	}
	if component == etcd.Component {
		return s.etcd.StartComponent(ctx, name, component)
	}
	for _, p := range s.started() {
		if p.component != component && p.name != component {
			continue
		}
		if !n.wasStarted(p.name) {
			return fmt.Errorf("%s on %s was never started", p.name, name)
		}
		if err := s.revive(ctx, n, p); err != nil {
			return err
		}
	}
	return nil
}

// revive starts a process if it does not run.
func (s *System) revive(ctx context.Context, n *node, p process) error {
	states, err := n.states(ctx)
	if err != nil || alive(states[p.name]) {
		return err
	}
	err = s.launch(ctx, n, p)
	if err == nil {
		return nil
	}
	// The supervisor may have been about to start it itself.
	if states, again := n.states(ctx); again == nil && alive(states[p.name]) {
		return nil
	}
	return err
}

func (n *node) wasStarted(process string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.commands[process] != nil
}

// Stop kills every process on every node, those that use others first. It goes on after errors.
func (s *System) Stop(ctx context.Context) error {
	if s.etcd == nil {
		return nil
	}
	err := s.each(func(n *node) error {
		states, err := n.states(ctx)
		if err != nil {
			return fmt.Errorf("stop Kubernetes: %w", err)
		}
		var errs []error
		for _, p := range slices.Backward(processes) {
			if _, known := states[p.name]; !known || !n.wasStarted(p.name) {
				continue
			}
			// Also one that has ended: its supervisor may be about to start it again.
			if _, err := n.Signal(ctx, p.name, control.SIGKILL); err != nil {
				errs = append(errs, fmt.Errorf("stop %s on %s: %w", p.name, n.Name(), err))
			}
		}
		return errors.Join(errs...)
	})
	for _, n := range s.nodes {
		err = errors.Join(err, n.control.Close())
	}
	return errors.Join(err, s.observer.Close(), s.etcd.Stop(ctx))
}

// Purge removes the run's folders, data and logs included, from every node. Everything must be stopped.
func (s *System) Purge(ctx context.Context) error {
	err := s.each(func(n *node) error {
		n.mu.Lock()
		made := n.made
		n.mu.Unlock()
		if !made {
			return nil
		}
		if _, err := n.Run(ctx, control.Cmd{Args: []string{"rm", "-rf", s.dir()}, Idempotent: true}); err != nil {
			return fmt.Errorf("remove Kubernetes' files from %s: %w", n.Name(), err)
		}
		return nil
	})
	return errors.Join(err, s.etcd.Purge(ctx))
}

// Commands are the command lines that ran last, by node and process, for the run's record.
func (s *System) Commands() map[string]map[string][]string {
	out := map[string]map[string][]string{}
	for _, n := range s.nodes {
		n.mu.Lock()
		out[n.Name()] = maps.Clone(n.commands)
		n.mu.Unlock()
	}
	for node, args := range s.etcd.Commands() {
		out[node][etcd.Component] = args
	}
	return out
}
