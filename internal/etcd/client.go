package etcd

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// The kinds of read. Linearizable ones go through the leader's read index; serializable ones are answered
// by the member that is asked, from what it has, and may be stale by design.
const (
	ReadLinearizable = "linearizable"
	ReadSerializable = "serializable"
)

// Reads are the kinds of read of the clients here, the default first.
func Reads() []string { return []string{ReadLinearizable, ReadSerializable} }

// defaultTimeout is the deadline of an operation where none is asked for. It is longer than an election, so
// that an operation can outlast a change of leader.
const defaultTimeout = 2 * time.Second

// endpoints is a system that serves etcd's clients.
type endpoints interface {
	ClientAddr(node string) (string, error)
}

// perform does one operation. The completion it returns is op with what the system said; err says whether
// and why it is not an ok one.
type perform func(ctx context.Context, c *client, op history.Op) (history.Op, error)

// client is a harness.Client over one connection.
type client struct {
	*conn
	serializable bool
	functions    map[string]perform
	// newest is the highest revision that the process has seen.
	newest int64
}

// newClients makes the column of a workload: clients that know the given functions.
func newClients(functions map[string]perform) harness.NewClients {
	return func(sys harness.System, o harness.ClientOptions) (harness.OpenClient, error) {
		e, ok := sys.(endpoints)
		if !ok {
			return nil, fmt.Errorf("system %s does not serve etcd's clients", sys.Name())
		}
		setDefault(&o.Read, ReadLinearizable)
		setDefault(&o.Timeout, defaultTimeout)
		if !slices.Contains(Reads(), o.Read) {
			return nil, fmt.Errorf("unknown kind of read %q for etcd (want %s)", o.Read, strings.Join(Reads(), " or "))
		}
		var config *tls.Config
		if sec, ok := sys.(secured); ok {
			config = sec.clientTLS()
		}
		return func(_ context.Context, _ history.Process, node string) (harness.Client, error) {
			addr, err := e.ClientAddr(node)
			if err != nil {
				return nil, err
			}
			c, err := dial(node, addr, config, o.Timeout)
			if err != nil {
				return nil, err
			}
			return &client{conn: c, serializable: o.Read == ReadSerializable, functions: functions}, nil
		}, nil
	}
}

// Invoke performs an operation within the client's time-out; one that lasts as long as it is asked to has it for each of its requests.
func (c *client) Invoke(ctx context.Context, op history.Op) history.Op {
	f, ok := c.functions[op.F]
	if !ok {
		op.Type, op.Error = history.Fail, prefixUnexpected+fmt.Sprintf("no such function: %q", op.F)
		return op
	}
	if !lasting[op.F] {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	done, err := f(ctx, c, op)
	done.Type = harness.Outcome(err)
	if err != nil {
		// What was asked stays in the record, rather than what is not known to have been seen.
		done.Value, done.Version, done.Revision = op.Value, 0, 0
		if taken := (*mayHaveTakenError)(nil); errors.As(err, &taken) {
			done.Value = taken.element
		}
		done.Error = errorText(err)
	}
	c.newest = max(c.newest, done.Revision)
	return done
}

// Close ends the connection.
func (c *client) Close() error { return c.close() }

// readError is the error of a read: it changed nothing, so whatever the error, it is a definite one.
func readError(err error) error {
	if err == nil || errors.Is(err, harness.ErrNotApplied) {
		return err
	}
	return fmt.Errorf("%w: a read changes nothing: %w", harness.ErrNotApplied, err)
}

// badValue is an operation that the client can't understand: nothing was sent.
func badValue(op history.Op, err error) error {
	return fmt.Errorf("%w: value %s of %s: %w", harness.ErrNotApplied, op.Value, op.F, err)
}

// item is a key as it was seen.
type item struct {
	// value is nil where the key did not exist; its modRevision is 0 then.
	value       []byte
	modRevision int64
}

// rangeOp asks for one key within a transaction.
func rangeOp(key string, serializable bool) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte(key), Serializable: serializable}}}
}

func putOp(key string, value []byte) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key), Value: value}}}
}

// unchanged holds while a key is as it was seen, absence included.
func unchanged(key string, seen item) *pb.Compare {
	return &pb.Compare{
		Key: []byte(key), Target: pb.Compare_MOD, Result: pb.Compare_EQUAL,
		TargetUnion: &pb.Compare_ModRevision{ModRevision: seen.modRevision},
	}
}

func itemOf(r *pb.RangeResponse) item {
	if r == nil || len(r.Kvs) == 0 {
		return item{}
	}
	return item{value: r.Kvs[0].Value, modRevision: r.Kvs[0].ModRevision}
}

// get reads one key.
func (c *client) get(ctx context.Context, key string) (seen item, revision int64, note string, err error) {
	resp, note, err := call[*pb.RangeRequest, *pb.RangeResponse](ctx, c.conn, c.kv.Range, &pb.RangeRequest{Key: []byte(key), Serializable: c.serializable})
	if err != nil {
		return item{}, 0, note, readError(err)
	}
	return itemOf(resp), resp.GetHeader().GetRevision(), note, nil
}

// txn performs a transaction.
func (c *client) txn(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, string, error) {
	return call[*pb.TxnRequest, *pb.TxnResponse](ctx, c.conn, func(ctx context.Context, r *pb.TxnRequest, o ...grpc.CallOption) (*pb.TxnResponse, error) {
		return c.kv.Txn(ctx, r, o...)
	}, r)
}

// jsonOf encodes what can't fail to be encoded: numbers, booleans, strings and lists of them.
func jsonOf(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return text
}
