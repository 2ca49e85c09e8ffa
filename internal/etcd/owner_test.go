package etcd

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// perform has a client do an operation and reads what came of it.
func performOn[T any](t *testing.T, c harness.Client, p history.Process, f, key string, asked any) (history.Op, T) {
	t.Helper()
	done := c.Invoke(context.Background(), history.Op{Type: history.Invoke, Process: p, F: f, Key: key, Value: jsonOf(asked), Time: time.Minute})
	var v T
	if done.Type == history.OK {
		if err := json.Unmarshal(done.Value, &v); err != nil {
			t.Fatalf("%s: %v", done.Value, err)
		}
	}
	return done, v
}

// A key is there while its lease is renewed, and gone afterwards; who renews a lease that is no more is told so.
func TestLeases(t *testing.T) {
	s := startCluster(t, 1, nil)
	c := open(t, s, NewLeaseClient, harness.ClientOptions{}, "n1")
	do := func(f string, id int64) history.LeaseAnswer {
		t.Helper()
		done, a := performOn[history.LeaseAnswer](t, c, 0, f, fmt.Sprintf("l%d", id), history.LeaseRequest{ID: id, TTLMS: 1000})
		if done.Type != history.OK || a.ID != id {
			t.Fatalf("%s: %s %s %s", f, done.Type, done.Value, done.Error)
		}
		return a
	}
	if a := do("renew", 7); a.TTLMS != 0 || a.Term == 0 {
		t.Errorf("a lease that was never granted: %+v", a)
	}
	if a := do("grant", 7); a.TTLMS != 2000 {
		t.Errorf("granted %+v; etcd's shortest is 2 s", a)
	}
	do("grant", 8)
	if a := do("get", 7); !a.Found {
		t.Errorf("its key: %+v", a)
	}
	if a := do("renew", 7); a.TTLMS != 2000 {
		t.Errorf("renewed: %+v", a)
	}
	if a := do("revoke", 8); !a.Found {
		t.Errorf("revoked: %+v", a)
	}
	if a := do("revoke", 8); a.Found {
		t.Errorf("revoked again: %+v", a)
	}
	if do("get", 8).Found || do("renew", 8).TTLMS > 0 {
		t.Error("a revoked lease lives")
	}
	eventually(t, 10*time.Second, "the lease ends", func() error {
		if do("get", 7).Found {
			return fmt.Errorf("its key is there")
		}
		return nil
	})
	if a := do("renew", 7); a.TTLMS != 0 {
		t.Errorf("renewed after its end: %+v", a)
	}
}

// Owners own one after another, by the API and by transactions; one who is silent for too long loses what it owned, and finds out.
func TestOwners(t *testing.T) {
	s := startCluster(t, 1, nil)
	for _, kind := range []struct {
		f      string
		client harness.NewClients
	}{{"lock", NewLockClient}, {"campaign", NewElectionClient}} {
		var (
			mu      sync.Mutex
			tenures []history.Tenure
			wg      sync.WaitGroup
		)
		own := func(p history.Process, v history.LockRequest) {
			c := open(t, s, kind.client, harness.ClientOptions{}, "n1")
			wg.Go(func() {
				done, tenure := performOn[history.Tenure](t, c, p, kind.f, "k", v)
				mu.Lock()
				defer mu.Unlock()
				if done.Type != history.OK {
					t.Errorf("%s: %s %s", kind.f, done.Type, done.Error)
				}
				tenures = append(tenures, tenure)
			})
		}
		for p := range history.Process(4) {
			own(p, history.LockRequest{WaitMS: 8000, ForMS: 100})
		}
		own(5, history.LockRequest{WaitMS: 8000, ForMS: 3500, Silent: true})
		wg.Wait()
		slices.SortFunc(tenures, func(a, b history.Tenure) int { return int(a.Created - b.Created) })
		ends := map[string]int{}
		for i, a := range tenures {
			ends[a.End]++
			if a.Created == 0 || len(a.Seen) == 0 || a.FromNS < int64(time.Minute) || a.ToNS < a.FromNS {
				t.Errorf("%s: %+v", kind.f, a)
			}
			if i > 0 && slices.Max(tenures[i-1].Seen) >= a.Seen[0] {
				t.Errorf("%s: two at once: %+v and %+v", kind.f, tenures[i-1], a)
			}
			for _, p := range a.Proclaims {
				if a.End == history.TenureReleased && (p.Revision == 0) != p.After {
					t.Errorf("%s: %+v of %+v", kind.f, p, a)
				}
			}
		}
		if ends[history.TenureReleased] != 4 || ends[history.TenureLost] != 1 {
			t.Errorf("%s: %v", kind.f, ends)
		}
	}
}

// An add that has lost its lock is refused where it is fenced, and overwrites others' elements where it is not.
func TestFences(t *testing.T) {
	s := startCluster(t, 1, nil)
	for fenced, want := range map[bool]string{true: "[2]", false: "[1]"} {
		key := fmt.Sprintf("fenced-%v", fenced)
		slow, quick := open(t, s, NewLockSetClient, harness.ClientOptions{}, "n1"), open(t, s, NewLockSetClient, harness.ClientOptions{}, "n1")
		ended := make(chan history.Op)
		go func() {
			done, _ := performOn[history.Tenure](t, slow, 0, "locked-add", key, history.LockRequest{WaitMS: 5000, ForMS: 5500, Silent: true, Element: 1, Fenced: fenced})
			ended <- done
		}()
		if err := harness.Pause(t.Context(), 500*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if done, _ := performOn[history.Tenure](t, quick, 1, "locked-add", key, history.LockRequest{WaitMS: 8000, ForMS: 10, Element: 2, Fenced: fenced}); done.Type != history.OK || done.Version == 0 {
			t.Errorf("the quick one: %+v", done)
		}
		done := <-ended
		if fenced && (done.Type != history.Fail || !strings.Contains(done.Error, "lost")) || !fenced && done.Type != history.OK {
			t.Errorf("fenced %v, the slow one: %s %s", fenced, done.Type, done.Error)
		}
		if _, got := say(t, quick, "read "+key); got != "ok "+want {
			t.Errorf("fenced %v: %s, want %s", fenced, got, want)
		}
	}
}

// An observer sees the leader, and what it proclaims, in order.
func TestObserver(t *testing.T) {
	s := startCluster(t, 1, nil)
	leader, observer := open(t, s, NewElectionClient, harness.ClientOptions{}, "n1"), open(t, s, NewElectionClient, harness.ClientOptions{}, "n1")
	ended := make(chan history.Tenure)
	go func() {
		_, tenure := performOn[history.Tenure](t, leader, 0, "campaign", "e", history.LockRequest{WaitMS: 2000, ForMS: 500})
		ended <- tenure
	}()
	_, seen := performOn[history.Observed](t, observer, 1, "observe", "e", history.ObserveRequest{ForMS: 1500})
	tenure := <-ended
	if n := len(seen.Leaders); n != 2 || seen.End != "time" || seen.Leaders[0].Created != tenure.Created || seen.Leaders[1].Modified != tenure.Proclaims[0].Revision ||
		seen.Leaders[1].Value != tenure.Proclaims[0].Value || !strings.HasSuffix(seen.Leaders[0].Value, "-1") {
		t.Errorf("%+v, of %+v", seen, tenure)
	}
}

// Whatever comes for a message is read or refused.
func FuzzMessage(f *testing.F) {
	f.Add([]byte(leaderKey{"n", "k", 5, 7}.message()))
	f.Add([]byte(message{}.bytes(1, message{}.number(headerRevision, 9)).bytes(2, message{}.number(2, 4).bytes(5, []byte("x")))))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = sightingOf(b) })
}

func TestMessages(t *testing.T) {
	s, err := sightingOf(message{}.bytes(1, message{}.number(headerRevision, 9)).bytes(2, message{}.number(2, 4).number(3, 5).bytes(5, []byte("x"))))
	if want := (history.Sighting{Created: 4, Modified: 5, Revision: 9, Value: "x"}); err != nil || s != want {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := sightingOf(message{0x0a, 0x7f}); err == nil {
		t.Error("a message that is cut short is read")
	}
}
