package etcd

import (
	"errors"
	"fmt"
	"slices"
	"strings"

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

// rejections are the only answers that make a write a fail. Each is given before the request is proposed to raft, or, as it says, by what applies it, instead.
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
	{codes.NotFound, "etcdserver: requested lease not found", "etcdserver/apply.go (3.5), etcdserver/txn (3.6, 3.7), Put and checkTxn: when it is applied, before anything of it is done; lease/lessor.go, Revoke: first"},
	{codes.FailedPrecondition, "etcdserver: not capable", "etcdserver/api/v3rpc/interceptor.go, newUnaryInterceptor: before the handler, while the cluster's version is not known"},
}

// classify marks the errors of calls that were sent and that etcd certainly did not apply.
func classify(err error) error {
	st, ok := status.FromError(err)
	if ok && rejected(st) {
		return fmt.Errorf("%w: %w", harness.ErrNotApplied, err)
	}
	return err
}

func rejected(st *status.Status) bool {
	return slices.ContainsFunc(rejections, func(r rejection) bool {
		return st.Code() == r.code && st.Message() == r.message
	})
}

// foreseen are the answers, and ends without an answer, that leave the outcome of a write unknown and surprise nobody.
// Messages are beginnings; an empty one is any.
var foreseen = []struct {
	code    codes.Code
	message string
}{
	{codes.DeadlineExceeded, ""}, // ours, or a server's that ran into it
	{codes.Canceled, ""},         // the run was interrupted
	{codes.Unavailable, ""},      // the connection was lost; etcd's time-outs, changes of leader and stops
	{codes.ResourceExhausted, "etcdserver: mvcc: database space exceeded"},
	{codes.Unknown, "raft proposal dropped"}, // raft's own words, which etcd passes on as they are
	{codes.Unknown, "raft: stopped"},
	{codes.Unknown, "context deadline exceeded"}, // 3.4's own time-outs, without a code
	{codes.Internal, "stream terminated by RST_STREAM"},
	{codes.NotFound, leaseNotFound},              // of a key to be written with a lease that has ended
	{codes.Unknown, "mutex: session is expired"}, // the lock API: likewise, while it waited
	{codes.Unknown, "election: session is expired"},
	{codes.Unknown, "context canceled"}, // the lock and election APIs pass on what they got themselves
	{codes.Unknown, "context deadline exceeded"},
}

// prefixUnexpected begins the error of an operation that ended in a way that nobody foresaw. The check for unexpected
// errors looks for it.
const prefixUnexpected = "unexpected: "

// errorText is an operation's error as it is recorded.
func errorText(err error) string {
	if isForeseen(err) {
		return err.Error()
	}
	return prefixUnexpected + err.Error()
}

func isForeseen(err error) bool {
	var never *neverSentError
	if errors.As(err, &never) || errors.Is(err, errConflict) || errors.Is(err, errWaited) || errors.Is(err, errLost) || errors.Is(err, errClosed) {
		return true
	}
	var half *halfDoneError
	if errors.As(err, &half) {
		return isForeseen(half.err)
	}
	var answer interface{ GRPCStatus() *status.Status }
	if !errors.As(err, &answer) {
		return false
	}
	st := answer.GRPCStatus()
	for _, f := range foreseen {
		if st.Code() == f.code && strings.HasPrefix(st.Message(), f.message) {
			return true
		}
	}
	return rejected(st)
}
