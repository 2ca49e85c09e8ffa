package workloads

import (
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/kube/declared"
	"github.com/faultline/faultline/internal/kube/observe"
)

// deploymentReplicas is the most copies that a Deployment is scaled to.
const deploymentReplicas = 5

// kubeDeployment creates a few Deployments, and scales them, rolls them out and back.
//
//	create    {kind, change, replicas, image} → {…, uid}
//	scale     {kind, change, replicas}        rollout   {kind, change, image}
//	rollback  {kind, change} → {…, image}     read      {kind} → {kind, change, replicas, image, uid}
func kubeDeployment() Workload {
	return declaring{
		label: "deployment", prefix: "d",
		kinds: append([]string{observe.KindDeployment, observe.KindReplicaSet}, running...),
		draw: func(ctx *generator.Context, k drawnKey) (string, string, history.Declaration) {
			return drawDeployment(ctx, k, []weight{{"create", 8}, {"scale", 17}, {"rollout", 10}, {"rollback", 5}, {"read", 60}})
		},
		final: func(n int64) []history.Op { return []history.Op{readOf(declared.KindDeployment, numbered("d", n))} },
	}.row("kube/deployment", "Deployments created, scaled, rolled out and back; their pods follow", Defaults{Rate: 2, Keys: 4})
}

// drawDeployment draws an operation on a Deployment.
func drawDeployment(ctx *generator.Context, k drawnKey, weights []weight) (string, string, history.Declaration) {
	f, d := weighted(ctx, weights), history.Declaration{Kind: declared.KindDeployment}
	if k.first {
		f = "create"
	}
	switch f {
	case "create":
		d.Replicas, d.Image = new(1+ctx.Rand.Int64N(deploymentReplicas)), drawImage(ctx)
	case "scale":
		d.Replicas = drawReplicas(ctx, deploymentReplicas)
	case "rollout":
		d.Image = drawImage(ctx)
	}
	return f, k.name, d
}
