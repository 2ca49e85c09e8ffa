package workloads

import (
	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/kube/declared"
	"github.com/faultline/faultline/internal/kube/observe"
)

// nodeFailureKinds is how many keys in turn make up the mix: the last of them is a StatefulSet, the others are Deployments.
const nodeFailureKinds = 4

// kubeNodeFailure keeps Deployments and a StatefulSet that hardly change while nodes die, so that what changes is where their pods are.
func kubeNodeFailure() Workload {
	kindOf := func(number int64) string {
		if number%nodeFailureKinds == nodeFailureKinds-1 {
			return declared.KindStatefulSet
		}
		return declared.KindDeployment
	}
	steady := []weight{{"create", 10}, {"scale", 5}, {"read", 85}}
	return declaring{
		label: "node-failure", prefix: "n",
		kinds: append([]string{observe.KindDeployment, observe.KindReplicaSet, observe.KindStatefulSet}, running...),
		draw: func(ctx *generator.Context, k drawnKey) (string, string, history.Declaration) {
			if kindOf(k.number) == declared.KindStatefulSet {
				return drawStatefulSet(ctx, k, steady)
			}
			return drawDeployment(ctx, k, steady)
		},
		more:  []checker.Checker{OneOfEachIdentity(true)},
		final: func(n int64) []history.Op { return []history.Op{readOf(kindOf(n), numbered("n", n))} },
	}.row("kube/node-failure", "steady Deployments and a StatefulSet while nodes die: their pods move", Defaults{Rate: 2, Keys: nodeFailureKinds})
}
