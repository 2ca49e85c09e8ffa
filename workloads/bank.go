package workloads

import (
	"math/rand/v2"

	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

const (
	// bankAccounts is how many accounts a bank has, bankOpening what is in each at first.
	bankAccounts = 5
	bankOpening  = 10
	// bankAmountMax is the most that a transfer moves: some are refused.
	bankAmountMax = 8
)

// bank is transfers between the accounts of banks, and reads of all accounts of one at once. Money is neither made nor lost.
//
//	transfer  {"from": 0, "to": 3, "amount": 2, "opening": 10}; with "had": 1 beside, where that was too little and nothing was done
//	read      [10, 10, 10, 10, 10] → [10, 8, 10, 12, 10]
func bank(o Options) (Parts, error) {
	if err := o.check(); err != nil {
		return Parts{}, err
	}
	keys := stream(o, "b")
	used := newLedger(keys.Prefix, ownKey)
	opening := make([]int, bankAccounts)
	for i := range opening {
		opening[i] = bankOpening
	}
	all := jsonOf(opening)
	draw := func(ctx *generator.Context, _ generator.Worker, n uint64) history.Op {
		op := history.Op{F: "read", Key: keys.Key(n, ctx.Rand), Value: all}
		if ctx.Rand.IntN(2) == 0 {
			op.F, op.Value = "transfer", jsonOf(drawTransfer(ctx.Rand))
		}
		return op
	}
	return Parts{
		Main: &noted{used, mainPhase(o, "bank", draw)},
		Final: finalReads(func() []history.Op {
			ops := reads(used.recent(2 * o.Keys))
			for i := range ops {
				ops[i].Value = all
			}
			return ops
		}),
		Checkers: []checker.Checker{checker.Bank()},
	}, nil
}

// bankTransfer is a transfer's value.
type bankTransfer struct {
	From    int `json:"from"`
	To      int `json:"to"`
	Amount  int `json:"amount"`
	Opening int `json:"opening"`
}

// drawTransfer is between two different accounts.
func drawTransfer(r *rand.Rand) bankTransfer {
	from := r.IntN(bankAccounts)
	return bankTransfer{From: from, To: (from + 1 + r.IntN(bankAccounts-1)) % bankAccounts, Amount: 1 + r.IntN(bankAmountMax), Opening: bankOpening}
}
