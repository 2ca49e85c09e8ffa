package kube

import (
	"context"
	"fmt"
	"slices"

	"github.com/faultline/faultline/harness/control"
)

// Movable are the components that are clients of an API server and can be made to use another node's.
func (s *System) Movable() []string { return s.runningClients() }

// Move kills a node's component and starts it again with a kubeconfig for the API server of another node, at that node's address; the node's own
// moves it back to the loopback address. A component that does not run is started. One that was moved stays so when it is started again.
func (s *System) Move(ctx context.Context, name, component, server string) error {
	n, to := s.node(name), s.node(server)
	switch {
	case n == nil:
		return fmt.Errorf("kube: no node %s", name)
	case to == nil:
		return fmt.Errorf("kube: no API server on node %s", server)
	case !slices.Contains(s.Movable(), component):
		return fmt.Errorf("kube: %s can't be moved", component)
	case !n.wasStarted(component):
		return fmt.Errorf("%s on %s was never started", component, name)
	}
	if n.serverOf(component) == server {
		return s.StartComponent(ctx, name, component)
	}
	if _, err := n.Signal(ctx, component, control.SIGKILL); err != nil {
		return fmt.Errorf("move %s of %s to the API server of %s: %w", component, name, server, err)
	}
	n.mu.Lock()
	n.server[component] = server
	n.mu.Unlock()
	return s.StartComponent(ctx, name, component)
}
