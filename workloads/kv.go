package workloads

import (
	"fmt"
	"math/rand/v2"

	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

// How far requests look back, in revisions, and how far compactions keep behind.
const (
	kvBackMax    = 60
	kvFarBack    = 2000
	kvKeepMin    = 100
	kvKeepSpread = 300
	// kvLeaseEvery is how many operations of a worker share a lease.
	kvLeaseEvery = 25
	// kvPutsMax is how many puts an operation has at most, over both branches.
	kvPutsMax = 8
)

// Keys begin with kvPrefix; kvEnd is the first after all of them.
const (
	kvPrefix = "kv/"
	kvEnd    = "kv0"
)

// requests are random transactions over a small set of keys, for which all workers race, and a large one: compares of each field, puts, with leases
// and without, deletes and ranges; reads of the newest state, of past ones, compacted ones, and future ones; leases that end by themselves or are
// revoked, and compactions. The seed draws how large the sets are. Their shapes are those of checker.KV.
func requests(o Options) (Parts, error) {
	if err := o.check(); err != nil {
		return Parts{}, err
	}
	judge, err := checker.KV(checker.KVOptions{Model: o.Model, Read: o.Read})
	if err != nil {
		return Parts{}, err
	}
	sizes := rand.New(rand.NewPCG(o.Seed, 0x6b76)) //nolint:gosec // reproducible chance is the point
	k := kvKeys{small: 2 + sizes.IntN(max(o.Keys, 3)), large: o.Keys * (5 + sizes.IntN(20))}
	draw := func(ctx *generator.Context, w generator.Worker, n uint64) history.Op {
		d := kvDraw{keys: k, r: ctx.Rand, number: number(o, w, n), lease: number(o, w, n-n%kvLeaseEvery)}
		return d.op(n)
	}
	all := history.Op{F: "request", Value: jsonOf(map[string]any{"then": []any{[]any{"range", kvPrefix, kvEnd}}})}
	return Parts{
		Main:     mainPhase(o, "kv", draw),
		Final:    finalReads(func() []history.Op { return []history.Op{all, all, all} }),
		Checkers: []checker.Checker{judge},
	}, nil
}

// kvKeys are the two sets: kv/s00, … and kv/l0000, ….
type kvKeys struct{ small, large int }

func (k kvKeys) one(r *rand.Rand) string {
	if r.IntN(3) > 0 {
		return k.at('s', r.IntN(k.small))
	}
	return k.at('l', r.IntN(k.large))
}

func (k kvKeys) at(set rune, n int) string { return fmt.Sprintf("%s%c%04d", kvPrefix, set, n) }

// some is a part of a set, from one key to before another.
func (k kvKeys) some(r *rand.Rand) (from, to string) {
	if r.IntN(2) == 0 {
		return k.at('s', 0), k.at('s', 1+r.IntN(k.small))
	}
	n := r.IntN(k.large)
	return k.at('l', n), k.at('l', n+1+r.IntN(20))
}

// kvDraw draws one operation.
type kvDraw struct {
	keys kvKeys
	r    *rand.Rand
	// number is the operation's own, lease that of the lease that its worker granted last.
	number, lease uint64
	puts          uint64
}

func (d *kvDraw) op(n uint64) history.Op {
	switch c := d.r.IntN(100); {
	case n%kvLeaseEvery == 0:
		return history.Op{F: "grant-lease", Value: jsonOf(d.lease)}
	case n%kvLeaseEvery == kvLeaseEvery-1 && c < 40:
		return history.Op{F: "revoke-lease", Value: jsonOf(d.lease)}
	case c < 1:
		return history.Op{F: "compact-store", Value: jsonOf(map[string]any{"back": kvKeepMin + d.r.IntN(kvKeepSpread)})}
	case c < 15:
		return d.request(map[string]any{"then": []any{[]any{"range", kvPrefix, kvEnd}}})
	case c < 30:
		return d.request(map[string]any{"then": []any{d.read()}})
	case c < 42:
		return d.request(map[string]any{"then": []any{d.read(), d.read()}, "back": d.back()})
	case c < 62:
		return d.request(map[string]any{"then": d.branch(1)})
	}
	var compares []any
	for i := d.r.IntN(2); i >= 0; i-- {
		compares = append(compares, d.compare())
	}
	return d.request(map[string]any{"if": compares, "then": d.branch(1 + d.r.IntN(3)), "else": d.branch(d.r.IntN(3))})
}

func (d *kvDraw) request(v map[string]any) history.Op {
	return history.Op{F: "request", Value: jsonOf(v)}
}

// back is how many revisions a read looks back: some too many, and some less than none.
func (d *kvDraw) back() int {
	switch d.r.IntN(12) {
	case 0:
		return kvFarBack
	case 1:
		return -kvFarBack
	}
	return d.r.IntN(kvBackMax)
}

func (d *kvDraw) read() []any {
	if d.r.IntN(2) == 0 {
		return []any{"get", d.keys.one(d.r)}
	}
	from, to := d.keys.some(d.r)
	return []any{"range", from, to}
}

// branch is operations of which no two change the same key: etcd refuses that.
func (d *kvDraw) branch(n int) []any {
	out := []any{}
	used := map[string]bool{}
	deletes := d.r.IntN(8) == 0 // then it puts nothing
	for range n {
		k := d.keys.one(d.r)
		switch c := d.r.IntN(10); {
		case deletes && c < 6:
			from, to := d.keys.some(d.r)
			out = append(out, []any{"delete", from, to})
		case deletes || c < 3 || used[k] || d.puts == kvPutsMax:
			out = append(out, d.read())
		case c < 5:
			used[k] = true
			out = append(out, []any{"delete", k})
		default:
			used[k] = true
			put := []any{"put", k, d.number*kvPutsMax + d.puts}
			d.puts++
			if d.r.IntN(4) == 0 {
				put = append(put, d.lease)
			}
			out = append(out, put)
		}
	}
	return out
}

func (d *kvDraw) compare() []any {
	k := d.keys.one(d.r)
	switch d.r.IntN(6) {
	case 0:
		return []any{"version", k, "=", 0}
	case 1:
		return []any{"version", k, []string{"<", ">"}[d.r.IntN(2)], d.r.IntN(5)}
	case 2:
		return []any{"lease", k, []string{"=", "!="}[d.r.IntN(2)], 0}
	case 3:
		return []any{"value", k, "!=", d.number}
	case 4:
		return []any{"create", k, ">", 0}
	}
	return []any{"mod", k, []string{"=", "!=", ">"}[d.r.IntN(3)], 0}
}
