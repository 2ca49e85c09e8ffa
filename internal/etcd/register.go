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

// NewRegisterClient makes clients of registers: integers, one to a key. Values of operations:
//
//	read   null              → the integer, or null where the key does not exist
//	write  5                 → 5
//	cas    [old, new]        → [old, new, true], or [old, new, false, seen] where the register was not old
//
// Version is the mod revision of the value that was read or written, or seen by a refused cas. Revision is the response's.
// A refused cas is an ok operation: it observed the value that it saw.
func NewRegisterClient(sys harness.System, o harness.ClientOptions) (harness.OpenClient, error) {
	return newClients(map[string]perform{
		"read": readRegister, "write": writeRegister, "cas": casRegister,
	})(sys, o)
}

func readRegister(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	seen, revision, note, err := c.get(ctx, op.Key)
	if err != nil {
		return op, err
	}
	op.Value, err = registerValue(seen)
	op.Version, op.Revision, op.Error = seen.modRevision, revision, note
	return op, readError(err)
}

func writeRegister(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	var value int64
	if err := json.Unmarshal(op.Value, &value); err != nil {
		return op, badValue(op, err)
	}
	resp, note, err := call[*pb.PutRequest, *pb.PutResponse](ctx, c.conn, c.kv.Put, &pb.PutRequest{Key: []byte(op.Key), Value: decimal(value)})
	if err != nil {
		return op, err
	}
	op.Revision = resp.GetHeader().GetRevision()
	op.Version, op.Error = op.Revision, note
	return op, nil
}

func casRegister(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	var values []int64
	if err := json.Unmarshal(op.Value, &values); err != nil {
		return op, badValue(op, err)
	}
	if len(values) != 2 {
		return op, badValue(op, fmt.Errorf("want [old, new]"))
	}
	resp, note, err := c.txn(ctx, &pb.TxnRequest{
		Compare: []*pb.Compare{{
			Key: []byte(op.Key), Target: pb.Compare_VALUE, Result: pb.Compare_EQUAL,
			TargetUnion: &pb.Compare_Value{Value: decimal(values[0])},
		}},
		Success: []*pb.RequestOp{putOp(op.Key, decimal(values[1]))},
		Failure: []*pb.RequestOp{rangeOp(op.Key, false)},
	})
	if err != nil {
		return op, err
	}
	op.Revision, op.Error = resp.GetHeader().GetRevision(), note
	if resp.Succeeded {
		op.Version = op.Revision
		op.Value = jsonOf([]any{values[0], values[1], true})
		return op, nil
	}
	if len(resp.Responses) != 1 || resp.Responses[0].GetResponseRange() == nil {
		return op, fmt.Errorf("a refused compare came without the value: %v", resp)
	}
	seen := itemOf(resp.Responses[0].GetResponseRange())
	value, err := registerValue(seen)
	if err != nil {
		return op, err
	}
	op.Version = seen.modRevision
	op.Value = jsonOf([]any{values[0], values[1], false, value})
	return op, nil
}

func decimal(v int64) []byte { return strconv.AppendInt(nil, v, 10) }

// registerValue is a register's content as JSON. Content that no client of ours wrote is still an observation: it
// is kept as a string, for the checker to wonder at.
func registerValue(seen item) (json.RawMessage, error) {
	if seen.modRevision == 0 {
		return json.RawMessage("null"), nil
	}
	if v, err := strconv.ParseInt(string(seen.value), 10, 64); err == nil {
		return jsonOf(v), nil
	}
	return json.Marshal(string(seen.value))
}
