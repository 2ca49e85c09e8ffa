package checker

import (
	"fmt"
	"strings"
	"testing"
)

func TestQueue(t *testing.T) {
	many := ""
	for i := range queueSearchMax + 1 {
		many += fmt.Sprintf("0 enqueue q %d / ", i%2)
	}
	runTranscripts(t, Queue(), []transcriptCase{
		{name: "nothing", history: ``, want: "unknown", why: "nothing to check"},
		{name: "first in, first out", history: `0 enqueue q 1 / 0 enqueue q 2 / 1 dequeue q 1 / 1 dequeue q 2 / 1 dequeue q null`, want: "valid"},
		{
			name: "last out", history: `0 enqueue q 1 / 0 enqueue q 2 / 1 dequeue q 2 / 1 dequeue q 1`, want: "invalid out-of-order q [5 7 1 3]",
			why: "dequeue 5 got 2 before an element that had been put in earlier came out (7, 1, 3)",
		},
		{name: "put in at once", history: `0 invoke enqueue q 1 / 1 enqueue q 2 / 0 ok enqueue q 1 / 1 dequeue q 2 / 1 dequeue q 1`, want: "valid"},
		{name: "passed over", history: `0 enqueue q 1 / 0 enqueue q 2 / 1 dequeue q 2`, want: "invalid passed-over q [5 1 3]"},
		{name: "twice", history: `0 enqueue q 1 / 1 dequeue q 1 / 2 dequeue q 1`, want: "invalid duplicated q [5 3 1]"},
		{name: "from nowhere", history: `1 dequeue q 1`, want: "invalid unexpected q [1]"},
		{name: "failed", history: `0 invoke enqueue q 1 / 0 fail enqueue q 1 ! no / 1 dequeue q 1`, want: "invalid unexpected q [3]"},
		{name: "not empty", history: `0 enqueue q 1 / 1 dequeue q null / 1 dequeue q 1`, want: "invalid false-empty q [3 1 5]"},
		{name: "empty at the same time", history: `1 invoke dequeue q / 0 enqueue q 1 / 1 ok dequeue q null / 1 dequeue q 1`, want: "valid"},
		{
			name: "an unknown dequeue took it, as it says", want: "valid",
			history: `0 enqueue q 1 / 0 enqueue q 2 / 2 invoke dequeue q / 2 info dequeue q 1 ! lost / 1 dequeue q 2`,
		},
		{
			name: "it took another one", want: "invalid passed-over q [7 1 3]",
			history: `0 enqueue q 1 / 0 enqueue q 2 / 2 invoke dequeue q / 2 info dequeue q 2 ! lost / 1 dequeue q 2`,
		},
		{name: "a nameless one took it", history: `0 enqueue q 1 / 0 enqueue q 2 / 2 invoke dequeue q / 1 dequeue q 2`, want: "valid"},
		{
			name: "but not two", want: "invalid nonlinearizable q [1 3 5 8 6]",
			history: `0 enqueue q 1 / 0 enqueue q 2 / 0 enqueue q 3 / 2 invoke dequeue q / 1 dequeue q 3`,
		},
		{name: "equal elements", history: `0 enqueue q 1 / 0 enqueue q 1 / 0 enqueue q 2 / 1 dequeue q 1 / 1 dequeue q 1 / 1 dequeue q 2`, want: "valid"},
		{name: "equal elements, out of order", history: `0 enqueue q 1 / 0 enqueue q 2 / 0 enqueue q 1 / 1 dequeue q 1 / 1 dequeue q 1`, want: "invalid nonlinearizable q [1 3 5 7 9]"},
		{name: "equal elements, and many", history: strings.TrimSuffix(many, " / "), want: "unknown", why: "too many to search"},
	})
}
