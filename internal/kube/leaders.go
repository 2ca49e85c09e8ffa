package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/etcd"
)

// elected are the components whose leader holds a lease of the component's name in the namespace kube-system.
var elected = []string{ControllerManager, Scheduler}

var leases = coordinationv1.SchemeGroupVersion.WithResource("leases")

// Electing are the components that have a leader here.
func (s *System) Electing() []string {
	return slices.DeleteFunc(append([]string{etcd.Component}, elected...), func(c string) bool { return !s.runs(c) })
}

// LeaderOf is the node on which a component leads: for etcd its leader, for the controller manager and the scheduler the node of the process that
// holds the lease. It is an error if that process does not run: its lease has not run out yet.
func (s *System) LeaderOf(ctx context.Context, component string) (string, error) {
	if component == etcd.Component {
		return s.etcd.Leader(ctx)
	}
	n, _, err := s.holder(ctx, component)
	if err != nil {
		return "", fmt.Errorf("leader of %s: %w", component, err)
	}
	states, err := n.states(ctx)
	if err != nil {
		return "", fmt.Errorf("leader of %s: %w", component, err)
	}
	if st := states[component]; st.Status != statusRunning {
		return "", fmt.Errorf("leader of %s: %s holds the lease, but its process is %s", component, n.Name(), st.Status)
	}
	return n.Name(), nil
}

// holder is the node whose component holds the lease, and the lease's version. The node may be told although there is an error.
func (s *System) holder(ctx context.Context, component string) (n *node, version string, err error) {
	if component != ControllerManager && component != Scheduler || !s.runs(component) {
		return nil, "", fmt.Errorf("%s elects no leader here", component)
	}
	lease, err := ask(ctx, s, func(ctx context.Context, n *node) (*coordinationv1.Lease, error) {
		l := &coordinationv1.Lease{}
		return l, n.control.Get(ctx, leases, "kube-system", component, l, metav1.GetOptions{})
	})
	if err != nil {
		return nil, "", fmt.Errorf("its lease: %w", err)
	}
	if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
		return nil, "", errors.New("nobody holds its lease")
	}
	n = s.ofHost(*lease.Spec.HolderIdentity)
	if n == nil {
		return nil, "", fmt.Errorf("its lease is held by %s, which is no node of this run", *lease.Spec.HolderIdentity)
	}
	return n, lease.ResourceVersion, nil
}

// ofHost is the node of an identity as components make them: the host's own name, an underscore, something unique
// (cmd/kube-controller-manager/app, cmd/kube-scheduler/app).
func (s *System) ofHost(identity string) *node {
	host := identity
	if i := strings.LastIndexByte(identity, '_'); i >= 0 {
		host = identity[:i]
	}
	for _, n := range s.nodes {
		n.mu.Lock()
		own := n.hostname
		n.mu.Unlock()
		if strings.EqualFold(host, own) {
			return n
		}
	}
	return nil
}

// Members is etcd's members.
func (s *System) Members(ctx context.Context) ([]history.MemberState, error) {
	return s.etcd.Members(ctx)
}
