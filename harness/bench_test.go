package harness_test

import (
	"context"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

// nothing is a client that does nothing.
type nothing struct{}

func (nothing) Invoke(_ context.Context, op history.Op) history.Op {
	op.Type = history.OK
	return op
}
func (nothing) Close() error { return nil }

func openNothing(context.Context, history.Process, string) (harness.Client, error) {
	return nothing{}, nil
}

// registers is the generator of a register workload: every worker its own stream, over many keys.
func registers(concurrency int) generator.Generator {
	stream := generator.KeyStream{Prefix: "k", Keys: 20, OpsPerKey: 300, Concurrency: concurrency}
	return generator.Clients(generator.Seeded(1, "main", generator.EachWorker(func(generator.Worker) generator.Generator {
		return generator.PerKey(stream, func(ctx *generator.Context, _ string) history.Op {
			switch n := ctx.Rand.IntN(100); {
			case n < 50:
				return history.Op{F: "read"}
			case n < 75:
				return history.Op{F: "write", Value: strconv.AppendInt(nil, ctx.Rand.Int64N(1000), 10)}
			}
			return history.Op{F: "cas", Value: []byte(`[1,2]`)}
		})
	})))
}

// processorTime is what this process has used of all processors: unlike op/s it tells the same on a busy machine.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRunner runs operations that do nothing through everything else: generator, dispatcher, workers, and
// the history file. One operation is an invocation and its completion.
func BenchmarkRunner(b *testing.B) {
	for _, concurrency := range []int{10, 100} {
		b.Run("workers="+strconv.Itoa(concurrency), func(b *testing.B) {
			w, err := history.Create(filepath.Join(b.TempDir(), "history"))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			begun, cpu := w.Now(), processorTime(b)
			summary, err := harness.Run(context.Background(), harness.Test{
				Nodes: []string{"n1", "n2", "n3"}, Concurrency: concurrency, Open: openNothing, History: w,
				Generator: generator.Limit(b.N, registers(concurrency)), Grace: time.Second,
			})
			if err != nil || summary.OK != int64(b.N) {
				b.Fatalf("%+v, %v", summary, err)
			}
			if err := w.Close(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/(w.Now()-begun).Seconds(), "op/s")
			b.ReportMetric(float64(processorTime(b)-cpu)/float64(b.N), "cpu-ns/op")
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.Sys)/(1<<20), "MiB-from-OS")
		})
	}
}
