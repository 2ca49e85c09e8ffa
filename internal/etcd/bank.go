package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// NewBankClient makes clients of banks: each Op.Key is one, whose accounts are keys of their own, counted from 0.
//
//	read      [10, 10, 10] → [7, 10, 13]: all accounts, at one revision; the invocation has what is in those that nobody has touched
//	transfer  {"from": 0, "to": 2, "amount": 3, "opening": 10}; with "had": 2 beside, where that was too little and nothing was done
//
// A transfer reads both accounts and writes them in a transaction that is guarded by their mod revisions; one that loses the race tries
// again until its deadline. Revision is that of the read or, with Version, that of the transfer.
func NewBankClient(sys harness.System, o harness.ClientOptions) (harness.OpenClient, error) {
	return newClients(map[string]perform{"read": readBank, "transfer": transferMoney})(sys, o)
}

// account is the key of an account.
func account(bank string, n int) string { return bank + "/" + strconv.Itoa(n) }

// balance is what is in an account.
func balance(seen item, opening int64) (int64, error) {
	number, err := parseRegister(seen)
	if len(number) == 0 {
		return opening, err
	}
	return number[0], err
}

func readBank(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	var balances []int64
	if err := json.Unmarshal(op.Value, &balances); err != nil || len(balances) == 0 {
		return op, badValue(op, errors.Join(errors.New("want the opening balances, [10, …]"), err))
	}
	keys := make([]string, len(balances))
	for i := range keys {
		keys[i] = account(op.Key, i)
	}
	seen, revision, note, err := c.readKeys(ctx, keys)
	if err != nil {
		return op, err
	}
	for i, k := range keys {
		if balances[i], err = balance(seen[k], balances[i]); err != nil {
			return op, readError(err)
		}
	}
	op.Value, op.Revision, op.Error = jsonOf(balances), revision, note
	return op, nil
}

// transfer is a transfer's value.
type transfer struct {
	From    int   `json:"from"`
	To      int   `json:"to"`
	Amount  int64 `json:"amount"`
	Opening int64 `json:"opening"`
	// Had is what there was where that was too little; nil: it was enough.
	Had *int64 `json:"had,omitempty"`
}

func transferMoney(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	var t transfer
	if err := json.Unmarshal(op.Value, &t); err != nil {
		return op, badValue(op, err)
	}
	if t.From == t.To || t.Amount < 0 {
		return op, badValue(op, errors.New("want two different accounts, and an amount that is not negative"))
	}
	keys := []string{account(op.Key, t.From), account(op.Key, t.To)}
	seen, revision, note, err := c.readKeys(ctx, keys)
	if err != nil {
		return op, err
	}
	for {
		from, err := balance(seen[keys[0]], t.Opening)
		if err != nil {
			return op, readError(err) // and what was tried before found its guard broken
		}
		to, err := balance(seen[keys[1]], t.Opening)
		if err != nil {
			return op, readError(err)
		}
		if from < t.Amount {
			t.Had = &from
			op.Value, op.Revision, op.Error = jsonOf(t), revision, note
			return op, nil
		}
		resp, again, err := c.txn(ctx, &pb.TxnRequest{
			Compare: []*pb.Compare{unchanged(keys[0], seen[keys[0]]), unchanged(keys[1], seen[keys[1]])},
			Success: []*pb.RequestOp{putOp(keys[0], jsonOf(from-t.Amount)), putOp(keys[1], jsonOf(to+t.Amount))},
			Failure: []*pb.RequestOp{rangeOp(keys[0], false), rangeOp(keys[1], false)},
		})
		if err != nil {
			return op, err
		}
		if again != "" {
			note = again
		}
		revision = resp.GetHeader().GetRevision()
		if resp.Succeeded {
			op.Revision, op.Version, op.Error = revision, revision, note
			return op, nil
		}
		if seen, err = items(keys, resp.Responses); err != nil {
			return op, readError(err)
		}
		if ctx.Err() != nil {
			return op, errConflict
		}
	}
}
