package etcd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	mvcc "go.etcd.io/etcd/api/v3/mvccpb"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/faultline/faultline/harness/history"
)

// writesTimeout bounds how long one member is listened to.
const writesTimeout = 20 * time.Second

// firstRevision is what a store's first write takes: an empty store is at revision 1.
const firstRevision = 2

// progressInterval is how often a member is asked whether it has delivered everything.
const progressInterval = 100 * time.Millisecond

// Writes records every write that the store still knows of (history.FCommitted), oldest first, as a watch of one member from the first
// revision delivers them. Where revisions were compacted it begins after these. A member that breaks off is followed by the next one,
// from where it broke off: the write there is recorded twice then. See harness.Witness.
func (s *System) Writes(ctx context.Context, record func(*history.Op) error) error {
	r := &replay{from: firstRevision, record: record}
	var silent []error
	for _, m := range s.members {
		err := s.askFor(ctx, writesTimeout, m, func(ctx context.Context, conn *grpc.ClientConn) error {
			return r.of(ctx, m.node.Name(), conn)
		})
		if err == nil || r.broken != nil {
			return r.broken
		}
		silent = append(silent, fmt.Errorf("%s: %w", m.node.Name(), err))
	}
	return fmt.Errorf("no member told all writes (from revision %d on they are missing): %w", r.from, errors.Join(silent...))
}

// replay is a watch of the whole store's past.
type replay struct {
	from   int64 // the revision that is to come next
	record func(*history.Op) error
	broken error // what record said: nobody can be asked any more
}

// of replays what a member has, up to its newest revision as all agree on it.
func (r *replay) of(ctx context.Context, node string, conn *grpc.ClientConn) error {
	resp, err := pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{Key: []byte{0}, CountOnly: true})
	if err != nil {
		return err
	}
	newest := resp.GetHeader().GetRevision()
	for r.from <= newest {
		compacted, err := r.watch(ctx, node, conn, newest)
		if err != nil {
			return err
		}
		if compacted == 0 {
			return nil
		}
		r.from = max(r.from+1, compacted)
	}
	return nil
}

// watch records events until it has seen those of the newest revision, or is told that there are no more up to there: that
// revision's may have been compacted. compacted is, where the past is gone, the first
// revision that a watch can begin at.
func (r *replay) watch(ctx context.Context, node string, conn *grpc.ClientConn, newest int64) (compacted int64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := pb.NewWatchClient(conn).Watch(ctx)
	if err != nil {
		return 0, err
	}
	everything := &pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, StartRevision: r.from, Fragment: true}
	if err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: everything}}); err != nil {
		return 0, err
	}
	go askProgress(ctx, stream)
	for {
		resp, err := stream.Recv()
		switch {
		case err != nil:
			return 0, err
		case resp.GetCompactRevision() > 0:
			return resp.GetCompactRevision(), nil
		case resp.GetCanceled():
			return 0, fmt.Errorf("the watch was canceled: %s", resp.GetCancelReason())
		}
		for _, e := range resp.GetEvents() {
			if r.broken = r.record(committed(node, e)); r.broken != nil {
				return 0, r.broken
			}
			r.from = e.GetKv().GetModRevision()
		}
		events := len(resp.GetEvents()) > 0
		switch {
		case events && r.from >= newest && !resp.GetFragment(), !events && !resp.GetCreated() && resp.GetHeader().GetRevision() >= newest:
			return 0, nil
		}
	}
}

// askProgress asks again and again up to where everything was delivered. It is the only one that sends.
func askProgress(ctx context.Context, stream pb.Watch_WatchClient) {
	tick := time.NewTicker(progressInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}}) != nil {
			return // Recv says why
		}
	}
}

// committed is an event as evidence.
func committed(node string, e *mvcc.Event) *history.Op {
	kv := e.GetKv()
	op := &history.Op{
		Type: history.Info, Process: history.Evidence, F: history.FCommitted, Node: node,
		Key: string(kv.GetKey()), Version: kv.GetModRevision(), Revision: kv.GetModRevision(),
	}
	if e.GetType() == mvcc.DELETE {
		return op
	}
	op.Value = bytes.TrimRight(kv.GetValue(), " ") // which is how watched values are made long
	if !json.Valid(op.Value) || string(op.Value) == "null" {
		op.Value, _ = json.Marshal(string(op.Value)) // a string can always be written
	}
	return op
}
