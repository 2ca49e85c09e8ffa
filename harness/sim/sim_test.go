package sim_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/harness/sim"
)

// registers draws reads, writes and compare-and-sets of a few keys, 20 operations a second and worker.
func registers(seed uint64, concurrency int) generator.Generator {
	keys := generator.KeyStream{Prefix: "r", Keys: 3, OpsPerKey: 100, Concurrency: concurrency}
	return generator.Seeded(seed, "main", generator.EachWorker(func(generator.Worker) generator.Generator {
		return generator.Stagger(50*time.Millisecond, generator.PerKey(keys, func(ctx *generator.Context, _ string) history.Op {
			switch ctx.Rand.IntN(4) {
			case 0:
				return history.Op{F: "write", Value: strconv.AppendInt(nil, ctx.Rand.Int64N(5), 10)}
			case 1:
				return history.Op{F: "cas", Value: []byte("[" + strconv.Itoa(ctx.Rand.IntN(5)) + "," + strconv.Itoa(ctx.Rand.IntN(5)) + "]")}
			}
			return history.Op{F: "read"}
		}))
	}))
}

// plan is a run: clients under faults for a while, heal, wait, the members.
func plan(s *sim.System, main generator.Generator, seed uint64, limit time.Duration) generator.Generator {
	once := func(f string) generator.Generator { return generator.NemesisOnly(generator.Once(history.Op{F: f})) }
	return generator.Phases(
		generator.TimeLimit(limit, generator.Any(generator.Clients(main), generator.NemesisOnly(s.Faults(seed, 2*time.Second)))),
		once(history.FHeal), once(history.FAwaitHealthy), once(history.FMembers),
	)
}

func runFile(t *testing.T, seed uint64) ([]byte, harness.Summary) {
	t.Helper()
	s, err := sim.New(sim.Options{Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "history")
	w, err := history.CreateWith(path, history.Options{Clock: s.Now, FlushInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	summary, err := sim.Run(context.Background(), harness.Test{
		Concurrency: 6, History: w, Generator: plan(s, registers(seed, 6), seed, 30*time.Second),
	}, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b, summary
}

func TestSameSeedSameBytes(t *testing.T) {
	a, summary := runFile(t, 7)
	b, _ := runFile(t, 7)
	if !bytes.Equal(a, b) {
		t.Error("two runs of one seed wrote different histories")
	}
	if c, _ := runFile(t, 8); bytes.Equal(a, c) {
		t.Error("runs of two seeds wrote the same history")
	}
	t.Logf("%+v", summary)
	if summary.OK < 1000 || summary.Fail == 0 || summary.Info == 0 {
		t.Errorf("this history shows too little: %+v", summary)
	}
}
