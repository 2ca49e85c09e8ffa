package workloads

import (
	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/kube/collections"
)

// kubeLease has everybody campaign in a few elections by client-go's leaderelection; see history.LeadRequest and history.Terms.
func kubeLease() Workload {
	return Workload{
		Name: "kube/lease", Doc: "leader elections over Leases; the overlap of leaders is measured",
		// A campaign outlasts most faults: none need begin and end within one.
		Minimum: checker.Minimum{OK: 15, ContendedKeys: 1, ReadsAfter: 1},
		New:     leased, Clients: collections.NewLeaseClient, Defaults: Defaults{Rate: 10, Keys: 2},
	}
}

// How long a campaign and the term after it last, in milliseconds: drawn evenly. The last one, at the end of the run, is long enough to
// see a lease end that nobody released.
const (
	leadLeastMS = 1000
	leadMostMS  = 7000
	leadLastMS  = 8000
)

func leased(o Options) (Parts, error) {
	if err := o.check(); err != nil {
		return Parts{}, err
	}
	keys := stream(o, "e")
	used := newLedger(keys.Prefix, ownKey)
	draw := func(ctx *generator.Context, _ generator.Worker, n uint64) history.Op {
		return history.Op{F: "lead", Key: keys.Key(n, ctx.Rand), Value: jsonOf(history.LeadRequest{
			ForMS: leadLeastMS + ctx.Rand.Int64N(leadMostMS-leadLeastMS),
		})}
	}
	return Parts{
		Main: &noted{used, mainPhase(o, "lease", draw)},
		Final: finalReads(func() []history.Op {
			var ops []history.Op
			for _, k := range used.recent(1) {
				ops = append(ops, history.Op{F: "lead", Key: k, Value: jsonOf(history.LeadRequest{ForMS: leadLastMS})})
			}
			return ops
		}),
		Checkers: []checker.Checker{checker.Leaders(checker.LeadersOptions{})},
	}, nil
}
