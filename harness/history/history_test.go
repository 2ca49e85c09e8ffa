package history

import (
	"path/filepath"
	"testing"
	"time"
)

// virtual is a clock that moves by a step whenever it is asked.
func virtual(step time.Duration) func() time.Duration {
	now := time.Duration(0)
	return func() time.Duration { now += step; return now }
}

// record writes a history and returns its path. The file depends on nothing but the operations.
func record(t testing.TB, ops Slice) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "history.jsonl.zst")
	w, err := CreateWith(path, Options{Clock: virtual(time.Millisecond), FlushInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range ops {
		if err := w.Append(&op); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func parse(t testing.TB, text string) Slice {
	t.Helper()
	ops, err := ParseText(text)
	if err != nil {
		t.Fatal(err)
	}
	return ops
}

// collect reads everything that a source yields.
func collect(src Source) (ops Slice, err error) {
	for op, err := range src.Ops() {
		if err != nil {
			return ops, err
		}
		ops = append(ops, op)
	}
	return ops, nil
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	const text = `
0 invoke write x 1 n=n1 t=1ms
nemesis invoke start-kill {"id": "kill-1", "family": "kill"} t=2ms
0 ok write x 1 v=3 r=7 n=n1 t=3ms
1 invoke cas k="a \"strange\" key\n" [1, 2] t=4ms
nemesis ok start-kill {"id": "kill-1", "family": "kill"} t=5ms
1 info cas k="a \"strange\" key\n" [1, 2] t=6ms ! "a time-out / of\n two lines, ünicode"
evidence info log {"line": "panic"} t=7ms
`
	want := parse(t, text)
	f, err := Open(record(t, want))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !f.Complete() || f.Recovered() != "" {
		t.Errorf("complete = %v, note %q", f.Complete(), f.Recovered())
	}
	for range 2 {
		got, err := collect(f)
		if err != nil {
			t.Fatal(err)
		}
		if Format(got) != Format(want) {
			t.Errorf("got\n%s\nwant\n%s", Format(got), Format(want))
		}
	}
}
