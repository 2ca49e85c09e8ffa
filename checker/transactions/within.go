package transactions

import (
	"fmt"
	"slices"
)

// within judges what one transaction saw of one list by what it had read and appended itself.
func (w *worker) within(txn int32, ops []int32) {
	if len(ops) < 2 {
		return
	}
	var base, own []value // what it read last, and what it appended since
	read := false         // base is known
	for i, m := range ops {
		op := w.t.micros[m]
		if op.n == wrote {
			own = append(own, op.value)
			w.future(txn, ops[:i], op.value)
			continue
		}
		values := w.t.list(op)
		n := len(values) - len(own)
		if n < 0 || !slices.Equal(values[n:], own) || read && !slices.Equal(values[:n], base) {
			w.out.find("internal", func() finding {
				want := "end in " + w.t.show(own)
				if read {
					want = "be " + w.t.show(append(slices.Clone(base), own...))
				}
				return finding{key: w.keyName(), txns: []int32{txn}, why: fmt.Sprintf(
					"%s read %s as %s, but by what it had read and appended before it must %s", w.t.name(txn), w.keyName(), w.t.show(values), want)}
			})
		}
		base, own, read = values, nil, true
	}
}

// future finds reads, among a transaction's operations before a write, that have what is written.
func (w *worker) future(txn int32, before []int32, v value) {
	for _, m := range before {
		op := w.t.micros[m]
		if op.n == wrote {
			if op.value == v {
				return
			}
			continue
		}
		if w.t.kind == RWRegister && op.value == v || w.t.kind == ListAppend && slices.Contains(w.t.list(op), v) {
			w.out.find("future-read", func() finding {
				return finding{key: w.keyName(), txns: []int32{txn}, why: fmt.Sprintf("%s read %s in %s before it wrote it itself",
					w.t.name(txn), w.t.texts.text(v), w.keyName())}
			})
			return
		}
	}
}
