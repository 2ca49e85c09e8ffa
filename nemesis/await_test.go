package nemesis

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// converging is a System with a declared state.
type converging struct {
	leading
	await func(ctx context.Context, hold time.Duration) ([]history.Mismatch, error)
}

func (c converging) AwaitConverged(ctx context.Context, hold time.Duration) ([]history.Mismatch, error) {
	return c.await(ctx, hold)
}

func TestAwaitConverged(t *testing.T) {
	wrong := history.Mismatch{Kind: "Deployment", Name: "default/d", Rule: "replicas", Component: "kube-controller-manager", Why: "1 of 3 replicas are ready"}
	for _, c := range []struct {
		name       string
		mismatches []history.Mismatch
		err        error
		late       bool
		want       history.Type
		why        string
	}{
		{name: "converged", want: history.OK},
		{name: "late", late: true, want: history.Info, why: "not converged within 20 ms: it matched at the end, but not yet for 5 ms"},
		{
			name: "wrong", mismatches: slices.Repeat([]history.Mismatch{wrong}, 60), want: history.Info,
			why: "not converged within 20 ms: 60 mismatches, as Deployment default/d: 1 of 3 replicas are ready",
		},
		{name: "blind", err: errors.New("no server answers"), want: history.Info, why: "not converged within 20 ms: no server answers"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(3)
			b := breakerOf(w)
			b.System = converging{leading{w}, func(ctx context.Context, hold time.Duration) ([]history.Mismatch, error) {
				if hold != 5*time.Millisecond {
					t.Errorf("hold %v", hold)
				}
				if c.late {
					<-ctx.Done()
				}
				return c.mismatches, c.err
			}}
			op := b.Invoke(t.Context(), history.Op{F: history.FAwaitConverged, Value: encode(history.Convergence{BoundMS: 20, HoldMS: 5, Stated: true})})
			var got history.Convergence
			if err := json.Unmarshal(op.Value, &got); err != nil {
				t.Fatal(err)
			}
			if op.Type != c.want || op.Error != c.why || got.Converged != (c.want == history.OK) || !got.Stated ||
				len(got.Mismatches) != min(len(c.mismatches), mismatchesMax) {
				t.Errorf("%s %q %s", op.Type, op.Error, op.Value)
			}
		})
	}
	b := breakerOf(newWorld(3))
	for value, why := range map[string]string{
		`{"bound_ms":20,"hold_ms":5}`: "skipped: fake has no declared state to converge to",
		`"soon"`:                      "",
	} {
		op := b.Invoke(t.Context(), history.Op{F: history.FAwaitConverged, Value: json.RawMessage(value)})
		if op.Type != history.Fail || why != "" && op.Error != why {
			t.Errorf("%s: %s %q", value, op.Type, op.Error)
		}
	}
}
