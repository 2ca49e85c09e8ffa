package etcd

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/alarms"
)

func TestClusterLife(t *testing.T) {
	ctx := t.Context()
	s := startCluster(t, 3, func(o *Options) { o.Profile = ProfileStress })
	leader, err := s.Leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for node, args := range s.Commands() {
		// By the names that this version knows.
		line := strings.Join(args, " ")
		if !strings.Contains(line, "--snapshot-count=100") || !strings.Contains(line, "compaction-batch-limit=10") {
			t.Errorf("the stress profile is not in %s's command: %s", node, line)
		}
	}

	states, err := s.Members(ctx)
	if err != nil || len(states) != 3 || !settled(states) {
		t.Fatalf("members %+v, %v", states, err)
	}
	for _, st := range states {
		if st.Hash == 0 || st.Hash != states[0].Hash || st.Leader != leader || st.Version != testVersion() {
			t.Errorf("member %+v, leader %s", st, leader)
		}
	}

	// Killed: another leads, the dead one is told, and returns with its data.
	if _, err := s.member(leader).node.Signal(ctx, Component, control.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "another leader", func() error {
		now, err := s.Leader(ctx)
		if err == nil && now == leader {
			return os.ErrDeadlineExceeded
		}
		return err
	})
	if err := s.AwaitHealthy(ctx); err == nil || !strings.Contains(err.Error(), leader+" is not running") || !strings.Contains(err.Error(), "--initial-cluster=") {
		t.Errorf("with %s dead: %v", leader, err)
	}
	for range 2 { // the second time it runs already
		if err := s.StartComponent(ctx, leader, Component); err != nil {
			t.Fatal(err)
		}
	}
	within, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := s.AwaitHealthy(within); err != nil {
		t.Fatal(err)
	}

	// Paused: not healthy, and the members say so within a bound.
	paused := s.members[0]
	if _, err := paused.node.Signal(ctx, Component, control.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	brief, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := s.AwaitHealthy(brief); err == nil || !strings.Contains(err.Error(), "n1: ") {
		t.Errorf("with n1 paused: %v", err)
	}
	if _, err := paused.node.Signal(ctx, Component, control.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := s.AwaitHealthy(within); err != nil {
		t.Fatal(err)
	}

	// Nothing of this is alarming in the logs.
	evidence, err := s.LogEvidence(ctx)
	if err != nil || len(evidence) != 3 {
		t.Errorf("evidence of kill, restart and pause: %v, %v", evidence, err)
	}
	for _, op := range evidence {
		if !strings.Contains(string(op.Value), "lines were searched") {
			t.Errorf("alarm at kill, restart or pause: %s", op.Value)
		}
	}
	dir := t.TempDir()
	if err := s.CollectLogs(ctx, dir, true); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"n1/etcd.log", "n3/etcd.log", "n2/etcd-data.tar.gz"} {
		if info, err := os.Stat(filepath.Join(dir, f)); err != nil || info.Size() < 1000 {
			t.Errorf("collected %s: %v, %v", f, info, err)
		}
	}
	for range 2 {
		if err := s.Stop(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Purge(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(s.o.Nodes[0].(*localNode).dir, "etcd-test")); !os.IsNotExist(err) {
		t.Errorf("the run's folder is still there: %v", err)
	}
}

func TestMembersAtOneRevision(t *testing.T) {
	ctx := t.Context()
	s := startCluster(t, 3, nil)
	put := func(n int) {
		t.Helper()
		for i := range n {
			err := s.ask(ctx, s.members[0], func(ctx context.Context, conn *grpc.ClientConn) error {
				_, err := pb.NewKVClient(conn).Put(ctx, &pb.PutRequest{Key: []byte("k"), Value: decimal(int64(i))})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	put(20)
	states, err := s.Members(ctx)
	if err != nil || !settled(states) || states[0].Revision != 21 || states[0].CompactRevision > 0 {
		t.Errorf("%+v, %v", states, err)
	}
	err = s.ask(ctx, s.members[0], func(ctx context.Context, conn *grpc.ClientConn) error {
		_, err := pb.NewKVClient(conn).Compact(ctx, &pb.CompactionRequest{Revision: 15, Physical: true})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	states, err = s.Members(ctx)
	if err != nil || !settled(states) || states[2].CompactRevision != 15 || states[2].Hash != states[0].Hash {
		t.Errorf("after a compaction: %+v, %v", states, err)
	}
}

func TestStartThatFails(t *testing.T) {
	binary, err := realEtcd()
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{Nodes: localNodes(t, 1), Binary: binary, Token: "test", Dir: nodeDir, Args: []string{"--no-such-flag=1"}})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Start(t.Context())
	if err == nil {
		t.Fatal("etcd started with a flag that does not exist")
	}
	for _, want := range []string{"etcd on n1 is not running", "--name=n1", "flag provided but not defined: -no-such-flag", "end of "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
}

func TestOptionsThatCannotWork(t *testing.T) {
	nodes := localNodes(t, 2)
	good := Options{Nodes: nodes, Binary: Binary{Path: "etcd"}, Token: "t"}
	for want, change := range map[string]func(*Options){
		"no nodes":        func(o *Options) { o.Nodes = nil },
		"no binary":       func(o *Options) { o.Binary = Binary{} },
		"name a folder":   func(o *Options) { o.Token = "../x" },
		"stock or stress": func(o *Options) { o.Profile = "stres" },
		"heartbeats":      func(o *Options) { o.Heartbeat = time.Second },
		"n1 twice":        func(o *Options) { o.Nodes = append(o.Nodes, nodes[0]) },
	} {
		o := good
		o.Nodes = slices.Clone(o.Nodes)
		change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}

// Names of flags changed between versions: each fake binary here knows what that version knows.
func TestFlagsAreChosenByAskingTheBinary(t *testing.T) {
	node := localNodes(t, 1)[0]
	for version, c := range map[string]struct{ known, want []string }{
		"3.4": {[]string{"logger", "snapshot-count"}, []string{"--logger=zap", "--snapshot-count=100"}},
		"3.5": {
			[]string{"logger", "snapshot-count", "experimental-snapshot-catchup-entries", "experimental-compaction-batch-limit"},
			[]string{"--logger=zap", "--snapshot-count=100", "--experimental-snapshot-catchup-entries=100", "--experimental-compaction-batch-limit=10"},
		},
		"3.6": {
			[]string{"logger", "snapshot-count", "experimental-snapshot-catchup-entries", "snapshot-catchup-entries", "experimental-compaction-batch-limit", "compaction-batch-limit"},
			[]string{"--logger=zap", "--snapshot-count=100", "--snapshot-catchup-entries=100", "--compaction-batch-limit=10"},
		},
	} {
		binary := filepath.Join(t.TempDir(), "etcd")
		script := "#!/bin/sh\ncase $1 in\n--" + strings.Join(c.known, "=*|--") + "=*) echo etcd Version: " + version + ";;\n" +
			"*) echo flag provided but not defined: $1 >&2; exit 2;;\nesac\n"
		if err := os.WriteFile(binary, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		got, err := grant(t.Context(), node, binary, slices.Concat(always, stressWishes))
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v; %v", version, got, c.want, err)
		}
	}
	for _, broken := range []string{"/bin/true", "/bin/false", "/nonexistent/etcd"} {
		if got, err := grant(t.Context(), node, broken, always); err == nil {
			t.Errorf("%s is taken for an etcd with %v", broken, got)
		}
	}
}

func TestLogAlarms(t *testing.T) {
	log := `{"level":"info","ts":"2025-01-01T00:00:00Z","msg":"panic and fatal are only words here","args":"--log-level=fatal"}
{"level":"warn","msg":"lost TCP streaming connection with remote peer","error":"EOF"}
{"level":"error","msg":"failed to purge wal file"}
{"level":"panic","msg":"failed to recover v3 backend from snapshot"}
panic: failed to recover

goroutine 1 [running]:
{"level":"fatal","msg":"discovery failed","error":"listen tcp: address already in use"}
{"level":"error","msg":"found data inconsistency with peers","peer-hash":1}
{"level":"warn","msg":"alarm raised","alarm":"CORRUPT","raised-by-member-id":"1"}
fatal error: concurrent map writes
[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x0]`
	ops, err := alarms.Scan("n2", Component, strings.NewReader(log), logAlarms)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, op := range ops {
		var line history.LogLine
		if err := json.Unmarshal(op.Value, &line); err != nil {
			t.Errorf("%+v: %v", op, err)
		}
		got = append(got, line.Pattern)
	}
	want := []string{"panic", "panic", "fatal", "data corruption", "data corruption", "fatal", "signal", ""}
	if !slices.Equal(got, want) {
		t.Errorf("alarms %v, want %v", got, want)
	}
}
