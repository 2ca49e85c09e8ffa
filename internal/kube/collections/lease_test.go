package collections

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/faultline/faultline/harness/history"
)

func termsOf(t *testing.T, op history.Op) (v history.Terms) {
	t.Helper()
	if err := json.Unmarshal(op.Value, &v); err != nil || op.Type != history.OK {
		t.Fatalf("%s %s %s", op.Type, op.Value, op.Error)
	}
	return v
}

// One leads at a time; who is done lets the next one lead, at once if it releases the lease, and else when that has run out.
func TestElections(t *testing.T) {
	s, _ := start(t)
	key := unique(t, "e")
	began := time.Now()
	campaign := func(p history.Process, forMS string) history.Op {
		c := open(t, s, NewLeaseClient, "", p)
		return c.Invoke(t.Context(), history.Op{
			Type: history.Invoke, Time: time.Since(began), Process: p, F: "lead", Key: key, Value: json.RawMessage(`{"for_ms":` + forMS + `}`),
		})
	}
	var first, second, third history.Op
	var wg sync.WaitGroup
	wg.Go(func() { first = campaign(0, "1500") })
	time.Sleep(700 * time.Millisecond)
	wg.Go(func() { second = campaign(1, "3000") })
	time.Sleep(700 * time.Millisecond)
	wg.Go(func() { third = campaign(2, "8000") })
	wg.Wait()
	a, b, c := termsOf(t, first), termsOf(t, second), termsOf(t, third)
	if len(a.Terms) != 1 || a.Terms[0].End != endReleased || strings.Join(a.Observed, " ") != "p0-n1" {
		t.Errorf("the first: %s", first.Value)
	}
	if len(b.Terms)+len(c.Terms) < 1 {
		t.Fatalf("nobody followed: %s, %s", second.Value, third.Value)
	}
	for _, x := range []history.Terms{b, c} {
		for _, term := range x.Terms {
			if term.FromNS < a.Terms[0].ToNS || term.ToNS < term.FromNS {
				t.Errorf("%s led before %s ended", third.Value, first.Value)
			}
		}
	}
	if len(b.Terms) == 1 && len(c.Terms) == 1 {
		// The second one did not release: the third waited for as long as the lease says.
		if gap := time.Duration(c.Terms[0].FromNS - b.Terms[0].ToNS); b.Terms[0].End != endOver || gap < time.Second || b.Terms[0].FromNS > c.Terms[0].FromNS {
			t.Errorf("the third led %v after the second: %s, %s", gap, second.Value, third.Value)
		}
	}
}

// Who can't renew stops before others may begin, and who hears nothing at all has nothing to tell.
func TestLeadersThatAreCutOff(t *testing.T) {
	s, f := start(t)
	if f == nil {
		return
	}
	var mu sync.Mutex
	cut := false
	f.hooks(func(r *http.Request) error {
		mu.Lock()
		defer mu.Unlock()
		if cut && strings.Contains(r.URL.Path, "leases") {
			return errHangUp
		}
		return nil
	}, nil)
	c := open(t, s, NewLeaseClient, "", 0)
	began := time.Now()
	time.AfterFunc(time.Second, func() {
		mu.Lock()
		defer mu.Unlock()
		cut = true
	})
	done := c.Invoke(t.Context(), history.Op{Type: history.Invoke, Time: time.Since(began), F: "lead", Key: "e", Value: json.RawMessage(`{"for_ms":6000}`)})
	v := termsOf(t, done)
	if len(v.Terms) != 1 || v.Terms[0].End != endLost {
		t.Fatalf("%s", done.Value)
	}
	if lasted := time.Duration(v.Terms[0].ToNS); lasted < 2*time.Second || lasted > time.Second+leaseDuration+500*time.Millisecond {
		t.Errorf("cut off after 1s it stopped after %v", lasted)
	}
	if op, text := say(t, c, `lead e {"for_ms":700}`); op.Type != history.Fail || strings.Contains(text, "unexpected") {
		t.Errorf("a candidate that heard nothing: %s", text)
	}
	for _, bad := range []string{`{}`, `7`} {
		if op, text := say(t, c, "lead e "+bad); op.Type != history.Fail {
			t.Errorf("%s: %s", bad, text)
		}
	}
}
