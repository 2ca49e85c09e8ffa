package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// leaseTTL is how many seconds are asked for; nobody renews these leases. etcd grants no less than its election time-outs need.
const leaseTTL = 2

// firstKey is the first key that can be.
const firstKey = "\x00"

// NewKVClient makes clients of the whole store. Functions and values:
//
//	request  {"if": [["mod","a","=",3]], "then": [["put","a",7,LEASE], ["range","a","m"]], "else": [["get","b"], ["delete","a","c"]]}
//	         → the same with "succeeded": true, "results": [[1,[["a",5,3,3,1,0]]], …]
//	grant-lease    17 → [17, true]    revoke-lease  17 → [17, true], or [17, false]
//	compact-store  {"back": 100} → {"at": 57}
//
// A result is [count, items], an item [key, value, create revision, mod revision, version, lease]; of puts and deletes, what was there before.
// "back" asks for the state so many revisions before the newest that this process has seen; in the completion "at" tells which
// that was. {"refused": "compacted"} and "future" are ok: the store said that it does not have that revision. A request without compares that has one
// operation is that call of etcd's, any other one a transaction. Revision is the response's.
func NewKVClient(sys harness.System, o harness.ClientOptions) (harness.OpenClient, error) {
	return newClients(map[string]perform{"request": performRequest, "grant-lease": grantKVLease, "revoke-lease": revokeKVLease, "compact-store": compactStore})(sys, o)
}

// request is a request's value.
type request struct {
	If   [][]json.RawMessage `json:"if"`
	Then [][]json.RawMessage `json:"then"`
	Else [][]json.RawMessage `json:"else"`
	Back *int64              `json:"back"`
}

// at is the revision that was asked for; 0: the newest.
func (c *client) at(back *int64) int64 {
	if back == nil || c.newest == 0 {
		return 0
	}
	return max(1, c.newest-*back)
}

func performRequest(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	var w request
	if err := json.Unmarshal(op.Value, &w); err != nil {
		return op, badValue(op, err)
	}
	at := c.at(w.Back)
	p := requestParser{at: at}
	then, otherwise, compares := p.branch(w.Then), p.branch(w.Else), p.compares(w.If)
	if p.err != nil {
		return op, badValue(op, p.err)
	}
	if !p.writes && c.serializable {
		for _, o := range append(then[:len(then):len(then)], otherwise...) {
			o.GetRequestRange().Serializable = true
		}
	}
	resp, note, err := c.perform(ctx, &pb.TxnRequest{Compare: compares, Success: then, Failure: otherwise})
	fields := map[string]any{}
	if at > 0 {
		fields["at"] = at
	}
	if why := refusal(err); why != "" && at > 0 {
		fields["refused"] = why
		op.Value, op.Error = with(op.Value, fields), note
		return op, nil
	}
	if err != nil {
		if !p.writes {
			err = readError(err)
		}
		return op, err
	}
	results, err := resultsOf(resp.Responses)
	if err != nil {
		return op, err
	}
	fields["succeeded"], fields["results"] = resp.Succeeded, results
	op.Value, op.Revision, op.Error = with(op.Value, fields), resp.GetHeader().GetRevision(), note
	return op, nil
}

// perform makes the call that a transaction needs, and returns the answer as if it was one.
func (c *client) perform(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, string, error) {
	if len(r.Compare) > 0 || len(r.Success) != 1 {
		return c.txn(ctx, r)
	}
	out := &pb.TxnResponse{Succeeded: true}
	one := &pb.ResponseOp{}
	out.Responses = []*pb.ResponseOp{one}
	var note string
	var err error
	switch q := r.Success[0].Request.(type) {
	case *pb.RequestOp_RequestRange:
		var resp *pb.RangeResponse
		resp, note, err = call[*pb.RangeRequest, *pb.RangeResponse](ctx, c.conn, c.kv.Range, q.RequestRange)
		out.Header, one.Response = resp.GetHeader(), &pb.ResponseOp_ResponseRange{ResponseRange: resp}
	case *pb.RequestOp_RequestPut:
		var resp *pb.PutResponse
		resp, note, err = call[*pb.PutRequest, *pb.PutResponse](ctx, c.conn, c.kv.Put, q.RequestPut)
		out.Header, one.Response = resp.GetHeader(), &pb.ResponseOp_ResponsePut{ResponsePut: resp}
	case *pb.RequestOp_RequestDeleteRange:
		var resp *pb.DeleteRangeResponse
		resp, note, err = call[*pb.DeleteRangeRequest, *pb.DeleteRangeResponse](ctx, c.conn, c.kv.DeleteRange, q.RequestDeleteRange)
		out.Header, one.Response = resp.GetHeader(), &pb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: resp}
	}
	return out, note, err
}

// refusal tells why a past revision was not to be had; empty: that is not what the error says.
func refusal(err error) string {
	switch {
	case status.Code(err) != codes.OutOfRange:
		return ""
	case compacted(err):
		return "compacted"
	case strings.Contains(status.Convert(err).Message(), "required revision is a future revision"):
		return "future"
	}
	return ""
}

// with is a value with more fields, and which revision it is about told for good.
func with(value json.RawMessage, fields map[string]any) json.RawMessage {
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(value, &all); err != nil {
		panic(fmt.Sprintf("%s: %v", value, err)) // it was read before
	}
	delete(all, "back")
	for k, v := range fields {
		all[k] = jsonOf(v)
	}
	return jsonOf(all)
}

// resultsOf are the answers to operations as they are recorded.
func resultsOf(responses []*pb.ResponseOp) ([]any, error) {
	out := []any{}
	for _, r := range responses {
		var count int64
		var kvs []*mvccpb.KeyValue
		switch a := r.Response.(type) {
		case *pb.ResponseOp_ResponseRange:
			count, kvs = a.ResponseRange.GetCount(), a.ResponseRange.GetKvs()
		case *pb.ResponseOp_ResponseDeleteRange:
			count, kvs = a.ResponseDeleteRange.GetDeleted(), a.ResponseDeleteRange.GetPrevKvs()
		case *pb.ResponseOp_ResponsePut:
			if kv := a.ResponsePut.GetPrevKv(); kv != nil {
				count, kvs = 1, []*mvccpb.KeyValue{kv}
			}
		default:
			return nil, errors.New("an answer to no operation of ours")
		}
		items := []any{}
		for _, kv := range kvs {
			value := json.RawMessage(kv.GetValue())
			if !json.Valid(value) {
				value = jsonOf(string(kv.GetValue()))
			}
			items = append(items, []any{string(kv.GetKey()), value, kv.GetCreateRevision(), kv.GetModRevision(), kv.GetVersion(), kv.GetLease()})
		}
		out = append(out, []any{count, items})
	}
	return out, nil
}

func grantKVLease(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	var id int64
	if err := json.Unmarshal(op.Value, &id); err != nil {
		return op, badValue(op, err)
	}
	resp, note, err := call[*pb.LeaseGrantRequest, *pb.LeaseGrantResponse](ctx, c.conn, pb.NewLeaseClient(c.grpc).LeaseGrant, &pb.LeaseGrantRequest{ID: id, TTL: leaseTTL})
	if err != nil {
		return op, err
	}
	op.Value, op.Revision, op.Error = jsonOf([]any{id, true}), resp.GetHeader().GetRevision(), note
	return op, nil
}

func revokeKVLease(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	var id int64
	if err := json.Unmarshal(op.Value, &id); err != nil {
		return op, badValue(op, err)
	}
	resp, note, err := call[*pb.LeaseRevokeRequest, *pb.LeaseRevokeResponse](ctx, c.conn, pb.NewLeaseClient(c.grpc).LeaseRevoke, &pb.LeaseRevokeRequest{ID: id})
	if status.Code(err) == codes.NotFound {
		op.Value, op.Error = jsonOf([]any{id, false}), note
		return op, nil
	}
	if err != nil {
		return op, err
	}
	op.Value, op.Revision, op.Error = jsonOf([]any{id, true}), resp.GetHeader().GetRevision(), note
	return op, nil
}

func compactStore(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	var w request
	if err := json.Unmarshal(op.Value, &w); err != nil {
		return op, badValue(op, err)
	}
	if c.newest == 0 { // a new process: it looks first
		_, revision, _, err := c.get(ctx, firstKey)
		if err != nil {
			return op, err
		}
		c.newest = revision
	}
	at := c.at(w.Back)
	if at == 0 {
		return op, badValue(op, errors.New("back is missing"))
	}
	asked := with(op.Value, map[string]any{"at": at})
	resp, note, err := call[*pb.CompactionRequest, *pb.CompactionResponse](ctx, c.conn, c.kv.Compact, &pb.CompactionRequest{Revision: at})
	switch why := refusal(err); {
	case why != "":
		op.Value, op.Error = with(asked, map[string]any{"refused": why}), note
		return op, nil
	case err != nil && errors.Is(err, harness.ErrNotApplied):
		return op, err
	case err != nil:
		return op, &mayHaveTakenError{asked, err}
	}
	op.Value, op.Revision, op.Error = asked, resp.GetHeader().GetRevision(), note
	return op, nil
}
