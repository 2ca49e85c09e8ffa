package etcd

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// NewAppendClient makes clients of transactions over lists, one list to a key. The function is txn, its value an array of
// micro-operations that happen in their order, at once; in the completion each has the version (mod revision, 0: absent) as a fourth part:
//
//	[["r", "k1", null], ["append", "k2", 5]]  → [["r", "k1", [1, 3], 7], ["append", "k2", 5, 9]]
//
// A list that does not exist reads as []. A read of what the transaction itself wrote has no version. A transaction that only reads is one
// etcd transaction. One that writes first reads all its keys, and then writes in a transaction that is guarded by the mod revision of every
// key it names; what it reports to have read is what etcd returned within that transaction, before and after its writes. One that
// loses the race tries again until its deadline, as in NewSetClient. Revision is the transaction's; Version is the same where it wrote.
func NewAppendClient(sys harness.System, o harness.ClientOptions) (harness.OpenClient, error) {
	return newClients(map[string]perform{"txn": performTxn(lists)})(sys, o)
}

// NewWriteReadClient makes clients of transactions over registers, one integer to a key, which are performed as NewAppendClient's. One that does
// not exist reads as null.
//
//	[["r", "k1", null], ["w", "k2", 5]]  → [["r", "k1", 3, 7], ["w", "k2", 5, 9]]
func NewWriteReadClient(sys harness.System, o harness.ClientOptions) (harness.OpenClient, error) {
	return newClients(map[string]perform{"txn": performTxn(registers)})(sys, o)
}

// shape is what keys hold.
type shape struct {
	// write is the micro-operation that writes.
	write string
	// parse reads a key; encode is what is stored, shown what a read says.
	parse  func(item) ([]int64, error)
	encode func([]int64) json.RawMessage
	shown  func([]int64) any
	// next is what a key holds after a write.
	next func(now []int64, element int64) []int64
}

var lists = &shape{
	write: "append", parse: parseList,
	encode: func(list []int64) json.RawMessage { return jsonOf(list) },
	shown:  func(list []int64) any { return append([]int64{}, list...) },
	next:   func(now []int64, element int64) []int64 { return append(slices.Clip(now), element) },
}

var registers = &shape{
	write: "w", parse: parseRegister,
	encode: func(one []int64) json.RawMessage { return jsonOf(one[0]) },
	shown: func(one []int64) any {
		if len(one) == 0 {
			return nil
		}
		return one[0]
	},
	next: func(_ []int64, element int64) []int64 { return []int64{element} },
}

// parseRegister reads a register; one that does not exist is empty.
func parseRegister(seen item) ([]int64, error) {
	if seen.modRevision == 0 {
		return nil, nil
	}
	var n int64
	if err := json.Unmarshal(seen.value, &n); err != nil {
		return nil, fmt.Errorf("the key holds %.100q, which is no number: %w", seen.value, err)
	}
	return []int64{n}, nil
}

// micro is one micro-operation: a read, or a write of an element.
type micro struct {
	read    bool
	key     string
	element int64
}

// transaction is a transaction taken apart.
type transaction struct {
	*shape
	micros []micro
	// keys are the ones it names, written those that it writes, in the order of first mention.
	keys    []string
	written []string
}

// of takes a value apart.
func (s *shape) of(value json.RawMessage) (transaction, error) {
	t := transaction{shape: s}
	var raw [][]json.RawMessage
	if err := json.Unmarshal(value, &raw); err != nil {
		return t, err
	}
	for i, parts := range raw {
		var m micro
		var f string
		if len(parts) != 3 || json.Unmarshal(parts[0], &f) != nil || json.Unmarshal(parts[1], &m.key) != nil || m.key == "" {
			return t, fmt.Errorf("micro-operation %d is not [function, key, value]", i)
		}
		if !slices.Contains(t.keys, m.key) {
			t.keys = append(t.keys, m.key)
		}
		switch f {
		case "r":
			m.read = true
		case s.write:
			if err := json.Unmarshal(parts[2], &m.element); err != nil {
				return t, fmt.Errorf("micro-operation %d: %w", i, err)
			}
			if !slices.Contains(t.written, m.key) {
				t.written = append(t.written, m.key)
			}
		default:
			return t, fmt.Errorf("micro-operation %d has the unknown function %q (want r or %s)", i, f, s.write)
		}
		t.micros = append(t.micros, m)
	}
	return t, nil
}

func performTxn(s *shape) perform {
	return func(ctx context.Context, c *client, op history.Op) (history.Op, error) {
		t, err := s.of(op.Value)
		if err != nil {
			return op, badValue(op, err)
		}
		seen, revision, note, err := c.readKeys(ctx, t.keys)
		if err != nil {
			return op, err
		}
		if len(t.written) == 0 {
			op.Value, err = t.result(seen, nil, 0)
			op.Revision, op.Error = revision, note
			return op, readError(err)
		}
		return c.guarded(ctx, op, t, seen, note)
	}
}

// guarded writes what follows from what was seen, again from what is there as long as others are faster.
func (c *client) guarded(ctx context.Context, op history.Op, t transaction, seen map[string]item, note string) (history.Op, error) {
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
			op.Revision = resp.GetHeader().GetRevision()
			op.Value, err = t.result(before, after, op.Revision)
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
func (t transaction) request(seen map[string]item) (*pb.TxnRequest, error) {
	r := &pb.TxnRequest{}
	content := map[string][]int64{}
	for _, k := range t.keys {
		r.Compare = append(r.Compare, unchanged(k, seen[k]))
		r.Success = append(r.Success, rangeOp(k, false))
		r.Failure = append(r.Failure, rangeOp(k, false))
		now, err := t.parse(seen[k])
		if err != nil {
			return nil, err
		}
		content[k] = now
	}
	for _, m := range t.micros {
		if !m.read {
			content[m.key] = t.next(content[m.key], m.element)
		}
	}
	for _, k := range t.written {
		r.Success = append(r.Success, putOp(k, t.encode(content[k])))
	}
	for _, k := range t.written {
		r.Success = append(r.Success, rangeOp(k, false))
	}
	return r, nil
}

// split takes a response apart into what was seen before and after the writes.
func (t transaction) split(resp *pb.TxnResponse) (before, after map[string]item, err error) {
	want := len(t.keys)
	if resp.Succeeded {
		want += 2 * len(t.written)
	}
	if len(resp.Responses) != want {
		return nil, nil, fmt.Errorf("the transaction came with %d responses instead of %d", len(resp.Responses), want)
	}
	if before, err = items(t.keys, resp.Responses); err != nil || !resp.Succeeded {
		return before, nil, err
	}
	after, err = items(t.written, resp.Responses[len(t.keys)+len(t.written):])
	return before, after, err
}

// result is the completion's value. A read before the transaction's own writes to its key sees what was there
// before, one after all of them what was there after; one in between sees the ones so far.
func (t transaction) result(before, after map[string]item, revision int64) (json.RawMessage, error) {
	content, own, left := map[string][]int64{}, map[string]bool{}, map[string]int{}
	for _, k := range t.keys {
		var err error
		if content[k], err = t.parse(before[k]); err != nil {
			return nil, err
		}
	}
	for _, m := range t.micros {
		if !m.read {
			left[m.key]++
		}
	}
	out := make([][]any, 0, len(t.micros))
	for _, m := range t.micros {
		switch {
		case !m.read:
			own[m.key] = true
			content[m.key] = t.next(content[m.key], m.element)
			if left[m.key]--; left[m.key] == 0 {
				var err error
				if content[m.key], err = t.parse(after[m.key]); err != nil {
					return nil, err
				}
			}
			out = append(out, []any{t.write, m.key, m.element, revision})
		case own[m.key]:
			out = append(out, []any{"r", m.key, t.shown(content[m.key])})
		default:
			out = append(out, []any{"r", m.key, t.shown(content[m.key]), before[m.key].modRevision})
		}
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
