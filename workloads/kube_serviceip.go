package workloads

import (
	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/kube/declared"
	"github.com/faultline/faultline/internal/kube/observe"
)

// nodePortOneIn is how many services there are for each with a port on every node.
const nodePortOneIn = 2

// kubeServiceIP creates and deletes services, whose addresses and node ports the API servers allocate, each by itself from one store.
// There are never more services than keys, of which few are old ones: far less than the 65,534 addresses and 2,768 ports of a cluster.
//
//	create  {kind, change, how} → {…, uid, given: {ip, port}}
//	delete  {kind, how} → {…, uid}    read  {kind} → {kind, change, how, uid, given}
func kubeServiceIP() Workload {
	return declaring{
		label: "service-ip", prefix: "svc",
		kinds: []string{observe.KindService},
		more:  []checker.Checker{checker.Unique()},
		draw:  drawService,
		final: func(n int64) []history.Op { return []history.Op{readOf(declared.KindService, numbered("svc", n))} },
	}.row("kube/service-ip", "services come and go; addresses and node ports stay unique", Defaults{Rate: 10, Keys: 20})
}

func drawService(ctx *generator.Context, k drawnKey) (string, string, history.Declaration) {
	f, d := weighted(ctx, []weight{{"create", 40}, {"delete", 30}, {"read", 30}}), history.Declaration{Kind: declared.KindService}
	if k.first {
		f = "create"
	}
	switch f {
	case "create":
		if ctx.Rand.IntN(nodePortOneIn) == 0 {
			d.How = declared.HowNodePort
		}
	case "delete":
		d.How = declared.HowBackground
	}
	return f, k.name, d
}
