package workloads

import (
	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/kube/collections"
)

// kubeList changes collections and lists them, in pages and at revisions; see history.ListRequest and history.Listing.
func kubeList() Workload {
	return Workload{
		Name: "kube/list", Doc: "objects created, updated and deleted; lists in pages, of caches and at exact revisions, each of them one snapshot",
		Reads: viewReads(), Models: []string{checker.ModelCached, checker.ModelLinearizable}, Minimum: enough,
		New: listed, Clients: collections.NewListClient, Defaults: Defaults{Rate: 100, Keys: 4},
	}
}

func listed(o Options) (Parts, error) {
	if err := o.check(); err != nil {
		return Parts{}, err
	}
	judge, err := checker.Snapshots(checker.SnapshotOptions{Model: o.Model})
	if err != nil {
		return Parts{}, err
	}
	keys := stream(o, "l")
	used := newLedger(keys.Prefix, ownKey)
	draw := func(ctx *generator.Context, w generator.Worker, n uint64) history.Op {
		key := keys.Key(n, ctx.Rand)
		op := drawChange(ctx, o, w, n)
		if ctx.Rand.IntN(5) < 2 {
			op = drawList(ctx, o.Read)
		}
		op.Key = key
		return op
	}
	return Parts{
		Main:     &noted{used, mainPhase(o, "list", draw)},
		Final:    finalReads(func() []history.Op { return finalLists(used.recent(2 * o.Keys)) }),
		Checkers: []checker.Checker{checker.Changes(), judge},
	}, nil
}
