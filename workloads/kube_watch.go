package workloads

import (
	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/kube/collections"
)

// kubeWatch changes collections while others watch them, from every beginning there is; see history.WatchRequest and history.Stream.
func kubeWatch() Workload {
	return Workload{
		Name: "kube/watch", Doc: "watchers and informers of every API server, from now, past and resumed revisions, each stream against the objects' history",
		Reads: viewReads(), Models: []string{checker.ModelCached, checker.ModelLinearizable},
		Minimum: checker.Minimum{OK: 100, ContendedKeys: 1, ReadsDuring: 3, ReadsAfter: 3},
		New:     watched, Clients: collections.NewWatchClient, Defaults: Defaults{Rate: 100, Keys: 3},
	}
}

// How long a watch lasts, in milliseconds: drawn evenly.
const (
	watchLeastMS = 300
	watchMostMS  = 3000
)

func watched(o Options) (Parts, error) {
	if err := o.check(); err != nil {
		return Parts{}, err
	}
	judge, err := checker.Snapshots(checker.SnapshotOptions{Model: o.Model})
	if err != nil {
		return Parts{}, err
	}
	keys := stream(o, "w")
	used := newLedger(keys.Prefix, ownKey)
	draw := func(ctx *generator.Context, w generator.Worker, n uint64) history.Op {
		key := keys.Key(n, ctx.Rand)
		// A watch takes its worker for seconds: every other worker mostly watches, the others change what is watched, and list it.
		watches, lists := 1, 20
		if w%2 == 1 {
			watches, lists = 80, 5
		}
		op := drawChange(ctx, o, w, n)
		switch draw := ctx.Rand.IntN(100); {
		case draw < watches:
			op = drawWatch(ctx)
		case draw < watches+lists:
			op = drawList(ctx, o.Read)
		}
		op.Key = key
		return op
	}
	return Parts{
		Main: &noted{used, mainPhase(o, "watch", draw)},
		Final: finalReads(func() []history.Op {
			recent := used.recent(2 * o.Keys)
			ops := finalLists(recent)
			for _, k := range recent[max(0, len(recent)-2):] {
				ops = append(ops, history.Op{F: "watch", Key: k, Value: jsonOf(history.WatchRequest{From: history.WatchList, Bookmarks: true, ForMS: 500})})
			}
			return ops
		}),
		Checkers: []checker.Checker{checker.Changes(), judge, checker.Watches()},
	}, nil
}

// drawWatch is a watch from one of the beginnings; what goes on where the process left off is the most common, and the hardest to get right.
func drawWatch(ctx *generator.Context) history.Op {
	return history.Op{F: "watch", Value: jsonOf(history.WatchRequest{
		From: weighted(ctx, []weight{
			{history.WatchResume, 8}, {history.WatchNow, 2}, {history.WatchPast, 3}, {history.WatchList, 3}, {history.WatchInform, 2},
		}),
		Bookmarks: ctx.Rand.IntN(3) > 0,
		ForMS:     watchLeastMS + ctx.Rand.Int64N(watchMostMS-watchLeastMS),
	})}
}
