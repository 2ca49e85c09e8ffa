package etcd

import (
	"context"
	"encoding/json"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// NewAppendClient makes clients of transactions over lists, one list to a key. The function is txn, its value a list of
// micro-operations that happen in their order, at once:
//
//	[["r", "k1", null], ["append", "k2", 5]]  → [["r", "k1", [1, 3]], ["append", "k2", 5]]
//
// A list that does not exist reads as []. A transaction that only reads is one etcd transaction. One that writes first reads all its
// keys, and then writes the longer lists in a transaction that is guarded by the mod revision of every key it names; the lists
// that it reports are what etcd returned within that transaction, before and after its writes. One that loses the race
// tries again until its deadline, as in NewSetClient. Revision is the transaction's; Version is the same where it wrote.
func NewAppendClient(sys harness.System, o harness.ClientOptions) (harness.OpenClient, error) {
	return newClients(map[string]perform{"txn": performTxn})(sys, o)
}

// micro is one micro-operation: a read, or an append of an element.
type micro struct {
	read    bool
	key     string
	element int64
}

// appendTxn is a transaction taken apart.
type appendTxn struct {
	micros []micro
	// keys are the ones it names, written those that it appends to, in the order of first mention.
	keys    []string
	written []string
	// added are the elements that it appends to each key, in order.
	added map[string][]int64
}

func parseTxn(value json.RawMessage) (appendTxn, error) {
	t := appendTxn{added: map[string][]int64{}}
	var raw [][]json.RawMessage
	if err := json.Unmarshal(value, &raw); err != nil {
		return t, err
	}
	named := map[string]bool{}
	for i, parts := range raw {
		var m micro
		var f string
		if len(parts) != 3 || json.Unmarshal(parts[0], &f) != nil || json.Unmarshal(parts[1], &m.key) != nil || m.key == "" {
			return t, fmt.Errorf("micro-operation %d is not [function, key, value]", i)
		}
		if !named[m.key] {
			named[m.key] = true
			t.keys = append(t.keys, m.key)
		}
		switch f {
		case "r":
			m.read = true
		case "append":
			if err := json.Unmarshal(parts[2], &m.element); err != nil {
				return t, fmt.Errorf("micro-operation %d: %w", i, err)
			}
			if t.added[m.key] == nil {
				t.written = append(t.written, m.key)
			}
			t.added[m.key] = append(t.added[m.key], m.element)
		default:
			return t, fmt.Errorf("micro-operation %d has the unknown function %q (want r or append)", i, f)
		}
		t.micros = append(t.micros, m)
	}
	return t, nil
}

func performTxn(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	t, err := parseTxn(op.Value)
	if err != nil {
		return op, badValue(op, err)
	}
	seen, revision, note, err := c.readKeys(ctx, t.keys)
	if err != nil {
		return op, err
	}
	if len(t.written) == 0 {
		op.Value, err = t.result(seen, nil)
		op.Revision, op.Error = revision, note
		return op, readError(err)
	}
	for {
		r, err := t.request(seen)
		if err != nil {
			return op, err
		}
		resp, again, err := c.txn(ctx, r)
		if err != nil {
			return op, err
		}
		if again != "" {
			note = again
		}
		before, after, err := t.split(resp)
		if err != nil {
			return op, err
		}
		if resp.Succeeded {
			op.Value, err = t.result(before, after)
			op.Revision = resp.GetHeader().GetRevision()
			op.Version, op.Error = op.Revision, note
			return op, err
		}
		seen = before
		if ctx.Err() != nil {
			return op, errConflict
		}
	}
}

// readKeys reads keys at one revision.
func (c *client) readKeys(ctx context.Context, keys []string) (seen map[string]item, revision int64, note string, err error) {
	r := &pb.TxnRequest{}
	for _, k := range keys {
		r.Success = append(r.Success, rangeOp(k, c.serializable))
	}
	resp, note, err := c.txn(ctx, r)
	if err != nil {
		return nil, 0, note, readError(err)
	}
	seen, err = items(keys, resp.Responses)
	return seen, resp.GetHeader().GetRevision(), note, readError(err)
}

// request is the guarded transaction: on success it reads all keys, writes, and reads again what it wrote; else it only reads.
func (t appendTxn) request(seen map[string]item) (*pb.TxnRequest, error) {
	r := &pb.TxnRequest{}
	for _, k := range t.keys {
		r.Compare = append(r.Compare, unchanged(k, seen[k]))
		r.Success = append(r.Success, rangeOp(k, false))
		r.Failure = append(r.Failure, rangeOp(k, false))
	}
	for _, k := range t.written {
		list, err := parseList(seen[k])
		if err != nil {
			return nil, err
		}
		r.Success = append(r.Success, putOp(k, jsonOf(append(list, t.added[k]...))))
	}
	for _, k := range t.written {
		r.Success = append(r.Success, rangeOp(k, false))
	}
	return r, nil
}

// split takes a response apart into what was seen before and after the writes.
func (t appendTxn) split(resp *pb.TxnResponse) (before, after map[string]item, err error) {
	want := len(t.keys)
	if resp.Succeeded {
		want += 2 * len(t.written)
	}
	if len(resp.Responses) != want {
		return nil, nil, fmt.Errorf("the transaction came with %d responses instead of %d", len(resp.Responses), want)
	}
	before, err = items(t.keys, resp.Responses)
	if err == nil && resp.Succeeded {
		after, err = items(t.written, resp.Responses[want-len(t.written):])
	}
	return before, after, err
}

// result is the transaction's value with what its reads saw. A read of a key before any append of its own is what was there
// before, one after all of them what was there after; one in between has that many of its own at the end.
func (t appendTxn) result(before, after map[string]item) (json.RawMessage, error) {
	own := map[string]int{}
	out := make([][3]any, 0, len(t.micros))
	for _, m := range t.micros {
		if !m.read {
			own[m.key]++
			out = append(out, [3]any{"append", m.key, m.element})
			continue
		}
		from := before[m.key]
		if n := len(t.added[m.key]); n > 0 && own[m.key] == n {
			from = after[m.key]
		}
		list, err := parseList(from)
		if err != nil {
			return nil, err
		}
		if n := own[m.key]; n < len(t.added[m.key]) {
			list = append(list, t.added[m.key][:n]...)
		}
		out = append(out, [3]any{"r", m.key, list})
	}
	return json.Marshal(out)
}

// items are the answers to ranges over keys, in their order.
func items(keys []string, responses []*pb.ResponseOp) (map[string]item, error) {
	seen := make(map[string]item, len(keys))
	for i, k := range keys {
		if i >= len(responses) || responses[i].GetResponseRange() == nil {
			return nil, fmt.Errorf("the answer has no range for %s", k)
		}
		seen[k] = itemOf(responses[i].GetResponseRange())
	}
	return seen, nil
}
