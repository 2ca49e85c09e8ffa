package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// versionsTimeout bounds one member's answer to Versions, which may be long.
const versionsTimeout = 5 * time.Second

// ErrCompacted marks a revision that the store no longer has; see Versions.
var ErrCompacted = errors.New("the revision has been compacted")

// Versions tells which keys with a prefix existed at a revision, and the mod revision that each had then. Revision 0 is the newest; at
// is the revision that the answer is of. It is a linearizable read, asked of one member after the other, through the control
// connection, until one answers. A revision that was compacted away is ErrCompacted.
func (s *System) Versions(ctx context.Context, prefix string, revision int64) (versions map[string]int64, at int64, err error) {
	errs := []error{errors.New("etcd: no member answers")}
	// A member that is stopped should cost no more than a moment, and a long answer be waited for all the same.
	for _, bound := range []time.Duration{askTimeout, versionsTimeout} {
		for _, m := range s.members {
			versions, at, err = s.versionsOf(ctx, bound, m, prefix, revision)
			if err == nil || errors.Is(err, ErrCompacted) {
				return versions, at, err
			}
			errs = append(errs, err)
			if ctx.Err() != nil {
				return nil, 0, errors.Join(errs...)
			}
		}
	}
	return nil, 0, errors.Join(errs...)
}

// VersionsOn is Versions as one node's member tells it, linearizable too.
func (s *System) VersionsOn(ctx context.Context, node, prefix string, revision int64) (versions map[string]int64, at int64, err error) {
	m := s.member(node)
	if m == nil {
		return nil, 0, fmt.Errorf("etcd: no member on node %s", node)
	}
	return s.versionsOf(ctx, versionsTimeout, m, prefix, revision)
}

func (s *System) versionsOf(ctx context.Context, bound time.Duration, m *member, prefix string, revision int64) (versions map[string]int64, at int64, err error) {
	err = s.askFor(ctx, bound, m, func(ctx context.Context, conn *grpc.ClientConn) error {
		resp, err := pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{
			Key: prefixBegin(prefix), RangeEnd: prefixEnd(prefix), Revision: revision, KeysOnly: true,
		})
		if err != nil {
			return err
		}
		if at = revision; at == 0 {
			at = resp.GetHeader().GetRevision()
		}
		versions = make(map[string]int64, len(resp.Kvs))
		for _, kv := range resp.Kvs {
			versions[string(kv.Key)] = kv.ModRevision
		}
		return nil
	})
	if status.Code(err) == codes.OutOfRange && revision > 0 && compacted(err) {
		err = fmt.Errorf("%w: %w", ErrCompacted, err)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("keys of etcd on %s with prefix %s: %w", m.node.Name(), prefix, err)
	}
	return versions, at, nil
}

// compacted tells an answer about a past revision from one about a future one, which has the same code (etcd,
// api/v3rpc/rpctypes/error.go).
func compacted(err error) bool {
	return strings.Contains(status.Convert(err).Message(), "required revision has been compacted")
}

// prefixBegin is the first key that has a prefix: etcd has no empty key.
func prefixBegin(prefix string) []byte {
	if prefix == "" {
		return []byte{0}
	}
	return []byte(prefix)
}

// prefixEnd is the first key after all that have a prefix; as etcd's own clients compute it.
func prefixEnd(prefix string) []byte {
	end := []byte(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return []byte{0} // to the last key there is
}
