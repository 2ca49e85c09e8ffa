package workloads

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

// finalKeysMax bounds the keys that are read at the end.
const finalKeysMax = 500

// finalSlack is how many of a process's final reads may fail and be tried again, after a pause.
const (
	finalSlack = 20
	finalPause = 20 * time.Millisecond
)

// ledger remembers which keys of a stream were used, for the final reads: the phases of a run are generators apart, and
// the last one must know what the first one did. It is the only state that generators here share; it
// takes in invocations that were dispatched and nothing else, so a run that is replayed fills it alike.
type ledger struct {
	prefix string
	// keysOf are the keys of an operation.
	keysOf func(history.Op) []string

	mu      sync.Mutex
	highest int64 // -1: none
}

func newLedger(prefix string, keysOf func(history.Op) []string) *ledger {
	return &ledger{prefix: prefix, keysOf: keysOf, highest: -1}
}

func ownKey(op history.Op) []string { return []string{op.Key} }

func (l *ledger) enter(op history.Op) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.keysOf(op) {
		if n, err := strconv.ParseInt(strings.TrimPrefix(k, l.prefix), 10, 64); err == nil {
			l.highest = max(l.highest, n)
		}
	}
}

// recent are the last keys, at most n, oldest first. One or another may not have been used.
func (l *ledger) recent(n int) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var keys []string
	for k := max(0, l.highest-int64(min(n, finalKeysMax))+1); k <= l.highest; k++ {
		keys = append(keys, l.prefix+strconv.FormatInt(k, 10))
	}
	return keys
}

// noted is a generator whose invocations are entered in a ledger.
type noted struct {
	l *ledger
	g generator.Generator
}

func (t *noted) Next(ctx *generator.Context) (history.Op, generator.Status, generator.Generator) {
	op, status, next := t.g.Next(ctx)
	if next == t.g {
		return op, status, t
	}
	return op, status, &noted{t.l, next}
}

func (t *noted) Update(ctx *generator.Context, event history.Op) generator.Generator {
	if event.Type == history.Invoke && event.Process.IsClient() {
		t.l.enter(event)
	}
	if g := t.g.Update(ctx, event); g != t.g {
		return &noted{t.l, g}
	}
	return t
}

// finalReads has every worker do each of the operations until it is ok, in an order of its own, so that workers
// do not all read the same key at once. What fails is tried again a few times in all. It asks for the operations when it begins.
func finalReads(ops func() []history.Op) generator.Generator {
	return generator.EachWorker(func(w generator.Worker) generator.Generator {
		todo := slices.Clone(ops())
		var each []generator.Generator
		for i := range todo {
			op := todo[(i+int(w))%len(todo)]
			each = append(each, generator.UntilOK(generator.Delay(finalPause, generator.Repeat(op))))
		}
		return generator.Limit(len(todo)+finalSlack, generator.Seq(each...))
	})
}
