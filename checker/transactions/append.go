package transactions

import (
	"fmt"
	"slices"

	"github.com/faultline/faultline/harness/history"
)

// trunk is the order of a list's elements as the longest read has it.
type trunk struct {
	values  []value
	writers []int32 // the place in writes of who appended each, or -1
	by      int32   // who read it
}

// appendKey infers what it can from one list.
func appendKey(w *worker) {
	l := &w.t.lists[w.key]
	tr := trunk{values: l.values, by: l.by}
	if l.odd {
		tr = w.settle()
	}
	w.once(&tr)
	w.origins(&tr)
	w.groups(func(txn int32, ops []int32) {
		if w.t.txns[txn].ok() {
			w.within(txn, ops)
			w.intermediate(txn, ops)
		}
	})
	if w.double {
		return
	}
	w.trunkEdges(&tr)
	w.readEdges(&tr)
}

// settle finds the longest list of a key that has lists that do not begin one another, and names those that do not begin it.
func (w *worker) settle() trunk {
	l := &w.t.lists[w.key]
	best := trunk{values: l.values, by: l.by}
	for _, m := range w.ops {
		if w.t.micros[m].n <= oddList {
			if values := w.t.list(w.t.micros[m]); len(values) > len(best.values) {
				best = trunk{values: values, by: w.t.owners[m]}
			}
		}
	}
	for _, m := range w.ops {
		if w.t.micros[m].n == wrote {
			continue
		}
		values, reader := w.t.list(w.t.micros[m]), w.t.owners[m]
		if len(values) <= len(best.values) && slices.Equal(values, best.values[:len(values)]) {
			continue
		}
		w.odd = append(w.odd, m)
		w.out.find("incompatible-order", func() finding {
			return finding{key: w.keyName(), txns: []int32{best.by, reader}, why: fmt.Sprintf("%s read %s as %s, %s as %s: neither can have come from the other",
				w.t.name(best.by), w.keyName(), w.t.show(best.values), w.t.name(reader), w.t.show(values))}
		})
	}
	return best
}

// once finds who appended each element, and leaves out those that come again, which are named unless they were appended as often.
func (w *worker) once(tr *trunk) {
	all := tr.values
	tr.values, tr.writers = w.values[:0], w.places[:0]
	for _, v := range all {
		at, known := w.of[v]
		if !known {
			at = -1
		}
		if known && !w.writes[at].seen || !known && !slices.Contains(tr.values, v) {
			tr.values, tr.writers = append(tr.values, v), append(tr.writers, at)
			if known {
				w.writes[at].seen = true
			}
			continue
		}
		if known && w.writes[at].double {
			continue
		}
		w.twiceIn(tr.by, all, v)
	}
	w.values, w.places = tr.values, tr.writers
}

// origins judges where the elements of a list came from: each must have been appended, and not by a transaction that failed.
func (w *worker) origins(tr *trunk) {
	aborted := -1 // the last element of a failed transaction
	for i, at := range tr.writers {
		switch {
		case at < 0:
			w.garbage(tr.values[i])
		case w.writes[at].outcome == history.Fail:
			aborted = i
			w.aborted(tr.values[i])
		case aborted >= 0:
			from, onto := &w.writes[at], &w.writes[tr.writers[aborted]]
			w.out.find("dirty-update", func() finding {
				return finding{key: w.keyName(), txns: []int32{onto.txn, from.txn}, why: fmt.Sprintf("%s appended %s to %s on top of %s, which %s appended, and that failed",
					w.t.name(from.txn), w.t.texts.text(from.value), w.keyName(), w.t.texts.text(onto.value), w.t.name(onto.txn))}
			})
			aborted = -1
		}
	}
	for _, m := range w.odd {
		w.oddOrigins(tr, w.t.owners[m], w.t.list(w.t.micros[m]))
	}
}

// oddOrigins judges the elements of a list that does not begin the longest one.
func (w *worker) oddOrigins(tr *trunk, reader int32, list []value) {
	for i, v := range list {
		by := w.writer(v)
		switch {
		case slices.Contains(list[:i], v) && (by == nil || !by.double):
			w.twiceIn(reader, list, v)
		case slices.Contains(tr.values, v):
		case by == nil:
			w.garbage(v)
		case by.outcome == history.Fail:
			w.aborted(v)
		}
	}
}

// twiceIn names an element that a list has twice.
func (w *worker) twiceIn(reader int32, list []value, v value) {
	w.out.find("duplicate-elements", func() finding {
		return finding{key: w.keyName(), txns: []int32{reader}, why: fmt.Sprintf("%s read %s as %s, which has %s twice",
			w.t.name(reader), w.keyName(), w.t.show(list), w.t.texts.text(v))}
	})
}

// reader is the first transaction that read a value of the key.
func (w *worker) reader(v value) int32 {
	for _, m := range w.ops {
		op := w.t.micros[m]
		if op.n == wrote || !w.t.txns[w.t.owners[m]].ok() {
			continue
		}
		if w.t.kind == RWRegister && op.value == v || w.t.kind == ListAppend && slices.Contains(w.t.list(op), v) {
			return w.t.owners[m]
		}
	}
	return -1
}

func (w *worker) garbage(v value) {
	w.out.find("garbage-read", func() finding {
		reader := w.reader(v)
		return finding{key: w.keyName(), txns: []int32{reader}, why: fmt.Sprintf("%s read %s in %s, which nobody wrote",
			w.t.name(reader), w.t.texts.text(v), w.keyName())}
	})
}

func (w *worker) aborted(v value) {
	w.out.find("G1a", func() finding {
		reader, by := w.reader(v), w.writer(v)
		return finding{key: w.keyName(), txns: []int32{reader, by.txn}, why: fmt.Sprintf("%s read %s in %s, but %s, which wrote it, failed",
			w.t.name(reader), w.t.texts.text(v), w.keyName(), w.t.name(by.txn))}
	})
}

// intermediate finds reads that end in an element after which its transaction appended more.
func (w *worker) intermediate(txn int32, ops []int32) {
	for _, m := range ops {
		op := w.t.micros[m]
		if op.n == wrote || op.n == 0 {
			continue
		}
		values := w.t.list(op)
		w.middle(txn, values[len(values)-1])
	}
}

// middle names the read of a value that was not the last that its transaction wrote.
func (w *worker) middle(txn int32, v value) {
	by := w.writer(v)
	if by == nil || by.last || by.double || by.txn == txn || by.outcome == history.Fail {
		return
	}
	w.out.find("G1b", func() finding {
		return finding{key: w.keyName(), txns: []int32{txn, by.txn}, why: fmt.Sprintf("%s read %s of %s, but %s wrote %s again after that",
			w.t.name(txn), w.t.texts.text(v), w.keyName(), w.t.name(by.txn), w.keyName())}
	})
}

// happened tells whether what is at a place of the trunk was appended by a transaction that may take part.
func (w *worker) happened(at int32) bool { return at >= 0 && w.writes[at].outcome != history.Fail }

func (w *worker) trunkEdges(tr *trunk) {
	last := int32(-1)
	for _, at := range tr.writers {
		if !w.happened(at) {
			continue
		}
		by := w.writes[at].txn
		if last >= 0 && last != by {
			w.out.add(last, by, ww)
		}
		last = by
	}
}

// readEdges adds wr and rw, and what follows from appends that nobody saw: an acknowledged one comes after everything that was read.
func (w *worker) readEdges(tr *trunk) {
	var unseen, full []int32
	tail := int32(-1) // who appended the last element
	for _, at := range tr.writers {
		if w.happened(at) {
			tail = w.writes[at].txn
		}
	}
	var committed map[int32]bool // of unknown outcome, but an element of theirs was read
	for _, at := range tr.writers {
		if at >= 0 && w.writes[at].outcome == history.Info {
			if committed == nil {
				committed = map[int32]bool{}
			}
			committed[w.writes[at].txn] = true
		}
	}
	odd := w.t.lists[w.key].odd
	for i := range w.writes {
		by := &w.writes[i]
		if by.outcome == history.Fail || by.outcome == history.Info && !committed[by.txn] || by.seen || odd || len(unseen) > 0 && unseen[len(unseen)-1] == by.txn {
			continue
		}
		unseen = append(unseen, by.txn)
		if tail >= 0 && tail != by.txn {
			k := ww
			if by.outcome == history.Info {
				k |= fromReads // that it was committed needs read committed: else it was a dirty read
			}
			w.out.add(tail, by.txn, k)
		}
	}
	updaters, oddUpdaters := make([][]int32, len(tr.values)+1), map[string][]int32{}
	w.groups(func(txn int32, ops []int32) {
		op := w.t.micros[ops[0]]
		if op.n == wrote || !w.t.txns[txn].ok() {
			return
		}
		values := w.t.list(op)
		if n := len(values); n > len(tr.values) || !slices.Equal(values, tr.values[:n]) {
			if by := w.writer(values[n-1]); by != nil && by.txn != txn && by.outcome != history.Fail {
				w.out.add(by.txn, txn, wr)
			}
			if w.writesIn(ops) {
				oddUpdaters[fmt.Sprint(values)] = append(oddUpdaters[fmt.Sprint(values)], txn)
			}
			return
		}
		w.readEdge(tr, txn, len(values), &full)
		if w.writesIn(ops) {
			updaters[len(values)] = append(updaters[len(values)], txn)
		}
	})
	w.out.connect(full, unseen, rw)
	for n := range updaters {
		w.lostUpdate(updaters[n], func() string { return w.t.show(tr.values[:n]) })
	}
	for _, text := range sortedKeys(oddUpdaters) {
		w.lostUpdate(oddUpdaters[text], func() string { return text })
	}
}

// writesIn tells whether one of a transaction's micro-operations on the key is a write.
func (w *worker) writesIn(ops []int32) bool {
	return slices.ContainsFunc(ops, func(m int32) bool { return w.t.micros[m].n == wrote })
}

// readEdge adds the edges of a read of the first n elements, or notes that it saw all of them.
func (w *worker) readEdge(tr *trunk, txn int32, n int, full *[]int32) {
	for i := n - 1; i >= 0; i-- {
		if at := tr.writers[i]; w.happened(at) {
			if by := w.writes[at].txn; by != txn {
				w.out.add(by, txn, wr)
			}
			break
		}
	}
	for _, at := range tr.writers[n:] {
		if w.happened(at) {
			if by := w.writes[at].txn; by != txn {
				w.out.add(txn, by, rw)
			}
			return
		}
	}
	*full = append(*full, txn)
}

// lostUpdate names transactions that read the same version of the key and wrote the next, if there are two.
func (w *worker) lostUpdate(txns []int32, version func() string) {
	if len(txns) < 2 {
		return
	}
	w.out.find("lost-update", func() finding {
		return finding{key: w.keyName(), txns: txns, why: fmt.Sprintf("%s all read %s as %s and then wrote it: each would have had to see the other's write",
			w.t.names(txns), w.keyName(), version())}
	})
}
