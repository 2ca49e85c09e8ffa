package workloads

import (
	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

// registerValues is how many values there are: few, so that a compare-and-set has a fair chance to find the one it expects.
const registerValues = 5

// register is reads, writes and compare-and-sets of integers, half of them reads.
//
//	read   null → 3, or null where the key does not exist
//	write  3
//	cas    [3, 4] → [3, 4, true] or [3, 4, false, seen]
func register(o Options) (Parts, error) {
	if err := o.check(); err != nil {
		return Parts{}, err
	}
	judge, err := checker.Linearizable(checker.LinearizableOptions{Model: o.Model, Read: o.Read})
	if err != nil {
		return Parts{}, err
	}
	keys := stream(o, "r")
	used := newLedger(keys.Prefix, ownKey)
	draw := func(ctx *generator.Context, _ generator.Worker, n uint64) history.Op {
		op := history.Op{Key: keys.Key(n, ctx.Rand)}
		switch ctx.Rand.IntN(4) {
		case 0:
			op.F, op.Value = "write", jsonOf(registerValue(ctx))
		case 1:
			op.F, op.Value = "cas", jsonOf([]int{registerValue(ctx), registerValue(ctx)})
		default:
			op.F = "read"
		}
		return op
	}
	return Parts{
		Main: &noted{used, mainPhase(o, "register", draw)},
		Final: finalReads(func() []history.Op {
			return reads(used.recent(2 * o.Keys))
		}),
		Checkers: []checker.Checker{judge},
	}, nil
}

// registerValue is the lower of two draws: with uneven odds, a compare-and-set that draws its expectation alike succeeds
// more often (26 in 100 on a settled register, against 20 with even odds).
func registerValue(ctx *generator.Context) int {
	return min(ctx.Rand.IntN(registerValues), ctx.Rand.IntN(registerValues))
}

// reads are reads of keys.
func reads(keys []string) []history.Op {
	ops := make([]history.Op, len(keys))
	for i, k := range keys {
		ops[i] = history.Op{F: "read", Key: k}
	}
	return ops
}
