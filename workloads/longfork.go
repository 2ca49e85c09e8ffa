package workloads

import (
	"strconv"

	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/etcd"
)

const (
	// forkReads is how many reads come with each write.
	forkReads = 3
	// forkPrefix begins the keys.
	forkPrefix = "f"
)

// longFork is writes of registers, each once, by transactions of their own, and transactions that read those which are written at about that
// time, all of them at once. In each round of its own a worker writes one register and reads; workers are paced alike.
//
//	txn  [["w", "f7", 7]]
//	txn  [["r", "f7", null], ["r", "f8", null], …]
func longFork(o Options) (Parts, error) {
	if err := o.check(); err != nil {
		return Parts{}, err
	}
	if o.Model == "" && o.Read == etcd.ReadSerializable {
		o.Model = modelSerializable
	}
	forks, err := checker.LongFork(checker.TransactionOptions{Model: o.Model})
	if err != nil {
		return Parts{}, err
	}
	cycles, err := checker.RWRegister(checker.TransactionOptions{Model: o.Model})
	if err != nil {
		return Parts{}, err
	}
	used := newLedger(forkPrefix, microKeys)
	draw := func(ctx *generator.Context, w generator.Worker, n uint64) history.Op {
		round, step := n/(forkReads+1), n%(forkReads+1)
		own := number(o, w, round)
		if step == uint64(w)%(forkReads+1) { //nolint:gosec // client workers count from 0
			return history.Op{F: "txn", Value: jsonOf([][3]any{{"w", forkPrefix + strconv.FormatUint(own, 10), own}})}
		}
		var micros [][3]any
		first := number(o, 0, round)
		// Some of this round: with more workers than fit into a transaction, a window of them.
		if many := uint64(o.Concurrency); many > finalTxnKeys { //nolint:gosec // it is at least 1
			first += ctx.Rand.Uint64N(many - finalTxnKeys + 1)
		}
		for k := range uint64(min(o.Concurrency, finalTxnKeys)) { //nolint:gosec // it is at least 1
			micros = append(micros, [3]any{"r", forkPrefix + strconv.FormatUint(first+k, 10), nil})
		}
		ctx.Rand.Shuffle(len(micros), func(i, k int) { micros[i], micros[k] = micros[k], micros[i] })
		return history.Op{F: "txn", Value: jsonOf(micros)}
	}
	return Parts{
		Main:     &noted{used, mainPhase(o, "long-fork", draw)},
		Final:    finalReads(func() []history.Op { return readTxns(used.recent(finalKeysMax)) }),
		Checkers: []checker.Checker{forks, cycles},
	}, nil
}
