package observe

import (
	"slices"
	"strings"

	"github.com/faultline/faultline/harness/history"
)

// podMatches: a pod that is to run for ever runs, on a node that exists, and is ready. One that ended for good, or that
// belongs to a job, is its owner's matter.
func podMatches(x *index, o *history.Object) {
	if o.Deleting || terminal(o) {
		return
	}
	node := o.Attr[attrNode]
	if node == "" {
		x.report(o, ruleScheduled, scheduler, "it has no node%s", because(o))
		return
	}
	if x.observed(KindNode) && x.named[[2]string{KindNode, node}] == nil {
		x.report(o, ruleNode, controllers, "its node %s does not exist", node)
		return
	}
	forever := o.Attr[attrRestart] == "" || o.Attr[attrRestart] == "Always"
	switch {
	case o.Attr[attrPhase] != "Running":
		x.report(o, ruleReady, kubelet, "it is %s on %s%s", strings.ToLower(o.Attr[attrPhase]), node, because(o))
	case forever && o.Attr[attrReady] != "True":
		x.report(o, ruleReady, kubelet, "it runs on %s and is not ready%s", node, because(o))
	}
}

func because(o *history.Object) string {
	if o.Attr[attrWhy] == "" {
		return ""
	}
	return ": " + o.Attr[attrWhy]
}

// nodeMatches: the condition Ready says what the kubelet's lease shows (pkg/controller/nodelifecycle).
func nodeMatches(x *index, o *history.Object) {
	isReady, alive := o.Attr[attrReady], o.Attr[attrAlive]
	switch {
	case alive == "false" && isReady == "True":
		x.report(o, ruleReady, controllers, "it is ready, but its kubelet renews its lease no more")
	case alive == "false":
		x.report(o, ruleReady, kubelet, "its kubelet renews its lease no more")
	case isReady != "True":
		x.report(o, ruleReady, kubelet, "its condition Ready is %q", isReady)
	}
}

// serviceMatches follows staging/src/k8s.io/endpointslice: the ready endpoints are exactly the pods that the selector
// picks, that have an address, and that are ready (or all of them, where unready ones are to be published) and not terminating.
func serviceMatches(x *index, o *history.Object) {
	x.ownAddress(o)
	if o.Attr[attrSelector] == "" || o.Deleting || !x.observed(KindPod) || !x.observed(KindEndpointSlice) {
		return
	}
	namespace := namespaceOfName(o.Name)
	var want, have []string
	for _, p := range x.inNamespace[[2]string{namespace, KindPod}] {
		if selects(o.Attr[attrSelector], p.Attr[attrLabels]) && !terminal(p) && p.Attr[attrIP] != "" && (ready(p) || o.Attr[attrPublish] != "") {
			want = append(want, baseName(p.Name))
		}
	}
	for _, e := range x.inNamespace[[2]string{namespace, KindEndpointSlice}] {
		if e.Attr[attrService] == baseName(o.Name) && e.Attr[attrReady] != "" && !e.Deleting {
			have = append(have, strings.Split(e.Attr[attrReady], ",")...)
		}
	}
	slices.Sort(want)
	slices.Sort(have)
	have = slices.Compact(have)
	if lacks := without(want, have); len(lacks) > 0 {
		x.report(o, ruleEndpoints, controllers, "%d of its %d ready pods are no endpoints, %s the first of them", len(lacks), len(want), lacks[0])
	} else if extra := without(have, want); len(extra) > 0 {
		x.report(o, ruleEndpoints, controllers, "%d of its %d endpoints are no ready pods that it selects, %s the first of them", len(extra), len(have), extra[0])
	}
}

// without is what a has and b lacks.
func without(a, b []string) []string {
	var out []string
	for _, s := range a {
		if !slices.Contains(b, s) {
			out = append(out, s)
		}
	}
	return out
}

// selects tells whether all of a selector's k=v are among an object's labels, both as labels.FormatLabels writes them.
func selects(selector, labels string) bool {
	have := strings.Split(labels, ",")
	for s := range strings.SplitSeq(selector, ",") {
		if !slices.Contains(have, s) {
			return false
		}
	}
	return true
}

// ownAddress reports an address that an older service has as well.
func (x *index) ownAddress(o *history.Object) {
	ip := o.Attr[attrIP]
	if ip == "" || ip == "None" {
		return
	}
	for i := range x.all {
		if other := &x.all[i]; other.Kind == KindService && other.Attr[attrIP] == ip && other.Name < o.Name {
			x.report(o, history.MismatchDuplicated, apiserver, "its address %s is that of Service %s too", ip, other.Name)
			return
		}
	}
}
