package kube

import (
	"context"
	"fmt"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/faultline/faultline/harness"
)

// watchedKind is a kind of object that components write because of what is declared.
type watchedKind struct {
	kind     string
	resource schema.GroupVersionResource
	list     func() runtime.Object
}

// watched are the kinds that are declared, and the ones that come of them.
var watched = []watchedKind{
	{"Deployment", appsv1.SchemeGroupVersion.WithResource("deployments"), func() runtime.Object { return &appsv1.DeploymentList{} }},
	{"ReplicaSet", appsv1.SchemeGroupVersion.WithResource("replicasets"), func() runtime.Object { return &appsv1.ReplicaSetList{} }},
	{"StatefulSet", appsv1.SchemeGroupVersion.WithResource("statefulsets"), func() runtime.Object { return &appsv1.StatefulSetList{} }},
	{"Job", batchv1.SchemeGroupVersion.WithResource("jobs"), func() runtime.Object { return &batchv1.JobList{} }},
	{"Pod", corev1.SchemeGroupVersion.WithResource("pods"), func() runtime.Object { return &corev1.PodList{} }},
	{"Service", corev1.SchemeGroupVersion.WithResource("services"), func() runtime.Object { return &corev1.ServiceList{} }},
	{"EndpointSlice", discoveryv1.SchemeGroupVersion.WithResource("endpointslices"), func() runtime.Object { return &discoveryv1.EndpointSliceList{} }},
	{"ConfigMap", corev1.SchemeGroupVersion.WithResource("configmaps"), func() runtime.Object { return &corev1.ConfigMapList{} }},
}

// followPause is between two attempts to follow a kind.
const followPause = 100 * time.Millisecond

// follower sends what changes of one kind.
type follower struct {
	watchedKind
	to      chan<- change
	objects map[types.UID]metav1.Object
	synced  bool
}

// follow sends every change of a kind until ctx is done, through one API server after the other. Where a stream broke, what changed
// meanwhile is one change of each object.
func (s *System) follow(ctx context.Context, k watchedKind, to chan<- change) {
	f := &follower{watchedKind: k, to: to, objects: map[types.UID]metav1.Object{}}
	for i := 0; ctx.Err() == nil; i++ {
		// Whatever ended it, the next server is asked.
		_ = f.through(ctx, s.nodes[i%len(s.nodes)])
		_ = harness.Pause(ctx, followPause)
	}
}

// through lists and watches through one server until that fails.
func (f *follower) through(ctx context.Context, n *node) error {
	list := f.list()
	if err := n.control.List(ctx, f.resource, "", list, metav1.ListOptions{}); err != nil {
		return err
	}
	version, err := f.sync(ctx, list)
	if err != nil {
		return err
	}
	stream, err := n.control.Open(ctx, f.resource, "", metav1.ListOptions{ResourceVersion: version})
	if err != nil {
		return err
	}
	defer stream.Close()
	for {
		kind, object, err := stream.Next()
		if err != nil {
			return err
		}
		if err := f.event(ctx, kind, object); err != nil {
			return err
		}
	}
}

// sync takes a list for the new state, and sends what is different in it; nothing the first time.
func (f *follower) sync(ctx context.Context, list runtime.Object) (version string, err error) {
	found, err := meta.ExtractList(list)
	if err != nil {
		return "", err
	}
	l, err := meta.ListAccessor(list)
	if err != nil {
		return "", err
	}
	gone := f.objects
	f.objects = map[types.UID]metav1.Object{}
	for _, o := range found {
		m, err := meta.Accessor(o)
		if err != nil {
			return "", err
		}
		old := gone[m.GetUID()]
		delete(gone, m.GetUID())
		f.objects[m.GetUID()] = m
		if f.synced && (old == nil || old.GetResourceVersion() != m.GetResourceVersion()) {
			if err := f.send(ctx, old, m, m.GetResourceVersion()); err != nil {
				return "", err
			}
		}
	}
	for _, old := range gone {
		if err := f.send(ctx, old, nil, l.GetResourceVersion()); err != nil {
			return "", err
		}
	}
	f.synced = true
	return l.GetResourceVersion(), nil
}

func (f *follower) event(ctx context.Context, kind watch.EventType, object runtime.Object) error {
	m, err := meta.Accessor(object)
	if err != nil {
		return err
	}
	old := f.objects[m.GetUID()]
	switch kind {
	case watch.Added, watch.Modified:
		f.objects[m.GetUID()] = m
		return f.send(ctx, old, m, m.GetResourceVersion())
	case watch.Deleted:
		delete(f.objects, m.GetUID())
		if old == nil {
			old = m
		}
		return f.send(ctx, old, nil, m.GetResourceVersion())
	default:
		return nil
	}
}

func (f *follower) send(ctx context.Context, old, now metav1.Object, version string) error {
	c := change{kind: f.kind, old: old, now: now}
	var err error
	if c.version, err = strconv.ParseInt(version, 10, 64); err != nil {
		return fmt.Errorf("version %q of a %s: %w", version, f.kind, err)
	}
	select {
	case f.to <- c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
