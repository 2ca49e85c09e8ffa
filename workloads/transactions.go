package workloads

import (
	"encoding/json"
	"slices"

	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

const (
	// microsMax is how many micro-operations a transaction has at most.
	microsMax = 4
	// finalTxnKeys is how many keys a final transaction reads.
	finalTxnKeys = 8
)

// drawMicros are transactions of one to four micro-operations, half of them reads, the others writes (f) of numbers that are unique over the whole run.
func drawMicros(o Options, keys generator.KeyStream, f string) func(*generator.Context, generator.Worker, uint64) history.Op {
	return func(ctx *generator.Context, w generator.Worker, n uint64) history.Op {
		micros := make([][3]any, 1+ctx.Rand.IntN(microsMax))
		for i := range micros {
			micros[i] = [3]any{"r", keys.Key(n, ctx.Rand), nil}
			if ctx.Rand.IntN(2) == 0 {
				micros[i][0], micros[i][2] = f, number(o, w, n*microsMax+uint64(i)) //nolint:gosec // i counts from 0
			}
		}
		return history.Op{F: "txn", Value: jsonOf(micros)}
	}
}

// transactional is a workload of such transactions.
func transactional(o Options, prefix, label, f string, checkers ...checker.Checker) Parts {
	keys := stream(o, prefix)
	used := newLedger(keys.Prefix, microKeys)
	return Parts{
		Main:     &noted{used, mainPhase(o, label, drawMicros(o, keys, f))},
		Final:    finalReads(func() []history.Op { return readTxns(used.recent(finalKeysMax)) }),
		Checkers: checkers,
	}
}

// transactionModels are what --model may name where transactions promise strict serializability: it is the default, the others are weaker.
func transactionModels() []string {
	models := checker.TransactionModels()
	slices.Reverse(models)
	return models
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
		if len(m) >= 3 {
			if k, ok := m[1].(string); ok {
				keys = append(keys, k)
			}
		}
	}
	return keys
}
