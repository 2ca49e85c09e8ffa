package observe

import (
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/faultline/faultline/harness/history"
)

// Names of declared and observed numbers (Object.Want, Object.Have).
const (
	numReplicas    = "replicas"
	numUpdated     = "updated"
	numReady       = "ready"
	numAvailable   = "available"
	numUnavailable = "unavailable"
	numCurrent     = "current"
	numLabeled     = "labeled"
	numStart       = "start"
	numPartition   = "partition"
	numCompletions = "completions"
	numParallel    = "parallelism"
	numActive      = "active"
	numSucceeded   = "succeeded"
	numFailed      = "failed"
	numSeconds     = "seconds"
)

// Names of words (Object.Attr).
const (
	attrPaused   = "paused"
	attrStrategy = "strategy"
	attrCurrent  = "current-revision"
	attrUpdate   = "update-revision"
	attrComplete = "complete"
	attrFailed   = "failed"
	attrSuspend  = "suspend"
	attrPhase    = "phase"
	attrNode     = "node"
	attrReady    = "ready"
	attrIP       = "ip"
	attrRestart  = "restart-policy"
	attrLabels   = "labels"
	attrWhy      = "why"
	attrSelector = "selector"
	attrPublish  = "publish-not-ready"
	attrType     = "type"
	attrService  = "service"
	// attrAlive is what the observer saw of a node's kubelet, not what the Node says: whether its lease was renewed of late.
	attrAlive  = "alive"
	attrHolder = "holder"
)

const wordTrue = "true"

// metaOf is what every object has.
func metaOf(kind string, m *metav1.ObjectMeta) history.Object {
	o := history.Object{
		Kind: kind, Name: m.Name, UID: string(m.UID), Version: number(m.ResourceVersion), Generation: m.Generation,
		Finalizers: m.Finalizers, Deleting: m.DeletionTimestamp != nil,
		Attr: map[string]string{},
	}
	if m.Namespace != "" {
		o.Name = m.Namespace + "/" + m.Name
	}
	for i := range m.OwnerReferences {
		r := &m.OwnerReferences[i]
		o.Owners = append(o.Owners, history.Owner{Kind: r.Kind, Name: r.Name, UID: string(r.UID), Controller: r.Controller != nil && *r.Controller})
	}
	return o
}

// number is a resourceVersion as a number; since Kubernetes 1.35 they are such by contract (KEP-5504), and etcd's revisions always were.
func number(resourceVersion string) int64 {
	n, err := strconv.ParseInt(resourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// or is what p points to, else what the API's defaulting would have filled in.
func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

func set(attr map[string]string, name, value string) {
	if value != "" {
		attr[name] = value
	}
}

func namespaceOf(n *corev1.Namespace) history.Object {
	o := metaOf(KindNamespace, &n.ObjectMeta)
	for _, f := range n.Spec.Finalizers {
		o.Finalizers = append(o.Finalizers, string(f))
	}
	set(o.Attr, attrPhase, string(n.Status.Phase))
	return o
}

func nodeOf(n *corev1.Node) history.Object {
	o := metaOf(KindNode, &n.ObjectMeta)
	for i := range n.Status.Conditions {
		if c := &n.Status.Conditions[i]; c.Type == corev1.NodeReady {
			set(o.Attr, attrReady, string(c.Status))
		}
	}
	return o
}

func quotaOf(q *corev1.ResourceQuota) history.Object {
	o := metaOf(KindResourceQuota, &q.ObjectMeta)
	o.Want, o.Have = amounts(q.Spec.Hard), amounts(q.Status.Used)
	return o
}

// amounts are the whole numbers of a list of resources: counts of objects are such.
func amounts(list corev1.ResourceList) map[string]int64 {
	out := make(map[string]int64, len(list))
	for name, q := range list {
		if n, ok := q.AsInt64(); ok {
			out[string(name)] = n
		}
	}
	return out
}

func configMapOf(c *corev1.ConfigMap) history.Object { return metaOf(KindConfigMap, &c.ObjectMeta) }

func deploymentOf(d *appsv1.Deployment) history.Object {
	o := metaOf(KindDeployment, &d.ObjectMeta)
	o.Observed = d.Status.ObservedGeneration
	o.Want = map[string]int64{numReplicas: int64(or(d.Spec.Replicas, 1))}
	s := &d.Status
	o.Have = map[string]int64{
		numReplicas: int64(s.Replicas), numUpdated: int64(s.UpdatedReplicas), numReady: int64(s.ReadyReplicas),
		numAvailable: int64(s.AvailableReplicas), numUnavailable: int64(s.UnavailableReplicas),
	}
	if d.Spec.Paused {
		o.Attr[attrPaused] = wordTrue
	}
	return o
}

func replicaSetOf(r *appsv1.ReplicaSet) history.Object {
	o := metaOf(KindReplicaSet, &r.ObjectMeta)
	o.Observed = r.Status.ObservedGeneration
	o.Want = map[string]int64{numReplicas: int64(or(r.Spec.Replicas, 1))}
	s := &r.Status
	o.Have = map[string]int64{
		numReplicas: int64(s.Replicas), numLabeled: int64(s.FullyLabeledReplicas), numReady: int64(s.ReadyReplicas), numAvailable: int64(s.AvailableReplicas),
	}
	return o
}

func statefulSetOf(s *appsv1.StatefulSet) history.Object {
	o := metaOf(KindStatefulSet, &s.ObjectMeta)
	o.Observed = s.Status.ObservedGeneration
	o.Want = map[string]int64{numReplicas: int64(or(s.Spec.Replicas, 1))}
	if s.Spec.Ordinals != nil {
		o.Want[numStart] = int64(s.Spec.Ordinals.Start)
	}
	if r := s.Spec.UpdateStrategy.RollingUpdate; r != nil && or(r.Partition, 0) > 0 {
		o.Want[numPartition] = int64(*r.Partition)
	}
	o.Have = map[string]int64{
		numReplicas: int64(s.Status.Replicas), numReady: int64(s.Status.ReadyReplicas), numAvailable: int64(s.Status.AvailableReplicas),
		numCurrent: int64(s.Status.CurrentReplicas), numUpdated: int64(s.Status.UpdatedReplicas),
	}
	set(o.Attr, attrStrategy, string(s.Spec.UpdateStrategy.Type))
	set(o.Attr, attrCurrent, s.Status.CurrentRevision)
	set(o.Attr, attrUpdate, s.Status.UpdateRevision)
	return o
}

func jobOf(j *batchv1.Job) history.Object {
	o := metaOf(KindJob, &j.ObjectMeta)
	o.Want = map[string]int64{numParallel: int64(or(j.Spec.Parallelism, 1))}
	if j.Spec.Completions != nil {
		o.Want[numCompletions] = int64(*j.Spec.Completions)
	}
	o.Have = map[string]int64{
		numActive: int64(j.Status.Active), numSucceeded: int64(j.Status.Succeeded), numFailed: int64(j.Status.Failed),
	}
	if or(j.Spec.Suspend, false) {
		o.Attr[attrSuspend] = wordTrue
	}
	for i := range j.Status.Conditions {
		c := &j.Status.Conditions[i]
		if c.Status != corev1.ConditionTrue {
			continue
		}
		switch c.Type {
		case batchv1.JobComplete:
			o.Attr[attrComplete] = wordTrue
		case batchv1.JobFailed:
			o.Attr[attrFailed] = wordTrue
			set(o.Attr, attrWhy, c.Reason)
		default:
		}
	}
	return o
}

func podOf(p *corev1.Pod) history.Object {
	o := metaOf(KindPod, &p.ObjectMeta)
	set(o.Attr, attrPhase, string(p.Status.Phase))
	set(o.Attr, attrNode, p.Spec.NodeName)
	set(o.Attr, attrIP, p.Status.PodIP)
	set(o.Attr, attrRestart, string(p.Spec.RestartPolicy))
	set(o.Attr, attrLabels, labels.FormatLabels(p.Labels))
	set(o.Attr, attrWhy, p.Status.Reason)
	for i := range p.Status.Conditions {
		c := &p.Status.Conditions[i]
		switch {
		case c.Type == corev1.PodReady:
			set(o.Attr, attrReady, string(c.Status))
		case c.Type == corev1.PodScheduled && c.Status != corev1.ConditionTrue:
			set(o.Attr, attrWhy, c.Reason)
		}
	}
	return o
}

func serviceOf(s *corev1.Service) history.Object {
	o := metaOf(KindService, &s.ObjectMeta)
	set(o.Attr, attrType, string(s.Spec.Type))
	set(o.Attr, attrIP, s.Spec.ClusterIP)
	if len(s.Spec.Selector) > 0 {
		o.Attr[attrSelector] = labels.FormatLabels(s.Spec.Selector)
	}
	if s.Spec.PublishNotReadyAddresses {
		o.Attr[attrPublish] = wordTrue
	}
	return o
}

func endpointSliceOf(e *discoveryv1.EndpointSlice) history.Object {
	o := metaOf(KindEndpointSlice, &e.ObjectMeta)
	set(o.Attr, attrService, e.Labels[discoveryv1.LabelServiceName])
	var ready []string
	for i := range e.Endpoints {
		p := &e.Endpoints[i]
		if p.TargetRef != nil && or(p.Conditions.Ready, true) {
			ready = append(ready, p.TargetRef.Name)
		}
	}
	slices.Sort(ready)
	o.Attr[attrReady] = strings.Join(slices.Compact(ready), ",")
	return o
}

func leaseOf(l *coordinationv1.Lease) history.Object {
	o := metaOf(KindLease, &l.ObjectMeta)
	set(o.Attr, attrHolder, or(l.Spec.HolderIdentity, ""))
	o.Want = map[string]int64{numSeconds: int64(or(l.Spec.LeaseDurationSeconds, 0))}
	return o
}
