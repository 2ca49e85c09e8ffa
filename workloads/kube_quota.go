package workloads

import (
	"strconv"

	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/kube/declared"
	"github.com/faultline/faultline/internal/kube/observe"
)

// What a quota allows of each kind, and how many names there are for objects: more, so that it is full most of the time.
const (
	quotaLimit = 6
	quotaNames = 12
)

// quotaObjects are the kinds that are counted, by the letter before their number.
var quotaObjects = []struct{ letter, kind string }{{"c", declared.KindConfigMap}, {"p", declared.KindPod}}

// quotaCounted are the same by the names that quotas have for them. Pods count although none runs: theirs never get a node, so that none
// vanishes with one.
var quotaCounted = map[string]string{"configmaps": declared.KindConfigMap, "pods": declared.KindPod}

// NoExcess judges that no quota stays exceeded.
func NoExcess() checker.Checker {
	return checker.Quota(checker.QuotaOptions{Kind: declared.KindResourceQuota, Counted: quotaCounted})
}

// kubeQuota makes namespaces with a quota each, and in them objects, as many as there is room for and more.
//
//	create  q1/quota {kind: ResourceQuota, change, count}    create  q1/c3 {kind, change} → {…, uid}, refused quota or (no quota in force) absent
//	delete  {kind, how} → {…, uid}    read  {kind} → {kind, change, uid, count}
func kubeQuota() Workload {
	return declaring{
		label: "quota", prefix: "q",
		kinds: []string{observe.KindNamespace, observe.KindResourceQuota, observe.KindConfigMap},
		draw:  drawQuota,
		more:  []checker.Checker{NoExcess()},
		final: func(n int64) []history.Op {
			namespace := numbered("q", n)
			ops := []history.Op{readOf(declared.KindResourceQuota, namespace+"/quota")}
			for _, o := range quotaObjects {
				for i := range int64(quotaNames) {
					ops = append(ops, readOf(o.kind, namespace+"/"+numbered(o.letter, i)))
				}
			}
			return ops
		},
	}.row("kube/quota", "objects in namespaces with quotas, which several API servers fill at once", Defaults{Rate: 10, Keys: 2, OpsPerKey: 1000})
}

func drawQuota(ctx *generator.Context, k drawnKey) (string, string, history.Declaration) {
	f := weighted(ctx, []weight{{"quota", 3}, {"create", 50}, {"delete", 22}, {"read", 25}})
	if k.first {
		f = "quota"
	}
	if f == "quota" {
		return "create", k.name + "/quota", history.Declaration{Kind: declared.KindResourceQuota, Count: quotaLimit}
	}
	o := quotaObjects[ctx.Rand.IntN(len(quotaObjects))]
	d := history.Declaration{Kind: o.kind}
	switch {
	case f == "create" && o.kind == declared.KindPod:
		d.Image = images[0]
	case f == "delete":
		d.How = declared.HowBackground
	}
	return f, k.name + "/" + numbered(o.letter, ctx.Rand.Int64N(quotaNames)), d
}

// numbered is a name with its number.
func numbered(prefix string, n int64) string { return prefix + strconv.FormatInt(n, 10) }
