package history

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// LineMax is the most bytes that one line of a history may have.
const LineMax = 16 << 20

// ErrLineTooLong is what a longer line gives, written or read.
var ErrLineTooLong = errors.New("longer than the 16 MiB that a line of a history may have")

// AppendLine appends the operation as a line of a history, with its line break. Value must be JSON on one line, or nil.
func AppendLine(b []byte, op *Op) []byte { return appendLine(b, op) }

// appendLine appends the operation's line, with its line break.
func appendLine(b []byte, op *Op) []byte {
	b = append(b, `{"index":`...)
	b = strconv.AppendInt(b, op.Index, 10)
	b = append(b, `,"time":`...)
	b = strconv.AppendInt(b, int64(op.Time), 10)
	b = append(b, `,"type":"`...)
	b = append(b, op.Type.String()...)
	b = append(b, `","process":`...)
	if op.Process.IsClient() {
		b = strconv.AppendInt(b, int64(op.Process), 10)
	} else {
		b = appendString(b, op.Process.String())
	}
	b = appendString(append(b, `,"f":`...), op.F)
	if op.Key != "" {
		b = appendString(append(b, `,"key":`...), op.Key)
	}
	b = append(b, `,"value":`...)
	if op.Value == nil {
		b = append(b, "null"...)
	} else {
		b = append(b, op.Value...)
	}
	if op.Version != 0 {
		b = strconv.AppendInt(append(b, `,"version":`...), op.Version, 10)
	}
	if op.Revision != 0 {
		b = strconv.AppendInt(append(b, `,"revision":`...), op.Revision, 10)
	}
	if op.Node != "" {
		b = appendString(append(b, `,"node":`...), op.Node)
	}
	if op.Error != "" {
		b = appendString(append(b, `,"error":`...), op.Error)
	}
	return append(b, '}', '\n')
}

// decoder reads lines. It keeps one copy of each name, and gives values memory of their own.
type decoder struct {
	names map[string]string // by their JSON text
	arena []byte
	// What the line said, beside the operation that it fills.
	op                *Op
	hasIndex, hasTime bool
	hasProcess, hasF  bool
}

const (
	// namesMax bounds how many names a decoder remembers: keys come and go in a long run.
	namesMax = 1 << 14
	// nameBytesMax is the longest text that is worth remembering.
	nameBytesMax = 64
	// arenaBytes is how much memory for values is taken at a time. A value that is kept keeps its arena.
	arenaBytes = 32 << 10
)

func newDecoder() *decoder { return &decoder{names: make(map[string]string)} }

// Given tells what of an operation its line had, where other tools leave it out.
type Given struct{ Index, Time bool }

// ParseLine reads an operation from one JSON object without line breaks, as a line of a history has it. An index or a time that is not there is 0.
func ParseLine(line []byte) (op Op, given Given, err error) {
	d := newDecoder()
	err = d.decode(line, &op)
	return op, Given{d.hasIndex, d.hasTime}, err
}

// decode reads one line into op. An index or a time that the line has not is 0; see hasIndex and hasTime.
// Fields that it does not know are checked for their syntax and left out; of a repeated field the last counts.
func (d *decoder) decode(line []byte, op *Op) error {
	d.begin(op)
	if !d.fast(line, op) {
		d.begin(op)
		end, err := eachField(line, skipSpace(line, 0), 1, d.field)
		if err != nil {
			return err
		}
		if end = skipSpace(line, end); end != len(line) {
			return syntaxError(end, "more behind the end of the object")
		}
	}
	switch {
	case op.Type == 0:
		return errors.New(`no "type"`)
	case !d.hasProcess:
		return errors.New(`no "process"`)
	case !d.hasF && bytes.HasPrefix(op.Value, []byte(`[["`)):
		op.F = "txn" // Elle needs no function to see a list of micro-operations
	case !d.hasF:
		return errors.New(`no "f"`)
	}
	return nil
}

// begin forgets the line before.
func (d *decoder) begin(op *Op) {
	*op = Op{}
	d.op, d.hasIndex, d.hasTime, d.hasProcess, d.hasF = op, false, false, false, false
}

// field takes one field of the line. null is a field that is not there.
func (d *decoder) field(name, value []byte) (err error) {
	if bytes.IndexByte(name, '\\') >= 0 {
		if name, err = unquote(name); err != nil {
			return err
		}
		name = appendString(nil, string(name))
	}
	op := d.op
	null := value[0] == 'n'
	switch string(name) {
	case `"index"`:
		d.hasIndex = !null
		op.Index, err = integer(value)
	case `"time"`:
		d.hasTime = !null
		var ns int64
		ns, err = integer(value)
		op.Time = time.Duration(ns)
	case `"type"`:
		op.Type, err = d.parseType(value)
	case `"process"`:
		d.hasProcess = !null
		op.Process, err = parseProcess(value)
	case `"f"`:
		d.hasF = !null
		op.F, err = d.text(value)
	case `"key"`:
		op.Key, err = d.text(value)
	case `"value"`:
		op.Value = d.keep(value)
	case `"version"`:
		op.Version, err = integer(value)
	case `"revision"`:
		op.Revision, err = integer(value)
	case `"node"`:
		op.Node, err = d.text(value)
	case `"error"`:
		op.Error, err = d.text(value)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (d *decoder) parseType(value []byte) (Type, error) {
	switch string(value) {
	case "null":
		return 0, nil
	case `"invoke"`:
		return Invoke, nil
	case `"ok"`:
		return OK, nil
	}
	s, err := d.text(value)
	if err != nil {
		return 0, err
	}
	return ParseType(s)
}

func parseProcess(value []byte) (Process, error) {
	switch string(value) {
	case `"nemesis"`:
		return Nemesis, nil
	case `"evidence"`:
		return Evidence, nil
	}
	n, err := integer(value)
	if err != nil || n < 0 {
		return 0, fmt.Errorf(`%.40s: want a number from 0, "nemesis" or "evidence"`, value)
	}
	return Process(n), nil
}

// integer is the number that value is; null is 0.
func integer(value []byte) (int64, error) {
	if value[0] == 'n' {
		return 0, nil
	}
	digits, limit := value, uint64(math.MaxInt64)
	if value[0] == '-' {
		digits, limit = value[1:], 1<<63
	}
	var n uint64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("%.40s: want an integer", value)
		}
		if digit := uint64(c - '0'); n > (limit-digit)/10 {
			return 0, fmt.Errorf("%.40s: want an integer of 64 bits", value)
		}
		n = n*10 + uint64(c-'0')
	}
	if value[0] == '-' {
		return -int64(n), nil // n is at most 1<<63, whose negative is the least int64
	}
	return int64(n), nil // n is at most math.MaxInt64
}

// text is a string's meaning, or the JSON text of anything else: imported histories have numbers as keys
// and lists as errors. null is the empty text.
func (d *decoder) text(value []byte) (string, error) {
	if value[0] == 'n' {
		return "", nil
	}
	if s, ok := d.names[string(value)]; ok {
		return s, nil
	}
	meaning := value
	if value[0] == '"' {
		var err error
		if meaning, err = unquote(value); err != nil {
			return "", err
		}
	}
	s := string(meaning)
	if len(value) <= nameBytesMax {
		if len(d.names) >= namesMax {
			clear(d.names)
		}
		d.names[string(value)] = s
	}
	return s, nil
}

// keep copies a value; null is nil.
func (d *decoder) keep(value []byte) []byte {
	if value[0] == 'n' {
		return nil
	}
	if len(value) > arenaBytes/4 {
		return append([]byte(nil), value...)
	}
	if len(value) > cap(d.arena)-len(d.arena) {
		d.arena = make([]byte, 0, arenaBytes)
	}
	start := len(d.arena)
	d.arena = append(d.arena, value...)
	return d.arena[start:len(d.arena):len(d.arena)]
}
