package workloads

import (
	"strconv"
	"strings"

	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

// counterStep is the greatest number that is added.
const counterStep = 5

// counters are adds to numbers and reads of these, one to one. To every other key only positive numbers are added, so that its
// reads must rise.
//
//	add   3
//	read  null → 17
func counters(o Options) (Parts, error) {
	if err := o.check(); err != nil {
		return Parts{}, err
	}
	judge, err := checker.Counter(checker.CounterOptions{Model: o.Model, Read: o.Read})
	if err != nil {
		return Parts{}, err
	}
	keys := stream(o, "c")
	used := newLedger(keys.Prefix, ownKey)
	draw := func(ctx *generator.Context, _ generator.Worker, n uint64) history.Op {
		op := history.Op{F: "read", Key: keys.Key(n, ctx.Rand)}
		add, sign := 1+ctx.Rand.IntN(counterStep), ctx.Rand.IntN(3)
		if ctx.Rand.IntN(2) == 0 {
			if both(op.Key, keys.Prefix) && sign == 0 {
				add = -add
			}
			op.F, op.Value = "add", jsonOf(add)
		}
		return op
	}
	return Parts{
		Main:     &noted{used, mainPhase(o, "counter", draw)},
		Final:    finalReads(func() []history.Op { return reads(used.recent(finalKeysMax)) }),
		Checkers: []checker.Checker{judge},
	}, nil
}

// both tells whether a counter goes up and down.
func both(key, prefix string) bool {
	n, err := strconv.Atoi(strings.TrimPrefix(key, prefix))
	return err == nil && n%2 == 1
}

// uniqueIDs is nothing but generating identifiers, from a few keys at a time.
//
//	generate  null → 17
func uniqueIDs(o Options) (Parts, error) {
	if err := o.check(); err != nil {
		return Parts{}, err
	}
	keys := stream(o, "i")
	used := newLedger(keys.Prefix, ownKey)
	generate := func(key string) history.Op { return history.Op{F: "generate", Key: key} }
	draw := func(ctx *generator.Context, _ generator.Worker, n uint64) history.Op {
		return generate(keys.Key(n, ctx.Rand))
	}
	return Parts{
		Main: &noted{used, mainPhase(o, "unique-ids", draw)},
		// Who forgot what was given last gives it again now.
		Final: finalReads(func() []history.Op {
			var ops []history.Op
			for _, k := range used.recent(2 * o.Keys) {
				ops = append(ops, generate(k))
			}
			return ops
		}),
		Checkers: []checker.Checker{checker.UniqueIDs()},
	}, nil
}
