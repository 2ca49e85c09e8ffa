package workloads

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

// Every put has a number of its own, a change names no key twice, and watches begin everywhere.
func TestWatchDraws(t *testing.T) {
	ops, final, _ := played(t, watch(), options, 4000, generator.OK(time.Millisecond))
	numbers, several := map[int64]bool{}, 0
	froms, filters := map[string]int{}, 0
	for _, op := range ops[:final] {
		if op.Type != history.Invoke {
			continue
		}
		switch op.F {
		case "change":
			var writes []history.KeyWrite
			if err := json.Unmarshal(op.Value, &writes); err != nil || len(writes) == 0 || len(writes) > rangeWritesMax {
				t.Fatalf("%s: %v", op.Value, err)
			}
			if len(writes) > 1 {
				several++
			}
			keys := map[string]bool{}
			for _, w := range writes {
				if keys[w.Key] || w.Number != 0 && numbers[w.Number] {
					t.Fatalf("%s has a key or number twice", op.Value)
				}
				keys[w.Key], numbers[w.Number] = true, true
			}
		case "watch":
			var w history.KeyWatch
			if err := json.Unmarshal(op.Value, &w); err != nil || w.ForMS < watchLeastMS {
				t.Fatalf("%s: %v", op.Value, err)
			}
			froms[w.From]++
			if w.NoPuts || w.NoDeletes {
				filters++
			}
		}
	}
	for _, from := range []string{
		history.WatchNow, history.WatchResume, history.WatchPast, history.WatchCompacted, history.WatchForgotten, history.WatchFuture,
	} {
		if froms[from] == 0 {
			t.Errorf("no watch from %s", from)
		}
	}
	if len(numbers) < 1000 || several < 300 || filters < 100 {
		t.Errorf("%d numbers, %d changes of several keys, %d filtered watches", len(numbers), several, filters)
	}
	looks := map[string]int{}
	for _, op := range ops[final:] {
		if op.Type == history.OK {
			looks[op.F]++
		}
	}
	if looks["range"] < options.Concurrency*options.Keys || looks["watch"] < options.Concurrency || len(looks) != 2 {
		t.Errorf("the last looks are %v", looks)
	}
}
