package workloads

import (
	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

// set is adds of unique elements to lists, and reads of the whole list, two to one.
//
//	add   17
//	read  null → [4, 17, …]
//
// A list is written whole for each element, so lists must stay short: a fresh key replaces one after --ops-per-key.
func set(o Options) (Parts, error) {
	if err := o.check(); err != nil {
		return Parts{}, err
	}
	judge, err := checker.SetWith(checker.SetOptions{Model: o.Model, Read: o.Read})
	if err != nil {
		return Parts{}, err
	}
	keys := stream(o, "s")
	used := newLedger(keys.Prefix, ownKey)
	draw := func(ctx *generator.Context, w generator.Worker, n uint64) history.Op {
		op := history.Op{F: "read", Key: keys.Key(n, ctx.Rand)}
		if ctx.Rand.IntN(3) < 2 {
			op.F, op.Value = "add", jsonOf(number(o, w, n))
		}
		return op
	}
	return Parts{
		Main: &noted{used, mainPhase(o, "set", draw)},
		// An element is lost only if the reads at the end say so, so they reach far back.
		Final:    finalReads(func() []history.Op { return reads(used.recent(finalKeysMax)) }),
		Checkers: []checker.Checker{judge},
	}, nil
}
