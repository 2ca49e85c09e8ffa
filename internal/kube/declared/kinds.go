package declared

import (
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/faultline/faultline/harness/history"
)

// The kinds of object that can be declared.
const (
	KindDeployment    = "Deployment"
	KindStatefulSet   = "StatefulSet"
	KindJob           = "Job"
	KindConfigMap     = "ConfigMap"
	KindService       = "Service"
	KindResourceQuota = "ResourceQuota"
	KindPod           = "Pod"
)

// Words of history.Declaration.How in a create.
const (
	// HowParallel starts all pods of a StatefulSet at once; otherwise they start in their order.
	HowParallel = "parallel"
	// HowNodePort is a Service with a port on every node; otherwise it has a cluster address only.
	HowNodePort = string(corev1.ServiceTypeNodePort)
)

// Names in history.Declaration.Given.
const (
	GivenIP   = "ip"
	GivenPort = "port"
)

// The annotations by which objects carry a declaration.
const (
	annotationChange = "faultline.io/change"
	// The container runtime of the nodes honours these in pods.
	annotationExitAfter = "faultline.io/exit-after-ms"
	annotationExitCode  = "faultline.io/exit-code"
)

const (
	// labelApp tells the pods of one object.
	labelApp = "app"
	// portOf is the port of every service.
	portOf = 80
	// revisionsKept bounds the old ReplicaSets of a Deployment.
	revisionsKept = 3
	// failuresAllowed is how many pods of a job may fail before it does: a job whose pods exit with 0 fails never, whatever becomes of the nodes.
	failuresAllowed = 1000
	// failuresOfFailing is the same for a job whose pods all fail.
	failuresOfFailing = 1
)

// kind is how declarations of one kind become objects, and objects declarations.
type kind struct {
	resource schema.GroupVersionResource
	fresh    func() object
	list     func() runtime.Object
	// fill gives a new object what was declared. Its metadata are there.
	fill func(o object, d *history.Declaration)
	// tell gives a declaration what an object has.
	tell func(o object, d *history.Declaration)
}

var kinds = map[string]kind{
	KindDeployment: {
		appsv1.SchemeGroupVersion.WithResource("deployments"),
		func() object { return &appsv1.Deployment{} }, func() runtime.Object { return &appsv1.DeploymentList{} },
		fillDeployment,
		func(o object, d *history.Declaration) {
			s := &o.(*appsv1.Deployment).Spec
			d.Replicas, d.Image = wide(s.Replicas), imageOf(&s.Template)
		},
	},
	KindStatefulSet: {
		appsv1.SchemeGroupVersion.WithResource("statefulsets"),
		func() object { return &appsv1.StatefulSet{} }, func() runtime.Object { return &appsv1.StatefulSetList{} },
		fillStatefulSet,
		func(o object, d *history.Declaration) {
			s := &o.(*appsv1.StatefulSet).Spec
			d.Replicas, d.Image = wide(s.Replicas), imageOf(&s.Template)
		},
	},
	KindJob: {
		batchv1.SchemeGroupVersion.WithResource("jobs"),
		func() object { return &batchv1.Job{} }, func() runtime.Object { return &batchv1.JobList{} },
		fillJob,
		func(o object, d *history.Declaration) {
			s := &o.(*batchv1.Job).Spec
			d.Replicas, d.Image = wide(s.Parallelism), imageOf(&s.Template)
			if s.Completions != nil {
				d.Count = int64(*s.Completions)
			}
		},
	},
	KindConfigMap: {
		corev1.SchemeGroupVersion.WithResource("configmaps"),
		func() object { return &corev1.ConfigMap{} }, func() runtime.Object { return &corev1.ConfigMapList{} },
		func(object, *history.Declaration) {}, func(object, *history.Declaration) {},
	},
	KindService: {
		corev1.SchemeGroupVersion.WithResource("services"),
		func() object { return &corev1.Service{} }, func() runtime.Object { return &corev1.ServiceList{} },
		fillService,
		func(o object, d *history.Declaration) {
			s := &o.(*corev1.Service).Spec
			d.How, d.Given = string(s.Type), given(s)
		},
	},
	KindResourceQuota: {
		corev1.SchemeGroupVersion.WithResource("resourcequotas"),
		func() object { return &corev1.ResourceQuota{} }, func() runtime.Object { return &corev1.ResourceQuotaList{} },
		fillQuota,
		func(o object, d *history.Declaration) {
			hard := o.(*corev1.ResourceQuota).Spec.Hard[corev1.ResourceConfigMaps]
			d.Count = hard.Value()
		},
	},
	KindPod: {
		corev1.SchemeGroupVersion.WithResource("pods"),
		func() object { return &corev1.Pod{} }, func() runtime.Object { return &corev1.PodList{} },
		func(o object, d *history.Declaration) {
			p := o.(*corev1.Pod)
			p.Spec = podSpec(d.Image)
			// It counts for the quota and stays where it is, whatever becomes of the nodes.
			p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "faultline.io/never"}}
		},
		func(o object, d *history.Declaration) {
			if c := o.(*corev1.Pod).Spec.Containers; len(c) > 0 {
				d.Image = c[0].Image
			}
		},
	},
}

func fillDeployment(o object, d *history.Declaration) {
	dep := o.(*appsv1.Deployment)
	dep.Spec = appsv1.DeploymentSpec{
		Replicas: narrow(d.Replicas), Selector: selector(dep.Name), Template: podTemplate(dep.Name, d.Image),
		RevisionHistoryLimit: new(int32(revisionsKept)),
	}
}

func fillStatefulSet(o object, d *history.Declaration) {
	set := o.(*appsv1.StatefulSet)
	set.Spec = appsv1.StatefulSetSpec{
		Replicas: narrow(d.Replicas), Selector: selector(set.Name), Template: podTemplate(set.Name, d.Image), ServiceName: set.Name,
	}
	if d.How == HowParallel {
		set.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
	}
}

func fillJob(o object, d *history.Declaration) {
	job := o.(*batchv1.Job)
	t := podTemplate(job.Name, d.Image)
	t.Annotations = map[string]string{
		annotationExitAfter: strconv.FormatInt(d.ForMS, 10), annotationExitCode: strconv.FormatInt(d.Exit, 10),
	}
	t.Spec.RestartPolicy = corev1.RestartPolicyNever
	failures := int32(failuresAllowed)
	if d.Exit != 0 {
		failures = failuresOfFailing
	}
	t.Labels = nil // the job's own selector tells its pods
	job.Spec = batchv1.JobSpec{Completions: narrow(&d.Count), Parallelism: narrow(d.Replicas), BackoffLimit: &failures, Template: t}
}

func fillService(o object, d *history.Declaration) {
	s := o.(*corev1.Service)
	s.Spec = corev1.ServiceSpec{
		Type: corev1.ServiceTypeClusterIP, Selector: map[string]string{labelApp: s.Name},
		Ports: []corev1.ServicePort{{Port: portOf, TargetPort: intstr.FromInt32(portOf), Protocol: corev1.ProtocolTCP}},
	}
	if d.How == HowNodePort {
		s.Spec.Type = corev1.ServiceTypeNodePort
	}
}

// given is what the server allocated for a service.
func given(s *corev1.ServiceSpec) map[string]string {
	out := map[string]string{GivenIP: s.ClusterIP}
	if len(s.Ports) > 0 && s.Ports[0].NodePort != 0 {
		out[GivenPort] = strconv.FormatInt(int64(s.Ports[0].NodePort), 10)
	}
	return out
}

func fillQuota(o object, d *history.Declaration) {
	limit := *resource.NewQuantity(d.Count, resource.DecimalSI)
	// One more ConfigMap is in every namespace: the cluster's root certificate (kube-root-ca.crt).
	o.(*corev1.ResourceQuota).Spec.Hard = corev1.ResourceList{corev1.ResourcePods: limit, corev1.ResourceConfigMaps: limit}
}

func selector(name string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{labelApp: name}}
}

func podTemplate(name, image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{labelApp: name}}, Spec: podSpec(image)}
}

// containerName is the one container's of every pod.
const containerName = "main"

// podSpec is a pod that asks for next to nothing and ends fast. How long it stays bound to a node that is gone is the API server's default
// (--default-unreachable-toleration-seconds, part of the cluster's profile).
func podSpec(image string) corev1.PodSpec {
	return corev1.PodSpec{
		Containers: []corev1.Container{{
			Name: containerName, Image: image,
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("1m"), corev1.ResourceMemory: resource.MustParse("1Mi"),
			}},
		}},
		TerminationGracePeriodSeconds: new(int64(1)),
		AutomountServiceAccountToken:  new(bool),
		EnableServiceLinks:            new(bool),
	}
}

func imageOf(t *corev1.PodTemplateSpec) string {
	if len(t.Spec.Containers) == 0 {
		return ""
	}
	return t.Spec.Containers[0].Image
}

func wide(n *int32) *int64 {
	if n == nil {
		return nil
	}
	return new(int64(*n))
}

func narrow(n *int64) *int32 {
	if n == nil {
		return nil
	}
	return new(int32(*n)) //nolint:gosec // a handful
}
