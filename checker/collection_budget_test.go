package checker

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// Past its memory or its time a checker of views says that it does not know, and why.
func TestViewsKeepWithinTheirBudget(t *testing.T) {
	h := newWorld(rand.New(rand.NewPCG(1, 1)), 3, 4, true).run(300)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for _, tc := range []struct {
		name string
		ctx  context.Context
		b    Budget
		why  string
	}{
		{"memory", context.Background(), Budget{Time: time.Minute, MemoryBytes: 1 << 10}, "out of memory"},
		{"time", ended, Budget{MemoryBytes: 64 << 20}, "out of time"},
	} {
		for _, c := range []Checker{Watches(), must(t)(Snapshots(SnapshotOptions{})), Changes()} {
			r, err := c.Check(tc.ctx, h, tc.b)
			if err != nil {
				t.Fatal(err)
			}
			if why := strings.Join(r.Reasons, "; "); r.Verdict != Unknown || !strings.Contains(why, tc.why) {
				t.Errorf("%s, %s: %s: %s", tc.name, c.Name(), r.Verdict, why)
			}
		}
	}
}

// The checkers of views are fast enough for long runs.
func BenchmarkSnapshots(b *testing.B) {
	h := newWorld(rand.New(rand.NewPCG(1, 1)), 6, 200, true).run(4_000)
	c := must(b)(Snapshots(SnapshotOptions{}))
	for b.Loop() {
		if r, err := c.Check(context.Background(), h, Budget{}); err != nil || r.Verdict != Valid {
			b.Fatal(r.Verdict, r.Reasons, err)
		}
	}
	b.ReportMetric(float64(len(h))*float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}
