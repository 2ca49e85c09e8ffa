package etcd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// NewQueueClient makes clients of first-in-first-out queues: each element is a key under the queue's, its turn is its create revision.
// Elements are JSON and must be unique in their queue. Values of operations:
//
//	enqueue  5     → 5
//	dequeue  null  → the element, or null where the queue was empty
//
// A dequeue finds the oldest key and deletes it, guarded by its mod revision: while that key exists, nothing older can appear. One that
// loses the race tries again until its deadline. One of unknown outcome has the element that it may have taken as its value. Version is the revision of the put
// or of the deletion.
func NewQueueClient(sys harness.System, o harness.ClientOptions) (harness.OpenClient, error) {
	return newClients(map[string]perform{"enqueue": enqueue, "dequeue": dequeue})(sys, o)
}

// mayHaveTakenError is a dequeue of unknown outcome, and of which element.
type mayHaveTakenError struct {
	element json.RawMessage
	err     error
}

func (e *mayHaveTakenError) Error() string { return e.err.Error() }
func (e *mayHaveTakenError) Unwrap() error { return e.err }

// elementKey is the key of an element of a queue.
func elementKey(queue string, element []byte) []byte {
	return append([]byte(queue+"/"), bytes.TrimSpace(element)...)
}

func enqueue(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	if len(op.Value) == 0 || string(op.Value) == "null" {
		return op, badValue(op, errors.New("want an element"))
	}
	resp, note, err := call[*pb.PutRequest, *pb.PutResponse](ctx, c.conn, c.kv.Put, &pb.PutRequest{Key: elementKey(op.Key, op.Value), Value: op.Value})
	if err != nil {
		return op, err
	}
	op.Revision = resp.GetHeader().GetRevision()
	op.Version, op.Error = op.Revision, note
	return op, nil
}

func dequeue(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	for {
		head, revision, note, err := c.oldest(ctx, op.Key+"/")
		if err != nil {
			return op, err
		}
		if head.modRevision == 0 {
			op.Value, op.Revision, op.Error = nil, revision, note
			return op, nil
		}
		if !json.Valid(head.value) {
			return op, fmt.Errorf("the queue holds %.100q, which is no JSON", head.value)
		}
		key := elementKey(op.Key, head.value)
		resp, again, err := c.txn(ctx, &pb.TxnRequest{
			Compare: []*pb.Compare{unchanged(string(key), head)},
			Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: key}}}},
		})
		switch {
		case err != nil && errors.Is(err, harness.ErrNotApplied):
			return op, err
		case err != nil:
			return op, &mayHaveTakenError{head.value, err}
		case resp.Succeeded:
			op.Value, op.Revision, op.Error = head.value, resp.GetHeader().GetRevision(), again
			op.Version = op.Revision
			return op, nil
		case ctx.Err() != nil:
			return op, errConflict
		}
	}
}

// oldest reads the key with a prefix that was created first.
func (c *client) oldest(ctx context.Context, prefix string) (seen item, revision int64, note string, err error) {
	resp, note, err := call[*pb.RangeRequest, *pb.RangeResponse](ctx, c.conn, c.kv.Range, &pb.RangeRequest{
		Key: []byte(prefix), RangeEnd: prefixEnd(prefix), Limit: 1,
		SortTarget: pb.RangeRequest_CREATE, SortOrder: pb.RangeRequest_ASCEND, Serializable: c.serializable,
	})
	if err != nil {
		return item{}, 0, note, readError(err)
	}
	return itemOf(resp), resp.GetHeader().GetRevision(), note, nil
}
