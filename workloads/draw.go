package workloads

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

// drawn yields operations without end from a function of their number. Put under EachWorker, the number is the worker's
// own, and with chance from the context what comes is a function of the seed, the worker and the number alone.
type drawn struct {
	n uint64
	f func(ctx *generator.Context, n uint64) history.Op
}

func (d *drawn) Next(ctx *generator.Context) (history.Op, generator.Status, generator.Generator) {
	p, ok := ctx.Anyone()
	if !ok {
		return history.Op{}, generator.Pending, d
	}
	op := d.f(ctx, d.n)
	op.Type, op.Process, op.Time = history.Invoke, p, ctx.Now
	return op, generator.Ready, &drawn{d.n + 1, d.f}
}

func (d *drawn) Update(*generator.Context, history.Op) generator.Generator { return d }

// mainPhase gives each worker its own operations, spaced so that all workers together reach the rate.
func mainPhase(o Options, label string, f func(ctx *generator.Context, w generator.Worker, n uint64) history.Op) generator.Generator {
	var mean time.Duration
	if o.Rate > 0 {
		mean = time.Duration(float64(max(o.Concurrency, 1)) / o.Rate * float64(time.Second))
	}
	return generator.Seeded(o.Seed, label, generator.EachWorker(func(w generator.Worker) generator.Generator {
		return generator.Stagger(mean, &drawn{f: func(ctx *generator.Context, n uint64) history.Op { return f(ctx, w, n) }})
	}))
}

// stream is the keys that a workload works on.
func stream(o Options, prefix string) generator.KeyStream {
	return generator.KeyStream{Prefix: prefix, Keys: o.Keys, OpsPerKey: o.OpsPerKey, Concurrency: o.Concurrency}
}

// number is a number that no other worker, and no other n, gets: from 1.
func number(o Options, w generator.Worker, n uint64) uint64 {
	return n*uint64(max(o.Concurrency, 1)) + uint64(w) + 1 //nolint:gosec // client workers count from 0
}

// check refuses options that no workload can run with.
func (o Options) check() error {
	for _, f := range []struct {
		name  string
		value int
	}{{"keys", o.Keys}, {"ops-per-key", o.OpsPerKey}, {"concurrency", o.Concurrency}} {
		if f.value < 1 {
			return fmt.Errorf("%s must be at least 1, not %d", f.name, f.value)
		}
	}
	if o.Rate < 0 {
		return fmt.Errorf("rate must not be negative, but is %v", o.Rate)
	}
	return nil
}

func jsonOf(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err)) // numbers, strings and lists of them
	}
	return text
}
