package harness

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestPause(t *testing.T) {
	gone, end := context.WithCancel(t.Context())
	end()
	for _, c := range []struct {
		ctx  context.Context
		d    time.Duration
		want error
	}{
		{t.Context(), time.Millisecond, nil},
		{t.Context(), 0, nil},
		{t.Context(), -time.Hour, nil},
		{gone, time.Hour, context.Canceled},
		{gone, 0, context.Canceled},
		{gone, -time.Hour, context.Canceled},
	} {
		if err := Pause(c.ctx, c.d); !errors.Is(err, c.want) {
			t.Errorf("%v: %v, want %v", c.d, err, c.want)
		}
	}
}
