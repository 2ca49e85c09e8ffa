package etcd

import (
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/faultline/faultline/harness"
)

// rejection is an answer that etcd gives before, or instead of, applying a write.
type rejection struct {
	code codes.Code
	// message is the whole text; others may contain it and mean something else.
	message string
	// Where the server gives it, in the sources of etcd 3.4 to 3.7. Paths are from the server's module root.
	where string
}

// rejections are the only answers that make a write a fail. Each is given before the request is proposed to raft.
//
// Not on the list, although they sound definite: "database space exceeded", which the quota check gives before, but
// the applier also after it has gone through the log; "leader changed", "request timed out", "server stopped" and
// "context deadline exceeded", which are given for requests that were proposed and may yet be applied; "no leader" and "required
// revision has been compacted", which writes of ours can't get before they are proposed.
var rejections = []rejection{
	{codes.ResourceExhausted, "etcdserver: too many requests", "etcdserver/v3_server.go, processInternalRaftRequestOnce: before Propose, when too much is committed and not applied"},
	{codes.InvalidArgument, "etcdserver: request is too large", "etcdserver/v3_server.go, processInternalRaftRequestOnce: before Propose, when the request exceeds --max-request-bytes"},
	{codes.InvalidArgument, "etcdserver: key is not provided", "etcdserver/api/v3rpc/key.go, checkPutRequest, checkTxnRequest: first in the handler"},
	{codes.InvalidArgument, "etcdserver: too many operations in txn request", "etcdserver/api/v3rpc/key.go, checkTxnRequest: first in the handler"},
	{codes.InvalidArgument, "etcdserver: duplicate key given in txn request", "etcdserver/api/v3rpc/key.go, checkIntervals: in the handler, before the server is called"},
	{codes.FailedPrecondition, "etcdserver: not capable", "etcdserver/api/v3rpc/interceptor.go, newUnaryInterceptor: before the handler, while the cluster's version is not known"},
}

// classify marks the errors of calls that were sent and that etcd certainly did not apply.
func classify(err error) error {
	st, ok := status.FromError(err)
	if !ok {
		return err
	}
	for _, r := range rejections {
		if st.Code() == r.code && st.Message() == r.message {
			return fmt.Errorf("%w: %w", harness.ErrNotApplied, err)
		}
	}
	return err
}
