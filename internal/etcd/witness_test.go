package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/faultline/faultline/harness/history"
)

// told are the writes that a system tells of, as "revision key value".
func told(t *testing.T, s *System) (out []string) {
	t.Helper()
	err := s.Writes(t.Context(), func(op *history.Op) error {
		if op.Process != history.Evidence || op.F != history.FCommitted || op.Version != op.Revision {
			t.Errorf("not evidence of a write: %+v", op)
		}
		out = append(out, fmt.Sprintf("%d %s %s", op.Revision, op.Key, op.Value))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWritesAreToldAfterTheRun(t *testing.T) {
	s := startCluster(t, 1, nil)
	if got := told(t, s); len(got) != 0 {
		t.Errorf("an empty store tells of %v", got)
	}
	do := func(f func(ctx context.Context, kv pb.KVClient) error) {
		t.Helper()
		err := s.ask(t.Context(), s.members[0], func(ctx context.Context, conn *grpc.ClientConn) error { return f(ctx, pb.NewKVClient(conn)) })
		if err != nil {
			t.Fatal(err)
		}
	}
	put := func(key, value string) {
		t.Helper()
		do(func(ctx context.Context, kv pb.KVClient) error {
			_, err := kv.Put(ctx, &pb.PutRequest{Key: []byte(key), Value: []byte(value)})
			return err
		})
	}
	put("a", "1")
	put("b", "no JSON")
	do(func(ctx context.Context, kv pb.KVClient) error {
		_, err := kv.Txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{putOp("a", []byte("[2]")), putOp("c", []byte("null"))}})
		return err
	})
	do(func(ctx context.Context, kv pb.KVClient) error {
		_, err := kv.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte("a")})
		return err
	})
	want := []string{`2 a 1`, `3 b "no JSON"`, `4 a [2]`, `4 c "null"`, `5 a `}
	if got := told(t, s); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}

	do(func(ctx context.Context, kv pb.KVClient) error {
		_, err := kv.Compact(ctx, &pb.CompactionRequest{Revision: 4})
		return err
	})
	if got := told(t, s); !slices.Equal(got, want[2:]) {
		t.Errorf("after a compaction told %q, want %q", got, want[2:])
	}

	// The newest revision is a deletion, and compacted: nothing is left of it.
	do(func(ctx context.Context, kv pb.KVClient) error {
		_, err := kv.Compact(ctx, &pb.CompactionRequest{Revision: 5, Physical: true})
		return err
	})
	if got := told(t, s); len(got) > 1 {
		t.Errorf("after everything was compacted told %q", got)
	}
	put("a", "3")

	full := errors.New("full")
	if err := s.Writes(t.Context(), func(*history.Op) error { return full }); !errors.Is(err, full) {
		t.Errorf("an error of what records is %v", err)
	}
}
