package etcd

import (
	"context"
	"errors"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// NewDeletesClient makes clients of registers as NewRegisterClient does, that can be deleted, too:
//
//	delete  null → true, or false where the key did not exist
//
// Version is the revision of the deletion, 0 where there was nothing to delete; Revision is the response's.
func NewDeletesClient(sys harness.System, o harness.ClientOptions) (harness.OpenClient, error) {
	return newClients(map[string]perform{"read": readRegister, "write": writeRegister, "delete": deleteRegister})(sys, o)
}

func deleteRegister(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	if op.Key == "" {
		return op, badValue(op, errors.New("want a key"))
	}
	resp, note, err := call[*pb.DeleteRangeRequest, *pb.DeleteRangeResponse](ctx, c.conn, c.kv.DeleteRange, &pb.DeleteRangeRequest{Key: []byte(op.Key)})
	if err != nil {
		return op, err
	}
	op.Revision, op.Error = resp.GetHeader().GetRevision(), note
	op.Value = jsonOf(resp.Deleted > 0)
	if resp.Deleted > 0 {
		op.Version = op.Revision
	}
	return op, nil
}
