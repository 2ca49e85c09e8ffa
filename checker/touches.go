package checker

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/faultline/faultline/harness/history"
)

// touchKind is what an operation had to do with a key.
type touchKind uint8

const (
	touchRead touchKind = iota + 1
	touchWrite
	touchDelete
	// touchMaybe: it may have changed the key, or removed it, and nobody knows at which version.
	touchMaybe
)

// touch is what one operation saw of one key, or did to it, by the versions that the system gave.
type touch struct {
	kind touchKind
	key  string
	// version is the one read (0: the key was absent), or the one that the write or the deletion made (0: not told).
	version int64
	// revision is the state of the whole store that a read saw, or the one that a write made; 0: not told.
	revision int64
	// value is the text of what was read or written, where the operation tells it whole; nil otherwise.
	value     []byte
	process   history.Process
	node      string
	call, ret int64
	index     int64
}

// reads tells a read that says something: by its version, its revision, or both.
func (t *touch) reads() bool { return t.kind == touchRead && (t.version > 0 || t.revision > 0) }

// at is the newest state that the touch is known to have seen: the store's, where it told that, else the key's own.
func (t *touch) at() int64 { return max(t.version, t.revision) }

// describe is "read 7 of x by process 1 on n1, version 3 of revision 9".
func (t *touch) describe() string {
	what := map[touchKind]string{touchRead: "read", touchWrite: "write", touchDelete: "deletion"}[t.kind]
	s := fmt.Sprintf("%s %d of %s by process %s%s, ", what, t.index, t.key, t.process, on(t.node))
	switch {
	case t.kind != touchRead:
		return s + fmt.Sprintf("revision %d", t.version)
	case t.version == 0:
		s += "absent"
	default:
		s += fmt.Sprintf("version %d", t.version)
	}
	if t.revision > 0 {
		s += fmt.Sprintf(" at revision %d", t.revision)
	}
	return s
}

// touches visits what the clients' operations had to do with keys, in the order of their completions, those without one last. Known are read, write, cas,
// add and delete, as registers and sets have them, and transactions (txn) whose micro-operations may carry the version as a fourth
// part. What a failed operation did is nothing; what one of unknown outcome, or one that is not known here, did is a touchMaybe.
//
// A delete's Version is the revision that it made, 0 where there was nothing to delete; that is then a read of an absent key.
func (f *findings) touches(ctx context.Context, src history.Source, visit func(touch)) error {
	return f.clients(ctx, src, func(p history.Pair) error {
		list, err := touchesOf(p)
		for _, t := range list {
			visit(t)
		}
		return err
	})
}

func touchesOf(p history.Pair) ([]touch, error) {
	t := touch{
		key: p.Invoke.Key, version: p.Complete.Version, revision: p.Complete.Revision, process: p.Invoke.Process, node: p.Invoke.Node,
		call: p.Invoke.Index, ret: returned(p), index: indexOf(p),
	}
	switch {
	case p.Outcome() == history.Fail:
		return nil, nil
	case p.Invoke.F == fTxn:
		return txnTouches(t, p)
	case p.Invoke.F == fRead && p.Outcome() != history.OK:
		return nil, nil
	case p.Outcome() != history.OK:
		t.kind, t.version, t.revision = touchMaybe, 0, 0
		return []touch{t}, nil
	}
	var err error
	switch p.Invoke.F {
	case fRead:
		t.kind, t.value = touchRead, p.Complete.Value
	case fWrite:
		t.kind, t.value = touchWrite, p.Invoke.Value
	case fAdd:
		t.kind = touchWrite
	case fDelete:
		t.kind = touchDelete
		if t.version == 0 && t.revision > 0 {
			t.kind = touchRead
		}
	case fCAS:
		err = t.compared(p.Complete)
	default:
		t.kind, t.version, t.revision = touchMaybe, 0, 0
	}
	if t.kind != touchRead && t.kind != touchMaybe && t.version == 0 {
		t.kind = touchMaybe // it happened, and nobody told when
	}
	return []touch{t}, err
}

// compared reads a compare-and-set: a refused one is a read.
func (t *touch) compared(op history.Op) error {
	parts, err := elements(op.Value)
	if err != nil || len(parts) < 2 {
		return fmt.Errorf("operation %d: a compare-and-set: %w", op.Index, ErrMalformed)
	}
	t.kind, t.value = touchWrite, parts[1]
	if len(parts) > 2 && string(parts[2]) != "true" {
		t.kind, t.value = touchRead, nil
	}
	return nil
}

// Parts of a micro-operation: [f, key, value], and the version where it has one.
const (
	microParts     = 3
	microVersioned = 4
)

// txnTouches takes a transaction apart. One that wrote made its revision: what it read was the state right before, but for what it
// wrote itself, which it shows at its own revision and is no more than its write.
func txnTouches(t touch, p history.Pair) ([]touch, error) {
	op, happened := p.Invoke, p.Outcome() == history.OK
	if happened {
		op = p.Complete
	}
	list, err := elements(op.Value)
	if err != nil {
		return nil, fmt.Errorf("operation %d: a transaction: %w", op.Index, err)
	}
	var reads, writes []touch
	for _, text := range list {
		parts, err := elements(text)
		if err != nil || len(parts) < microParts || len(parts) > microVersioned {
			return nil, fmt.Errorf("operation %d: %w: the micro-operation %.60s", op.Index, ErrMalformed, text)
		}
		m := t
		m.key, m.version = unquote(parts[1]), 0
		if len(parts) == microVersioned {
			if m.version, err = strconv.ParseInt(string(parts[3]), 10, 64); err != nil {
				return nil, fmt.Errorf("operation %d: %w: the version of the micro-operation %.60s", op.Index, ErrMalformed, text)
			}
		}
		switch f := unquote(parts[0]); {
		case f == microRead && !happened:
		case f == microRead && len(parts) == microVersioned:
			m.kind, m.value = touchRead, parts[2]
			reads = append(reads, m)
		case f == microRead:
		case happened && t.revision > 0 && (f == microAppend || f == microWrite):
			m.kind, m.version = touchWrite, t.revision
			writes = append(writes, m)
		default:
			m.kind, m.version, m.revision = touchMaybe, 0, 0
			writes = append(writes, m)
		}
	}
	if len(writes) > 0 && t.revision > 0 {
		reads = slices.DeleteFunc(reads, func(m touch) bool { return m.version == t.revision })
		for i := range reads {
			reads[i].revision--
		}
	}
	return append(reads, writes...), nil
}

// microWrite is a micro-operation that writes a register.
const microWrite = "w"
