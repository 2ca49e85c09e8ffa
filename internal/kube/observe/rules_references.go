package observe

import (
	"strings"

	"github.com/faultline/faultline/harness/history"
)

// namespaceOfName is the namespace of namespace/name, or "".
func namespaceOfName(name string) string {
	namespace, _, found := strings.Cut(name, "/")
	if !found {
		return ""
	}
	return namespace
}

// baseName is the name without its namespace.
func baseName(name string) string { return name[strings.IndexByte(name, '/')+1:] }

// ownersExist: the garbage collector deletes what has owners none of which exists, told by their UIDs
// (pkg/controller/garbagecollector, attemptToDeleteItem). Objects that have one owner left stay.
func ownersExist(x *index, o *history.Object) {
	if len(o.Owners) == 0 || o.Deleting {
		return
	}
	for _, owner := range o.Owners {
		if !x.observed(owner.Kind) || x.byUID[owner.UID] != nil {
			return
		}
	}
	owner := o.Owners[0]
	name := owner.Name
	if ns := namespaceOfName(o.Name); ns != "" && owner.Kind != KindNode && owner.Kind != KindNamespace {
		name = ns + "/" + name
	}
	if x.named[[2]string{owner.Kind, name}] != nil {
		x.report(o, history.MismatchOwner, controllers, "its owner, an earlier %s %s, is gone; the one of that name now is another", owner.Kind, name)
		return
	}
	x.report(o, history.MismatchOwner, controllers, "its owner, %s %s, is gone", owner.Kind, name)
}

// finalizerComponents are who removes a finalizer. (foregroundDeletion, orphan: pkg/controller/garbagecollector; kubernetes:
// pkg/controller/namespace; job-tracking: pkg/controller/job.)
var finalizerComponents = map[string]string{
	"foregroundDeletion":               controllers,
	"orphan":                           controllers,
	"kubernetes":                       controllers,
	"batch.kubernetes.io/job-tracking": controllers,
}

// deletionEnds: the API server removes an object that is being deleted at once, unless it has finalizers, or is a pod
// with a node, whose kubelet ends it first.
func deletionEnds(x *index, o *history.Object) {
	switch {
	case !o.Deleting:
	case len(o.Finalizers) > 0:
		component := finalizerComponents[o.Finalizers[0]]
		if component == "" {
			component = "the owner of the finalizer " + o.Finalizers[0]
		}
		x.report(o, history.MismatchFinalizer, component, "its deletion waits for %s to be taken off its finalizers", strings.Join(o.Finalizers, ", "))
	case o.Kind == KindPod:
		podEnds(x, o)
	case o.Kind == KindNamespace:
		x.report(o, ruleTerminating, controllers, "it is %s", strings.ToLower(o.Attr[attrPhase]))
	default:
		x.report(o, ruleTerminating, apiserver, "its deletion was asked for, nothing has to be done before, and it is there")
	}
}

// podEnds says who has not ended a pod that is being deleted.
func podEnds(x *index, o *history.Object) {
	node := o.Attr[attrNode]
	switch {
	case node == "":
		x.report(o, ruleTerminating, controllers, "it is being deleted, has no node, and is there")
	case x.observed(KindNode) && x.named[[2]string{KindNode, node}] == nil:
		x.report(o, ruleTerminating, controllers, "it is being deleted, its node %s does not exist, and it is there", node)
	default:
		x.report(o, ruleTerminating, kubelet, "it is being deleted and the kubelet on %s has not ended it", node)
	}
}
