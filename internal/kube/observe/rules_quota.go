package observe

import (
	"maps"
	"slices"

	"github.com/faultline/faultline/harness/history"
)

// quotaKinds are the resources whose number a quota may limit and which are observed. (pkg/quota/v1/evaluator/core;
// count/…: object counts.)
var quotaKinds = map[string]string{
	"pods":                    KindPod,
	"count/pods":              KindPod,
	"services":                KindService,
	"count/services":          KindService,
	"configmaps":              KindConfigMap,
	"count/configmaps":        KindConfigMap,
	"resourcequotas":          KindResourceQuota,
	"count/deployments.apps":  KindDeployment,
	"count/replicasets.apps":  KindReplicaSet,
	"count/statefulsets.apps": KindStatefulSet,
	"count/jobs.batch":        KindJob,
}

// quotaMatches: nothing exceeds what is allowed, and what the quota says is used is what there is.
func quotaMatches(x *index, o *history.Object) {
	if o.Deleting {
		return
	}
	for _, resource := range slices.Sorted(maps.Keys(o.Want)) {
		kind := quotaKinds[resource]
		if kind == "" || !x.observed(kind) {
			continue
		}
		least, most := x.count(namespaceOfName(o.Name), kind, resource)
		used, known := o.Have[resource]
		switch {
		case least > o.Want[resource]:
			x.report(o, ruleQuota, apiserver, "%d %s exist, it allows %d", least, resource, o.Want[resource])
		case !known:
			x.report(o, ruleQuota, controllers, "it does not say how many %s there are", resource)
		case used < least || used > most:
			x.report(o, ruleQuota, controllers, "it says that %d %s are used, %d exist", used, resource, least)
		}
	}
}

// count counts as the quota does: "pods" are those that have not ended for good, and of those that are being deleted the ones
// whose grace period is not over, which may be none or all of them.
func (x *index) count(namespace, kind, resource string) (least, most int64) {
	for _, o := range x.inNamespace[[2]string{namespace, kind}] {
		if resource == "pods" && terminal(o) {
			continue
		}
		most++
		if resource != "pods" || !o.Deleting {
			least++
		}
	}
	return least, most
}
