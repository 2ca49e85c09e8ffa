package checker

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// registersOfSize are n operations with versions, a thousand or so on each key, 1 % of unknown outcome.
func registersOfSize(n int) storeHistory { return storeHistory{n, max(1, n/1000), 10, 0.01, true} }

// BenchmarkRegisters is from the history in memory to the verdict, by versions.
func BenchmarkRegisters(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			h := registersOfSize(n).make()
			c := must(b)(Linearizable(LinearizableOptions{}))
			for b.Loop() {
				validOnly(b, c, h, Budget{Time: time.Minute, MemoryBytes: 2 << 30})
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "op/s")
		})
	}
}

// BenchmarkRegistersOfFile is from the file to the verdict, with the most memory that the process ever had.
func BenchmarkRegistersOfFile(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000, 10_000_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "history.jsonl.zst")
			w, err := history.Create(path)
			if err != nil {
				b.Fatal(err)
			}
			registersOfSize(n).each(func(op history.Op) {
				if err := w.Append(&op); err != nil {
					b.Fatal(err)
				}
			})
			if err := w.Close(); err != nil {
				b.Fatal(err)
			}
			c := must(b)(Linearizable(LinearizableOptions{}))
			for b.Loop() {
				src, err := history.Open(path)
				if err != nil {
					b.Fatal(err)
				}
				validOnly(b, c, src, Budget{Time: 10 * time.Minute, MemoryBytes: 1 << 30})
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "op/s")
			b.ReportMetric(peakMiB(b), "MiB-peak")
		})
	}
}

func validOnly(b *testing.B, c Checker, src history.Source, budget Budget) {
	b.Helper()
	r, err := c.Check(context.Background(), src, budget)
	if err != nil {
		b.Fatal(err)
	}
	if r.Verdict != Valid {
		b.Fatalf("%s: %q", r.Verdict, r.Reasons)
	}
}

// peakMiB is the most memory that the process had in use so far.
func peakMiB(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip(err)
	}
	_, after, _ := bytes.Cut(status, []byte("VmHWM:"))
	kib, err := strconv.ParseFloat(string(bytes.Fields(after)[0]), 64)
	if err != nil {
		b.Fatal(err)
	}
	return kib / 1024
}

// BenchmarkUnknownOutcomes is a single register without versions, 15,000 operations of 60 clients, 18 % of them of unknown outcome.
func BenchmarkUnknownOutcomes(b *testing.B) {
	h := storeHistory{15_000, 1, 60, 0.18, false}.make()
	c := must(b)(Linearizable(LinearizableOptions{}))
	for b.Loop() {
		validOnly(b, c, h, Budget{Time: time.Minute, MemoryBytes: 1 << 30})
	}
	b.ReportMetric(peakMiB(b), "MiB-peak")
}

// BenchmarkBudget is a history that explodes, against a budget of time: how much of it was used, in percent, and the most memory that
// the process ever had, against a budget of 256 MiB.
func BenchmarkBudget(b *testing.B) {
	h := exploding(14)
	c := must(b)(Linearizable(LinearizableOptions{}))
	const allowed = 10 * time.Second
	for b.Loop() {
		r, err := c.Check(context.Background(), h, Budget{Time: allowed, MemoryBytes: 256 << 20})
		if err != nil {
			b.Fatal(err)
		}
		if r.Verdict != Unknown {
			b.Fatalf("%s: the history does not explode", r.Verdict)
		}
		b.Logf("%q", r.Reasons)
	}
	b.ReportMetric(100*b.Elapsed().Seconds()/float64(b.N)/allowed.Seconds(), "%-of-time")
	b.ReportMetric(peakMiB(b), "MiB-peak")
}
