package formats

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/faultline/faultline/harness/history"
)

// transactions are so many operations of ten processes that append to lists and read them, as Elle's generator makes them.
func transactions(lines int) history.Slice {
	r := rand.New(rand.NewPCG(1, 1))
	var ops history.Slice
	for i := range lines / 2 {
		list := make([]int, r.IntN(20))
		for n := range list {
			list[n] = n + 1
		}
		invoke := fmt.Appendf(nil, `[["append",%d,%d],["r",%d,null]]`, i/32, i%32, i/32)
		ok := fmt.Appendf(nil, `[["append",%d,%d],["r",%d,[0`, i/32, i%32, i/32)
		for _, n := range list {
			ok = fmt.Appendf(ok, ",%d", n)
		}
		ok = append(ok, "]]]"...)
		for n, value := range [][]byte{invoke, ok} {
			ops = append(ops, history.Op{Index: int64(2*i + n), Time: 1, Type: history.Type(n + 1), Process: history.Process(i % 10), F: "txn", Value: value})
		}
	}
	return ops
}

// BenchmarkOpen is the cost of a file: opened, decoded, and every rule checked.
func BenchmarkOpen(b *testing.B) {
	ops := transactions(200_000)
	for _, c := range []struct {
		name  string
		write func(path string) error
	}{
		{"own", func(path string) error {
			w, err := history.Create(path)
			if err != nil {
				return err
			}
			for _, op := range ops {
				if err := w.Append(&op); err != nil {
					return err
				}
			}
			return w.Close()
		}},
		{"jsonl", func(path string) error { return writeFile(path, ops, writeLines) }},
		{"edn", func(path string) error { return writeFile(path, ops, writeEDN) }},
	} {
		path := filepath.Join(b.TempDir(), c.name)
		if err := c.write(path); err != nil {
			b.Fatal(err)
		}
		b.Run(c.name, func(b *testing.B) {
			info, err := os.Stat(path)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(info.Size())
			b.ReportAllocs()
			for b.Loop() {
				src, err := Open(path)
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				for _, err := range src.Ops() {
					if err != nil {
						b.Fatal(err)
					}
					n++
				}
				if n != len(ops) {
					b.Fatalf("%d operations", n)
				}
				if c, ok := src.(io.Closer); ok {
					c.Close()
				}
			}
			b.ReportMetric(float64(len(ops))*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}

func writeFile(path string, ops history.Slice, write func(io.Writer, history.Source) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return write(f, ops)
}
