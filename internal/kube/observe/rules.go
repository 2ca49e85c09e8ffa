package observe

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/faultline/faultline/harness/history"
)

// The components that rules hold responsible.
const (
	apiserver   = "kube-apiserver"
	controllers = "kube-controller-manager"
	scheduler   = "kube-scheduler"
	kubelet     = "kubelet"
)

// Names of rules, beside those that history has for every system.
const (
	ruleGeneration  = "observed-generation"
	ruleReplicas    = "replicas"
	ruleRevision    = "revision"
	ruleOrdinals    = "ordinals"
	ruleCompletions = "completions"
	ruleScheduled   = "scheduled"
	ruleNode        = "node"
	ruleReady       = "ready"
	ruleTerminating = "terminating"
	ruleEndpoints   = "endpoints"
	ruleQuota       = "quota"
	ruleDeclared    = "declared"
)

// rule is a row of the table of what should hold of the objects of one kind, or of all.
type rule struct {
	// kind is the objects'; empty: any.
	kind string
	doc  string
	// check reports what does not hold of o.
	check func(x *index, o *history.Object)
}

// rules are the table. What a kind promises stands in its API reference and in the controller that is named.
var rules = []rule{
	{"", "an object whose owners are all gone goes too (garbage collector)", ownersExist},
	{"", "an object whose deletion was asked for goes, once nothing has to be done before", deletionEnds},
	{KindDeployment, "its controller has seen its generation; all of its pods are of the newest template, and available", deploymentMatches},
	{KindReplicaSet, "as many pods as declared, all with its labels, ready and available; no more than that", replicaSetMatches},
	{KindStatefulSet, "the pods of its ordinals, no others, ready and of one revision", statefulSetMatches},
	{KindJob, "it is complete, or has failed for good; no more pods run than it may have", jobMatches},
	{KindPod, "it has a node that exists, runs there, and is ready; a terminated one goes", podMatches},
	{KindNode, "it is ready exactly if its kubelet is alive", nodeMatches},
	{KindService, "its endpoints are the pods that it selects and that are ready; its address is its own", serviceMatches},
	{KindResourceQuota, "what it counts is what there is, and not more than it allows", quotaMatches},
}

// Rules are the rules for objects of all kinds.
func Rules(objects []history.Object) []history.Mismatch { return check(objects, Kinds()) }

// RulesOf are the rules where only some kinds are observed: what hangs on objects of other kinds is not judged.
func RulesOf(kinds []string) history.Rules {
	kinds = slices.Clone(kinds)
	return func(objects []history.Object) []history.Mismatch { return check(objects, kinds) }
}

func check(objects []history.Object, kinds []string) []history.Mismatch {
	x := newIndex(objects, kinds)
	for i := range objects {
		for j := range rules {
			if r := &rules[j]; r.kind == "" || r.kind == objects[i].Kind {
				r.check(x, &objects[i])
			}
		}
	}
	slices.SortStableFunc(x.found, func(a, b history.Mismatch) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Rule, b.Rule))
	})
	return x.found
}

// index finds objects by what refers to them.
type index struct {
	kinds []string
	all   []history.Object
	byUID map[string]*history.Object
	// named are objects by kind and name.
	named map[[2]string]*history.Object
	// pods are those that have a controller, by its UID.
	pods map[string][]*history.Object
	// inNamespace are all objects by namespace and kind.
	inNamespace map[[2]string][]*history.Object
	found       []history.Mismatch
}

func newIndex(objects []history.Object, kinds []string) *index {
	x := &index{
		kinds: kinds, all: objects, byUID: map[string]*history.Object{}, named: map[[2]string]*history.Object{},
		pods: map[string][]*history.Object{}, inNamespace: map[[2]string][]*history.Object{},
	}
	for i := range objects {
		o := &objects[i]
		x.byUID[o.UID] = o
		x.named[[2]string{o.Kind, o.Name}] = o
		ns := [2]string{namespaceOfName(o.Name), o.Kind}
		x.inNamespace[ns] = append(x.inNamespace[ns], o)
		if o.Kind != KindPod {
			continue
		}
		for _, owner := range o.Owners {
			if owner.Controller {
				x.pods[owner.UID] = append(x.pods[owner.UID], o)
			}
		}
	}
	return x
}

// observed tells whether objects of a kind would be there if they existed.
func (x *index) observed(kind string) bool { return slices.Contains(x.kinds, kind) }

func (x *index) report(o *history.Object, rule, component, format string, args ...any) {
	x.found = append(x.found, history.Mismatch{
		Kind: o.Kind, Name: o.Name, Rule: rule, Component: component, Why: fmt.Sprintf(format, args...),
	})
}
