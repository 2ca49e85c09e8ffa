package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"google.golang.org/grpc"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// The isolation levels of concurrency.STM, as --read has them.
const (
	STMSerializableSnapshot = "serializable-snapshot"
	STMSerializable         = "serializable"
	STMRepeatableReads      = "repeatable-reads"
	STMReadCommitted        = "read-committed"
)

// STMLevels are the isolation levels, the default first.
func STMLevels() []string {
	return []string{STMSerializableSnapshot, STMSerializable, STMRepeatableReads, STMReadCommitted}
}

var stmIsolation = map[string]concurrency.Isolation{
	STMSerializableSnapshot: concurrency.SerializableSnapshot,
	STMSerializable:         concurrency.Serializable,
	STMRepeatableReads:      concurrency.RepeatableReads,
	STMReadCommitted:        concurrency.ReadCommitted,
}

// NewSTMClient makes clients of transactions over registers, as NewWriteReadClient's, that are performed by client/v3's concurrency.STM at
// the isolation level that o.Read names. STM itself tries again where a commit is refused by its guards, which changes nothing. Its requests go
// over a connection that does not retry: of the stock client there is no more than what makes requests of operations. So of
// all attempts only the last can be of unknown outcome.
//
// Revision is that of the commit where it wrote. Without writes it is 0: at the weaker levels reads are not of one revision.
func NewSTMClient(sys harness.System, o harness.ClientOptions) (harness.OpenClient, error) {
	setDefault(&o.Read, STMSerializableSnapshot)
	isolation, ok := stmIsolation[o.Read]
	if !ok {
		return nil, fmt.Errorf("unknown isolation level %q of STM (want one of %v)", o.Read, STMLevels())
	}
	o.Read = ReadLinearizable
	return newClients(map[string]perform{"txn": performSTM(isolation)})(sys, o)
}

// noRetries is the KV service as the stock client's operations see it, over a connection of ours. It is good for one STM transaction: one call at a
// time, until one fails.
type noRetries struct {
	pb.KVClient // of what STM does not call
	c           *client
	// writing: the call that failed may have written; failure is its error, before the stock client changes it.
	writing bool
	failure error
	notes   []string
}

// Txn makes a call, once.
func (k *noRetries) Txn(ctx context.Context, r *pb.TxnRequest, _ ...grpc.CallOption) (*pb.TxnResponse, error) {
	resp, note, err := k.c.txn(ctx, r)
	if note != "" {
		k.notes = append(k.notes, note)
	}
	if err != nil {
		k.failure = err
		k.writing = slices.ContainsFunc(slices.Concat(r.Success, r.Failure), func(op *pb.RequestOp) bool { return op.GetRequestRange() == nil })
	}
	return resp, err
}

var errNoSuchCall = errors.New("a call that STM does not make")

// Range is not used by STM.
func (k *noRetries) Range(context.Context, *pb.RangeRequest, ...grpc.CallOption) (*pb.RangeResponse, error) {
	k.writing, k.failure = true, errNoSuchCall
	return nil, errNoSuchCall
}

// errRegister is a register that holds what nobody wrote.
var errRegister = errors.New("no number")

func performSTM(isolation concurrency.Isolation) perform {
	return func(ctx context.Context, c *client, op history.Op) (history.Op, error) {
		t, err := registers.of(op.Value)
		if err != nil {
			return op, badValue(op, err)
		}
		calls := &noRetries{c: c}
		stock := clientv3.NewCtxClient(ctx)
		stock.KV = clientv3.NewKVFromKVClient(calls, stock)
		var out [][]any
		resp, err := concurrency.NewSTM(stock, func(s concurrency.STM) error {
			var err error
			if ctx.Err() != nil {
				return errConflict // what was tried before was refused
			}
			out, err = t.apply(s)
			return err
		}, concurrency.WithIsolation(isolation), concurrency.WithAbortContext(ctx))
		switch {
		case calls.failure != nil && !calls.writing:
			return op, readError(calls.failure)
		case calls.failure != nil:
			return op, calls.failure
		case errors.Is(err, errRegister):
			return op, readError(err)
		case err != nil:
			return op, err
		}
		revision := resp.Header.GetRevision()
		if len(t.written) > 0 {
			op.Revision, op.Version = revision, revision
		}
		for i, m := range t.micros {
			if !m.read {
				out[i] = append(out[i], revision)
			}
		}
		if len(calls.notes) > 0 {
			op.Error = calls.notes[len(calls.notes)-1]
		}
		op.Value = jsonOf(out)
		return op, nil
	}
}

// apply does the micro-operations in one attempt of STM. Writes get their version from the commit.
func (t transaction) apply(s concurrency.STM) ([][]any, error) {
	own := map[string]bool{}
	out := make([][]any, 0, len(t.micros))
	for _, m := range t.micros {
		if !m.read {
			s.Put(m.key, strconv.FormatInt(m.element, 10))
			own[m.key] = true
			out = append(out, []any{"w", m.key, m.element})
			continue
		}
		var value any
		if text := s.Get(m.key); text != "" {
			if !json.Valid([]byte(text)) {
				return nil, fmt.Errorf("%s holds %.40q: %w", m.key, text, errRegister)
			}
			value = json.RawMessage(text)
		}
		read := []any{"r", m.key, value}
		if !own[m.key] {
			read = append(read, s.Rev(m.key))
		}
		out = append(out, read)
	}
	return out, nil
}
