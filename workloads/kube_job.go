package workloads

import (
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/kube/declared"
	"github.com/faultline/faultline/internal/kube/observe"
)

// What jobs are like.
const (
	jobCompletions = 4
	jobParallel    = 2
	// Pods run from jobMin to jobMin + jobSpan, in milliseconds.
	jobMin, jobSpan = 200, 2000
	// failsOneIn is how many jobs there are for each whose pods exit with an error.
	failsOneIn = 8
)

// kubeJob creates jobs whose pods exit by themselves, reads them, and deletes older ones, so that there are never many.
//
//	create  {kind, change, count, replicas, for_ms, exit, image} → {…, uid}
//	delete  {kind, how} → {…, uid}    read  {kind} → {kind, change, count, replicas, image, uid}
func kubeJob() Workload {
	return declaring{
		label: "job", prefix: "j",
		kinds: append([]string{observe.KindJob}, running...),
		draw:  drawJob,
		final: func(n int64) []history.Op { return []history.Op{readOf(declared.KindJob, numbered("j", n))} },
	}.row("kube/job", "jobs whose pods end by themselves, well or not, run to completion", Defaults{Rate: 2, Keys: 4, OpsPerKey: 6})
}

func drawJob(ctx *generator.Context, k drawnKey) (string, string, history.Declaration) {
	f := weighted(ctx, []weight{{"create", 30}, {"delete", 15}, {"read", 55}})
	if k.first {
		f = "create"
	}
	d, name := history.Declaration{Kind: declared.KindJob}, k.name
	switch f {
	case "create":
		d.Count, d.Replicas = 1+ctx.Rand.Int64N(jobCompletions), new(1+ctx.Rand.Int64N(jobParallel))
		d.ForMS, d.Image = jobMin+ctx.Rand.Int64N(jobSpan), drawImage(ctx)
		if ctx.Rand.IntN(failsOneIn) == 0 {
			d.Exit = 1
		}
	case "delete":
		// One that was replaced some time ago, if there is one.
		if older := k.number - 2*k.keys; older >= 0 {
			name = numbered("j", older)
		}
		d.How = drawHow(ctx, declared.HowForeground, declared.HowBackground)
	}
	return f, name, d
}

func drawHow(ctx *generator.Context, ways ...string) string { return ways[ctx.Rand.IntN(len(ways))] }
