package history

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestInOrder: results come in the order of what was given, whoever is faster, and nothing is left behind when the reader stops.
func TestInOrder(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, stop := range []int{0, 1, 7, 1000} {
		given, got := 0, 0
		next := func() (int, bool) {
			given++
			return given - 1, given <= 100
		}
		work := func() func(int) int {
			return func(n int) int {
				if n%3 == 0 {
					time.Sleep(time.Millisecond)
				}
				return n * n
			}
		}
		for r := range InOrder(next, work) {
			if r != got*got {
				t.Fatalf("result %d is %d", got, r)
			}
			if got++; got == stop {
				break
			}
		}
		if want := min(stop, 100); stop > 0 && got != want || stop == 0 && got != 100 {
			t.Errorf("stopped after %d, got %d", stop, got)
		}
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%d goroutines more than before", runtime.NumGoroutine()-before)
}

// TestBatches: a file of many batches is read as its lines say, errors name the right line wherever it is.
func TestBatches(t *testing.T) {
	var text bytes.Buffer
	line := func(i int, value string) {
		fmt.Fprintf(&text, "{\"process\":0,\"type\":\"%s\",\"f\":\"w\",\"value\":%s}\n\n", []string{"invoke", "ok"}[i%2], value)
	}
	const ops = 5000
	for i := range ops {
		line(i, `"`+strings.Repeat("x", i%1000)+`"`)
	}
	line(ops, `"`+strings.Repeat("y", 3*batchBytes)+`"`)
	text.WriteString("{\"process\":0,\"type\":\"ok\",\"f\":\"w\"")
	for _, end := range []struct{ text, want string }{
		{"}\n", ""},
		{"}", ""},
		{"}\n\n garbage\n", fmt.Sprintf("line %d", 2*(ops+1)+3)},
	} {
		b := append(bytes.Clone(text.Bytes()), end.text...)
		f, err := NewFile("h", bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		n, said := 0, ""
		for l, err := range f.Lines() {
			if err != nil {
				said = err.Error()
				break
			}
			if l.Index != int64(n) || l.Line != int64(2*n+1) || n < ops && len(l.Value) != n%1000+2 {
				t.Fatalf("operation %d is %d on line %d with %d bytes", n, l.Index, l.Line, len(l.Value))
			}
			n++
		}
		if n != ops+2 || !strings.Contains(said, end.want) || (said == "") != (end.want == "") {
			t.Errorf("%q: %d operations, then %q", end.text, n, said)
		}
	}
}
