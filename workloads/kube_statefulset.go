package workloads

import (
	"time"

	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/kube/declared"
	"github.com/faultline/faultline/internal/kube/observe"
)

// statefulSetReplicas is the most copies that a StatefulSet is scaled to.
const statefulSetReplicas = 3

// clocksApart is by how much the clocks of two nodes may differ, whose runtimes log by them.
const clocksApart = 500 * time.Millisecond

// OneOfEachIdentity judges that no two pods of one name ran at once. still: none need have been replaced for that to mean something.
func OneOfEachIdentity(still bool) checker.Checker {
	return checker.Identities(checker.IdentitiesOptions{Slack: clocksApart, Still: still})
}

// kubeStatefulSet creates a few StatefulSets, every other one of which starts its pods all at once, scales them and rolls them out.
//
//	create  {kind, change, replicas, image, how} → {…, uid}
//	scale   {kind, change, replicas}   rollout  {kind, change, image}   read  {kind} → {kind, change, replicas, image, uid}
func kubeStatefulSet() Workload {
	return declaring{
		label: "statefulset", prefix: "s",
		kinds: append([]string{observe.KindStatefulSet}, running...),
		draw: func(ctx *generator.Context, k drawnKey) (string, string, history.Declaration) {
			return drawStatefulSet(ctx, k, []weight{{"create", 8}, {"scale", 20}, {"rollout", 12}, {"read", 60}})
		},
		more: []checker.Checker{OneOfEachIdentity(false)},
		final: func(n int64) []history.Op {
			return []history.Op{readOf(declared.KindStatefulSet, numbered("s", n))}
		},
	}.row("kube/statefulset", "StatefulSets scaled and rolled out; never two running pods of one identity, by the nodes' runtimes", Defaults{Rate: 2, Keys: 3})
}

// drawStatefulSet draws an operation on a StatefulSet.
func drawStatefulSet(ctx *generator.Context, k drawnKey, weights []weight) (string, string, history.Declaration) {
	f, d := weighted(ctx, weights), history.Declaration{Kind: declared.KindStatefulSet}
	if k.first {
		f = "create"
	}
	switch f {
	case "create":
		d.Replicas, d.Image = new(1+ctx.Rand.Int64N(statefulSetReplicas)), drawImage(ctx)
		if k.number%2 == 1 {
			d.How = declared.HowParallel
		}
	case "scale":
		d.Replicas = drawReplicas(ctx, statefulSetReplicas)
	case "rollout":
		d.Image = drawImage(ctx)
	}
	return f, k.name, d
}
