package workloads

import (
	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/etcd"
)

// watch changes ranges of keys, several keys at once, compacts the store, and watches these ranges from every beginning there is; see
// history.KeyWatch and history.KeyStream.
func watch() Workload {
	return Workload{
		Name: "etcd/watch", Doc: "ranges of keys are changed, compacted and watched at every member, from past, present, compacted and future revisions",
		Minimum: checker.Minimum{OK: 100, ContendedKeys: 1, ReadsDuring: 1, ReadsAfter: 3},
		New:     watchedKeys, Clients: etcd.NewWatchClient, Defaults: Defaults{Keys: 3, OpsPerKey: 500},
	}
}

// The names in a collection, and how many of them a change writes at most.
const (
	rangeNames     = "abcdef"
	rangeWritesMax = 4
)

// One value in so many is long: a few of them make a response that is sent in fragments.
const (
	longOnce  = 6
	longBytes = 120 << 10
)

// Compactions are one operation in so many, and so many revisions behind what was seen, at most: there is to be a past to watch.
const (
	compactOnce       = 100
	compactBehindMost = 400
)

func watchedKeys(o Options) (Parts, error) {
	if err := o.check(); err != nil {
		return Parts{}, err
	}
	keys := stream(o, "w")
	used := newLedger(keys.Prefix, ownKey)
	draw := func(ctx *generator.Context, w generator.Worker, n uint64) history.Op {
		op := history.Op{F: "change", Key: keys.Key(n, ctx.Rand)}
		// A watch takes its worker for seconds: every other worker mostly watches, the others change what is watched.
		watches := 1
		if w%2 == 1 {
			watches = 70
		}
		switch draw := ctx.Rand.IntN(100); {
		case ctx.Rand.IntN(compactOnce) == 0:
			op.F, op.Value = "compact", jsonOf(history.Compaction{Behind: ctx.Rand.Int64N(compactBehindMost)})
		case draw < watches:
			op.F, op.Value = "watch", jsonOf(drawKeyWatch(ctx))
		case draw < watches+20:
			op.F = "range"
		default:
			op.Value = jsonOf(drawKeyWrites(ctx, o, w, n))
		}
		return op
	}
	return Parts{
		Main:     &noted{used, mainPhase(o, "watch", draw)},
		Final:    finalReads(func() []history.Op { return lastLooks(used.recent(2 * o.Keys)) }),
		Checkers: []checker.Checker{checker.KeyWatches()},
	}, nil
}

// drawKeyWrites are writes of a few keys of a range: puts, and fewer deletions.
func drawKeyWrites(ctx *generator.Context, o Options, w generator.Worker, n uint64) []history.KeyWrite {
	count := 1
	if ctx.Rand.IntN(3) == 0 {
		count = 2 + ctx.Rand.IntN(rangeWritesMax-1)
	}
	var writes []history.KeyWrite
	for i, at := range ctx.Rand.Perm(len(rangeNames))[:count] {
		write := history.KeyWrite{Key: rangeNames[at : at+1]}
		if ctx.Rand.IntN(4) > 0 {
			write.Number = int64(number(o, w, n*rangeWritesMax+uint64(i))) //nolint:gosec // i counts from 0, and no run is that long
			if ctx.Rand.IntN(longOnce) == 0 {
				write.Bytes = longBytes
			}
		}
		writes = append(writes, write)
	}
	return writes
}

// drawKeyWatch is a watch from one of the beginnings; what goes on where the process left off is the most common, and the hardest to get right.
func drawKeyWatch(ctx *generator.Context) history.KeyWatch {
	one := func(in int) bool { return ctx.Rand.IntN(in) == 0 }
	w := history.KeyWatch{
		From: weighted(ctx, []weight{
			{history.WatchResume, 8}, {history.WatchNow, 2}, {history.WatchPast, 5}, {history.WatchCompacted, 2}, {history.WatchForgotten, 1}, {history.WatchFuture, 2},
		}),
		NoPuts: one(12), NoDeletes: one(8), Previous: one(2), Fragment: one(3), Progress: one(2), Slow: one(5),
		ForMS: watchLeastMS + ctx.Rand.Int64N(watchMostMS-watchLeastMS),
	}
	switch ctx.Rand.IntN(6) {
	case 0:
		w.Key = rangeNames[:1]
	case 1:
		w.Key, w.End = rangeNames[1:2], rangeNames[4:5]
	}
	return w
}

// lastLooks read each of the keys, and watch the newest two as far back as was seen.
func lastLooks(keys []string) []history.Op {
	var ops []history.Op
	for _, k := range keys {
		ops = append(ops, history.Op{F: "range", Key: k})
	}
	for _, k := range keys[max(0, len(keys)-2):] {
		for _, from := range []string{history.WatchPast, history.WatchCompacted} {
			ops = append(ops, history.Op{F: "watch", Key: k, Value: jsonOf(history.KeyWatch{From: from, Previous: true, Fragment: true, ForMS: watchLeastMS})})
		}
	}
	return ops
}
