package checker

import "testing"

func TestCounter(t *testing.T) {
	runTranscripts(t, must(t)(Counter(CounterOptions{})), []transcriptCase{
		{name: "nothing", history: ``, want: "unknown", why: "nothing to check"},
		{name: "adds up", history: `0 read c null / 0 add c 2 / 1 add c -1 / 0 read c 1`, want: "valid"},
		{name: "too low", history: `0 add c 2 / 1 add c 3 / 0 read c 2`, want: "invalid lost-update c [5]", why: "read 5 of c by process 0 has 2, but the adds allow 5 to 5"},
		{name: "stale", history: `0 add c 2 / 1 add c 3 / 0 read c 2 / 0 read c 5`, want: "invalid stale-read c [5]"},
		{name: "too high", history: `0 add c 2 / 0 read c 4`, want: "invalid garbage-read c [3]"},
		{name: "too low, with decrements", history: `0 add c 2 / 0 add c -1 / 0 read c 0`, want: "invalid garbage-read c [5]"},
		{name: "only decrements", history: `0 add c -2 / 0 read c 0`, want: "invalid lost-update c [3]"},
		{name: "at the same time", history: `0 invoke add c 2 / 1 read c 0 / 2 read c 2 / 0 ok add c 2 / 1 read c 2`, want: "valid"},
		{name: "back", history: `0 invoke add c 2 / 2 read c 2 / 1 read c 0 / 0 ok add c 2`, want: "invalid non-monotonic-read c [4 2]"},
		{name: "unknown counts or not", history: `0 invoke add c 2 / 0 info add c 2 ! lost / 1 read c 0 / 1 read c 2`, want: "valid"},
		{name: "not twice", history: `0 invoke add c 2 / 0 info add c 2 ! lost / 1 read c 4`, want: "invalid garbage-read c [3]"},
		{name: "nor before it began", history: `1 read c 2 / 0 invoke add c 2 / 0 info add c 2 ! lost`, want: "invalid garbage-read c [1]"},
		{name: "failed never", history: `0 invoke add c 2 / 0 fail add c 2 ! no / 1 read c 2`, want: "invalid garbage-read c [3]"},
		{name: "by versions", history: `0 add c 2 v=2 / 0 add c 3 v=3 / 1 read c 5 v=3`, want: "valid"},
		{name: "by versions, lost", history: `0 add c 2 v=2 / 0 invoke add c 3 / 1 add c 4 v=4 / 0 ok add c 3 v=3 / 1 read c 6 v=4`, want: "invalid lost-update c [7]"},
		{name: "by versions, stale", history: `0 add c 2 v=2 / 0 add c 3 v=3 / 1 read c 2 v=2`, want: "invalid stale-read c [5 3]"},
		{
			name:    "by versions, an add that was not there yet",
			history: `0 add c 1 v=2 / 0 invoke add c 2 / 1 read c 3 v=2 / 0 ok add c 2 v=3`, want: "invalid garbage-read c [4]",
		},
		{name: "keys are apart", history: `0 add a 1 / 0 read b 0 / 0 read a 1`, want: "valid"},
	})
	runTranscripts(t, must(t)(Counter(CounterOptions{Read: ReadSerializable})), []transcriptCase{
		{name: "stale is allowed", history: `0 add c 2 v=2 / 0 add c 3 v=3 / 1 read c 2 v=2`, want: "valid (stale-read c [5 3])"},
		{name: "wrong is not", history: `0 add c 2 v=2 / 0 add c 3 v=3 / 1 read c 3 v=3`, want: "invalid lost-update c [5]"},
	})
}
