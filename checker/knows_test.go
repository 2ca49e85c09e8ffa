package checker

import (
	"errors"
	"strings"
	"testing"
)

func TestAsk(t *testing.T) {
	registers := must(t)(Linearizable(LinearizableOptions{}))
	for _, c := range []struct {
		name     string
		checkers []Checker
		has      map[string]int64
		all      bool
		want     string
	}{
		{"all known", []Checker{registers}, map[string]int64{"read": 3, "cas": 1}, true, ""},
		{"none known", []Checker{registers}, map[string]int64{"txn": 1000, "list": 1}, false, "linearizable can't judge this history: it has list (1 operation), txn (1,000 operations); linearizable knows read, write, cas"},
		{"some unknown", []Checker{registers}, map[string]int64{"read": 3, "incr": 2}, true, "it has incr (2 operations)"},
		{"some unknown, of a run", []Checker{registers}, map[string]int64{"read": 3, "incr": 2}, false, ""},
		{"together", []Checker{registers, AppendInternal()}, map[string]int64{"read": 3, "txn": 2}, true, ""},
		{"one for nothing", []Checker{registers, AppendInternal()}, map[string]int64{"read": 3}, true, "append-internal can't judge"},
		{"nothing there", []Checker{registers}, nil, true, ""},
		{"one that takes all", []Checker{Stats()}, map[string]int64{"incr": 2}, true, ""},
	} {
		err := Ask(c.checkers, c.has, c.all)
		var unknown *UnknownError
		if (err == nil) != (c.want == "") || err != nil && (!errors.As(err, &unknown) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
}
