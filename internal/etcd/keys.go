package etcd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	mvcc "go.etcd.io/etcd/api/v3/mvccpb"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// errUnanswered is a request to which nothing came.
var errUnanswered = status.Error(codes.DeadlineExceeded, "no answer in time")

// rangeOf is the keys of a collection that a watch is about.
func rangeOf(collection, key, end string) (from, to []byte) {
	from = []byte(collection + "/" + key)
	switch {
	case key == "":
		to = []byte(collection + string('/'+1))
	case end != "":
		to = []byte(collection + "/" + end)
	}
	return from, to
}

// createRequest asks for a stream.
func createRequest(collection string, s *history.KeyStream) *pb.WatchRequest {
	r := &pb.WatchCreateRequest{StartRevision: s.Start, PrevKv: s.Previous, Fragment: s.Fragment, ProgressNotify: s.Progress}
	r.Key, r.RangeEnd = rangeOf(collection, s.Key, s.End)
	if s.NoPuts {
		r.Filters = append(r.Filters, pb.WatchCreateRequest_NOPUT)
	}
	if s.NoDeletes {
		r.Filters = append(r.Filters, pb.WatchCreateRequest_NODELETE)
	}
	return &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: r}}
}

// eventOf is an event as it is recorded.
func eventOf(collection string, e *mvcc.Event) history.KeyEvent {
	out := history.KeyEvent{KeyState: stateOf(collection, e.GetKv())}
	if e.GetType() == mvcc.DELETE {
		out.Number, out.Created, out.Version = 0, 0, 0
	}
	if e.GetPrevKv() != nil {
		previous := stateOf(collection, e.GetPrevKv())
		previous.Key, out.Previous = "", &previous
	}
	return out
}

// numberUnknown is what a value is recorded as that no client of these put.
const numberUnknown = -1

// stateOf is a key as it is recorded. One from outside of the collection keeps its whole name.
func stateOf(collection string, kv *mvcc.KeyValue) history.KeyState {
	s := history.KeyState{
		Key: strings.TrimPrefix(string(kv.GetKey()), collection+"/"),
		Mod: kv.GetModRevision(), Created: kv.GetCreateRevision(), Version: kv.GetVersion(),
	}
	var err error
	if s.Number, err = strconv.ParseInt(string(bytes.TrimRight(kv.GetValue(), " ")), 10, 64); err != nil {
		s.Number = numberUnknown
	}
	return s
}

// valueOf is a number, made longer by blanks.
func valueOf(w history.KeyWrite) []byte {
	value := strconv.AppendInt(nil, w.Number, 10)
	return append(value, bytes.Repeat([]byte(" "), max(0, w.Bytes-len(value)))...)
}

func deleteOp(key string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte(key)}}}
}

// performChange writes keys at once: one by the call that is made for that, several by a transaction.
func performChange(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	var writes []history.KeyWrite
	if err := json.Unmarshal(op.Value, &writes); err != nil || len(writes) == 0 {
		return op, badValue(op, errors.Join(err, errors.New("want writes")))
	}
	revision, deleted, note, err := c.change(ctx, op.Key, writes)
	if err != nil {
		return op, err
	}
	effect := false
	for i := range writes {
		writes[i].Gone = writes[i].Number == 0 && !deleted[i]
		effect = effect || !writes[i].Gone
	}
	op.Value, op.Revision, op.Error = jsonOf(writes), revision, note
	if effect {
		op.Version = revision
	}
	return op, nil
}

// change tells of each write whether it deleted something.
func (c *client) change(ctx context.Context, collection string, writes []history.KeyWrite) (revision int64, deleted []bool, note string, err error) {
	deleted = make([]bool, len(writes))
	name := func(i int) string { return collection + "/" + writes[i].Key }
	if len(writes) > 1 {
		r := &pb.TxnRequest{}
		for i, w := range writes {
			do := deleteOp(name(i))
			if w.Number != 0 {
				do = putOp(name(i), valueOf(w))
			}
			r.Success = append(r.Success, do)
		}
		resp, note, err := c.txn(ctx, r)
		for i, did := range resp.GetResponses() {
			deleted[i] = did.GetResponseDeleteRange().GetDeleted() > 0
		}
		return resp.GetHeader().GetRevision(), deleted, note, err
	}
	if writes[0].Number != 0 {
		resp, note, err := call[*pb.PutRequest, *pb.PutResponse](ctx, c.conn, c.kv.Put, &pb.PutRequest{Key: []byte(name(0)), Value: valueOf(writes[0])})
		return resp.GetHeader().GetRevision(), deleted, note, err
	}
	resp, note, err := call[*pb.DeleteRangeRequest, *pb.DeleteRangeResponse](ctx, c.conn, c.kv.DeleteRange, &pb.DeleteRangeRequest{Key: []byte(name(0))})
	deleted[0] = resp.GetDeleted() > 0
	return resp.GetHeader().GetRevision(), deleted, note, err
}

// performRange reads a whole collection.
func performRange(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	r := &pb.RangeRequest{}
	r.Key, r.RangeEnd = rangeOf(op.Key, "", "")
	resp, note, err := call[*pb.RangeRequest, *pb.RangeResponse](ctx, c.conn, c.kv.Range, r)
	if err != nil {
		return op, readError(err)
	}
	states := []history.KeyState{}
	for _, kv := range resp.GetKvs() {
		states = append(states, stateOf(op.Key, kv))
	}
	op.Value, op.Revision, op.Error = jsonOf(states), resp.GetHeader().GetRevision(), note
	return op, nil
}

// compact forgets the past. What was asked for stays in the record, whatever came of it: a watch may be told.
//
// Every other compaction is answered only when it is done on disk, too.
func (c *watchClient) compact(ctx context.Context, op history.Op) history.Op {
	var asked history.Compaction
	if err := json.Unmarshal(op.Value, &asked); err != nil {
		return failed(op, badValue(op, err))
	}
	asked.Revision = c.seen.CompactTo(asked.Behind)
	op.Value = jsonOf(asked)
	if asked.Revision == 0 {
		op.Type = history.OK
		return op
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	_, note, err := call[*pb.CompactionRequest, *pb.CompactionResponse](ctx, c.conn, c.kv.Compact,
		&pb.CompactionRequest{Revision: asked.Revision, Physical: asked.Revision%2 == 0})
	op.Type, op.Error = harness.Outcome(err), note
	switch {
	case status.Code(err) == codes.OutOfRange:
		// "required revision has been compacted", by somebody else, or "is a future revision", of a member that lags: nothing was done.
		op.Type, op.Error = history.Fail, err.Error()
	case err != nil:
		op.Error = errorText(err)
	default:
		c.seen.CompactedTo(asked.Revision)
	}
	return op
}
