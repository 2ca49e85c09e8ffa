package controlplane

import (
	"encoding/json"
	"errors"

	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/harness/sim/replicated"
)

// registers is the collection of all registers: a register is an object by the name of the operation's key.
const registers = "registers"

// errUnmade is a write that was refused for whether the object exists, or for its version: it certainly did nothing.
var errUnmade = errors.New("refused")

// errTwice is an element that was there before it was added: by this very addition, or by nobody who may.
var errTwice = errors.New("the element was there before it was added")

// read reads a register, or a set where sets are spoken.
func (o *operation) read() {
	o.deadline()
	if o.p.sets {
		o.readSet()
		return
	}
	if o.p.read == history.ReadQuorum {
		o.get(func(it replicated.Item) { o.ok(numberOf(it), it.Version, 0) })
		return
	}
	l := listingOf(registers, o.p.read, o.session.Newest)
	l.name = o.op.Key
	o.page(l, func(p page) {
		if len(p.Objects) == 0 {
			o.ok(nil, 0, p.Revision)
			return
		}
		o.session.Exists[o.op.Key] = true
		o.ok(p.Objects[0].Number, p.Objects[0].Version, p.Revision)
	})
}

// numberOf is what a register holds, nil where it does not exist.
func numberOf(it replicated.Item) any {
	if r, ok := it.Object.(*record); ok {
		return r.number
	}
	return nil
}

// get asks for what is current.
func (o *operation) get(then func(replicated.Item)) {
	var got replicated.Item
	w := o.register(0)
	o.ask(func(r *request) {
		r.call(replicated.Command{Key: w.key()}, func(found replicated.Result) {
			got = found.Item
			r.answer(nil)
		})
	}, func(err error) {
		if err != nil {
			o.fail(err)
			return
		}
		o.session.Exists[o.op.Key] = got.Version > 0
		then(got)
	})
}

func (o *operation) register(value int64) write {
	return write{record: &record{collection: registers, name: o.op.Key, number: value}, how: howCreate}
}

// write writes a register: at any version if the process knows that there is one, else by creating it.
func (o *operation) write(value int64) {
	o.deadline()
	w := o.register(value)
	if o.session.Exists[o.op.Key] {
		w.how = howUpdate
	}
	o.put(w, func(got written) { o.ok(value, got.version, got.version) })
}

// put makes one attempt to write; refused is failed.
func (o *operation) put(w write, then func(written)) {
	o.send(w, func(done written) {
		o.session.Exists[o.op.Key] = done.refused != refusedAbsent
		if done.refused != "" {
			o.fail(errUnmade)
			return
		}
		then(done)
	})
}

// swap writes a register if it holds what is expected.
func (o *operation) swap(old *int64, value int64) {
	o.deadline()
	o.get(func(it replicated.Item) {
		seen := numberOf(it)
		if held, there := seen.(int64); there != (old != nil) || there && held != *old {
			o.ok([]any{old, value, false, seen}, it.Version, 0)
			return
		}
		w := o.register(value)
		if it.Version > 0 {
			w.how, w.expect = howUpdate, it.Version
		}
		o.put(w, func(got written) { o.ok([]any{old, value, true}, got.version, got.version) })
	})
}

// add adds an element to a set: as an object of its own.
func (o *operation) add(element int64) {
	o.deadline()
	name := string(encode(element))
	w := write{record: &record{collection: o.op.Key, name: o.op.Key + "-" + name, number: element}, how: howCreate}
	o.send(w, func(done written) {
		if done.refused != "" {
			o.risky = true // of whom it is is not known
			o.fail(errTwice)
			return
		}
		o.ok(element, done.version, done.version)
	})
}

// readSet lists the elements of a set.
func (o *operation) readSet() {
	o.page(listingOf(o.op.Key, o.p.read, o.session.Newest), func(p page) {
		elements := make([]int64, len(p.Objects))
		for i, m := range p.Objects {
			elements[i] = m.Number
		}
		o.ok(elements, 0, p.Revision)
	})
}

// parseSwap reads [old, new]; old may be null.
func parseSwap(value json.RawMessage) (old *int64, swapped int64, err error) {
	var values []*int64
	if err := json.Unmarshal(value, &values); err != nil {
		return nil, 0, err
	}
	if len(values) != 2 || values[1] == nil {
		return nil, 0, errors.New("want [old, new]")
	}
	return values[0], *values[1], nil
}
