package etcd

import (
	"context"
	"time"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// hashEvery is how often the members are asked for their hashes while a run goes on: several times within a fault, and
// after it.
const hashEvery = 2 * time.Second

// Observe asks the members for their hashes, all at one revision, again and again, and records the answers of those that gave one
// (history.FHashes): what two of them have at one revision must be equal, faults or not. Questions go through the control connection.
func (s *System) Observe(ctx context.Context, record func(*history.Op) error) error {
	for {
		if err := harness.Pause(ctx, hashEvery); err != nil {
			return nil //nolint:nilerr // the run is over
		}
		states := s.membersOnce(ctx)
		answered := 0
		for _, st := range states {
			if st.Error == "" {
				answered++
			}
		}
		if answered < 2 || ctx.Err() != nil {
			continue
		}
		if err := record(&history.Op{Type: history.Info, F: history.FHashes, Value: jsonOf(states)}); err != nil {
			return err
		}
	}
}

var _ harness.Observer = (*System)(nil)
