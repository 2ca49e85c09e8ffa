package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// NewLeaseClient makes clients of leases, each with one key: the operation's. All four functions take a history.LeaseRequest and give a history.LeaseAnswer:
//
//	grant   grants the lease with that ID, and writes the key with it
//	renew   renews it, once
//	revoke  revokes it, and its key
//	get     reads the key
//
// A renewal, or a revocation, of a lease that is not there is an ok operation: it observed that. A grant whose second half did not work is of unknown outcome.
func NewLeaseClient(sys harness.System, o harness.ClientOptions) (harness.OpenClient, error) {
	functions := map[string]perform{}
	for name, f := range map[string]func(context.Context, *client, string, history.LeaseRequest) (history.LeaseAnswer, *pb.ResponseHeader, error){
		"grant": grantWithKey, "renew": renewLease, "revoke": revokeLease, "get": getLeased,
	} {
		functions[name] = func(ctx context.Context, c *client, op history.Op) (history.Op, error) {
			var asked history.LeaseRequest
			if err := json.Unmarshal(op.Value, &asked); err != nil {
				return op, badValue(op, err)
			}
			answer, header, err := f(ctx, c, op.Key, asked)
			if err != nil {
				return op, err
			}
			answer.ID, answer.Term = asked.ID, header.GetRaftTerm()
			op.Value, op.Revision = jsonOf(answer), header.GetRevision()
			return op, nil
		}
	}
	return newClients(functions)(sys, o)
}

// halfDoneError is an operation of two requests of which the first was done: its outcome is unknown, whatever the second one's error says.
type halfDoneError struct{ err error }

func (e *halfDoneError) Error() string { return "the first of two requests was done: " + e.err.Error() }

func grantWithKey(ctx context.Context, c *client, key string, asked history.LeaseRequest) (history.LeaseAnswer, *pb.ResponseHeader, error) {
	granted, err := c.grantLease(ctx, asked.ID, asked.TTLMS)
	if err != nil {
		return history.LeaseAnswer{}, nil, err
	}
	put, _, err := call[*pb.PutRequest, *pb.PutResponse](ctx, c.conn, c.kv.Put, &pb.PutRequest{Key: []byte(key), Value: decimal(asked.ID), Lease: asked.ID})
	if err != nil {
		return history.LeaseAnswer{}, nil, &halfDoneError{err}
	}
	return history.LeaseAnswer{TTLMS: granted.TTL * 1000}, put.GetHeader(), nil
}

func renewLease(ctx context.Context, c *client, _ string, asked history.LeaseRequest) (history.LeaseAnswer, *pb.ResponseHeader, error) {
	resp, err := c.renew(ctx, asked.ID)
	return history.LeaseAnswer{TTLMS: resp.GetTTL() * 1000}, resp.GetHeader(), err
}

func revokeLease(ctx context.Context, c *client, _ string, asked history.LeaseRequest) (history.LeaseAnswer, *pb.ResponseHeader, error) {
	resp, err := c.revoke(ctx, asked.ID)
	if isLeaseNotFound(err) {
		return history.LeaseAnswer{}, nil, nil
	}
	return history.LeaseAnswer{Found: true}, resp.GetHeader(), err
}

func getLeased(ctx context.Context, c *client, key string, _ history.LeaseRequest) (history.LeaseAnswer, *pb.ResponseHeader, error) {
	resp, _, err := call[*pb.RangeRequest, *pb.RangeResponse](ctx, c.conn, c.kv.Range, &pb.RangeRequest{Key: []byte(key)})
	if err != nil {
		return history.LeaseAnswer{}, nil, readError(err)
	}
	return history.LeaseAnswer{Found: len(resp.Kvs) > 0}, resp.GetHeader(), nil
}

// grantLease grants a lease; the ID 0 leaves the choice to etcd.
func (c *conn) grantLease(ctx context.Context, id, ttlMS int64) (*pb.LeaseGrantResponse, error) {
	resp, _, err := call(ctx, c, func(ctx context.Context, r *pb.LeaseGrantRequest, o ...grpc.CallOption) (*pb.LeaseGrantResponse, error) {
		return pb.NewLeaseClient(c.grpc).LeaseGrant(ctx, r, o...)
	}, &pb.LeaseGrantRequest{ID: id, TTL: (ttlMS + 999) / 1000})
	if err == nil && resp.GetError() != "" {
		err = errors.New(resp.GetError())
	}
	return resp, err
}

// renew renews a lease once, by a stream of one request. The TTL of a lease that is not there is 0.
func (c *conn) renew(ctx context.Context, id int64) (*pb.LeaseKeepAliveResponse, error) {
	resp, _, err := call(ctx, c, func(ctx context.Context, r *pb.LeaseKeepAliveRequest, o ...grpc.CallOption) (*pb.LeaseKeepAliveResponse, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := pb.NewLeaseClient(c.grpc).LeaseKeepAlive(ctx, o...)
		if err != nil {
			return nil, err
		}
		if err := stream.Send(r); err != nil {
			// Why the stream ended, what is received says.
			if _, received := stream.Recv(); received != nil {
				return nil, received
			}
			return nil, err
		}
		return stream.Recv()
	}, &pb.LeaseKeepAliveRequest{ID: id})
	return resp, err
}

func (c *conn) revoke(ctx context.Context, id int64) (*pb.LeaseRevokeResponse, error) {
	resp, _, err := call(ctx, c, func(ctx context.Context, r *pb.LeaseRevokeRequest, o ...grpc.CallOption) (*pb.LeaseRevokeResponse, error) {
		return pb.NewLeaseClient(c.grpc).LeaseRevoke(ctx, r, o...)
	}, &pb.LeaseRevokeRequest{ID: id})
	return resp, err
}

// isLeaseNotFound tells the answer that a lease is not there, which etcd gives when the request is applied (server/lease/lessor.go, Revoke and Attach).
func isLeaseNotFound(err error) bool {
	var answer interface{ GRPCStatus() *status.Status }
	if !errors.As(err, &answer) {
		return false
	}
	st := answer.GRPCStatus()
	return st.Code() == codes.NotFound && st.Message() == leaseNotFound
}

const leaseNotFound = "etcdserver: requested lease not found"

// errWaited and errLost end operations that did nothing: what they were to write was never sent, or etcd refused the guard that it was sent with.
var (
	errWaited = fmt.Errorf("%w: the lock was not got in time", harness.ErrNotApplied)
	errLost   = fmt.Errorf("%w: the lock was lost before", harness.ErrNotApplied)
)
