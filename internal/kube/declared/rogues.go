package declared

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/kube/api"
)

// quarrel runs two copies of a controller that wants each Deployment to have a number of replicas. They work at the first and the last
// node, and don't agree on the number.
func quarrel(ctx context.Context, servers api.Servers, nodes []string, seed uint64) error {
	first, err := enter(servers, nodes[0], seed)
	if err != nil {
		return err
	}
	second, err := enter(servers, nodes[len(nodes)-1], seed)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	for i, r := range []*rogue{first, second} {
		want := int32(1 + 2*i) //nolint:gosec // 1 and 3
		wg.Go(func() { r.rounds(ctx, roundPause, func() { r.scaleAll(ctx, want) }) })
	}
	wg.Wait()
	return nil
}

func (r *rogue) scaleAll(ctx context.Context, want int32) {
	for _, o := range r.objects(ctx, KindDeployment) {
		if n := o.(*appsv1.Deployment).Spec.Replicas; n != nil && *n != want && o.GetDeletionTimestamp() == nil {
			r.patch(ctx, KindDeployment, o.GetName(), fmt.Sprintf(`{"spec":{"replicas":%d}}`, want))
		}
	}
}

// nobodysFinalizer is what the finalizer plant leaves.
const nobodysFinalizer = "faultline.io/nobody"

// finalizer puts its finalizer on every other new object of the kinds that workloads, or controllers for them, delete.
func finalizer(ctx context.Context, servers api.Servers, nodes []string, seed uint64) error {
	return alone(ctx, servers, nodes, seed, roundPause, func(r *rogue) {
		for _, k := range []string{KindConfigMap, KindPod, KindJob, KindService} {
			r.finalize(ctx, k)
		}
	})
}

func (r *rogue) finalize(ctx context.Context, k string) {
	for _, o := range r.objects(ctx, k) {
		finalizers := o.GetFinalizers()
		// What is the cluster's own is never deleted; a deleted object takes no more finalizers.
		mine := numberOf(o) != 0 || len(o.GetOwnerReferences()) > 0
		if !mine || o.GetDeletionTimestamp() != nil || !r.chosen(o, 2) || slices.Contains(finalizers, nobodysFinalizer) {
			continue
		}
		body, err := json.Marshal(map[string]any{"metadata": map[string]any{
			"finalizers": append(finalizers, nobodysFinalizer), "resourceVersion": o.GetResourceVersion(),
		}})
		if err == nil {
			r.patch(ctx, k, o.GetName(), string(body))
		}
	}
}

// lostDependent deletes one in four ConfigMaps that have an owner. Whether the owner lives it does not ask: it mostly does.
func lostDependent(ctx context.Context, servers api.Servers, nodes []string, seed uint64) error {
	return alone(ctx, servers, nodes, seed, roundPause, func(r *rogue) {
		for _, o := range r.objects(ctx, KindConfigMap) {
			if len(o.GetOwnerReferences()) > 0 && o.GetDeletionTimestamp() == nil && r.chosen(o, 2) {
				r.remove(ctx, KindConfigMap, o, metav1.DeleteOptions{})
			}
		}
	})
}

func (r *rogue) remove(ctx context.Context, k string, o metav1.Object, how metav1.DeleteOptions) {
	uid := o.GetUID()
	how.Preconditions = &metav1.Preconditions{UID: &uid}
	_ = r.server.Delete(ctx, kinds[k].resource, Namespace, o.GetName(), nil, how) // what failed is tried in the next round
}

// undo remembers how it saw one in two Deployments and StatefulSets first, and puts that back, with its change, whenever they were changed since.
func undo(ctx context.Context, servers api.Servers, nodes []string, seed uint64) error {
	seen := map[types.UID]remembered{}
	return alone(ctx, servers, nodes, seed, forcePause, func(r *rogue) {
		for _, k := range []string{KindDeployment, KindStatefulSet} {
			for _, o := range r.objects(ctx, k) {
				r.putBack(ctx, seen, k, o)
			}
		}
	})
}

// remembered is the declared state of an object.
type remembered struct {
	change, replicas int64
	image            string
}

func (r *rogue) putBack(ctx context.Context, seen map[types.UID]remembered, k string, o object) {
	var d history.Declaration
	kinds[k].tell(o, &d)
	if !r.chosen(o, 2) || d.Replicas == nil {
		return
	}
	now := remembered{numberOf(o), *d.Replicas, d.Image}
	old, known := seen[o.GetUID()]
	switch {
	case !known:
		seen[o.GetUID()] = now
	case old.change != now.change:
		body := fmt.Sprintf(`{"metadata":{"annotations":{%q:"%d"}},"spec":{"replicas":%d,"template":{"spec":{"containers":[{"name":%q,"image":%q}]}}}}`,
			annotationChange, old.change, old.replicas, containerName, old.image)
		r.patch(ctx, k, o.GetName(), body)
	}
}

// force deletes the pods of StatefulSets one after the other, so that the API forgets them while they run.
func force(ctx context.Context, servers api.Servers, nodes []string, seed uint64) error {
	at := 0
	return alone(ctx, servers, nodes, seed, forcePause, func(r *rogue) {
		var struck []object
		for _, o := range r.objects(ctx, KindPod) {
			owner := metav1.GetControllerOf(o)
			if owner != nil && owner.Kind == KindStatefulSet && o.(*corev1.Pod).Status.Phase == corev1.PodRunning {
				struck = append(struck, o)
			}
		}
		if len(struck) > 0 {
			r.remove(ctx, KindPod, struck[at%len(struck)], metav1.DeleteOptions{GracePeriodSeconds: new(int64)})
			at++
		}
	})
}
