package monitors

import (
	"fmt"
	"strings"
	"testing"
)

var words = map[string]Kind{
	"read": Read, "write": Write, "swap": Swap, "differs": Differs, "enqueue": Enqueue, "dequeue": Dequeue, "empty": Empty,
	"add": Add, "remove": Remove, "contains": Contains, "lacks": Lacks,
}

// parse reads operations between slashes, each WORD [VALUE [OLD]], one after the other; "invoke N" before one makes it return after the
// N-th from there only, "unknown" never.
func parse(t *testing.T, text string) []Op {
	t.Helper()
	var ops []Op
	for i, part := range strings.Split(text, " / ") {
		o := Op{Call: int64(10 * i), Return: int64(10*i + 1)}
		fields := strings.Fields(part)
		switch fields[0] {
		case "unknown":
			o.Return = Never
			fields = fields[1:]
		case "invoke":
			n := int64(0)
			if _, err := fmt.Sscan(fields[1], &n); err != nil {
				t.Fatal(err)
			}
			o.Return = 10*(int64(i)+n) + 5
			fields = fields[2:]
		}
		kind, ok := words[fields[0]]
		if !ok {
			t.Fatalf("%q is no kind", fields[0])
		}
		o.Kind = kind
		for k, at := range []*int64{&o.Value, &o.Old} {
			if len(fields) > k+1 {
				if _, err := fmt.Sscan(fields[k+1], at); err != nil {
					t.Fatal(err)
				}
			}
		}
		if kind == Differs {
			o.Value, o.Old = 0, o.Value
		}
		ops = append(ops, o)
	}
	return ops
}

func TestMonitors(t *testing.T) {
	for _, tc := range []struct {
		monitor func([]Op) Result
		history string
		want    string
	}{
		{Register, "read 0 / write 1 / read 1 / swap 2 1 / read 2", "linearizable"},
		{Register, "write 1 / read 0", "violated: values keep their order [1 0]"},
		{Register, "write 1 / write 2 / read 1", "violated: values keep their order [2 0 1]"},
		{Register, "read 7", "violated: a value comes from somewhere [0]"},
		{Register, "write 1 / swap 2 1 / swap 3 1", "violated: a value is taken once [2 1 0]"},
		{Register, "write 1 / swap 2 1 / read 1", "violated: values keep their order [1 2 0]"},
		{Register, "swap 1 2 / swap 2 1", "violated: a value comes from somewhere"},
		{Register, "write 1 / write 1", "undecided: values are not unique"},
		{Register, "write 1 / write 0", "undecided: values are not unique"},
		{Register, "write 1 / differs 2", "undecided: operations that saw"},
		{Register, "invoke 2 write 1 / write 2 / read 1", "linearizable"},
		{Register, "invoke 3 write 1 / write 2 / read 1 / read 2", "violated: values keep their order"},
		{Register, "unknown write 1 / write 2 / read 2 / read 1 / write 3", "linearizable"},
		{Register, "unknown write 1 / write 2 / read 1 / read 2", "violated: values keep their order"},
		{Register, "unknown swap 2 1 / write 1 / read 1", "linearizable"},
		{Register, "write 1 / unknown swap 2 1 / read 2 / read 1", "violated: values keep their order"},

		{Queue, "enqueue 1 / enqueue 2 / dequeue 1 / dequeue 2 / empty", "linearizable"},
		{Queue, "enqueue 1 / enqueue 2 / dequeue 2 / dequeue 1", "violated: values keep their order [2 3 0 1]"},
		{Queue, "enqueue 1 / enqueue 2 / dequeue 2", "violated: no value is passed over [2 0 1]"},
		{Queue, "invoke 1 enqueue 1 / enqueue 2 / dequeue 2", "linearizable"},
		{Queue, "dequeue 1 / enqueue 1", "violated: a value comes from somewhere [0 1]"},
		{Queue, "dequeue 1", "violated: a value comes from somewhere [0]"},
		{Queue, "enqueue 1 / dequeue 1 / dequeue 1", "violated: a value is taken once [2 1 0]"},
		{Queue, "enqueue 1 / empty", "violated: a queue with values in it is not empty [1 0]"},
		{Queue, "enqueue 1 / invoke 2 empty / enqueue 2 / dequeue 1", "violated: a queue with values in it is not empty"},
		{Queue, "enqueue 1 / invoke 2 empty / dequeue 1 / enqueue 2", "linearizable"},
		{Queue, "enqueue 1 / enqueue 1", "undecided: values are not unique"},
		{Queue, "unknown enqueue 1 / empty / dequeue 1", "linearizable"},
		{Queue, "unknown enqueue 1 / enqueue 2 / dequeue 2", "linearizable"},
		{Queue, "enqueue 1 / unknown dequeue / enqueue 2 / dequeue 2", "undecided: it depends on what dequeues"},
		{Queue, "enqueue 1 / enqueue 2 / dequeue 2 / unknown dequeue", "violated: no value is passed over"},

		{Set, "lacks 1 / add 1 / contains 1 / remove 1 / lacks 1", "linearizable"},
		{Set, "add 1 / lacks 1", "violated: an element stays until it is removed"},
		{Set, "add 1 / add 2 / lacks 3 / contains 2", "linearizable"},
		{Set, "contains 1", "violated: a value comes from somewhere [0]"},
		{Set, "add 1 / remove 1 / contains 1", "violated: an element stays until it is removed"},
		{Set, "add 1 / remove 1 / remove 1", "violated: a value is taken once"},
		{Set, "add 1 / unknown remove 1 / lacks 1", "linearizable"},
		{Set, "add 1 / unknown remove 1 / contains 1", "linearizable"},
		{Set, "add 1 / unknown remove 1 / lacks 1 / contains 1", "violated: an element stays until it is removed"},
		{Set, "unknown add 1 / lacks 1 / contains 1", "linearizable"},
		{Set, "unknown add 1 / contains 1 / lacks 1", "violated: an element stays until it is removed"},
		{Set, "add 1 / add 1", "undecided: values are not unique"},
	} {
		r := tc.monitor(parse(t, tc.history))
		got := ""
		switch r.Verdict {
		case Linearizable:
			got = "linearizable"
		case Violated:
			got = fmt.Sprintf("violated: %s %v", r.Rule, r.Witness)
		case Undecided:
			got = "undecided: " + r.Why
		}
		if !strings.HasPrefix(got, tc.want) {
			t.Errorf("%s: %s, want %s", tc.history, got, tc.want)
		}
	}
}
