package observe

import (
	"fmt"

	"github.com/faultline/faultline/harness/history"
)

// terminal tells pods that ended for good: nothing runs in them any more.
func terminal(pod *history.Object) bool {
	return pod.Attr[attrPhase] == "Succeeded" || pod.Attr[attrPhase] == "Failed"
}

// living are the pods that count for their owner.
func living(pods []*history.Object) []*history.Object {
	var out []*history.Object
	for _, p := range pods {
		if !p.Deleting && !terminal(p) {
			out = append(out, p)
		}
	}
	return out
}

func ready(pod *history.Object) bool { return pod.Attr[attrReady] == "True" && !pod.Deleting }

// holder is the component that holds up an object which wants some pods: whoever owes the next step.
func (x *index) holder(pods []*history.Object, want int64) string {
	if !x.observed(KindPod) {
		return controllers
	}
	pods = living(pods)
	unscheduled, unready := false, false
	for _, p := range pods {
		unscheduled = unscheduled || p.Attr[attrNode] == ""
		unready = unready || !ready(p)
	}
	switch {
	case int64(len(pods)) != want:
		return controllers
	case unscheduled:
		return scheduler
	case unready:
		return kubelet
	}
	return controllers
}

// seen reports an object whose controller has not seen its newest generation: its status is then of an older one, and not judged.
func (x *index) seen(o *history.Object) bool {
	if o.Observed >= o.Generation {
		return true
	}
	x.report(o, ruleGeneration, controllers, "its generation is %d, its controller has seen %d", o.Generation, o.Observed)
	return false
}

// counted is one observed number that should be the declared one.
type counted struct{ name, words string }

// replicas reports the first observed number that is not the declared one.
func (x *index) replicas(o *history.Object, pods []*history.Object, numbers []counted) {
	want := o.Want[numReplicas]
	for _, n := range numbers {
		if have := o.Have[n.name]; have != want {
			x.report(o, ruleReplicas, x.holder(pods, want), "%d of %d replicas %s%s", have, want, n.words, beside(o, n.name))
			return
		}
	}
}

// beside says how many there are at all, where that tells more.
func beside(o *history.Object, name string) string {
	if name == numReplicas || o.Have[numReplicas] == o.Want[numReplicas] {
		return ""
	}
	return fmt.Sprintf(" (%d exist)", o.Have[numReplicas])
}

// deploymentMatches follows pkg/controller/deployment/util, DeploymentComplete.
func deploymentMatches(x *index, o *history.Object) {
	if o.Deleting || !x.seen(o) {
		return
	}
	var pods []*history.Object
	for i := range x.all {
		if set := &x.all[i]; set.Kind == KindReplicaSet && controls(o, set) {
			pods = append(pods, x.pods[set.UID]...)
		}
	}
	numbers := []counted{{numAvailable, "are available"}, {numUpdated, "are of its newest template"}, {numReady, "are ready"}, {numReplicas, "exist"}}
	if o.Attr[attrPaused] != "" {
		numbers = []counted{{numAvailable, "are available"}, {numReady, "are ready"}, {numReplicas, "exist"}}
	}
	x.replicas(o, pods, numbers)
	if n := o.Have[numUnavailable]; n != 0 && o.Have[numAvailable] == o.Want[numReplicas] {
		x.report(o, ruleReplicas, x.holder(pods, o.Want[numReplicas]), "%d replicas are unavailable", n)
	}
}

func controls(owner, o *history.Object) bool {
	for _, w := range o.Owners {
		if w.Controller && w.UID == owner.UID {
			return true
		}
	}
	return false
}

// surplus reports pods beyond what their owner wants. The names tell which pods.
func (x *index) surplus(o *history.Object, want int64) {
	pods := living(x.pods[o.UID])
	if int64(len(pods)) > want {
		x.report(o, history.MismatchDuplicated, controllers, "%d pods run for it, it wants %d (the last by name: %s)", len(pods), want, last(pods).Name)
	}
}

func last(pods []*history.Object) *history.Object {
	out := pods[0]
	for _, p := range pods {
		if p.Name > out.Name {
			out = p
		}
	}
	return out
}

// replicaSetMatches follows pkg/controller/replicaset, calculateStatus.
func replicaSetMatches(x *index, o *history.Object) {
	if o.Deleting || !x.seen(o) {
		return
	}
	x.replicas(o, x.pods[o.UID], []counted{
		{numAvailable, "are available"}, {numReady, "are ready"}, {numLabeled, "have all of its template's labels"}, {numReplicas, "exist"},
	})
	x.surplus(o, o.Want[numReplicas])
}

// statefulSetMatches follows pkg/controller/statefulset, updateStatefulSet and completeRollingUpdate.
func statefulSetMatches(x *index, o *history.Object) {
	if o.Deleting || !x.seen(o) {
		return
	}
	pods := x.pods[o.UID]
	x.replicas(o, pods, []counted{{numAvailable, "are available"}, {numReady, "are ready"}, {numReplicas, "exist"}})
	if o.Attr[attrStrategy] != "OnDelete" && o.Want[numPartition] == 0 && o.Attr[attrCurrent] != o.Attr[attrUpdate] {
		x.report(o, ruleRevision, x.holder(pods, o.Want[numReplicas]), "%d of %d replicas are of its newest revision %s", o.Have[numUpdated],
			o.Want[numReplicas], o.Attr[attrUpdate])
	}
	x.ordinals(o, pods)
}

// ordinals reports pods that the set has beside those of its ordinals, and ordinals without a pod.
func (x *index) ordinals(o *history.Object, pods []*history.Object) {
	if !x.observed(KindPod) {
		return
	}
	missing := map[string]bool{}
	for i := range o.Want[numReplicas] {
		missing[fmt.Sprintf("%s-%d", o.Name, o.Want[numStart]+i)] = true
	}
	for _, p := range living(pods) {
		if !missing[p.Name] {
			x.report(o, history.MismatchDuplicated, controllers, "the pod %s runs for it and is none of its ordinals", p.Name)
		}
		delete(missing, p.Name)
	}
	for i := range o.Want[numReplicas] {
		if name := fmt.Sprintf("%s-%d", o.Name, o.Want[numStart]+i); missing[name] {
			x.report(o, ruleOrdinals, x.stuck(name), "its pod %s is not there", name)
			return
		}
	}
}

// stuck is who has to act before a StatefulSet's pod can be made again: the kubelet, while the one before is there.
func (x *index) stuck(pod string) string {
	if x.named[[2]string{KindPod, pod}] != nil {
		return kubelet
	}
	return controllers
}

// jobMatches follows pkg/controller/job. A job that failed for good ended as promised.
func jobMatches(x *index, o *history.Object) {
	if o.Deleting || o.Attr[attrSuspend] != "" {
		return
	}
	completions, counted := o.Want[numCompletions]
	finished := o.Attr[attrComplete] != "" || o.Attr[attrFailed] != ""
	switch {
	case finished && o.Have[numActive] > 0:
		x.report(o, ruleCompletions, controllers, "it has ended, but its status says that %d of its pods are active", o.Have[numActive])
	case o.Attr[attrComplete] != "" && counted && o.Have[numSucceeded] < completions:
		x.report(o, ruleCompletions, controllers, "it is complete with %d of %d completions", o.Have[numSucceeded], completions)
	case finished:
	case counted:
		x.report(o, ruleCompletions, x.jobHolder(o, completions), "%d of %d completions, %d active", o.Have[numSucceeded], completions, o.Have[numActive])
	default:
		x.report(o, ruleCompletions, x.jobHolder(o, 1), "it is not complete, %d active", o.Have[numActive])
	}
	if !finished {
		limit := o.Want[numParallel]
		if counted {
			limit = min(limit, completions)
		}
		x.surplus(o, limit)
	}
}

// jobHolder is who holds up a job that is not finished.
func (x *index) jobHolder(o *history.Object, completions int64) string {
	if o.Have[numSucceeded] >= completions {
		return controllers
	}
	pods := living(x.pods[o.UID])
	for _, p := range pods {
		if p.Attr[attrNode] == "" {
			return scheduler
		}
	}
	if len(pods) > 0 {
		return kubelet
	}
	return controllers
}
