package sim

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/harness/sim/replicated"
)

var (
	errTimeout  = errors.New("deadline exceeded")
	errConflict = errors.New("lost the race for the key")
)

// operation is an operation on its way.
type operation struct {
	s    *System
	n    *replicated.Node
	op   history.Op
	done func(history.Op)
	// asked is the invocation's value.
	asked json.RawMessage
	over  bool
	// risky: something that may write was sent and not answered.
	risky bool
	tries int
}

// invoke performs a client's operation on its node. done is called once, with the completion, at the imagined time
// at which the client knows it. An error is an operation that the clients don't know.
func (s *System) invoke(op history.Op, node string, done func(history.Op)) error {
	o := &operation{s: s, op: op, done: done, asked: op.Value}
	for _, n := range s.store.Nodes() {
		if n.Name() == node {
			o.n = n
		}
	}
	if o.n == nil {
		return fmt.Errorf("the imagined system has no node %q", node)
	}
	begin, err := o.parseKeys()
	if begin == nil {
		begin, err = o.parse()
	}
	if err != nil {
		return fmt.Errorf("%s %s on %q: %w", op.F, op.Value, op.Key, err)
	}
	if !long[op.F] {
		s.store.Clock.After(s.timeout, func() { o.fail(errTimeout) })
	}
	begin()
	return nil
}

// parse tells how an operation begins.
func (o *operation) parse() (begin func(), err error) {
	cmd := replicated.Command{Key: o.op.Key}
	switch o.op.F {
	case "read":
		if o.s.banks {
			return o.audit()
		}
		return func() { o.call(cmd, o.read) }, nil
	case "write":
		cmd.Kind = replicated.WriteKey
		err = json.Unmarshal(o.op.Value, &cmd.New)
		return func() { o.call(cmd, o.written) }, err
	case "cas":
		var values []int64
		if err = json.Unmarshal(o.op.Value, &values); err == nil && len(values) != 2 {
			err = errors.New("want [old, new]")
		}
		if err == nil {
			cmd.Kind, cmd.Old, cmd.New = replicated.SwapKey, values[0], values[1]
		}
		return func() { o.call(cmd, func(r replicated.Result) { o.swapped(cmd, r) }) }, err
	case "add", "enqueue":
		var number int64
		err = json.Unmarshal(o.op.Value, &number)
		if o.s.counters {
			return func() { o.raise(number) }, err
		}
		return func() { o.add(number) }, err
	case "dequeue":
		return o.dequeue, nil
	case "generate":
		return o.generate, nil
	case "delete":
		cmd.Kind = replicated.DeleteKey
		return func() { o.call(cmd, o.deleted) }, nil
	case "request", "grant-lease", "revoke-lease", "compact-store":
		return o.request()
	case "transfer":
		return o.transfer()
	case "txn":
		cmd.Kind = replicated.Transact
		cmd.Micros, err = parseMicros(o.op.Value)
		return func() { o.call(cmd, o.transacted) }, err
	}
	return o.parseLeased()
}

// call sends a command to the client's node.
func (o *operation) call(cmd replicated.Command, ok func(replicated.Result)) {
	o.risky = !cmd.Reads()
	o.s.store.Call(&o.n.Outside, o.n, cmd, func(r replicated.Result, err error) {
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
	if !o.risky || errors.Is(err, replicated.ErrRefused) || errors.Is(err, replicated.ErrRejected) {
		o.op.Type, o.op.Value = history.Fail, o.asked
	}
	o.complete()
}

// ok completes the operation.
func (o *operation) ok(value json.RawMessage, version, revision int64) {
	o.op.Type, o.op.Value, o.op.Version, o.op.Revision = history.OK, value, version, revision
	o.s.requests.sees(o.op.Process, revision)
	o.complete()
}

func (o *operation) complete() {
	if !o.over {
		o.over = true
		o.done(o.op)
	}
}

func (o *operation) read(r replicated.Result) {
	o.ok(o.content(r.Item), r.Item.Version, r.Revision)
}

// content is an item as this workload's clients read it: a set's key is told by its reads being of lists.
func (o *operation) content(it replicated.Item) json.RawMessage {
	switch {
	case o.s.lists:
		return listJSON(nil, it.Elements)
	case it.Version == 0 && o.s.counters:
		return json.RawMessage("0")
	case it.Version == 0:
		return json.RawMessage("null")
	}
	return encode(it.Elements[0])
}

func (o *operation) written(r replicated.Result) { o.ok(o.op.Value, r.Revision, r.Revision) }

func (o *operation) swapped(cmd replicated.Command, r replicated.Result) {
	if r.OK {
		o.ok(encode([]any{cmd.Old, cmd.New, true}), r.Revision, r.Revision)
		return
	}
	o.ok(encode([]any{cmd.Old, cmd.New, false, o.content(r.Item)}), r.Item.Version, r.Revision)
}
