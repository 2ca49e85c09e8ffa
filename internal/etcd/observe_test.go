package etcd

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// TestObserve: while nothing is wrong, all members answer, and hash alike at one revision.
func TestObserve(t *testing.T) {
	s := startCluster(t, 3, nil)
	c := open(t, s, NewRegisterClient, harness.ClientOptions{}, "n1")
	ctx, cancel := context.WithTimeout(t.Context(), 10*hashEvery)
	defer cancel()
	say(t, c, "write x 1")
	var states []history.MemberState
	err := s.Observe(ctx, func(op *history.Op) error {
		cancel()
		if op.F != history.FHashes {
			t.Errorf("%+v", op)
		}
		return json.Unmarshal(op.Value, &states)
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(states) != 3 {
		t.Fatalf("%+v", states)
	}
	for _, st := range states {
		if st.Error != "" || st.Hash == 0 || st.Hash != states[0].Hash || st.HashRevision != states[0].HashRevision {
			t.Errorf("%+v, but %+v", st, states[0])
		}
	}
}
