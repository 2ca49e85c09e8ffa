package checker

import "testing"

func TestTotalQueue(t *testing.T) {
	runTranscripts(t, TotalQueue(), []transcriptCase{
		{name: "nothing", history: ``, want: "unknown", why: "nothing to check"},
		{name: "in and out", history: `0 enqueue q 1 / 1 enqueue q 2 / 0 dequeue q 2 / 0 dequeue q 1 / 0 dequeue q null`, want: "valid"},
		{name: "not drained", history: `0 enqueue q 1`, want: "unknown", why: "no dequeue found the queue"},
		{
			name: "lost", history: `0 enqueue q 1 / 0 enqueue q 2 / 0 dequeue q 1 / 0 dequeue q null`, want: "invalid lost q [7 3]",
			why: "dequeue 7 found q empty, but 2 was acknowledged (3) and came out nowhere",
		},
		{
			name: "an unknown dequeue may have it", want: "valid",
			history: `0 enqueue q 1 / 1 invoke dequeue q / 1 info dequeue q ! lost / 0 dequeue q null`,
		},
		{
			name: "but not two", want: "invalid lost q [7 1 3]",
			history: `0 enqueue q 1 / 0 enqueue q 2 / 1 invoke dequeue q / 1 info dequeue q ! lost / 0 dequeue q null`,
		},
		{
			name: "it may have the one that it names", want: "valid",
			history: `0 enqueue q 1 / 1 invoke dequeue q / 1 info dequeue q 1 ! lost / 0 dequeue q null`,
		},
		{
			name: "and not another", want: "invalid lost q [7 3]",
			history: `0 enqueue q 1 / 0 enqueue q 2 / 1 invoke dequeue q / 1 info dequeue q 1 ! lost / 0 dequeue q null`,
		},
		{name: "one that began later has nothing", want: "invalid lost q [3 1]", history: `0 enqueue q 1 / 0 dequeue q null / 1 invoke dequeue q`},
		{name: "empty at the same time", want: "unknown", history: `1 invoke dequeue q / 0 enqueue q 1 / 1 ok dequeue q null`},
		{name: "garbage", history: `0 dequeue q 5 / 0 dequeue q null`, want: "invalid unexpected q [1]", why: "which nobody enqueued"},
		{name: "failed", history: `0 invoke enqueue q 5 / 0 fail enqueue q 5 ! no / 0 dequeue q 5 / 0 dequeue q null`, want: "invalid unexpected q [3 1]"},
		{name: "too early", history: `0 dequeue q 5 / 0 enqueue q 5 / 0 dequeue q null`, want: "invalid future-read q [1 2]"},
		{name: "recovered", history: `0 invoke enqueue q 5 / 0 info enqueue q 5 ! lost / 1 dequeue q 5 / 1 dequeue q null`, want: "valid"},
		{name: "twice out", history: `0 enqueue q 5 / 0 dequeue q 5 / 0 dequeue q 5 / 0 dequeue q null`, want: "invalid duplicated q [3 5]"},
		{name: "twice in, twice out", history: `0 enqueue q 5 / 0 enqueue q 5 / 0 dequeue q 5 / 0 dequeue q 5 / 0 dequeue q null`, want: "valid"},
		{name: "twice in, once out", history: `0 enqueue q 5 / 0 enqueue q 5 / 0 dequeue q 5 / 0 dequeue q null`, want: "invalid lost q [7 3]"},
		{name: "incomplete", cut: true, history: `0 enqueue q 5`, want: "unknown", why: "incomplete"},
	})
}

func TestUniqueIDs(t *testing.T) {
	runTranscripts(t, UniqueIDs(), []transcriptCase{
		{name: "nothing", history: ``, want: "unknown", why: "nothing to check"},
		{name: "unique", history: `0 generate 1 / 1 generate "a" / 0 generate 2`, want: "valid"},
		{name: "twice", history: `0 generate ids 1 n=n1 / 1 generate ids 1 n=n2`, want: "invalid duplicate-id ids [3 1]", why: "operation 3 of process 1 on n2 got the identifier 1"},
		{name: "a number is no text", history: `0 generate 1 / 1 generate "1"`, want: "valid"},
		{name: "failed and unknown get none", history: `0 invoke generate / 0 fail generate ! no / 1 invoke generate / 2 generate 1`, want: "valid"},
		{name: "spaces apart", history: `0 generate a 1 / 0 generate b 1`, want: "valid"},
	})
}
