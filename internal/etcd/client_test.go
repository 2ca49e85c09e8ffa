package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/binaries"
)

// open makes a client of a workload, pinned to a node.
func open(t *testing.T, s harness.System, make harness.NewClients, o harness.ClientOptions, node string) harness.Client {
	t.Helper()
	opener, err := make(s, o)
	if err != nil {
		t.Fatal(err)
	}
	c, err := opener(t.Context(), 0, node)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// versions are the fourth parts of micro-operations.
var versions = regexp.MustCompile(`(\["(?:r|append|w)","[^"]*",(?:null|-?[0-9]+|\[[0-9,]*\])),[0-9]+\]`)

// say performs "f key value" and renders the completion as "type value error", a transaction's without versions.
func say(t *testing.T, c harness.Client, line string) (history.Op, string) {
	t.Helper()
	f, rest, _ := strings.Cut(line, " ")
	key, value, _ := strings.Cut(rest, " ")
	op := history.Op{Type: history.Invoke, F: f, Key: key}
	if key == "-" {
		op.Key = ""
	}
	if value != "" {
		op.Value = json.RawMessage(value)
	}
	done := c.Invoke(context.Background(), op)
	text := done.Type.String() + " " + versions.ReplaceAllString(string(done.Value), "$1]")
	if done.Error != "" {
		text += " " + done.Error
	}
	return done, text
}

// Each transcript begins in an empty keyspace of its own; versions are counted from the first write.
func TestTranscripts(t *testing.T) {
	s := startCluster(t, 1, nil)
	for _, c := range []struct {
		name   string
		client harness.NewClients
		lines  []string // operation, completion, operation, …
	}{
		{"register", NewRegisterClient, []string{
			`read r1`, `ok null`,
			`cas r1 [0,1]`, `ok [0,1,false,null]`,
			`write r1 3`, `ok 3`,
			`read r1`, `ok 3`,
			`cas r1 [2,4]`, `ok [2,4,false,3]`,
			`cas r1 [3,4]`, `ok [3,4,true]`,
			`read r1`, `ok 4`,
			`write r1 -12`, `ok -12`,
			`read r1`, `ok -12`,
			`write r1 "x"`, `fail "x" unexpected: not applied: value "x" of write: json: cannot unmarshal string into Go value of type int64`,
			`cas r1 [1]`, `fail [1] unexpected: not applied: value [1] of cas: want [old, new]`,
			`write - 5`, `fail 5 not applied: rpc error: code = InvalidArgument desc = etcdserver: key is not provided`,
			`frob r1`, `fail  unexpected: no such function: "frob"`,
		}},
		{"set", NewSetClient, []string{
			`read s1`, `ok []`,
			`add s1 5`, `ok 5`,
			`add s1 2`, `ok 2`,
			`read s1`, `ok [5,2]`,
			`read s2`, `ok []`,
		}},
		{"counter", NewCounterClient, []string{
			`read c1`, `ok 0`,
			`add c1 5`, `ok 5`,
			`add c1 -7`, `ok -7`,
			`read c1`, `ok -2`,
			`add c1 "x"`, `fail "x" unexpected: not applied: value "x" of add: json: cannot unmarshal string into Go value of type int64`,
		}},
		{"unique-ids", NewIDClient, []string{
			`generate i1`, `ok 1`,
			`generate i1`, `ok 2`,
		}},
		{"queue", NewQueueClient, []string{
			`dequeue q1`, `ok `,
			`enqueue q1 5`, `ok 5`,
			`enqueue q1 3`, `ok 3`,
			`enqueue q1 4`, `ok 4`,
			`dequeue q1`, `ok 5`,
			`dequeue q1`, `ok 3`,
			`dequeue q2`, `ok `,
			`dequeue q1`, `ok 4`,
			`dequeue q1`, `ok `,
			`enqueue q1 null`, `fail null unexpected: not applied: value null of enqueue: want an element`,
		}},
		{"deletes", NewDeletesClient, []string{
			`delete d1`, `ok false`,
			`write d1 5`, `ok 5`,
			`delete d1`, `ok true`,
			`read d1`, `ok null`,
			`write d1 6`, `ok 6`,
			`read d1`, `ok 6`,
			`delete -`, `fail  unexpected: not applied: value  of delete: want a key`,
		}},
		{"append", NewAppendClient, []string{
			`txn - [["r","a1",null]]`, `ok [["r","a1",[]]]`,
			`txn - [["append","a1",1],["r","a1",null],["append","a2",2]]`, `ok [["append","a1",1],["r","a1",[1]],["append","a2",2]]`,
			`txn - [["r","a1",null],["append","a1",3],["r","a1",null],["append","a1",4],["r","a1",null],["r","a2",null]]`,
			`ok [["r","a1",[1]],["append","a1",3],["r","a1",[1,3]],["append","a1",4],["r","a1",[1,3,4]],["r","a2",[2]]]`,
			`txn - [["r","a2",null],["r","a1",null]]`, `ok [["r","a2",[2]],["r","a1",[1,3,4]]]`,
			`txn - [["w","a2",1]]`, `fail [["w","a2",1]] unexpected: not applied: value [["w","a2",1]] of txn: micro-operation 0 has the unknown function "w" (want r or append)`,
			`txn - [["r"]]`, `fail [["r"]] unexpected: not applied: value [["r"]] of txn: micro-operation 0 is not [function, key, value]`,
		}},
	} {
		for _, read := range Reads() {
			t.Run(c.name+"/"+read, func(t *testing.T) {
				client := open(t, s, c.client, harness.ClientOptions{Read: read}, "n1")
				for i := 0; i < len(c.lines); i += 2 {
					// Each kind of read gets keys of its own.
					line, want := c.lines[i], c.lines[i+1]
					if read == ReadSerializable {
						line, want = strings.NewReplacer(`1"`, `11"`, `2"`, `12"`, "1 ", "11 ").Replace(line+" "), strings.NewReplacer(`1"`, `11"`, `2"`, `12"`).Replace(want)
					}
					_, got := say(t, client, strings.TrimSpace(line))
					if got != want {
						t.Errorf("%s\n got %s\nwant %s", line, got, want)
					}
				}
			})
		}
	}
}

func TestVersionsAndRevisions(t *testing.T) {
	s := startCluster(t, 1, nil)
	c := open(t, s, NewRegisterClient, harness.ClientOptions{}, "n1")
	for _, x := range []struct {
		line              string
		version, revision int64
	}{
		{"read a", 0, 1},
		{"write a 1", 2, 2},
		{"write b 1", 3, 3},
		{"read a", 2, 3},
		{"cas a [7,8]", 2, 3},
		{"cas a [1,8]", 4, 4},
		{"read a", 4, 4},
	} {
		if done, text := say(t, c, x.line); done.Version != x.version || done.Revision != x.revision {
			t.Errorf("%s → %s at version %d, revision %d; want %d, %d", x.line, text, done.Version, done.Revision, x.version, x.revision)
		}
	}
}

func TestClientOptionsThatCannotWork(t *testing.T) {
	s := &System{}
	if _, err := NewSetClient(s, harness.ClientOptions{Read: "cached"}); err == nil || !strings.Contains(err.Error(), "linearizable or serializable") {
		t.Errorf("read kind cached: %v", err)
	}
	opener, err := NewSetClient(s, harness.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := opener(t.Context(), 0, "n9"); err == nil || !strings.Contains(err.Error(), "n9") {
		t.Errorf("a client of a node that is not there: %v", err)
	}
}

// A write that was carried out, but whose answer was lost, is of unknown outcome, in whichever way the answer was lost;
// the value is there. A client that took such an error for a failure is caught here.
func TestLostAnswersAreUnknown(t *testing.T) {
	s := startCluster(t, 1, nil)
	addr, err := s.ClientAddr("n1")
	if err != nil {
		t.Fatal(err)
	}
	direct := map[string]harness.Client{
		"write": open(t, s, NewRegisterClient, harness.ClientOptions{}, "n1"),
		"add":   open(t, s, NewSetClient, harness.ClientOptions{}, "n1"),
		"txn":   open(t, s, NewAppendClient, harness.ClientOptions{}, "n1"),
	}
	for _, way := range []string{"mute", "reset"} {
		for _, c := range []struct {
			client      harness.NewClients
			warm, line  string
			check, want string
		}{
			{NewRegisterClient, "read %s", "write %s 7", "read %s", "ok 7"},
			{NewRegisterClient, "write %s 7", "cas %s [7,8]", "read %s", "ok 8"},
			{NewSetClient, "read %s", "add %s 7", "read %s", "ok [7]"},
			{NewAppendClient, `txn - [["r","%s",null]]`, `txn - [["append","%s",7]]`, `txn - [["r","%s",null]]`, `ok [["r","%[1]s",[7]]]`},
		} {
			key := way + "-" + strings.Fields(c.line)[0]
			t.Run(key, func(t *testing.T) {
				p := newProxy(t, addr, key)
				client := open(t, &proxied{s, p.listener.Addr().String()}, c.client, harness.ClientOptions{Timeout: 700 * time.Millisecond}, "n1")
				if done, text := say(t, client, fmt.Sprintf(c.warm, key)); done.Type != history.OK {
					t.Fatalf("through the proxy: %s", text)
				}
				loss := &p.mute
				if way == "reset" {
					loss = &p.reset
				}
				line := fmt.Sprintf(c.line, key)
				f := strings.Fields(c.line)[0]
				if f == "add" || f == "txn" {
					// These read before they write: the answer to lose is the second.
					afterOne(t, client, loss)
				} else {
					loss.Store(true)
				}
				done, text := say(t, client, line)
				if done.Type != history.Info || done.Error == "" {
					t.Errorf("%s with its answer lost: %s", line, text)
				}
				reader := direct[f]
				if reader == nil {
					reader = direct["write"]
				}
				eventually(t, 5*time.Second, "the write that was carried out", func() error {
					_, got := say(t, reader, fmt.Sprintf(c.check, key))
					if want := strings.Replace(c.want, "%[1]s", key, 1); got != want {
						return fmt.Errorf("got %s, want %s", got, want)
					}
					return nil
				})
			})
		}
	}
}

// What could not be sent is a definite failure, and comes soon; reads never leave an unknown outcome.
func TestNeverSent(t *testing.T) {
	s := startCluster(t, 1, nil)
	addr, err := s.ClientAddr("n1")
	if err != nil {
		t.Fatal(err)
	}
	refusing, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := refusing.Addr().String()
	refusing.Close()
	silent := newProxy(t, addr, "")
	silent.shut.Store(true)
	for name, to := range map[string]string{"refused": refused, "silent": silent.listener.Addr().String()} {
		for _, f := range []struct {
			client harness.NewClients
			line   string
		}{
			{NewRegisterClient, "write k 1"},
			{NewRegisterClient, "cas k [1,2]"},
			{NewRegisterClient, "read k"},
			{NewSetClient, "add k 1"},
			{NewAppendClient, `txn - [["append","k",1]]`},
		} {
			c := open(t, &proxied{s, to}, f.client, harness.ClientOptions{}, "n1")
			elapsed := binaries.Stopwatch()
			done, text := say(t, c, f.line)
			if done.Type != history.Fail || !strings.Contains(done.Error, "never sent: no connection to etcd on n1") {
				t.Errorf("%s, %s: %s", name, f.line, text)
			}
			if took := elapsed(); took > defaultTimeout {
				t.Errorf("%s, %s: took %v", name, f.line, took)
			}
		}
	}
	// A read whose answer is lost is a failure, and its process goes on: over a new connection, as soon as that answers.
	p := newProxy(t, addr, "")
	c := open(t, &proxied{s, p.listener.Addr().String()}, NewRegisterClient, harness.ClientOptions{Timeout: 500 * time.Millisecond}, "n1")
	if _, text := say(t, c, "write k2 3"); text != "ok 3" {
		t.Fatal(text)
	}
	p.mute.Store(true)
	if done, text := say(t, c, "read k2"); done.Type != history.Fail || !strings.Contains(text, "a read changes nothing") {
		t.Errorf("a read without an answer: %s", text)
	}
	if done, text := say(t, c, "write k2 4"); done.Type != history.Fail || !strings.Contains(text, "never sent") {
		t.Errorf("a write after it: %s", text)
	}
	p.mute.Store(false)
	eventually(t, 3*time.Second, "a read over a new connection", func() error {
		if _, text := say(t, c, "read k2"); text != "ok 3" {
			return errors.New(text)
		}
		return nil
	})
}

func TestRejections(t *testing.T) {
	for _, r := range rejections {
		if err := classify(status.Error(r.code, r.message)); !errors.Is(err, harness.ErrNotApplied) {
			t.Errorf("%s: %v", r.message, err)
		}
		if strings.HasPrefix(errorText(classify(status.Error(r.code, r.message))), prefixUnexpected) {
			t.Errorf("%s is a surprise", r.message)
		}
		if err := classify(status.Error(codes.Unknown, r.message)); errors.Is(err, harness.ErrNotApplied) {
			t.Errorf("%s with another code is taken for a rejection", r.message)
		}
		if err := classify(status.Error(r.code, r.message+" or so")); errors.Is(err, harness.ErrNotApplied) {
			t.Errorf("%s with other words is taken for a rejection", r.message)
		}
	}
	for _, err := range []error{
		status.Error(codes.DataLoss, "etcdserver: corrupt cluster"),
		status.Error(codes.Unimplemented, "unknown service"),
		fmt.Errorf("a read: %w", status.Error(codes.Unknown, "mvcc: what is this")),
		io.ErrUnexpectedEOF,
	} {
		if text := errorText(err); !strings.HasPrefix(text, prefixUnexpected) {
			t.Errorf("%q surprises nobody", text)
		}
	}
	for _, err := range []error{
		status.Error(codes.Unavailable, "etcdserver: leader changed"),
		readError(status.Error(codes.DeadlineExceeded, "context deadline exceeded")),
		&neverSentError{errors.New("refused")}, errConflict,
	} {
		if text := errorText(err); strings.HasPrefix(text, prefixUnexpected) {
			t.Errorf("%q is taken for a surprise", text)
		}
	}
	// Errors that sound definite and are not.
	for _, err := range []error{
		status.Error(codes.ResourceExhausted, "etcdserver: mvcc: database space exceeded"),
		status.Error(codes.Unavailable, "etcdserver: request timed out"),
		status.Error(codes.Unavailable, "etcdserver: leader changed"),
		status.Error(codes.Unavailable, "etcdserver: server stopped"),
		status.Error(codes.Unavailable, "etcdserver: no leader"),
		status.Error(codes.Unavailable, `connection error: desc = "transport: Error while dialing: connection refused"`),
		status.Error(codes.Unavailable, "error reading from server: EOF"),
		status.Error(codes.DeadlineExceeded, "context deadline exceeded"),
		status.Error(codes.Canceled, "context canceled"),
		status.Error(codes.ResourceExhausted, "grpc: received message larger than max"),
		io.ErrUnexpectedEOF,
	} {
		if harness.Outcome(classify(err)) != history.Info {
			t.Errorf("%v is taken for definite", err)
		}
	}
}

// The server's own word, not a table's: what it rejects it did not apply.
func TestRejectedWritesAreAbsent(t *testing.T) {
	s := startCluster(t, 1, func(o *Options) { o.Args = []string{"--max-request-bytes=1000"} })
	c := open(t, s, NewSetClient, harness.ClientOptions{}, "n1")
	last := int64(0)
	for element := int64(1_000_000); ; element++ {
		done, text := say(t, c, fmt.Sprintf("add k %d", element))
		if done.Type == history.OK {
			last = element
			continue
		}
		if done.Type != history.Fail || !strings.Contains(text, "request is too large") {
			t.Fatalf("add %d: %s", element, text)
		}
		break
	}
	done, text := say(t, c, "read k")
	var list []int64
	if err := json.Unmarshal(done.Value, &list); err != nil || len(list) < 2 || list[len(list)-1] != last {
		t.Errorf("after a rejected add, and %d before it: %s", last, text)
	}
}

// Elements that race for one key: each acknowledged one is there once, none is refused for good.
func TestContendedAdds(t *testing.T) {
	s := startCluster(t, 1, nil)
	const clients, each = 8, 25
	var wg sync.WaitGroup
	for w := range clients {
		c := open(t, s, NewSetClient, harness.ClientOptions{Timeout: 10 * time.Second}, "n1")
		wg.Go(func() {
			for i := range each {
				if done, text := say(t, c, fmt.Sprintf("add k %d", w*each+i)); done.Type != history.OK {
					t.Errorf("add: %s", text)
				}
			}
		})
	}
	wg.Wait()
	done, _ := say(t, open(t, s, NewSetClient, harness.ClientOptions{}, "n1"), "read k")
	var list []int
	seen := map[int]bool{}
	if err := json.Unmarshal(done.Value, &list); err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		seen[e] = true
	}
	if len(list) != clients*each || len(seen) != len(list) {
		t.Errorf("%d elements, %d distinct, of %d added", len(list), len(seen), clients*each)
	}
}
