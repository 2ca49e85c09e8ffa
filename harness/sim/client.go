package sim

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/faultline/faultline/harness/history"
)

// attempts bounds how often a client tries to add to a list that others are adding to.
const attempts = 50

var (
	errTimeout  = errors.New("deadline exceeded")
	errConflict = errors.New("lost the race for the key")
)

// operation is an operation on its way.
type operation struct {
	s    *System
	n    *node
	op   history.Op
	done func(history.Op)
	over bool
	// risky: something that may write was sent and not answered.
	risky bool
	tries int
}

// invoke performs a client's operation on its node. done is called once, with the completion, at the imagined time
// at which the client knows it. An error is an operation that the clients don't know.
func (s *System) invoke(op history.Op, node string, done func(history.Op)) error {
	o := &operation{s: s, op: op, done: done}
	for _, n := range s.nodes {
		if n.name == node {
			o.n = n
		}
	}
	if o.n == nil {
		return fmt.Errorf("the imagined system has no node %q", node)
	}
	begin, err := o.parse()
	if err != nil {
		return fmt.Errorf("%s %s on %q: %w", op.F, op.Value, op.Key, err)
	}
	s.clock.after(s.timeout, func() { o.fail(errTimeout) })
	begin()
	return nil
}

// parse tells how an operation begins.
func (o *operation) parse() (begin func(), err error) {
	cmd := command{key: o.op.Key}
	switch o.op.F {
	case "read":
		return func() { o.call(cmd, o.read) }, nil
	case "write":
		cmd.kind = writeKey
		err = json.Unmarshal(o.op.Value, &cmd.new)
		return func() { o.call(cmd, o.written) }, err
	case "cas":
		var values []int64
		if err = json.Unmarshal(o.op.Value, &values); err == nil && len(values) != 2 {
			err = errors.New("want [old, new]")
		}
		if err == nil {
			cmd.kind, cmd.old, cmd.new = casKey, values[0], values[1]
		}
		return func() { o.call(cmd, func(r result) { o.swapped(cmd, r) }) }, err
	case "add":
		var element int64
		err = json.Unmarshal(o.op.Value, &element)
		return func() { o.add(element) }, err
	case "txn":
		cmd.kind = transact
		cmd.micros, err = parseMicros(o.op.Value)
		return func() { o.call(cmd, o.transacted) }, err
	}
	return nil, errors.New("the imagined clients know read, write, cas, add and txn")
}

// call sends a command to the client's node.
func (o *operation) call(cmd command, ok func(result)) {
	o.risky = !cmd.reads()
	o.s.call(o.n, cmd, func(r result, err error) {
		switch {
		case o.over:
		case err != nil:
			o.fail(err)
		default:
			o.risky = false
			ok(r)
		}
	})
}

// fail completes the operation with an error: as failed if nothing that may write can have got through, else as unknown.
func (o *operation) fail(err error) {
	if o.over {
		return
	}
	o.op.Type, o.op.Error = history.Info, err.Error()
	if !o.risky || errors.Is(err, errRefused) || errors.Is(err, errRejected) {
		o.op.Type = history.Fail
	}
	o.complete()
}

// ok completes the operation.
func (o *operation) ok(value json.RawMessage, version, revision int64) {
	o.op.Type, o.op.Value, o.op.Version, o.op.Revision = history.OK, value, version, revision
	o.complete()
}

func (o *operation) complete() {
	if !o.over {
		o.over = true
		o.done(o.op)
	}
}

func (o *operation) read(r result) {
	o.ok(o.content(r.item), r.item.version, r.revision)
}

// content is an item as this workload's clients read it: a set's key is told by its reads being of lists.
func (o *operation) content(it item) json.RawMessage {
	switch {
	case o.s.lists:
		return listJSON(nil, it.elements)
	case it.version == 0:
		return json.RawMessage("null")
	}
	return encode(it.elements[0])
}

func (o *operation) written(r result) { o.ok(o.op.Value, r.revision, r.revision) }

func (o *operation) swapped(cmd command, r result) {
	if r.ok {
		o.ok(encode([]any{cmd.old, cmd.new, true}), r.revision, r.revision)
		return
	}
	o.ok(encode([]any{cmd.old, cmd.new, false, o.content(r.item)}), r.item.version, r.revision)
}

// add reads the list and writes a longer one, guarded by the version of what was read; a refused guard changed nothing, so the
// client tries again.
func (o *operation) add(element int64) {
	o.tries++
	if o.tries > attempts {
		o.op.Type, o.op.Error = history.Fail, errConflict.Error()
		o.complete()
		return
	}
	o.call(command{key: o.op.Key}, func(r result) {
		cmd := command{
			kind: putGuarded, key: o.op.Key, guard: r.item.version,
			list: append(r.item.elements[:len(r.item.elements):len(r.item.elements)], element),
		}
		o.call(cmd, func(r result) {
			if !r.ok {
				o.add(element)
				return
			}
			o.ok(o.op.Value, r.revision, r.revision)
		})
	})
}

func (o *operation) transacted(r result) {
	value := []byte{'['}
	for i, m := range r.micros {
		if i > 0 {
			value = append(value, ',')
		}
		if m.read {
			value = append(append(append(value, `["r",`...), encode(m.key)...), ',')
			value = listJSON(value, m.seen)
		} else {
			value = append(append(append(value, `["append",`...), encode(m.key)...), ',')
			value = append(value, encode(m.element)...)
		}
		value = append(value, ']')
	}
	version := r.revision
	if !containsAppend(r.micros) {
		version = 0
	}
	o.ok(append(value, ']'), version, r.revision)
}
