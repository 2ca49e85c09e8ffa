package observe

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/faultline/faultline/harness/history"
)

// The kinds of object that can be observed.
const (
	KindDeployment    = "Deployment"
	KindReplicaSet    = "ReplicaSet"
	KindStatefulSet   = "StatefulSet"
	KindJob           = "Job"
	KindPod           = "Pod"
	KindNode          = "Node"
	KindService       = "Service"
	KindEndpointSlice = "EndpointSlice"
	KindConfigMap     = "ConfigMap"
	KindResourceQuota = "ResourceQuota"
	KindNamespace     = "Namespace"
	KindLease         = "Lease"
)

// kind is a row of the table of kinds.
type kind struct {
	name     string
	resource schema.GroupVersionResource
	// prefix is where the API server keeps its objects in etcd, below /registry/ (pkg/registry, the storage of each resource).
	prefix     string
	namespaced bool
	// list makes an empty list, reduce takes the objects out of a filled one, and the list's resourceVersion.
	list   func() runtime.Object
	reduce func(list runtime.Object) (objects []history.Object, revision string)
}

// kinds are all kinds, in the order in which they are listed: what depends on others comes after them, so that a list which is a
// moment older than another has the cause rather than the effect.
var kinds = []kind{
	{
		KindNamespace, corev1.SchemeGroupVersion.WithResource("namespaces"), "/registry/namespaces/", false,
		func() runtime.Object { return &corev1.NamespaceList{} }, func(l runtime.Object) ([]history.Object, string) {
			list := l.(*corev1.NamespaceList)
			return each(list.Items, namespaceOf), list.ResourceVersion
		},
	},
	{
		KindNode, corev1.SchemeGroupVersion.WithResource("nodes"), "/registry/minions/", false,
		func() runtime.Object { return &corev1.NodeList{} }, func(l runtime.Object) ([]history.Object, string) {
			list := l.(*corev1.NodeList)
			return each(list.Items, nodeOf), list.ResourceVersion
		},
	},
	{
		KindResourceQuota, corev1.SchemeGroupVersion.WithResource("resourcequotas"), "/registry/resourcequotas/", true,
		func() runtime.Object { return &corev1.ResourceQuotaList{} }, func(l runtime.Object) ([]history.Object, string) {
			list := l.(*corev1.ResourceQuotaList)
			return each(list.Items, quotaOf), list.ResourceVersion
		},
	},
	{
		KindConfigMap, corev1.SchemeGroupVersion.WithResource("configmaps"), "/registry/configmaps/", true,
		func() runtime.Object { return &corev1.ConfigMapList{} }, func(l runtime.Object) ([]history.Object, string) {
			list := l.(*corev1.ConfigMapList)
			return each(list.Items, configMapOf), list.ResourceVersion
		},
	},
	{
		KindDeployment, appsv1.SchemeGroupVersion.WithResource("deployments"), "/registry/deployments/", true,
		func() runtime.Object { return &appsv1.DeploymentList{} }, func(l runtime.Object) ([]history.Object, string) {
			list := l.(*appsv1.DeploymentList)
			return each(list.Items, deploymentOf), list.ResourceVersion
		},
	},
	{
		KindReplicaSet, appsv1.SchemeGroupVersion.WithResource("replicasets"), "/registry/replicasets/", true,
		func() runtime.Object { return &appsv1.ReplicaSetList{} }, func(l runtime.Object) ([]history.Object, string) {
			list := l.(*appsv1.ReplicaSetList)
			return each(list.Items, replicaSetOf), list.ResourceVersion
		},
	},
	{
		KindStatefulSet, appsv1.SchemeGroupVersion.WithResource("statefulsets"), "/registry/statefulsets/", true,
		func() runtime.Object { return &appsv1.StatefulSetList{} }, func(l runtime.Object) ([]history.Object, string) {
			list := l.(*appsv1.StatefulSetList)
			return each(list.Items, statefulSetOf), list.ResourceVersion
		},
	},
	{
		KindJob, batchv1.SchemeGroupVersion.WithResource("jobs"), "/registry/jobs/", true,
		func() runtime.Object { return &batchv1.JobList{} }, func(l runtime.Object) ([]history.Object, string) {
			list := l.(*batchv1.JobList)
			return each(list.Items, jobOf), list.ResourceVersion
		},
	},
	{
		KindPod, corev1.SchemeGroupVersion.WithResource("pods"), "/registry/pods/", true,
		func() runtime.Object { return &corev1.PodList{} }, func(l runtime.Object) ([]history.Object, string) {
			list := l.(*corev1.PodList)
			return each(list.Items, podOf), list.ResourceVersion
		},
	},
	{
		KindService, corev1.SchemeGroupVersion.WithResource("services"), "/registry/services/specs/", true,
		func() runtime.Object { return &corev1.ServiceList{} }, func(l runtime.Object) ([]history.Object, string) {
			list := l.(*corev1.ServiceList)
			return each(list.Items, serviceOf), list.ResourceVersion
		},
	},
	{
		KindEndpointSlice, discoveryv1.SchemeGroupVersion.WithResource("endpointslices"), "/registry/endpointslices/", true,
		func() runtime.Object { return &discoveryv1.EndpointSliceList{} }, func(l runtime.Object) ([]history.Object, string) {
			list := l.(*discoveryv1.EndpointSliceList)
			return each(list.Items, endpointSliceOf), list.ResourceVersion
		},
	},
	{
		KindLease, coordinationv1.SchemeGroupVersion.WithResource("leases"), "/registry/leases/", true,
		func() runtime.Object { return &coordinationv1.LeaseList{} }, func(l runtime.Object) ([]history.Object, string) {
			list := l.(*coordinationv1.LeaseList)
			return each(list.Items, leaseOf), list.ResourceVersion
		},
	},
}

// each reduces the items of a list.
func each[T any](items []T, reduce func(*T) history.Object) []history.Object {
	out := make([]history.Object, len(items))
	for i := range items {
		out[i] = reduce(&items[i])
	}
	return out
}

// Kinds are the names of all kinds that can be observed.
func Kinds() []string {
	out := make([]string, len(kinds))
	for i := range kinds {
		out[i] = kinds[i].name
	}
	return out
}

// rowsOf are the rows of the kinds of these names, in the table's order.
func rowsOf(names []string) ([]*kind, error) {
	var out []*kind
	for i := range kinds {
		if slices.Contains(names, kinds[i].name) {
			out = append(out, &kinds[i])
		}
	}
	for _, n := range names {
		if !slices.Contains(Kinds(), n) {
			return nil, fmt.Errorf("kind %q can't be observed (want some of %s)", n, strings.Join(Kinds(), ", "))
		}
	}
	return out, nil
}

// leaseRow is the row of leases.
func leaseRow() *kind {
	return &kinds[slices.IndexFunc(kinds, func(k kind) bool { return k.name == KindLease })]
}
