package formats

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// opReader reads operations from EDN. It keeps one copy of each name.
type opReader struct {
	edn   ednReader
	names map[string]string
	arena []byte
}

const (
	namesMax     = 1 << 14
	nameBytesMax = 64
	arenaBytes   = 64 << 10
)

func newOpReader() *opReader { return &opReader{names: map[string]string{}} }

// readOp is an operation as it stands in the file, with what only its whole history can settle.
type readOp struct {
	history.Op
	line int64
	// hasIndex and hasTime tell what the file gave; without them they follow from the operation's place.
	hasIndex, hasTime, hasF bool
	// jittery: its time may be before that of the entry before it.
	jittery bool
	// tuple: the value is marked as a pair of a key and a value.
	tuple bool
	// independent, refused and seen are what writeEDN adds.
	independent, refused bool
	seen                 json.RawMessage
	// keyword: the value is one, which stands where a value is missing.
	keyword bool
	// discarded forms are no operations.
	discarded bool
}

// read reads the operation that a form is.
func (r *opReader) read(form []byte, op *readOp) error {
	*op = readOp{}
	r.edn = ednReader{b: form, out: r.edn.out[:0]}
	if err := r.toMap(); err != nil {
		return err
	}
	if op.discarded = r.edn.i >= len(form); op.discarded {
		return nil
	}
	r.edn.i++
	for {
		more, err := r.edn.entry(1)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if err := r.field(op); err != nil {
			return err
		}
	}
	if end, err := r.edn.end(); err != nil || !end {
		return errors.Join(err, r.edn.errorf("something follows the operation"))
	}
	return complete(op)
}

// complete fills in what the file left out.
func complete(op *readOp) error {
	if !op.hasF && op.Process.IsClient() && isTransaction(op.Value) {
		op.F, op.hasF = "txn", true // Elle's own tests leave it out
	}
	switch {
	case op.Type == 0:
		return errors.New("the operation has no :type")
	case !op.hasF:
		return errors.New("the operation has no :f")
	}
	return nil
}

// isTransaction tells a list of micro-operations.
func isTransaction(v json.RawMessage) bool { return bytes.HasPrefix(v, []byte(`[["`)) }

// toMap passes over tags, to the map that is the operation; nothing is left where the form is discarded.
func (r *opReader) toMap() error {
	e := &r.edn
	if err := e.space(0); err != nil {
		return err
	}
	for e.i < len(e.b) {
		switch e.b[e.i] {
		case '{':
			return nil
		case '#':
			e.i++
			if tag := e.token(); len(tag) == 0 || tag[0] == ':' {
				return e.errorf("want an operation's map")
			}
		case '^':
			e.i++
			if err := e.discard(1); err != nil {
				return err
			}
		default:
			return e.errorf("want an operation's map, not %.40q", e.b[e.i:])
		}
		if err := e.space(0); err != nil {
			return err
		}
	}
	return nil
}

// field reads one entry of the map.
func (r *opReader) field(op *readOp) (err error) {
	e := &r.edn
	var name []byte
	if e.b[e.i] == ':' {
		e.i++
		name = e.token()
	} else if err := e.discard(1); err != nil {
		return err
	}
	e.out = e.out[:0]
	if err := e.space(1); err != nil {
		return err
	}
	keyword := e.i < len(e.b) && e.b[e.i] == ':'
	if err := e.mapped(1); err != nil {
		return fmt.Errorf(":%.40s: %w", name, err)
	}
	if err := r.set(op, string(name), e.out); err != nil {
		return fmt.Errorf(":%s: %w", name, err)
	}
	if string(name) == "value" {
		op.keyword = keyword
	}
	return nil
}

// set takes one field, given as JSON.
func (r *opReader) set(op *readOp, name string, v []byte) (err error) {
	null := v[0] == 'n'
	switch name {
	case "index":
		op.Index, err = integer(v)
		op.hasIndex = !null && op.Index >= 0 // Jepsen's -1 is none
		op.jittery = op.hasIndex
	case "time":
		var ns int64
		ns, err = integer(v)
		op.Time, op.hasTime = time.Duration(ns), !null
	case "type":
		op.Type, err = parseType(v)
	case "process":
		op.Process, err = parseProcess(v)
	case "f":
		op.F, err = r.text(v)
		op.hasF = !null
	case "key":
		op.Key, err = r.text(v)
	case "value":
		op.tuple = isTupleTag(r.edn.tag)
		op.Value = r.keep(v)
	case "independent":
		op.independent = string(v) == "true"
	case "refused":
		op.refused = string(v) == "true"
	case "seen":
		op.seen = r.keep(v)
	case "version":
		op.Version, err = integer(v)
	case "revision":
		op.Revision, err = integer(v)
	case "node":
		op.Node, err = r.text(v)
	case "error":
		op.Error, err = r.text(v)
	}
	return err
}

// isTupleTag tells the tags by which Jepsen marks a value of one of many independent keys.
func isTupleTag(tag string) bool {
	switch tag {
	case "jepsen.independent/tuple", "jepsen.independent.Tuple", "clojure.lang.MapEntry":
		return true
	}
	return false
}

func parseType(v []byte) (history.Type, error) {
	switch string(v) {
	case `"invoke"`:
		return history.Invoke, nil
	case `"ok"`:
		return history.OK, nil
	case `"fail"`:
		return history.Fail, nil
	case `"info"`:
		return history.Info, nil
	}
	return 0, fmt.Errorf("%.40s: %w", v, history.ErrUnknownType)
}

func parseProcess(v []byte) (history.Process, error) {
	switch string(v) {
	case `"nemesis"`:
		return history.Nemesis, nil
	case `"evidence"`:
		return history.Evidence, nil
	case "null":
		return 0, nil
	}
	n, err := integer(v)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%.40s: want a number from 0 or :nemesis", v)
	}
	return history.Process(n), nil
}

// integer is the whole number that v is, 0 for null; Knossos has times with a fraction.
func integer(v []byte) (int64, error) {
	switch isNumber(v) {
	case integral:
		n, err := strconv.ParseInt(string(v), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%.40s: want an integer of 64 bits", v)
		}
		return n, nil
	case decimal:
		x, err := strconv.ParseFloat(string(v), 64)
		if err != nil || x > 1<<62 || x < -(1<<62) {
			return 0, fmt.Errorf("%.40s: want a number of 64 bits", v)
		}
		return int64(x), nil
	}
	if string(v) == "null" {
		return 0, nil
	}
	return 0, fmt.Errorf("%.40s: want an integer", v)
}

// text is what a string says, "" for null, and the JSON of anything else.
func (r *opReader) text(v []byte) (string, error) {
	if v[0] == 'n' {
		return "", nil
	}
	if s, ok := r.names[string(v)]; ok {
		return s, nil
	}
	s := string(v)
	if v[0] == '"' {
		if err := json.Unmarshal(v, &s); err != nil {
			return "", fmt.Errorf("%.40s: %w", v, err)
		}
	}
	if len(v) > nameBytesMax {
		return s, nil
	}
	if len(r.names) >= namesMax {
		clear(r.names)
	}
	r.names[string(v)] = s
	return s, nil
}

// keep copies a value; null is nil.
func (r *opReader) keep(v []byte) json.RawMessage {
	if v[0] == 'n' {
		return nil
	}
	if len(v) > arenaBytes/4 {
		return append(json.RawMessage(nil), v...)
	}
	if len(v) > cap(r.arena)-len(r.arena) {
		r.arena = make([]byte, 0, arenaBytes)
	}
	at := len(r.arena)
	r.arena = append(r.arena, v...)
	return r.arena[at:len(r.arena):len(r.arena)]
}
