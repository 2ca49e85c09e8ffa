package workloads

import (
	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/etcd"
)

func etcdElection() Workload {
	return Workload{
		Name: "etcd/election", Doc: "elections of etcd's election API: campaign, proclaim, resign, observe; one leader at a time, seen in order",
		Minimum: ownEnough, New: elected, Clients: etcd.NewElectionClient, Defaults: Defaults{Rate: 20, Keys: 2, OpsPerKey: 2000},
	}
}

// How long observers observe, in milliseconds.
const (
	observeLeastMS = 500
	observeMostMS  = 3000
)

// elected is elections in which everybody campaigns, leads for a while and resigns, or observes who leads, two to one.
//
//	campaign  history.LockRequest → history.Tenure
//	observe   history.ObserveRequest → history.Observed
func elected(o Options) (Parts, error) {
	if err := o.check(); err != nil {
		return Parts{}, err
	}
	keys := stream(o, "e")
	used := newLedger(keys.Prefix, ownKey)
	draw := func(ctx *generator.Context, _ generator.Worker, n uint64) history.Op {
		op := history.Op{F: "campaign", Key: keys.Key(n, ctx.Rand)}
		if ctx.Rand.IntN(3) < 2 {
			op.Value = jsonOf(drawOwning(ctx, ownSilentOnce))
			return op
		}
		op.F, op.Value = "observe", jsonOf(history.ObserveRequest{ForMS: observeLeastMS + ctx.Rand.Int64N(observeMostMS-observeLeastMS)})
		return op
	}
	return Parts{
		Main:     &noted{used, mainPhase(o, "election", draw)},
		Final:    finalReads(func() []history.Op { return lastOwners("campaign", used.recent(1)) }),
		Checkers: []checker.Checker{checker.Elections(checker.TenureOptions{})},
	}, nil
}
