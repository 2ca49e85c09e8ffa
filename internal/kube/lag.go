package kube

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/faultline/faultline/harness"
)

// leasesPrefix is where the API servers keep leases in etcd.
const leasesPrefix = "/registry/leases/"

// CacheLink is the link that API servers' caches are fed by.
func (s *System) CacheLink() string { return LinkEtcd }

// CacheLag compares the revision of a list of leases that a node's API server answers from its cache (resourceVersion 0) with that of the newest
// lease in etcd, which was read before. Leases are what changes all the time: components that lead and kubelets renew theirs every second
// or two. The cached one may be ahead, as caches also hear of others' progress.
//
// The age is from when the newest was first seen here by this or an earlier call: the true one is not smaller. So a first call can't tell any.
func (s *System) CacheLag(ctx context.Context, name string) (harness.Lag, error) {
	n := s.node(name)
	if n == nil {
		return harness.Lag{}, fmt.Errorf("kube: no API server on node %s", name)
	}
	versions, _, err := s.etcd.Versions(ctx, leasesPrefix, 0)
	if err != nil {
		return harness.Lag{}, fmt.Errorf("the newest lease: %w", err)
	}
	var lag harness.Lag
	for _, v := range versions {
		lag.Newest = max(lag.Newest, v)
	}
	s.seen.add(lag.Newest, now())
	list := &coordinationv1.LeaseList{}
	if err := n.control.List(ctx, leases, "", list, metav1.ListOptions{ResourceVersion: "0"}); err != nil {
		return harness.Lag{}, fmt.Errorf("a cached list of leases from %s: %w", name, err)
	}
	if lag.Cached, err = strconv.ParseInt(list.ResourceVersion, 10, 64); err != nil {
		return harness.Lag{}, fmt.Errorf("a cached list of leases from %s: its version %q: %w", name, list.ResourceVersion, err)
	}
	lag.Age = s.seen.ageOf(lag.Cached, now())
	return lag, nil
}

// revisions remembers when which revision of the store was first seen as the newest.
type revisions struct {
	mu   sync.Mutex
	seen []sighting // in the order of both
}

type sighting struct {
	revision int64
	at       time.Time
}

// sightingsMax bounds what is remembered. Beyond it every other one is dropped, which only makes ages smaller.
const sightingsMax = 4096

func (r *revisions) add(revision int64, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.seen); n > 0 && revision <= r.seen[n-1].revision {
		return
	}
	r.seen = append(r.seen, sighting{revision, at})
	if len(r.seen) > sightingsMax {
		kept := r.seen[:0]
		for i := 1; i < len(r.seen); i += 2 {
			kept = append(kept, r.seen[i])
		}
		r.seen = kept
	}
}

// ageOf is for how long something newer than a revision has been known; 0 if there is nothing.
func (r *revisions) ageOf(revision int64, at time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	i, _ := slices.BinarySearchFunc(r.seen, revision+1, func(s sighting, v int64) int { return int(s.revision - v) })
	if i == len(r.seen) {
		return 0
	}
	return at.Sub(r.seen[i].at)
}
