package workloads

import (
	"encoding/json"
	"slices"

	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

// microsMax is how many micro-operations a transaction has at most.
const microsMax = 4

// finalTxnKeys is how many keys a final transaction reads.
const finalTxnKeys = 8

// appendLists is transactions of one to four micro-operations that append elements, unique over the whole run, to
// lists and read these.
//
//	txn  [["r", "a3", null], ["append", "a4", 17]] → [["r", "a3", [1, 9]], ["append", "a4", 17]]
func appendLists(o Options) (Parts, error) {
	if err := o.check(); err != nil {
		return Parts{}, err
	}
	keys := stream(o, "a")
	used := newLedger(keys.Prefix, microKeys)
	draw := func(ctx *generator.Context, w generator.Worker, n uint64) history.Op {
		micros := make([][3]any, 1+ctx.Rand.IntN(microsMax))
		for i := range micros {
			micros[i] = [3]any{"r", keys.Key(n, ctx.Rand), nil}
			if ctx.Rand.IntN(2) == 0 {
				micros[i][0], micros[i][2] = "append", number(o, w, n*microsMax+uint64(i)) //nolint:gosec // i counts from 0
			}
		}
		return history.Op{F: "txn", Value: jsonOf(micros)}
	}
	return Parts{
		Main:     &noted{used, mainPhase(o, "append", draw)},
		Final:    finalReads(func() []history.Op { return readTxns(used.recent(finalKeysMax)) }),
		Checkers: []checker.Checker{checker.AppendInternal()},
	}, nil
}

// readTxns are transactions that read keys, several at a time.
func readTxns(keys []string) []history.Op {
	var ops []history.Op
	for some := range slices.Chunk(keys, finalTxnKeys) {
		var micros [][3]any
		for _, k := range some {
			micros = append(micros, [3]any{"r", k, nil})
		}
		ops = append(ops, history.Op{F: "txn", Value: jsonOf(micros)})
	}
	return ops
}

// microKeys are the keys that a transaction names.
func microKeys(op history.Op) []string {
	var micros [][]any
	if err := json.Unmarshal(op.Value, &micros); err != nil {
		return nil
	}
	var keys []string
	for _, m := range micros {
		if len(m) == 3 {
			if k, ok := m[1].(string); ok {
				keys = append(keys, k)
			}
		}
	}
	return keys
}
