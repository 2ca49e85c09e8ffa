package transactions

import (
	"context"
	"runtime"
	"sync"

	"github.com/faultline/faultline/harness/history"
)

// byKey are the micro-operations of each key, in the order of the transactions.
type byKey struct {
	starts []int32
	micros []int32
}

func newByKey(t *table) byKey {
	b := byKey{make([]int32, len(t.keys.names)+1), make([]int32, len(t.micros))}
	for i := range t.micros {
		b.starts[t.micros[i].key]++
	}
	sum := int32(0)
	for i, n := range b.starts {
		sum += n
		b.starts[i] = sum
	}
	for i := len(t.micros) - 1; i >= 0; i-- {
		k := t.micros[i].key
		b.starts[k]--
		b.micros[b.starts[k]] = int32(i)
	}
	return b
}

func (b *byKey) of(key int32) []int32 { return b.micros[b.starts[key]:b.starts[key+1]] }

// write is who wrote a value of a key.
type write struct {
	micro, txn int32
	value      value
	outcome    history.Type
	last       bool // its transaction wrote the key no more
	seen       bool // it is in the longest list
	double     bool // another transaction that did not fail wrote the same value
}

// worker goes through keys, one at a time. Its buffers are used again for the next key.
type worker struct {
	t   *table
	out *part
	key int32
	all byKey
	// Of the key:
	ops    []int32
	writes []write
	of     map[value]int32 // place in writes
	double bool            // some value was written twice
	values []value         // memory of a trunk, used again
	places []int32
	odd    []int32 // reads of lists that do not begin the longest
}

func newWorker(t *table, all byKey, out *part) *worker {
	return &worker{t: t, out: out, all: all, of: map[value]int32{}}
}

// eachKey runs a function over all keys, on all processors. Keys are cut into parts by their number alone, so that the
// result does not depend on how many processors there are. Parts that there was no time for are empty: then it says errTime.
func eachKey(ctx context.Context, t *table, visit func(*worker)) ([]*part, error) {
	const keysPerPart = 256
	all := newByKey(t)
	n := len(t.keys.names)
	parts := make([]*part, (n+keysPerPart-1)/keysPerPart)
	next := make(chan int)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			w := newWorker(t, all, nil)
			for i := range next {
				w.out = &part{}
				for k := i * keysPerPart; k < min(n, (i+1)*keysPerPart) && ctx.Err() == nil; k++ {
					w.begin(int32(k))
					visit(w)
				}
				parts[i] = w.out
			}
		})
	}
	for i := range parts {
		next <- i
	}
	close(next)
	wg.Wait()
	if ctx.Err() != nil {
		return parts, errTime
	}
	return parts, nil
}

// begin moves to a key and finds who wrote what.
func (w *worker) begin(key int32) {
	w.key, w.ops, w.double = key, w.all.of(key), false
	w.writes, w.odd = w.writes[:0], w.odd[:0]
	clear(w.of)
	mine := int32(-1) // the last write, while it is of the same transaction
	for _, m := range w.ops {
		if w.t.micros[m].n != wrote {
			continue
		}
		txn := w.t.owners[m]
		n := int32(len(w.writes))
		if mine >= 0 && w.writes[mine].txn == txn {
			w.writes[mine].last = false
		}
		mine = n
		v := w.t.micros[m].value
		w.writes = append(w.writes, write{micro: m, txn: txn, value: v, outcome: w.t.txns[txn].outcome, last: true})
		before, known := w.of[v]
		switch {
		case !known || w.writes[before].outcome == history.Fail:
			w.of[v] = n
		case w.writes[n].outcome != history.Fail:
			w.twice(before, n)
		}
	}
}

// twice notes that two transactions that may both have happened wrote the same value: then versions can't be told apart.
func (w *worker) twice(a, b int32) {
	w.double = true
	w.writes[a].double, w.writes[b].double = true, true
	w.out.find("duplicate-writes", func() finding {
		first, second := &w.writes[a], &w.writes[b]
		return finding{key: w.keyName(), txns: []int32{first.txn, second.txn}, why: w.t.name(first.txn) + " and " + w.t.name(second.txn) +
			" both wrote " + w.t.texts.text(first.value) + " to " + w.keyName() + ": its versions can't be told apart"}
	})
}

func (w *worker) keyName() string { return w.t.keys.names[w.key] }

// writer is who wrote a value; nil if nobody did.
func (w *worker) writer(v value) *write {
	if i, ok := w.of[v]; ok {
		return &w.writes[i]
	}
	return nil
}

// groups visits the micro-operations of each transaction on the key.
func (w *worker) groups(visit func(txn int32, ops []int32)) {
	for i := 0; i < len(w.ops); {
		txn := w.t.owners[w.ops[i]]
		j := i + 1
		for j < len(w.ops) && w.t.owners[w.ops[j]] == txn {
			j++
		}
		visit(txn, w.ops[i:j])
		i = j
	}
}
