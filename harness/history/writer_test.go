package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestTheSameRunGivesTheSameBytes(t *testing.T) {
	ops := events(20_000) // ten frames
	var files [2][]byte
	for i := range files {
		var err error
		if files[i], err = os.ReadFile(record(t, ops)); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("two files of one virtual run differ")
	}
}

func TestManyProcessesOneOrder(t *testing.T) {
	const processes, each = 16, 2000
	path := filepath.Join(t.TempDir(), "h")
	w, err := CreateWith(path, Options{FlushInterval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for p := range processes {
		wg.Go(func() {
			last := int64(-1)
			for i := range each {
				before := w.Now()
				op := event(i)
				op.Process = Process(p)
				if err := w.Append(&op); err != nil {
					t.Error(err)
					return
				}
				if op.Index <= last || op.Time < before || op.Time > w.Now() {
					t.Errorf("index %d after %d, time %v not from %v on", op.Index, last, op.Time, before)
				}
				last = op.Index
				if i%500 == 0 {
					if err := w.Flush(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := Validate(f); err != nil {
		t.Error(err)
	}
	if f.count != processes*each || !f.Complete() {
		t.Errorf("%d operations, complete %v", f.count, f.Complete())
	}
}

// What was appended is readable soon without Flush or Close: a killed driver loses no more than that.
func TestReadWhileWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h")
	w, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for round := range 3 {
		for i := range 10 {
			op := event(i)
			if err := w.Append(&op); err != nil {
				t.Fatal(err)
			}
		}
		want := (round + 1) * 10
		for deadline := time.Now().Add(10 * time.Second); seen < want; {
			if time.Now().After(deadline) {
				t.Fatalf("%d operations can be read, want %d", seen, want)
			}
			f, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			ops, err := collect(f)
			if err != nil {
				t.Fatal(err)
			}
			if f.Complete() || len(ops) < seen {
				t.Errorf("complete %v, %d operations after %d", f.Complete(), len(ops), seen)
			}
			seen = len(ops)
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !f.Complete() {
		t.Error(f.Recovered())
	}
}

// An opened file is a snapshot: every checker sees the same history, whatever is appended meanwhile.
func TestAnOpenFileDoesNotGrow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h")
	w, err := CreateWith(path, Options{FlushInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	add := func() {
		op := event(0)
		if err := errors.Join(w.Append(&op), w.Flush()); err != nil {
			t.Fatal(err)
		}
	}
	add()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	add()
	if ops, err := collect(f); err != nil || len(ops) != 1 {
		t.Errorf("%d operations, %v; want the one that was there", len(ops), err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAppendRefuses(t *testing.T) {
	w, err := CreateWith(filepath.Join(t.TempDir(), "h"), Options{FlushInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	for want, op := range map[string]Op{
		"unknown operation type":      {F: "read"},
		"no function":                 {Type: Invoke},
		"no such process":             {Type: Invoke, F: "read", Process: -3},
		"a value is missing":          {Type: OK, F: "read", Value: json.RawMessage("")},
		"more than one value":         {Type: OK, F: "read", Value: json.RawMessage("1 2")},
		"a value is one line of JSON": {Type: OK, F: "read", Value: json.RawMessage("[1,\n2]")},
		"16 MiB":                      {Type: OK, F: "read", Value: json.RawMessage(`"` + strings.Repeat("x", LineMax) + `"`)},
	} {
		if err := w.Append(&op); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want …%s…", err, want)
		}
	}
	op := event(0)
	if err := w.Append(&op); err != nil || op.Index != 0 {
		t.Errorf("after refusals: index %d, %v", op.Index, err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
	if err := w.Append(&op); !errors.Is(err, ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
	if err := w.Flush(); !errors.Is(err, ErrClosed) {
		t.Errorf("flush after close: %v", err)
	}
}

func TestCreateNeverOverwrites(t *testing.T) {
	path := record(t, events(2))
	if _, err := Create(path); !errors.Is(err, os.ErrExist) || !strings.Contains(err.Error(), "never overwritten") {
		t.Error(err)
	}
}

// A file that can't be written fails every Append from then on, blocks nobody, and gets no mark.
func TestABrokenFileStaysBroken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h")
	w, err := CreateWith(path, Options{FlushInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.file.Close(); err != nil { // the next write fails, as on a full disk
		t.Fatal(err)
	}
	op := event(0)
	if err := w.Append(&op); err != nil {
		t.Fatal(err)
	}
	first := w.Flush()
	if first == nil {
		t.Fatal("the write that failed was not told")
	}
	for range 100_000 { // more than the queue holds
		if err := w.Append(&op); err == nil || err.Error() != first.Error() {
			t.Fatalf("%v, want %v", err, first)
		}
	}
	if err := w.Flush(); err == nil {
		t.Error("flush succeeded")
	}
	if err := w.Close(); err == nil || w.Close() == nil {
		t.Error("close succeeded")
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Complete() {
		t.Error("complete")
	}
}

func TestAClockThatRunsBackwards(t *testing.T) {
	times := []time.Duration{5, 3, 9}
	w, err := CreateWith(filepath.Join(t.TempDir(), "h"), Options{FlushInterval: -1, Clock: func() time.Duration {
		now := times[0]
		times = times[1:]
		return now
	}})
	if err != nil {
		t.Fatal(err)
	}
	var got []time.Duration
	for range 3 {
		op := event(0)
		if err := w.Append(&op); err != nil {
			t.Fatal(err)
		}
		got = append(got, op.Time)
	}
	if got[0] != 5 || got[1] != 5 || got[2] != 9 {
		t.Errorf("times %v, want [5ns 5ns 9ns]", got)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
