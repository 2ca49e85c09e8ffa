package transactions

import (
	"fmt"
	"slices"

	"github.com/faultline/faultline/harness/history"
)

// version is a value that a register had.
type version struct {
	value value
	// writer is the transaction whose last write of the register it was, or -1: the state before the first write, values in between of a
	// transaction, and values that nobody is known to have written.
	writer  int32
	readers []int32 // transactions that read it before they wrote
	// updaters are those of the readers that then wrote the register.
	updaters []int32
	revision int64 // as the system numbers it; 0: not known
}

// touch is what one transaction did to the register.
type touch struct {
	txn int32
	// in is the version it found, or -1 where it wrote without reading; out the one it left.
	in, out int32
}

// versions are the states of one register and what touched it. Version 0 is the state before the first write.
type versions struct {
	all     []version
	of      map[value]int32
	touches []touch
}

// registerKey infers what it can from one register.
func registerKey(w *worker) {
	w.groups(func(txn int32, ops []int32) {
		if w.t.txns[txn].ok() {
			w.withinRegister(txn, ops)
			w.readsOf(txn, ops)
		}
	})
	if w.double {
		return
	}
	vs := w.versions()
	for i := range vs.all {
		v := &vs.all[i]
		if by := w.writer(v.value); by != nil && by.outcome != history.Fail {
			w.out.connect([]int32{by.txn}, v.readers, wr)
		}
		w.lostUpdate(v.updaters, func() string { return w.t.texts.text(v.value) })
	}
	w.orderEdges(vs)
}

// withinRegister judges what one transaction saw of one register by what it had read and written itself.
func (w *worker) withinRegister(txn int32, ops []int32) {
	known := w.t.micros[ops[0]].value
	for i, m := range ops[1:] {
		op := w.t.micros[m]
		if op.n == wrote {
			w.future(txn, ops[:i+1], op.value)
		} else if op.value != known {
			expected := known
			w.out.find("internal", func() finding {
				return finding{key: w.keyName(), txns: []int32{txn}, why: fmt.Sprintf("%s read %s as %s, but by what it had read or written before it must be %s",
					w.t.name(txn), w.keyName(), w.t.texts.text(op.value), w.t.texts.text(expected))}
			})
		}
		known = op.value
	}
}

// readsOf judges where the values that a transaction read came from.
func (w *worker) readsOf(txn int32, ops []int32) {
	for _, m := range ops {
		op := w.t.micros[m]
		if op.n == wrote || op.value == none {
			continue
		}
		switch by := w.writer(op.value); {
		case by == nil:
			w.garbage(op.value)
		case by.outcome == history.Fail:
			w.aborted(op.value)
		default:
			w.middle(txn, op.value)
		}
	}
}

// versions finds the states of the register, and who found and left which.
func (w *worker) versions() *versions {
	vs := &versions{all: []version{{value: none, writer: -1}}, of: map[value]int32{none: 0}}
	observed := map[value]bool{}
	for _, m := range w.ops {
		if op := w.t.micros[m]; op.n != wrote {
			observed[op.value] = true
		}
	}
	w.groups(func(txn int32, ops []int32) {
		x := &w.t.txns[txn]
		if x.failed() {
			return
		}
		t := touch{txn: txn, in: -1, out: -1}
		first, last := w.t.micros[ops[0]], int32(-1)
		for _, m := range ops {
			if w.t.micros[m].n == wrote {
				last = m
			}
		}
		if !x.ok() && (last < 0 || !observed[w.t.micros[last].value]) {
			return // it may not have happened
		}
		if first.n != wrote {
			t.in = vs.at(w, ops[0], first.value)
			v := &vs.all[t.in]
			if v.readers = append(v.readers, txn); last >= 0 {
				v.updaters = append(v.updaters, txn)
			}
			t.out = t.in
		}
		if last >= 0 {
			t.out = vs.at(w, last, w.t.micros[last].value)
		}
		vs.touches = append(vs.touches, t)
	})
	return vs
}

// at is the version of a value, as a micro-operation wrote or read it.
func (vs *versions) at(w *worker, m int32, v value) int32 {
	i, known := vs.of[v]
	if !known {
		i = int32(len(vs.all))
		vs.of[v] = i
		vs.all = append(vs.all, version{value: v, writer: -1})
		if by := w.writer(v); by != nil && by.last && by.outcome != history.Fail {
			vs.all[i].writer = by.txn
		}
	}
	if w.t.versions != nil && vs.all[i].revision == 0 {
		vs.all[i].revision = w.t.versions[m]
	}
	return i
}

// numbered tells whether the system numbered every version but the first state, each by another number.
func (vs *versions) numbered() (order []int32, ok bool) {
	for i := range vs.all[1:] {
		if vs.all[i+1].revision == 0 {
			return nil, false
		}
		order = append(order, int32(i+1))
	}
	slices.SortFunc(order, func(a, b int32) int { return int(vs.all[a].revision - vs.all[b].revision) })
	for i := 1; i < len(order); i++ {
		if vs.all[order[i]].revision == vs.all[order[i-1]].revision {
			return nil, false
		}
	}
	return order, true
}

// orderEdges infers the order of the versions, and from it who wrote after whom and who read what another overwrote.
func (w *worker) orderEdges(vs *versions) {
	if order, ok := vs.numbered(); ok {
		before := int32(0)
		for _, v := range order {
			w.follow(vs, before, []int32{vs.all[v].writer}, 0)
			before = v
		}
		return
	}
	o := newVersionOrder(w, vs)
	for v := range vs.all {
		for _, flag := range []edgeKind{fromReads, fromProcess} {
			if flag == fromReads && v == 0 {
				w.follow(vs, 0, o.writers(o.first), 0)
				continue
			}
			if flag.level() <= o.sound {
				w.follow(vs, int32(v), o.writers(o.next[flag][int32(v)]), flag)
			}
		}
	}
	if o.sound == withRealtime {
		o.realtimeEdges()
	}
}

// follow adds the edges from a version to the transactions that wrote one of the next.
func (w *worker) follow(vs *versions, v int32, targets []int32, flag edgeKind) {
	targets = slices.DeleteFunc(targets, func(t int32) bool { return t == -1 })
	if by := vs.all[v].writer; by >= 0 {
		w.out.connect([]int32{by}, targets, ww|flag)
	}
	w.out.connect(vs.all[v].readers, targets, rw|flag)
}
