package workloads

import (
	"strconv"
	"strings"

	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/kube/declared"
	"github.com/faultline/faultline/internal/kube/observe"
)

// This file is what the workloads have in common that declare state and expect reality to follow. Each draws operations on
// objects, which history.Declaration describes. They are slow on purpose: reality needs seconds to follow a declaration.

// followed is the least that a run of such a workload must have exercised. A minute at one operation per second reaches it.
var followed = checker.Minimum{OK: 25, ContendedKeys: 1, ReadsDuring: 2, ReadsAfter: 2}

// finalReadsMax is how many final reads there are in all, as long as each object is read once.
const finalReadsMax = 2000

// declaring is what makes up such a workload.
type declaring struct {
	// label and prefix name its stream of chance and its keys.
	label, prefix string
	// kinds are observed.
	kinds []string
	// draw draws a worker's n-th operation on a key; its Value is the Declaration. Where it draws a write that leaves its number in the
	// object, the change is set.
	draw func(ctx *generator.Context, key drawnKey) (f string, object string, d history.Declaration)
	// final are the objects of the i-th key, and their kinds.
	final func(number int64) []history.Op
	// more are the workload's own checkers, beside those for what is declared and for convergence.
	more []checker.Checker
}

// drawnKey is the key of a draw.
type drawnKey struct {
	name   string
	number int64
	// first: it is the worker's first draw. There is nothing yet that could be changed.
	first bool
	// keys are as many as are in use at once.
	keys int64
}

// parts makes the workload.
func (w declaring) parts(o Options) (Parts, error) {
	if err := o.check(); err != nil {
		return Parts{}, err
	}
	convergence, err := checker.Converge(checker.ConvergeOptions{Rules: observe.RulesOf(w.kinds), Server: "kube-apiserver"})
	if err != nil {
		return Parts{}, err
	}
	keys := stream(o, w.prefix)
	used := newLedger(w.prefix, func(op history.Op) []string { return []string{w.keyOf(op.Key)} })
	draw := func(ctx *generator.Context, worker generator.Worker, n uint64) history.Op {
		k := drawnKey{name: keys.Key(n, ctx.Rand), first: n == 0, keys: int64(o.Keys)}
		if k.first {
			k.name = w.prefix + strconv.Itoa(int(worker)%o.Keys)
		}
		k.number, _ = strconv.ParseInt(strings.TrimPrefix(k.name, w.prefix), 10, 64) // of the stream's own making
		f, object, d := w.draw(ctx, k)
		if f != "read" && f != "delete" {
			d.Change = int64(number(o, worker, n)) //nolint:gosec // counts operations
		}
		return history.Op{F: f, Key: object, Value: jsonOf(d)}
	}
	checkers := []checker.Checker{checker.Declared(checker.DeclaredOptions{}), convergence}
	return Parts{
		Main:     &noted{used, mainPhase(o, w.label, draw)},
		Final:    finalSome(o.Concurrency, func() []history.Op { return w.finalOf(used.last()) }),
		Checkers: append(checkers, w.more...),
	}, nil
}

// keyOf is the key of the stream that an object belongs to: g7 of g7-a, q1 of q1/c3.
func (w declaring) keyOf(object string) string {
	digits := strings.TrimPrefix(object, w.prefix)
	end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		return object
	}
	return w.prefix + digits[:end]
}

// finalOf are the final reads of all keys up to the highest.
func (w declaring) finalOf(highest int64) []history.Op {
	var ops []history.Op
	for n := range highest + 1 {
		ops = append(ops, w.final(n)...)
	}
	return ops
}

// last is the highest number of a key that was used; -1: none was.
func (l *ledger) last() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.highest
}

// finalSome has each of the operations done by as many workers as finalReadsMax allows, at least one, until it is ok.
func finalSome(concurrency int, ops func() []history.Op) generator.Generator {
	return generator.EachWorker(func(w generator.Worker) generator.Generator {
		all := ops()
		times := min(concurrency, max(1, finalReadsMax/max(1, len(all))))
		var each []generator.Generator
		for i := range all {
			op := all[(i+int(w))%len(all)]
			if (i % concurrency) >= times {
				continue
			}
			each = append(each, generator.UntilOK(generator.Delay(finalPause, generator.Repeat(op))))
		}
		return generator.Limit(len(each)+finalSlack, generator.Seq(each...))
	})
}

// readOf is a read of an object.
func readOf(kind, object string) history.Op {
	return history.Op{F: "read", Key: object, Value: jsonOf(history.Declaration{Kind: kind})}
}

// images are what rollouts go through. The nodes' container runtime takes any.
var images = []string{"faultline.invalid/app:1", "faultline.invalid/app:2", "faultline.invalid/app:3", "faultline.invalid/app:4"}

func drawImage(ctx *generator.Context) string { return images[ctx.Rand.IntN(len(images))] }

func drawReplicas(ctx *generator.Context, most int64) *int64 { return new(ctx.Rand.Int64N(most + 1)) }

// weighted draws one of some words, in proportion to their weights.
func weighted(ctx *generator.Context, choices []weight) string {
	total := 0
	for _, c := range choices {
		total += c.of
	}
	n := ctx.Rand.IntN(total)
	for _, c := range choices {
		if n -= c.of; n < 0 {
			return c.word
		}
	}
	return choices[len(choices)-1].word
}

type weight struct {
	word string
	of   int
}

// row is a row of the table, with what is the same for all of these workloads.
func (w declaring) row(name, doc string, d Defaults) Workload {
	return Workload{
		Name: name, Doc: doc, Reads: declared.Reads(), Minimum: followed, New: w.parts, Kinds: w.kinds, Clients: declared.NewClient, Defaults: d,
	}
}

// running are the kinds that show whether pods run.
var running = []string{observe.KindPod, observe.KindNode}
