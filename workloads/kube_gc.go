package workloads

import (
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/kube/declared"
	"github.com/faultline/faultline/internal/kube/observe"
)

// gcShape is what belongs to the owner of a key, by the endings of names: two dependents, and one of the second's.
var gcShape = []struct{ name, owner string }{{"-a", ""}, {"-b", ""}, {"-b-a", "-b"}}

// kubeGC creates owners and dependents, two levels deep, and deletes owners in every way. Dependents must go with their owner, or
// stay as orphans where that was asked for; and none may go whose owner was not deleted.
//
//	create  {kind, change} or {kind, change, owner, blocks} → {…, uid}, refused absent where the owner is
//	delete  {kind, how} → {…, uid}    read  {kind} → {kind, change, owner, uid, deleting}
func kubeGC() Workload {
	return declaring{
		label: "gc", prefix: "g",
		kinds: []string{observe.KindConfigMap},
		draw:  drawGC,
		final: func(n int64) []history.Op {
			owner := numbered("g", n)
			ops := []history.Op{readOf(declared.KindConfigMap, owner)}
			for _, s := range gcShape {
				ops = append(ops, readOf(declared.KindConfigMap, owner+s.name))
			}
			return ops
		},
	}.row("kube/gc", "owners and dependents, deleted in the foreground, in the background and as orphans", Defaults{Rate: 5, Keys: 4, OpsPerKey: 15})
}

func drawGC(ctx *generator.Context, k drawnKey) (string, string, history.Declaration) {
	what := weighted(ctx, []weight{{"owner", 22}, {"dependent", 36}, {"delete", 7}, {"delete-middle", 3}, {"read", 32}})
	if k.first {
		what = "owner"
	}
	s := gcShape[ctx.Rand.IntN(len(gcShape))]
	d := history.Declaration{Kind: declared.KindConfigMap}
	switch what {
	case "owner":
		return "create", k.name, d
	case "dependent":
		d.Owner, d.Blocks = k.name+s.owner, ctx.Rand.IntN(2) == 0
		return "create", k.name + s.name, d
	case "delete", "delete-middle":
		name := k.name
		if what == "delete-middle" {
			name += "-b"
		}
		d.How = drawHow(ctx, declared.HowForeground, declared.HowBackground, declared.HowOrphan)
		return "delete", name, d
	}
	if ctx.Rand.IntN(2) == 0 {
		return "read", k.name, d
	}
	return "read", k.name + s.name, d
}
