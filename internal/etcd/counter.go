package etcd

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// NewCounterClient makes clients of counters, an integer to a key, that are changed by reading the number and writing another one,
// guarded by the mod revision of what was read. Values of operations:
//
//	add   -2    → -2
//	read  null  → the number; 0 where the key does not exist
//
// An add that loses the race tries again, as in NewSetClient.
func NewCounterClient(sys harness.System, o harness.ClientOptions) (harness.OpenClient, error) {
	return newClients(map[string]perform{"add": addNumber, "read": readCounter})(sys, o)
}

// NewIDClient makes clients of generators of unique identifiers: a counter to a key, raised by one, guarded as in NewCounterClient.
//
//	generate  null → the number after that
func NewIDClient(sys harness.System, o harness.ClientOptions) (harness.OpenClient, error) {
	return newClients(map[string]perform{"generate": generateID})(sys, o)
}

func readCounter(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	seen, revision, note, err := c.get(ctx, op.Key)
	if err != nil {
		return op, err
	}
	n, err := parseNumber(seen)
	op.Value = jsonOf(n)
	op.Version, op.Revision, op.Error = seen.modRevision, revision, note
	return op, err // an unknown outcome, and an unexpected error, where nobody wrote such a thing
}

func addNumber(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	var n int64
	if err := json.Unmarshal(op.Value, &n); err != nil {
		return op, badValue(op, err)
	}
	op, _, err := c.raise(ctx, op, n)
	return op, err
}

func generateID(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	op, id, err := c.raise(ctx, op, 1)
	op.Value = jsonOf(id)
	return op, err
}

// raise adds to a number until nobody is in the way, and tells what it became.
func (c *client) raise(ctx context.Context, op history.Op, by int64) (done history.Op, sum int64, err error) {
	done, err = c.replace(ctx, op, func(seen item) (string, error) {
		n, err := parseNumber(seen)
		sum = n + by
		return strconv.FormatInt(sum, 10), err
	})
	return done, sum, err
}

// replace writes what follows from a key's content, guarded by its mod revision. One that loses the race tries again until its
// deadline, because a refused guard certainly changed nothing. As soon as an attempt's outcome is unknown, so is the operation's.
func (c *client) replace(ctx context.Context, op history.Op, next func(seen item) (string, error)) (history.Op, error) {
	seen, _, note, err := c.get(ctx, op.Key)
	if err != nil {
		return op, err
	}
	for {
		value, err := next(seen)
		if err != nil {
			return op, err
		}
		resp, again, err := c.txn(ctx, &pb.TxnRequest{
			Compare: []*pb.Compare{unchanged(op.Key, seen)},
			Success: []*pb.RequestOp{putOp(op.Key, []byte(value))},
			Failure: []*pb.RequestOp{rangeOp(op.Key, false)},
		})
		if err != nil {
			return op, err
		}
		if again != "" {
			note = again
		}
		if resp.Succeeded {
			op.Revision = resp.GetHeader().GetRevision()
			op.Version, op.Error = op.Revision, note
			return op, nil
		}
		if len(resp.Responses) != 1 || resp.Responses[0].GetResponseRange() == nil {
			return op, fmt.Errorf("a refused guard came without the value: %v", resp)
		}
		seen = itemOf(resp.Responses[0].GetResponseRange())
		if ctx.Err() != nil {
			return op, errConflict
		}
	}
}

// parseNumber reads a key's number; a key that does not exist is 0.
func parseNumber(seen item) (int64, error) {
	if seen.modRevision == 0 {
		return 0, nil
	}
	n, err := strconv.ParseInt(string(seen.value), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the key holds %.100q, which is no integer: %w", seen.value, err)
	}
	return n, nil
}
