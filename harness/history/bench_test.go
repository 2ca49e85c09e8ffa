package history

import (
	"encoding/json"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
)

// event is the i-th line of a run of 10 processes on 20 keys.
func event(i int) Op {
	op := Op{
		Type: Type(i%2 + 1), Process: Process(i / 2 % 10), F: "write", Key: "key-" + strconv.Itoa(i/2*7%20),
		Value: json.RawMessage(strconv.Itoa(i / 2)), Node: "n" + strconv.Itoa(i/2%3+1),
	}
	if op.Type == OK {
		op.Version, op.Revision = int64(i), int64(i)
	}
	return op
}

func events(n int) Slice {
	ops := make(Slice, n)
	for i := range ops {
		ops[i] = event(i)
	}
	return ops
}

// BenchmarkAppend is the cost of one line, compressed and written to a file. Goal: 300 ns on two cores.
func BenchmarkAppend(b *testing.B) {
	ops := events(2000)
	w, err := Create(filepath.Join(b.TempDir(), "history.jsonl.zst"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if err := w.Append(&ops[i%len(ops)]); err != nil {
			b.Fatal(err)
		}
		i++
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkAppendParallel is the same with many processes at once.
func BenchmarkAppendParallel(b *testing.B) {
	ops := events(2000)
	w, err := Create(filepath.Join(b.TempDir(), "history.jsonl.zst"))
	if err != nil {
		b.Fatal(err)
	}
	b.SetParallelism(10)
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			op := ops[i%len(ops)]
			if err := w.Append(&op); err != nil {
				b.Error(err)
				return
			}
		}
	})
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkRead is the cost of one line, opened (verified), decompressed, decoded and checked.
func BenchmarkRead(b *testing.B) {
	const lines = 200_000
	path := record(b, events(lines))
	f, err := Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	b.ReportAllocs()
	b.ResetTimer()
	n := 0
	for n < b.N {
		for _, err := range f.Ops() {
			if err != nil {
				b.Fatal(err)
			}
			if n++; n == b.N {
				break
			}
		}
	}
}

// BenchmarkPairs is BenchmarkRead with completions joined to invocations and every rule checked.
func BenchmarkPairs(b *testing.B) {
	const lines = 200_000
	f, err := Open(record(b, events(lines)))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += lines {
		for _, err := range Pairs(f) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkTenMillion writes and reads 20 million lines and shows how much memory was in use at most.
func BenchmarkTenMillion(b *testing.B) {
	const lines = 20_000_000
	for b.Loop() {
		path := filepath.Join(b.TempDir(), "history.jsonl.zst")
		w, err := Create(path)
		if err != nil {
			b.Fatal(err)
		}
		ops := events(2000)
		var most uint64
		watch := func(i int) {
			if i%1_000_000 == 0 {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapInuse)
			}
		}
		for i := range lines {
			watch(i)
			if err := w.Append(&ops[i%len(ops)]); err != nil {
				b.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(most)/(1<<20), "MiB-write-max")
		most = 0
		f, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		for _, err := range f.Ops() {
			if err != nil {
				b.Fatal(err)
			}
			watch(n)
			n++
		}
		if n != lines || !f.Complete() {
			b.Fatalf("%d lines, complete %v", n, f.Complete())
		}
		b.ReportMetric(float64(most)/(1<<20), "MiB-read-max")
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
