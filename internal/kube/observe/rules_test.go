package observe

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/faultline/faultline/harness/history"
)

// cluster is a small one in which everything matches: tests break one thing of it.
type cluster struct {
	namespaces   []corev1.Namespace
	nodes        []corev1.Node
	deployment   appsv1.Deployment
	old, set     appsv1.ReplicaSet
	stateful     appsv1.StatefulSet
	job          batchv1.Job
	pods         []corev1.Pod // web-a, web-b of the ReplicaSet; db-0, db-1 of the StatefulSet; sum-x of the job
	service      corev1.Service
	slice        discoveryv1.EndpointSlice
	config       corev1.ConfigMap
	quota        corev1.ResourceQuota
	extra        []history.Object
	kubeletsDead bool
}

func meta(name string, owners ...metav1.OwnerReference) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: "default", Name: name, UID: types.UID("uid-" + name), ResourceVersion: "7", Generation: 2, OwnerReferences: owners,
	}
}

func ownedBy(kind, name string) metav1.OwnerReference {
	return metav1.OwnerReference{Kind: kind, Name: name, UID: types.UID("uid-" + name), Controller: new(true)}
}

func pod(name, node string, restart corev1.RestartPolicy, labels map[string]string, owner metav1.OwnerReference) corev1.Pod {
	p := corev1.Pod{ObjectMeta: meta(name, owner)}
	p.Labels, p.Spec.NodeName, p.Spec.RestartPolicy = labels, node, restart
	p.Status.Phase, p.Status.PodIP = corev1.PodRunning, "10.0.0."+name[len(name)-1:]
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	return p
}

func unready(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionFalse }

func deleting(m *metav1.ObjectMeta, finalizers ...string) {
	m.DeletionTimestamp, m.Finalizers = &metav1.Time{}, finalizers
}

func healthy() *cluster {
	c := &cluster{
		namespaces: []corev1.Namespace{{ObjectMeta: metav1.ObjectMeta{Name: "default", UID: "uid-default"}}},
		deployment: appsv1.Deployment{ObjectMeta: meta("web")},
		old:        appsv1.ReplicaSet{ObjectMeta: meta("web-0", ownedBy("Deployment", "web"))},
		set:        appsv1.ReplicaSet{ObjectMeta: meta("web-1", ownedBy("Deployment", "web"))},
		stateful:   appsv1.StatefulSet{ObjectMeta: meta("db")},
		job:        batchv1.Job{ObjectMeta: meta("sum")},
		service:    corev1.Service{ObjectMeta: meta("front")},
		slice:      discoveryv1.EndpointSlice{ObjectMeta: meta("front-x", ownedBy("Service", "front"))},
		config:     corev1.ConfigMap{ObjectMeta: meta("settings", ownedBy("Deployment", "web"))},
		quota:      corev1.ResourceQuota{ObjectMeta: meta("quota")},
	}
	for _, n := range []string{"n1", "n2"} {
		node := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n, UID: types.UID("uid-" + n)}}
		node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
		c.nodes = append(c.nodes, node)
	}
	two := new(int32(2))
	c.deployment.Spec.Replicas = two
	c.deployment.Status = appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2, AvailableReplicas: 2}
	c.old.Spec.Replicas, c.old.Status.ObservedGeneration = new(int32(0)), 2
	c.set.Spec.Replicas = two
	c.set.Status = appsv1.ReplicaSetStatus{ObservedGeneration: 2, Replicas: 2, FullyLabeledReplicas: 2, ReadyReplicas: 2, AvailableReplicas: 2}
	c.stateful.Spec.Replicas = two
	c.stateful.Status = appsv1.StatefulSetStatus{
		ObservedGeneration: 2, Replicas: 2, ReadyReplicas: 2, AvailableReplicas: 2, CurrentReplicas: 2, UpdatedReplicas: 2,
		CurrentRevision: "db-1", UpdateRevision: "db-1",
	}
	c.job.Spec.Completions, c.job.Spec.Parallelism = new(int32(3)), new(int32(1))
	c.job.Status.Succeeded, c.job.Status.Conditions = 3, []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}
	web := map[string]string{"app": "web", "hash": "1"}
	c.pods = []corev1.Pod{
		pod("web-a", "n1", corev1.RestartPolicyAlways, web, ownedBy("ReplicaSet", "web-1")),
		pod("web-b", "n2", corev1.RestartPolicyAlways, web, ownedBy("ReplicaSet", "web-1")),
		pod("db-0", "n1", corev1.RestartPolicyAlways, nil, ownedBy("StatefulSet", "db")),
		pod("db-1", "n2", corev1.RestartPolicyAlways, nil, ownedBy("StatefulSet", "db")),
		pod("sum-x", "n1", corev1.RestartPolicyNever, nil, ownedBy("Job", "sum")),
	}
	c.pods[4].Status.Phase = corev1.PodSucceeded
	c.service.Spec.Selector, c.service.Spec.ClusterIP = map[string]string{"app": "web"}, "10.96.0.9"
	c.slice.Labels = map[string]string{discoveryv1.LabelServiceName: "front"}
	for _, name := range []string{"web-a", "web-b"} {
		c.slice.Endpoints = append(c.slice.Endpoints, discoveryv1.Endpoint{TargetRef: &corev1.ObjectReference{Name: name}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}})
	}
	c.quota.Spec.Hard = corev1.ResourceList{"pods": resource.MustParse("4"), "requests.cpu": resource.MustParse("500m")}
	c.quota.Status.Used = corev1.ResourceList{"pods": resource.MustParse("4")}
	return c
}

func (c *cluster) objects() []history.Object {
	out := slices.Concat(each(c.namespaces, namespaceOf), each(c.nodes, nodeOf), each(c.pods, podOf), c.extra)
	for i := range out {
		if out[i].Kind == KindNode {
			out[i].Attr[attrAlive] = fmt.Sprint(!c.kubeletsDead)
		}
	}
	return append(out, deploymentOf(&c.deployment), replicaSetOf(&c.old), replicaSetOf(&c.set), statefulSetOf(&c.stateful), jobOf(&c.job),
		serviceOf(&c.service), endpointSliceOf(&c.slice), configMapOf(&c.config), quotaOf(&c.quota))
}

func lines(ms []history.Mismatch) string {
	var out []string
	for _, m := range ms {
		out = append(out, fmt.Sprintf("%s %s %s %s: %s", m.Kind, strings.TrimPrefix(m.Name, "default/"), m.Rule, m.Component, m.Why))
	}
	return strings.Join(out, "\n")
}

func TestRules(t *testing.T) {
	if got := lines(Rules(healthy().objects())); got != "" {
		t.Fatalf("of a cluster in which everything matches:\n%s", got)
	}
	for _, c := range []struct {
		name     string
		breaking func(c *cluster)
		want     string
	}{
		{
			"not seen", func(c *cluster) { c.deployment.Generation = 3; c.deployment.Status.AvailableReplicas = 0 },
			"Deployment web observed-generation kube-controller-manager: its generation is 3, its controller has seen 2",
		},
		{
			"status behind", func(c *cluster) { c.deployment.Status.AvailableReplicas = 1 },
			"Deployment web replicas kube-controller-manager: 1 of 2 replicas are available",
		},
		{
			"unavailable", func(c *cluster) { c.deployment.Status.UnavailableReplicas = 1 },
			"Deployment web replicas kube-controller-manager: 1 replicas are unavailable",
		},
		{
			"old template", func(c *cluster) { c.deployment.Status.UpdatedReplicas = 0 },
			"Deployment web replicas kube-controller-manager: 0 of 2 replicas are of its newest template",
		},
		{"old template, but paused", func(c *cluster) { c.deployment.Status.UpdatedReplicas = 0; c.deployment.Spec.Paused = true }, ""},
		{"no node", func(c *cluster) {
			c.pods[0].Spec.NodeName, c.pods[0].Status.Phase = "", corev1.PodPending
			c.pods[0].Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable"}}
			c.set.Status.ReadyReplicas, c.set.Status.AvailableReplicas, c.slice.Endpoints = 1, 1, c.slice.Endpoints[1:]
			c.deployment.Status.AvailableReplicas = 1
		}, `Deployment web replicas kube-scheduler: 1 of 2 replicas are available
Pod web-a scheduled kube-scheduler: it has no node: Unschedulable
ReplicaSet web-1 replicas kube-scheduler: 1 of 2 replicas are available`},
		{"not ready", func(c *cluster) {
			unready(&c.pods[0])
			c.set.Status.ReadyReplicas, c.set.Status.AvailableReplicas, c.slice.Endpoints = 1, 1, c.slice.Endpoints[1:]
		}, `Pod web-a ready kubelet: it runs on n1 and is not ready
ReplicaSet web-1 replicas kubelet: 1 of 2 replicas are available`},
		{"pending on a node", func(c *cluster) { c.pods[2].Status.Phase = corev1.PodPending }, "Pod db-0 ready kubelet: it is pending on n1"},
		{"evicted, and replaced", func(c *cluster) {
			p := pod("web-c", "n1", corev1.RestartPolicyAlways, map[string]string{"app": "web"}, ownedBy("ReplicaSet", "web-1"))
			unready(&p)
			p.Status.Phase = corev1.PodFailed
			c.pods = append(c.pods, p)
		}, ""},
		{"its node is gone", func(c *cluster) { c.nodes = c.nodes[:1] }, `Pod db-1 node kube-controller-manager: its node n2 does not exist
Pod web-b node kube-controller-manager: its node n2 does not exist`},
		{"the last pod is missing", func(c *cluster) {
			c.pods = slices.Delete(c.pods, 0, 1)
			c.set.Status.Replicas, c.set.Status.FullyLabeledReplicas, c.set.Status.ReadyReplicas, c.set.Status.AvailableReplicas = 1, 1, 1, 1
			c.slice.Endpoints = c.slice.Endpoints[1:]
			c.quota.Status.Used["pods"] = resource.MustParse("3")
		}, "ReplicaSet web-1 replicas kube-controller-manager: 1 of 2 replicas are available (1 exist)"},
		{
			"one pod too many", func(c *cluster) { c.set.Spec.Replicas = new(int32(1)) },
			`ReplicaSet web-1 duplicated kube-controller-manager: 2 pods run for it, it wants 1 (the last by name: default/web-b)
ReplicaSet web-1 replicas kube-controller-manager: 2 of 1 replicas are available (2 exist)`,
		},
		{"one pod too many, but it is going", func(c *cluster) {
			c.pods = append(c.pods, pod("web-c", "n1", corev1.RestartPolicyAlways, map[string]string{"app": "web"}, ownedBy("ReplicaSet", "web-1")))
			deleting(&c.pods[5].ObjectMeta)
		}, "Pod web-c terminating kubelet: it is being deleted and the kubelet on n1 has not ended it"},
		{
			"labels are missing", func(c *cluster) { c.set.Status.FullyLabeledReplicas = 1 },
			"ReplicaSet web-1 replicas kube-controller-manager: 1 of 2 replicas have all of its template's labels",
		},
		{
			"an ordinal is missing", func(c *cluster) {
				c.pods = slices.Delete(c.pods, 3, 4)
				c.quota.Status.Used["pods"] = resource.MustParse("3")
			},
			"StatefulSet db ordinals kube-controller-manager: its pod default/db-1 is not there",
		},
		{"an ordinal is stuck", func(c *cluster) { deleting(&c.pods[3].ObjectMeta) }, `Pod db-1 terminating kubelet: it is being deleted and the kubelet on n2 has not ended it
StatefulSet db ordinals kubelet: its pod default/db-1 is not there`},
		{
			"an ordinal too many", func(c *cluster) { c.stateful.Spec.Ordinals = &appsv1.StatefulSetOrdinals{Start: 1} },
			`StatefulSet db duplicated kube-controller-manager: the pod default/db-0 runs for it and is none of its ordinals
StatefulSet db ordinals kube-controller-manager: its pod default/db-2 is not there`,
		},
		{
			"two revisions", func(c *cluster) { c.stateful.Status.UpdateRevision, c.stateful.Status.UpdatedReplicas = "db-2", 1 },
			"StatefulSet db revision kube-controller-manager: 1 of 2 replicas are of its newest revision db-2",
		},
		{"two revisions, as its partition has it", func(c *cluster) {
			c.stateful.Status.UpdateRevision = "db-2"
			c.stateful.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: new(int32(1))}
		}, ""},
		{
			"a job under way", func(c *cluster) { c.job.Status.Conditions, c.job.Status.Succeeded, c.job.Status.Active = nil, 2, 1 },
			"Job sum completions kube-controller-manager: 2 of 3 completions, 1 active",
		},
		{"a job's pod under way", func(c *cluster) {
			c.job.Status.Conditions, c.job.Status.Succeeded, c.job.Status.Active = nil, 2, 1
			c.pods[4].Status.Phase = corev1.PodRunning
			c.quota.Status.Used["pods"], c.quota.Spec.Hard["pods"] = resource.MustParse("5"), resource.MustParse("5")
		}, "Job sum completions kubelet: 2 of 3 completions, 1 active"},
		{"a job that failed for good", func(c *cluster) { c.job.Status.Conditions[0].Type, c.job.Status.Succeeded = batchv1.JobFailed, 1 }, ""},
		{
			"a job complete too early", func(c *cluster) { c.job.Status.Succeeded = 2 },
			"Job sum completions kube-controller-manager: it is complete with 2 of 3 completions",
		},
		{
			"a job that has ended and goes on", func(c *cluster) { c.job.Status.Active = 1 },
			"Job sum completions kube-controller-manager: it has ended, but its status says that 1 of its pods are active",
		},
		{
			"the owner is gone", func(c *cluster) { c.deployment.Name, c.deployment.UID = "other", "uid-other" },
			`ConfigMap settings owner kube-controller-manager: its owner, Deployment default/web, is gone
ReplicaSet web-0 owner kube-controller-manager: its owner, Deployment default/web, is gone
ReplicaSet web-1 owner kube-controller-manager: its owner, Deployment default/web, is gone`,
		},
		{
			"the owner is another of that name", func(c *cluster) { c.deployment.UID, c.old.OwnerReferences, c.set.OwnerReferences = "uid-new", nil, nil },
			"ConfigMap settings owner kube-controller-manager: its owner, an earlier Deployment default/web, is gone; the one of that name now is another",
		},
		{"one of two owners is left", func(c *cluster) {
			c.config.OwnerReferences = append(c.config.OwnerReferences, ownedBy("ConfigMap", "gone"))
		}, ""},
		{"an owner of a kind that is not observed", func(c *cluster) { c.config.OwnerReferences[0] = ownedBy("Widget", "gone") }, ""},
		{
			"finalizers", func(c *cluster) { deleting(&c.config.ObjectMeta, "faultline.example/hold") },
			"ConfigMap settings finalizer the owner of the finalizer faultline.example/hold: its deletion waits for faultline.example/hold to be taken off its finalizers",
		},
		{
			"foreground", func(c *cluster) { deleting(&c.deployment.ObjectMeta, "foregroundDeletion") },
			"Deployment web finalizer kube-controller-manager: its deletion waits for foregroundDeletion to be taken off its finalizers",
		},
		{
			"deleted, and there", func(c *cluster) { deleting(&c.config.ObjectMeta) },
			"ConfigMap settings terminating kube-apiserver: its deletion was asked for, nothing has to be done before, and it is there",
		},
		{"a namespace that won't go", func(c *cluster) {
			deleting(&c.namespaces[0].ObjectMeta)
			c.namespaces[0].Spec.Finalizers = []corev1.FinalizerName{"kubernetes"}
		}, "Namespace default finalizer kube-controller-manager: its deletion waits for kubernetes to be taken off its finalizers"},
		{
			"a node not ready", func(c *cluster) { c.nodes[0].Status.Conditions[0].Status = corev1.ConditionUnknown },
			`Node n1 ready kubelet: its condition Ready is "Unknown"`,
		},
		{
			"kubelets dead, nodes ready", func(c *cluster) {
				c.nodes, c.kubeletsDead = c.nodes[:1], true
				c.pods[1].Spec.NodeName, c.pods[3].Spec.NodeName = "n1", "n1"
			},
			"Node n1 ready kube-controller-manager: it is ready, but its kubelet renews its lease no more",
		},
		{
			"an endpoint is missing", func(c *cluster) { c.slice.Endpoints = c.slice.Endpoints[:1] },
			"Service front endpoints kube-controller-manager: 1 of its 2 ready pods are no endpoints, web-b the first of them",
		},
		{
			"an endpoint too many", func(c *cluster) { c.pods[1].Labels = nil },
			"Service front endpoints kube-controller-manager: 1 of its 2 endpoints are no ready pods that it selects, web-b the first of them",
		},
		{
			"an endpoint marked unready", func(c *cluster) { c.slice.Endpoints[1].Conditions.Ready = new(false) },
			"Service front endpoints kube-controller-manager: 1 of its 2 ready pods are no endpoints, web-b the first of them",
		},
		{
			"unready ones are published", func(c *cluster) { unready(&c.pods[1]); c.service.Spec.PublishNotReadyAddresses = true },
			"Pod web-b ready kubelet: it runs on n2 and is not ready",
		},
		{"an address twice", func(c *cluster) {
			other := corev1.Service{ObjectMeta: meta("back")}
			other.Spec.ClusterIP = c.service.Spec.ClusterIP
			c.extra = append(c.extra, serviceOf(&other))
		}, "Service front duplicated kube-apiserver: its address 10.96.0.9 is that of Service default/back too"},
		{
			"a quota exceeded", func(c *cluster) { c.quota.Spec.Hard["pods"] = resource.MustParse("3") },
			"ResourceQuota quota quota kube-apiserver: 4 pods exist, it allows 3",
		},
		{
			"a quota counted wrong", func(c *cluster) { c.quota.Status.Used["pods"] = resource.MustParse("2") },
			"ResourceQuota quota quota kube-controller-manager: it says that 2 pods are used, 4 exist",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster := healthy()
			c.breaking(cluster)
			if got := lines(Rules(cluster.objects())); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// TestRulesOfSomeKinds: what hangs on objects that nobody looks at is not judged.
func TestRulesOfSomeKinds(t *testing.T) {
	c := healthy()
	only := slices.DeleteFunc(c.objects(), func(o history.Object) bool {
		return o.Kind != KindPod && o.Kind != KindService && o.Kind != KindStatefulSet
	})
	if got := lines(RulesOf([]string{KindPod, KindService, KindStatefulSet})(only)); got != "" {
		t.Errorf("pods, services and StatefulSets alone:\n%s", got)
	}
	if got := Rules(only); len(got) == 0 {
		t.Error("with all kinds observed, owners and nodes that are not there are not missed")
	}
}
