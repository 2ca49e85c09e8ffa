package checker

import (
	"strings"
	"testing"

	"github.com/faultline/faultline/harness/history"
)

func TestQuota(t *testing.T) {
	const (
		limit = `0 create q/quota {"kind":"Quota","count":1} / `
		p1    = `0 create q/p1 {"kind":"Pod","uid":"u1"} / `
		p2    = `1 create q/p2 {"kind":"Pod","uid":"u2"} / `
		d1    = `0 delete q/p1 {"kind":"Pod","uid":"u1"} / `
		quiet = `nemesis await-converged {} / `

		sampleQuota = `evidence ok sample {"view":"quorum","kind":"Quota","whole":true,"changed":[{"kind":"Quota","name":"q/quota","version":1,"want":{"pods":1}}]} / `
		sampleOne   = `evidence ok sample {"view":"quorum","kind":"Pod","whole":true,"changed":[{"kind":"Pod","name":"q/p1","version":2}]} / `
		sampleTwo   = `evidence ok sample {"view":"quorum","kind":"Pod","whole":true,"changed":[{"kind":"Pod","name":"q/p1","version":2},{"kind":"Pod","name":"q/p2","version":3}]} / `
		sampleGone  = `evidence ok sample {"view":"quorum","kind":"Pod","gone":["q/p2"]} / `
		sampleEnded = `evidence ok sample {"view":"quorum","kind":"Pod","changed":[{"kind":"Pod","name":"q/p2","version":5,"attr":{"phase":"Failed"}}]} / `
		sampleError = `evidence ok sample {"view":"quorum","kind":"Pod","error":"no answer"} / `
		sampleStale = `evidence ok sample {"view":"n1","kind":"Pod","whole":true,"changed":[{"kind":"Pod","name":"q/p1","version":2},{"kind":"Pod","name":"q/p2","version":3}]} / `
	)
	runTranscripts(t, Quota(QuotaOptions{
		Kind: "Quota", Counted: map[string]string{"pods": "Pod"},
		Uncounted: func(o history.Object) bool { return o.Attr["phase"] == "Failed" },
	}), []transcriptCase{
		{name: "nothing", history: quiet, want: "unknown", why: "nothing to check"},
		{name: "within", history: limit + p1 + quiet, want: "valid"},
		{name: "exceeded and stays", history: limit + p1 + p2 + quiet, want: "invalid quota-exceeded q [5]", why: "2 objects of kind Pod were in q by 5, 1 are allowed, and they stayed"},
		{name: "exceeded for a while", history: limit + p1 + p2 + d1 + quiet, want: "valid (quota-exceeded q [5])"},
		{name: "exceeded in the end only", history: limit + p1 + quiet + p2, want: "valid (quota-exceeded q [7])"},
		{name: "one went before the other came", history: limit + p1 + d1 + p2 + quiet, want: "valid"},
		{name: "one may have gone", history: limit + p1 + `2 invoke delete q/p1 {"kind":"Pod"} / ` + p2 + quiet, want: "valid"},
		{name: "a delete of another one of the name", history: limit + p1 + `0 delete q/p1 {"kind":"Pod","uid":"u0"} / ` + p2 + quiet, want: "invalid quota-exceeded q [7]"},
		{
			name:    "one went before its client knew that it came",
			history: limit + `0 invoke create q/p1 {"kind":"Pod"} / 2 delete q/p1 {"kind":"Pod","uid":"u1"} / 0 ok create q/p1 {"kind":"Pod","uid":"u1"} / ` + p2 + quiet, want: "valid",
		},
		{
			name:    "a delete of unknown outcome may come late",
			history: limit + `2 invoke delete q/p1 {"kind":"Pod"} / 2 info delete q/p1 {"kind":"Pod"} / ` + p1 + p2 + quiet, want: "valid",
		},
		{name: "refused", history: limit + p1 + `1 create q/p2 {"kind":"Pod","refused":"quota"} / ` + quiet, want: "valid"},
		{name: "of unknown outcome", history: limit + p1 + `1 invoke create q/p2 {"kind":"Pod"} / ` + quiet, want: "valid"},
		{name: "another kind", history: limit + p1 + `1 create q/c2 {"kind":"ConfigMap","uid":"u2"} / ` + quiet, want: "valid"},
		{name: "another namespace", history: limit + p1 + `1 create r/p2 {"kind":"Pod","uid":"u2"} / ` + quiet, want: "valid"},
		{name: "the limit went", history: limit + p1 + `2 invoke delete q/quota {"kind":"Quota"} / ` + p2 + quiet, want: "valid"},
		{name: "the limit went before it was reached", history: limit + `2 invoke delete q/quota {"kind":"Quota"} / ` + p1 + p2 + quiet, want: "unknown", why: "no limit was ever reached"},
		{name: "nothing was created", history: limit + quiet, want: "unknown", why: "nothing was created that a limit counts"},
		{name: "never reached", history: `0 create q/quota {"kind":"Quota","count":2} / ` + p1 + quiet, want: "unknown", why: "no limit was ever reached, and no create refused for one"},
		{name: "never reached, for all that is known", history: `0 create q/quota {"kind":"Quota","count":2} / ` + p1 + `1 create q/p2 {"kind":"Pod","refused":"quota"} / ` + quiet, want: "valid"},
		{name: "no quiet phase", history: limit + p1, want: "unknown", why: "there is no quiet phase"},
		{name: "the end is missing", cut: true, history: limit + p1 + quiet, want: "unknown", why: "the history is incomplete"},

		{name: "sampled", history: quiet + sampleQuota + sampleTwo, want: "invalid quota-exceeded q/quota [3 2]", why: "at the end 2 objects of kind Pod are there, q/quota allows 1"},
		{name: "sampled before the end", history: sampleQuota + sampleTwo + quiet, want: "valid (quota-exceeded q/quota [1 0])"},
		{name: "sampled, then gone", history: quiet + sampleQuota + sampleTwo + sampleGone, want: "valid"},
		{name: "sampled, then not counted", history: quiet + sampleQuota + sampleTwo + sampleEnded, want: "valid"},
		{name: "sampled by nobody", history: quiet + sampleQuota + sampleOne + sampleError + sampleStale, want: "valid"},
		{name: "sampled by nobody, nor anything else", history: quiet + sampleQuota + sampleError + sampleStale, want: "unknown", why: "nothing was created"},
		{name: "sampled, never reached", history: quiet + strings.Replace(sampleQuota, `"pods":1`, `"pods":2`, 1) + sampleOne, want: "unknown", why: "no limit was ever reached"},
	})
}
