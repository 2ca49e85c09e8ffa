package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/kube/observe"
)

// defaultKinds are observed where nobody says what.
var defaultKinds = []string{observe.KindDeployment, observe.KindReplicaSet, observe.KindPod, observe.KindNode}

var (
	_ harness.Observer  = (*System)(nil)
	_ harness.Converger = (*System)(nil)
)

// newObserver makes what looks at the objects.
func (s *System) newObserver() (*observe.Observer, error) {
	kinds := s.o.Kinds
	if len(kinds) == 0 {
		kinds = defaultKinds
	}
	var names []string
	for _, n := range s.nodes {
		names = append(names, n.Name())
	}
	return observe.New(observe.Options{Servers: s, Nodes: names, Kinds: slices.Clone(kinds), Store: s.storeVersions})
}

// storeVersions are the versions of the objects below a prefix in etcd, by what follows the prefix.
func (s *System) storeVersions(ctx context.Context, prefix string, revision int64) (map[string]int64, int64, error) {
	keys, at, err := s.etcd.Versions(ctx, prefix, revision)
	if err != nil {
		return nil, 0, fmt.Errorf("the store: %w", err)
	}
	out := make(map[string]int64, len(keys))
	for key, version := range keys {
		out[strings.TrimPrefix(key, prefix)] = version
	}
	return out, at, nil
}

// Observe records what each API server, a quorum read and etcd show of the objects, until ctx is done.
func (s *System) Observe(ctx context.Context, record func(*history.Op) error) error {
	return s.observer.Observe(ctx, record)
}

// AwaitConverged returns when what is observed has matched what is declared for the time hold.
func (s *System) AwaitConverged(ctx context.Context, hold time.Duration) ([]history.Mismatch, error) {
	return s.observer.AwaitConverged(ctx, hold)
}
