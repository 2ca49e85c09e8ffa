package checker

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/faultline/faultline/harness/history"
)

// regKind is what an operation on a register does.
type regKind uint8

const (
	regRead    regKind = iota
	regWrite           // sets the value
	regSwap            // a compare-and-set that succeeded, or one of unknown outcome
	regRefused         // a compare-and-set that observed another value than it expected
	regEnd             // of a search: see regState
)

// regOp is an operation on one register that happened or may have happened.
type regOp struct {
	// call and ret are indexes of the history; ret is never for an unknown outcome.
	call, ret int64
	kind      regKind
	// value is what was read, written, or seen by a refused compare-and-set where seen is set; old is what a
	// compare-and-set expected.
	value, old int32
	seen       bool
	// version is that of the value that was read or written, 0 if unknown.
	version int64
	// revision is that of the whole store, 0 if unknown.
	revision int64
	process  history.Process
	node     string
	// class and rank number, within a search, what unknown operations do, and those that do the same by call.
	class, rank int
}

// unknown tells an operation that may have happened at any time since, or never.
func (o *regOp) unknown() bool { return o.ret == never }

// index names the operation to people, as indexOf does.
func (o *regOp) index() int64 {
	if o.unknown() {
		return o.call
	}
	return o.ret
}

// writes tells an operation that sets the value.
func (o *regOp) writes() bool { return o.kind == regWrite || o.kind == regSwap }

// observes tells an operation that returned the value of the register, and certainly happened.
func (o *regOp) observes() bool {
	return !o.unknown() && (o.kind == regRead || o.kind == regRefused && o.seen)
}

// register is the history of one key.
type register struct {
	key string
	// ops are what happened or may have, by call. Reads of unknown outcome are not among them: they say nothing.
	ops []regOp
	// failed are writes and compare-and-sets that certainly did not happen.
	failed []regOp
	// told are those of ops, its first, that are the store's own word; see testify.
	told  []regOp
	names *names
}

// registersOf reads the registers of a history, the one with the fewest operations first.
func (f *findings) registersOf(ctx context.Context, src history.Source) ([]*register, error) {
	byKey := map[string]*register{}
	n := newNames()
	err := f.clients(ctx, src, func(p history.Pair) error {
		op, ok, err := regOpOf(n, p)
		if err != nil || !ok {
			return err
		}
		r := byKey[p.Invoke.Key]
		if r == nil {
			r = &register{key: p.Invoke.Key, names: n}
			byKey[p.Invoke.Key] = r
		}
		if p.Outcome() == history.Fail {
			r.failed = append(r.failed, op)
		} else {
			r.ops = append(r.ops, op)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	all := slices.SortedFunc(maps.Values(byKey), func(a, b *register) int {
		return cmp.Or(cmp.Compare(len(a.ops), len(b.ops)), cmp.Compare(a.key, b.key))
	})
	for _, r := range all {
		slices.SortFunc(r.ops, func(a, b regOp) int { return cmp.Compare(a.call, b.call) })
	}
	return all, nil
}

// regOpOf reads an operation; ok is false for one that says nothing about a register: another function, or a read without an answer.
func regOpOf(n *names, p history.Pair) (op regOp, ok bool, err error) {
	op = regOp{call: p.Invoke.Index, ret: never, process: p.Invoke.Process, node: p.Invoke.Node}
	outcome := p.Outcome()
	if outcome != history.Info {
		op.ret = p.Complete.Index
	}
	if outcome == history.OK {
		op.version, op.revision = p.Complete.Version, p.Complete.Revision
	}
	switch p.Invoke.F {
	case fRead:
		op.kind, op.value = regRead, n.id(p.Complete.Value)
		return op, outcome == history.OK, nil
	case fWrite:
		op.kind, op.value = regWrite, n.id(p.Invoke.Value)
		return op, true, nil
	case fCAS:
		err := op.cas(n, p)
		if outcome == history.Fail {
			return op, err == nil, nil // refused for its value, perhaps
		}
		return op, true, err
	}
	return op, false, nil
}

// cas reads a compare-and-set: [old, new], and in an ok completion [old, new, succeeded, the value it saw].
func (o *regOp) cas(n *names, p history.Pair) error {
	o.kind = regSwap
	value := p.Invoke.Value
	if p.Outcome() == history.OK {
		value = p.Complete.Value
	}
	parts, err := elements(value)
	if err != nil {
		return fmt.Errorf("operation %d: a compare-and-set: %w", indexOf(p), err)
	}
	if len(parts) < 2 || len(parts) > 4 {
		return fmt.Errorf("operation %d: %w: a compare-and-set of %.60s, not [old, new] or [old, new, succeeded, seen]", indexOf(p), ErrMalformed, value)
	}
	o.old, o.value = n.id(parts[0]), n.id(parts[1])
	if p.Outcome() != history.OK || len(parts) == 2 || string(parts[2]) == "true" {
		return nil
	}
	o.kind, o.value = regRefused, 0
	if len(parts) == 4 {
		o.seen, o.value = true, n.id(parts[3])
	} else {
		o.version = 0 // the version of a value that is not told says nothing
	}
	return nil
}

// describe is "read 812 of r7 by process 4 on n2 returned 3 (version 57)".
func (r *register) describe(o *regOp) string {
	what := ""
	switch o.kind {
	case regRead:
		if o.process == history.Evidence {
			what = fmt.Sprintf("the store%s has a write of %s to %s (%d)", on(o.node), r.names.text(o.value), r.name(), o.index())
			break
		}
		what = fmt.Sprintf("read %d of %s by process %s%s returned %s", o.index(), r.name(), o.process, on(o.node), r.names.text(o.value))
	case regWrite:
		what = fmt.Sprintf("write %d of %s", o.index(), r.names.text(o.value))
	case regSwap:
		what = fmt.Sprintf("compare-and-set %d from %s to %s", o.index(), r.names.text(o.old), r.names.text(o.value))
	case regEnd:
	case regRefused:
		what = fmt.Sprintf("compare-and-set %d from %s of %s by process %s%s was refused", o.index(), r.names.text(o.old), r.name(), o.process, on(o.node))
		if o.seen {
			what += " on seeing " + r.names.text(o.value)
		}
	}
	if o.version > 0 {
		what += fmt.Sprintf(" (version %d)", o.version)
	}
	return what
}

func (r *register) name() string {
	if r.key == "" {
		return "the register"
	}
	return r.key
}
