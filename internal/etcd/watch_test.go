package etcd

import (
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	mvcc "go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// scriptedWatches is a member that has been told what to send. Progress is answered with revision 9.
type scriptedWatches struct {
	pb.UnimplementedWatchServer
	send []*pb.WatchResponse
	// asked is what the client sent first.
	asked chan *pb.WatchCreateRequest
	// ends: the stream ends with end once everything was sent.
	ends bool
	end  error
}

func (s *scriptedWatches) Watch(stream pb.Watch_WatchServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	s.asked <- first.GetCreateRequest()
	for _, resp := range s.send {
		if err := stream.Send(resp); err != nil {
			return err
		}
	}
	if s.ends {
		return s.end
	}
	for {
		if _, err := stream.Recv(); err != nil {
			return nil //nolint:nilerr // the client is gone
		}
		if err := stream.Send(&pb.WatchResponse{WatchId: -1, Header: &pb.ResponseHeader{Revision: 9}}); err != nil {
			return err
		}
	}
}

// scriptedSystem is a system whose one member is that.
type scriptedSystem struct {
	harness.System
	addr string
}

func (s scriptedSystem) ClientAddr(string) (string, error) { return s.addr, nil }

func served(t *testing.T, s *scriptedWatches) harness.Client {
	t.Helper()
	s.asked = make(chan *pb.WatchCreateRequest, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	pb.RegisterWatchServer(server, s)
	go server.Serve(l)
	t.Cleanup(server.Stop)
	return open(t, scriptedSystem{addr: l.Addr().String()}, NewWatchClient, harness.ClientOptions{Timeout: time.Second}, "n1")
}

func TestWatchRecordsWhatArrives(t *testing.T) {
	header := func(revision int64) *pb.ResponseHeader { return &pb.ResponseHeader{Revision: revision} }
	created := &pb.WatchResponse{Created: true, Header: header(5)}
	put := &mvcc.Event{
		Kv:     &mvcc.KeyValue{Key: []byte("w1/a"), Value: []byte("17    "), ModRevision: 6, CreateRevision: 4, Version: 2},
		PrevKv: &mvcc.KeyValue{Key: []byte("w1/a"), Value: []byte("3"), ModRevision: 4, CreateRevision: 4, Version: 1},
	}
	deleted := &mvcc.Event{Type: mvcc.DELETE, Kv: &mvcc.KeyValue{Key: []byte("w1/b"), ModRevision: 6}}
	foreign := &mvcc.Event{Kv: &mvcc.KeyValue{Key: []byte("w2/b"), Value: []byte("x"), ModRevision: 7, CreateRevision: 7, Version: 1}}
	const asks = `{"from":"now","key":"a","end":"c","no_puts":true,"previous":true,"fragment":true,"for_ms":300}`
	const begin = `ok {"from":"now","key":"a","end":"c","no_puts":true,"previous":true,"fragment":true,"for_ms":300,"created_at":5,`
	for _, c := range []struct {
		name   string
		script scriptedWatches
		want   string
	}{
		{"events and progress", scriptedWatches{send: []*pb.WatchResponse{
			created,
			{Header: header(8), Fragment: true, Events: []*mvcc.Event{put}},
			{Header: header(8), Events: []*mvcc.Event{deleted, foreign}},
		}}, begin + `"responses":[{"revision":8,"fragment":true,"events":[{"key":"a","number":17,"mod":6,"created":4,"version":2,"previous":{"number":3,"mod":4,"created":4,"version":1}}]},` +
			`{"revision":8,"events":[{"key":"b","mod":6},{"key":"w2/b","number":-1,"mod":7,"created":7,"version":1}]},{"revision":9,"progress":true}],"ended":"time"}`},
		{"compacted", scriptedWatches{send: []*pb.WatchResponse{created, {Header: header(8), Canceled: true, CompactRevision: 7}}}, begin + `"ended":"compacted","compacted":7}`},
		{"canceled", scriptedWatches{send: []*pb.WatchResponse{created, {Header: header(8), Canceled: true, CancelReason: "no"}}}, begin + `"ended":"canceled: no"}`},
		{"canceled without a reason", scriptedWatches{send: []*pb.WatchResponse{created, {Header: header(8), Canceled: true}}}, begin + `"ended":"canceled"}`},
		{"closed", scriptedWatches{send: []*pb.WatchResponse{created}, ends: true}, begin + `"ended":"closed"}`},
		{"broken", scriptedWatches{send: []*pb.WatchResponse{created}, ends: true, end: status.Error(codes.Unavailable, "gone")}, begin + `"ended":"error: rpc error: code = Unavailable desc = gone"}`},
		{"broken oddly", scriptedWatches{send: []*pb.WatchResponse{created}, ends: true, end: status.Error(codes.DataLoss, "odd")}, begin + `"ended":"error: unexpected: rpc error: code = DataLoss desc = odd"}`},
		{"never confirmed", scriptedWatches{}, `fail ` + asks + ` not applied: a read changes nothing: the watch was not confirmed: rpc error: code = DeadlineExceeded desc = no answer in time`},
		{"refused", scriptedWatches{ends: true, end: status.Error(codes.Unavailable, "gone")}, `fail ` + asks + ` not applied: a read changes nothing: rpc error: code = Unavailable desc = gone`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			script := c.script
			if _, got := say(t, served(t, &script), `watch w1 `+asks); got != c.want && !strings.HasPrefix(c.want, "fail") || !strings.HasPrefix(got, c.want) {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			r := <-script.asked
			if string(r.GetKey()) != "w1/a" || string(r.GetRangeEnd()) != "w1/c" || !r.GetPrevKv() || !r.GetFragment() || r.GetProgressNotify() ||
				len(r.GetFilters()) != 1 || r.GetFilters()[0] != pb.WatchCreateRequest_NOPUT {
				t.Errorf("asked %v", r)
			}
		})
	}
}

// Where a watch left off the next one of its process goes on, with what it may not have had.
func TestWatchResumes(t *testing.T) {
	script := scriptedWatches{send: []*pb.WatchResponse{
		{Created: true, Header: &pb.ResponseHeader{Revision: 5}},
		{Header: &pb.ResponseHeader{Revision: 8}, Events: []*mvcc.Event{{Kv: &mvcc.KeyValue{Key: []byte("w1/a"), Value: []byte("1"), ModRevision: 6}}}},
	}, ends: true}
	c := served(t, &script)
	for _, want := range []int64{0, 7} {
		done, text := say(t, c, `watch w1 {"from":"resume","for_ms":300}`)
		var s history.KeyStream
		if err := json.Unmarshal(done.Value, &s); err != nil || s.Start != want || done.Revision != 8 {
			t.Errorf("want start %d: %s", want, text)
		}
		if r := <-script.asked; string(r.GetKey()) != "w1/" || string(r.GetRangeEnd()) != "w10" || r.GetStartRevision() != want {
			t.Errorf("asked %v", r)
		}
	}
}

func TestWatchRefusesWhatItCannotAsk(t *testing.T) {
	c := served(t, &scriptedWatches{})
	for _, line := range []string{`watch w1 {"from":"now"}`, `watch w1 7`, `change w1 []`, `change w1 7`, `compact w1 7`} {
		if _, got := say(t, c, line); !strings.HasPrefix(got, "fail") || !strings.Contains(got, "not applied") {
			t.Errorf("%s: %s", line, got)
		}
	}
	if _, got := say(t, c, `compact w1 {"behind":3}`); got != `ok {"behind":3}` {
		t.Errorf("nothing to compact: %s", got)
	}
}
