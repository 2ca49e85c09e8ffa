package etcd

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/harness/history"
)

// storm is what became of writes of unique things while members were killed, stopped and started.
type storm struct {
	mu   sync.Mutex
	ends map[history.Type]map[int64]string // by the thing written, the error
	// surprises are errors that are on no list.
	surprises []string
}

func (s *storm) note(n int64, done history.Op) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ends[done.Type] == nil {
		s.ends[done.Type] = map[int64]string{}
	}
	s.ends[done.Type][n] = done.Error
	if strings.HasPrefix(done.Error, prefixUnexpected) {
		s.surprises = append(s.surprises, done.Error)
	}
}

// judge compares what clients were told with what is there: what failed is absent, what is ok is there.
func (s *storm) judge(there map[int64]bool) (wrong []string) {
	for n, why := range s.ends[history.Fail] {
		if there[n] {
			wrong = append(wrong, fmt.Sprintf("%d failed (%s), but is there", n, why))
		}
	}
	for n := range s.ends[history.OK] {
		if !there[n] {
			wrong = append(wrong, fmt.Sprintf("%d was acknowledged, but is not there", n))
		}
	}
	return wrong
}

// Every outcome that clients report is true, while the leader is killed and a member paused under them.
func TestOutcomesAreTrueUnderKillAndPause(t *testing.T) {
	s := startCluster(t, 3, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	registers, sets, lists := &storm{ends: map[history.Type]map[int64]string{}}, &storm{ends: map[history.Type]map[int64]string{}}, &storm{ends: map[history.Type]map[int64]string{}}
	var wg sync.WaitGroup
	// Unique things: each register is written once; each element is added once, to one of a few lists.
	worker := func(w int, st *storm, make harness.NewClients, write func(n int64) history.Op) {
		opener, err := make(s, harness.ClientOptions{Timeout: time.Second})
		if err != nil {
			t.Error(err)
			return
		}
		wg.Go(func() {
			node := s.members[w%3].node.Name()
			var c harness.Client
			for n := int64(w); ctx.Err() == nil; n += 100 {
				if c == nil {
					if c, err = opener(ctx, 0, node); err != nil {
						t.Error(err)
						return
					}
				}
				done := c.Invoke(context.WithoutCancel(ctx), write(n))
				st.note(n, done)
				if done.Type == history.Info { // the process ends
					c.Close()
					c = nil
				}
			}
			if c != nil {
				c.Close()
			}
		})
	}
	for w := range 6 {
		worker(w, registers, NewRegisterClient, func(n int64) history.Op {
			return history.Op{F: "write", Key: fmt.Sprintf("r%d", n), Value: jsonOf(n)}
		})
		worker(w+10, sets, NewSetClient, func(n int64) history.Op {
			return history.Op{F: "add", Key: fmt.Sprintf("s%d", n/3000), Value: jsonOf(n)}
		})
		worker(w+20, lists, NewAppendClient, func(n int64) history.Op {
			return history.Op{F: "txn", Value: jsonOf([][]any{{"append", fmt.Sprintf("a%d", n/3000), n}, {"r", fmt.Sprintf("a%d", n/3000), nil}})}
		})
	}
	breakThings(t, s)
	cancel()
	wg.Wait()

	thereRegisters, thereSets, thereLists := everything(t, s)
	for name, c := range map[string]struct {
		st    *storm
		there map[int64]bool
	}{"registers": {registers, thereRegisters}, "sets": {sets, thereSets}, "lists": {lists, thereLists}} {
		wrong := c.st.judge(c.there)
		if len(wrong) > 0 {
			t.Errorf("%s: %d wrong, such as %v", name, len(wrong), wrong[:min(3, len(wrong))])
		}
		if len(c.st.surprises) > 0 {
			t.Errorf("%s: errors that nobody foresaw: %q", name, c.st.surprises[0])
		}
		ok, fail, info := len(c.st.ends[history.OK]), len(c.st.ends[history.Fail]), len(c.st.ends[history.Info])
		applied := 0
		for n := range c.st.ends[history.Info] {
			if c.there[n] {
				applied++
			}
		}
		t.Logf("%s: %d ok, %d fail, %d info of which %d happened", name, ok, fail, info, applied)
		if ok < 50 || fail < 5 || info < 1 {
			t.Errorf("%s: too few of one kind of outcome to mean anything", name)
		}
		// The judge must be able to see: an unknown outcome taken for a failure would be found, if one happened.
		if applied > 0 {
			blind := &storm{ends: map[history.Type]map[int64]string{history.Fail: c.st.ends[history.Info]}}
			if len(blind.judge(c.there)) != applied {
				t.Errorf("%s: the judge is blind", name)
			}
		}
		// Four faults, six workers, and time for two operations each while nobody leads.
		if len(c.st.ends[history.Info]) > 4*6*2 {
			t.Errorf("%s: %d unknown outcomes: a dead member costs more than the operations that were under way: %v", name, info,
				slices.Collect(maps.Values(c.st.ends[history.Info]))[:5])
		}
	}
}

// breakThings kills the leader and starts it again, twice, and pauses a member in between.
func breakThings(t *testing.T, s *System) {
	t.Helper()
	ctx := t.Context()
	calm := func() {
		t.Helper()
		within, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		if err := s.AwaitHealthy(within); err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond) // traffic between the faults
	}
	for range 2 {
		calm()
		leader, err := s.Leader(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.member(leader).node.Signal(ctx, Component, control.SIGKILL); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // traffic without it
		if err := s.StartComponent(ctx, leader, Component); err != nil {
			t.Fatal(err)
		}
		calm()
		leader, err = s.Leader(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.member(leader).node.Signal(ctx, Component, control.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2500 * time.Millisecond) // longer than operations and elections
		if _, err := s.member(leader).node.Signal(ctx, Component, control.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	calm()
}

// everything is what is in the cluster: the registers, and the elements of sets and of lists.
func everything(t *testing.T, s *System) (registers, sets, lists map[int64]bool) {
	t.Helper()
	registers, sets, lists = map[int64]bool{}, map[int64]bool{}, map[int64]bool{}
	err := s.ask(t.Context(), s.members[0], func(ctx context.Context, conn *grpc.ClientConn) error {
		resp, err := pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}}, grpc.MaxCallRecvMsgSize(responseBytesMax))
		if err != nil {
			return err
		}
		for _, kv := range resp.Kvs {
			to := sets
			switch kv.Key[0] {
			case 'r':
				var n int64
				if err := json.Unmarshal(kv.Value, &n); err != nil {
					return err
				}
				registers[n] = true
				continue
			case 'a':
				to = lists
			}
			var elements []int64
			if err := json.Unmarshal(kv.Value, &elements); err != nil {
				return err
			}
			for _, e := range elements {
				if to[e] {
					t.Errorf("%s has %d twice", kv.Key, e)
				}
				to[e] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return registers, sets, lists
}
