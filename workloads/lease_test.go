package workloads

import (
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

// Each lease is granted once, named by its number; nobody renews one that is to be left alone; and in the end keys are only looked at.
func TestLeasesAreGrantedOnceAndLeftAlone(t *testing.T) {
	w, err := Lookup("etcd/lease")
	if err != nil {
		t.Fatal(err)
	}
	o := options
	o.Rate = 100
	ops, final, _ := played(t, w, o, 4000, generator.OK(time.Millisecond))
	var (
		granted = map[int64]time.Duration{}
		last    = map[int64]time.Duration{} // invocation of the last renewal in the first time
		done    = map[string]int{}
	)
	for i, op := range ops {
		if op.Type != history.Invoke {
			continue
		}
		var v history.LeaseRequest
		if err := json.Unmarshal(op.Value, &v); err != nil || op.Key != "l"+strconv.FormatInt(v.ID, 10) {
			t.Fatalf("%s %s %s: %v", op.F, op.Key, op.Value, err)
		}
		done[op.F]++
		if i >= final && op.F != "get" {
			t.Errorf("%s in the end", op.F)
		}
		switch op.F {
		case "grant":
			if granted[v.ID] > 0 || v.TTLMS != leaseTTLMS {
				t.Errorf("lease %d: granted again, or for %d ms", v.ID, v.TTLMS)
			}
			granted[v.ID] = op.Time + 1
		case "renew":
			if v.ID%leaseRevokedOnce != 0 && op.Time-last[v.ID] < 2*leasePhaseSeconds*time.Second {
				last[v.ID] = op.Time
			}
		}
	}
	for id, at := range granted {
		if alive := last[id] - at; alive > (leasePhaseSeconds+1)*time.Second && id%leaseRevokedOnce != 0 {
			t.Errorf("lease %d was renewed for %v", id, alive)
		}
	}
	for _, f := range []string{"grant", "renew", "revoke", "get"} {
		if done[f] < 10 {
			t.Errorf("%d times %s", done[f], f)
		}
	}
}

// The model says how sets under locks are written; and some owners are silent for longer than their leases live.
func TestSetsAreFencedUnlessAskedNot(t *testing.T) {
	w, err := Lookup("etcd/lock-set")
	if err != nil {
		t.Fatal(err)
	}
	for model, fenced := range map[string]bool{"": true, checker.ModelFenced: true, checker.ModelUnfenced: false} {
		o := options
		o.Model = model
		ops, final, _ := played(t, w, o, 400, generator.OK(time.Millisecond))
		silent := 0
		for _, op := range ops[:final] {
			var v history.LockRequest
			if op.F != "locked-add" || op.Type != history.Invoke {
				continue
			}
			if err := json.Unmarshal(op.Value, &v); err != nil || v.Fenced != fenced || v.Element == 0 {
				t.Fatalf("model %q: %s (%v)", model, op.Value, err)
			}
			if v.Silent {
				silent++
			}
		}
		if silent < 20 {
			t.Errorf("model %q: %d silent owners", model, silent)
		}
	}
}
