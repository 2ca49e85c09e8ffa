package etcd

import (
	"encoding/json"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestRequestsAreParsed(t *testing.T) {
	var w request
	text := `{"if":[["mod","a","=",3],["value","b","!=",4],["lease","c","<",1]],"then":[["put","a",7,12],["range","a","m"]],"else":[["get","b"],["delete","a","c"]],"back":-5}`
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		t.Fatal(err)
	}
	p := requestParser{}
	then, otherwise, compares := p.branch(w.Then), p.branch(w.Else), p.compares(w.If)
	if p.err != nil || !p.writes || len(then) != 2 || len(otherwise) != 2 || len(compares) != 3 {
		t.Fatalf("%v: %v, %v if %v", p.err, then, otherwise, compares)
	}
	if put := then[0].GetRequestPut(); string(put.GetKey()) != "a" || string(put.GetValue()) != "7" || put.GetLease() != 12 || !put.GetPrevKv() {
		t.Errorf("put: %v", put)
	}
	if del := otherwise[1].GetRequestDeleteRange(); string(del.GetKey()) != "a" || string(del.GetRangeEnd()) != "c" || !del.GetPrevKv() {
		t.Errorf("delete: %v", del)
	}
	if c := compares[2]; c.GetTarget() != pb.Compare_LEASE || c.GetResult() != pb.Compare_LESS || c.GetLease() != 1 {
		t.Errorf("compare: %v", c)
	}
	c := client{newest: 60}
	if at := c.at(w.Back); at != 65 {
		t.Errorf("five after 60 is %d", at)
	}
}

func TestBadRequestsAreRefused(t *testing.T) {
	for _, text := range []string{
		`{"then":[["put","a"]]}`, `{"then":[["put"]]}`, `{"then":[["get",7]]}`, `{"then":[["put","a",1,"x"]]}`, `{"then":[["move","a","b"]]}`,
		`{"if":[["mod","a","="]]}`, `{"if":[["size","a","=",1]]}`, `{"if":[["mod","a","~",1]]}`, `{"if":[["mod","a","=","x"]]}`,
	} {
		var w request
		if err := json.Unmarshal([]byte(text), &w); err != nil {
			t.Fatal(err)
		}
		p := requestParser{}
		p.branch(w.Then)
		if p.compares(w.If); p.err == nil {
			t.Errorf("%s is understood", text)
		}
	}
}

func TestAnswersAreRecorded(t *testing.T) {
	kv := &mvccpb.KeyValue{Key: []byte("a"), Value: []byte("5"), CreateRevision: 2, ModRevision: 3, Version: 2, Lease: 9}
	odd := &mvccpb.KeyValue{Key: []byte("b"), Value: []byte("x y"), CreateRevision: 4, ModRevision: 4, Version: 1}
	results, err := resultsOf([]*pb.ResponseOp{
		{Response: &pb.ResponseOp_ResponseRange{ResponseRange: &pb.RangeResponse{Count: 2, Kvs: []*mvccpb.KeyValue{kv, odd}}}},
		{Response: &pb.ResponseOp_ResponsePut{ResponsePut: &pb.PutResponse{}}},
		{Response: &pb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: &pb.DeleteRangeResponse{Deleted: 1, PrevKvs: []*mvccpb.KeyValue{kv}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := string(with(json.RawMessage(`{"then":[],"back":3}`), map[string]any{"results": results, "at": 7}))
	want := `{"at":7,"results":[[2,[["a",5,2,3,2,9],["b","x y",4,4,1,0]]],[0,[]],[1,[["a",5,2,3,2,9]]]],"then":[]}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if _, err := resultsOf([]*pb.ResponseOp{{}}); err == nil {
		t.Error("an answer to nothing was taken")
	}
}

func TestRefusalsOfRevisions(t *testing.T) {
	for text, want := range map[string]string{
		"etcdserver: mvcc: required revision has been compacted":   "compacted",
		"etcdserver: mvcc: required revision is a future revision": "future",
		"etcdserver: something else":                               "",
	} {
		if got := refusal(status.Error(codes.OutOfRange, text)); got != want {
			t.Errorf("%s: %q", text, got)
		}
		if got := refusal(status.Error(codes.Unavailable, text)); got != "" {
			t.Errorf("unavailable, %s: %q", text, got)
		}
	}
	if refusal(nil) != "" || !strings.Contains(firstKey, "\x00") {
		t.Error("no error is a refusal")
	}
}
