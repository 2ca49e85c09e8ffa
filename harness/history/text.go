package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// ParseText reads the notation that tests are written in, an operation on a line or between slashes:
//
//	PROCESS TYPE F [KEY] [VALUE] [v=VERSION] [r=REVISION] [n=NODE] [k=KEY] [i=INDEX] [t=TIME] [! ERROR]
//
//	0 invoke write x 1
//	0 ok write x 1 v=3 r=7      # a comment
//	1 invoke cas x [1, 2] / 1 fail cas x [1, 2] ! compare failed
//	nemesis ok start-kill {"id": "kill-1", "family": "kill"}
//
// KEY is a word that is no JSON; any other key is written k="…". VALUE is JSON. NODE and KEY may be JSON strings.
// ERROR goes on to the end of the line or the next slash between spaces, or is a JSON string. Without i= the index
// is one more than the last, from 0; without t= the time is the index, in ns. The operations are not checked against
// each other: tests write broken histories too.
func ParseText(text string) (Slice, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("not UTF-8")
	}
	var ops Slice
	next := int64(0)
	for n, line := range strings.Split(text, "\n") {
		p := textParser{rest: line}
		for p.more() {
			op, err := p.op(next)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", n+1, err)
			}
			next = op.Index + 1
			ops = append(ops, op)
		}
	}
	return ops, nil
}

// textParser goes through one line.
type textParser struct{ rest string }

const spaces = " \t\r"

// more moves to the next operation; false: there is none.
func (p *textParser) more() bool {
	for {
		p.rest = strings.TrimLeft(p.rest, spaces)
		if p.rest == "" || p.rest[0] == '#' {
			return false
		}
		if !p.atSlash() {
			return true
		}
		p.rest = p.rest[1:]
	}
}

// atSlash tells whether a slash stands alone here.
func (p *textParser) atSlash() bool {
	return p.rest == "/" || len(p.rest) > 1 && p.rest[0] == '/' && strings.IndexByte(spaces, p.rest[1]) >= 0
}

// word takes everything up to the next space.
func (p *textParser) word() string {
	p.rest = strings.TrimLeft(p.rest, spaces)
	end := strings.IndexAny(p.rest, spaces)
	if end < 0 {
		end = len(p.rest)
	}
	word := p.rest[:end]
	p.rest = p.rest[end:]
	return word
}

// json takes a JSON value.
func (p *textParser) json() (json.RawMessage, error) {
	b := []byte(p.rest)
	end, err := skipValue(b, 0, 1)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", p.rest, err)
	}
	p.rest = p.rest[end:]
	if p.rest != "" && strings.IndexByte(spaces, p.rest[0]) < 0 {
		return nil, fmt.Errorf("%q: want a space behind the JSON", b)
	}
	return b[:end:end], nil
}

func (p *textParser) op(index int64) (Op, error) {
	op := Op{Index: index}
	var err error
	process := p.word()
	if op.Process, err = parseTextProcess(process); err != nil {
		return op, err
	}
	if op.Type, err = ParseType(p.word()); err != nil {
		return op, err
	}
	if op.F = p.word(); op.F == "" || op.F == "/" {
		return op, errors.New("no function behind the type")
	}
	timed, valued := false, false
	for first := true; err == nil && p.inside(); first = false {
		name, isAttribute := p.attribute()
		switch {
		case isAttribute:
			timed = timed || name == "t"
			err = p.set(&op, name)
		case p.rest[0] == '!':
			p.rest = p.rest[1:]
			op.Error, err = p.message()
		case first && p.atKey():
			op.Key = p.word()
		case valued:
			err = fmt.Errorf("%q: a second value", p.rest)
		default:
			valued = true
			if op.Value, err = p.json(); string(op.Value) == "null" {
				op.Value = nil
			}
		}
	}
	if !timed {
		op.Time = time.Duration(op.Index)
	}
	return op, err
}

// inside moves to the operation's next part; false: there is none.
func (p *textParser) inside() bool {
	p.rest = strings.TrimLeft(p.rest, spaces)
	return p.rest != "" && p.rest[0] != '#' && !p.atSlash()
}

func parseTextProcess(word string) (Process, error) {
	for _, p := range []Process{Nemesis, Evidence} {
		if word == p.String() {
			return p, nil
		}
	}
	n, err := strconv.ParseInt(word, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q: want a process: a number from 0, nemesis or evidence", word)
	}
	return Process(n), nil
}

// attribute takes the name and = of one.
func (p *textParser) attribute() (name string, ok bool) {
	if len(p.rest) < 2 || p.rest[1] != '=' || strings.IndexByte("vrnkit", p.rest[0]) < 0 {
		return "", false
	}
	name, p.rest = p.rest[:1], p.rest[2:]
	return name, true
}

func (p *textParser) set(op *Op, name string) (err error) {
	switch name {
	case "k":
		op.Key, err = p.text()
	case "n":
		op.Node, err = p.text()
	case "t":
		op.Time, err = time.ParseDuration(p.word())
	default:
		var n int64
		if n, err = strconv.ParseInt(p.word(), 10, 64); err != nil {
			return fmt.Errorf("%s=: %w", name, err)
		}
		switch name {
		case "v":
			op.Version = n
		case "r":
			op.Revision = n
		case "i":
			op.Index = n
		}
	}
	return err
}

// text takes a word or a JSON string.
func (p *textParser) text() (s string, err error) {
	if !strings.HasPrefix(p.rest, `"`) {
		return p.word(), nil
	}
	value, err := p.json()
	if err != nil {
		return "", err
	}
	err = json.Unmarshal(value, &s)
	return s, err
}

// message takes an error's text.
func (p *textParser) message() (string, error) {
	p.rest = strings.TrimLeft(p.rest, spaces)
	if strings.HasPrefix(p.rest, `"`) {
		return p.text()
	}
	end := strings.Index(p.rest, " / ")
	if end < 0 {
		end = len(p.rest)
	}
	message := strings.TrimRight(p.rest[:end], spaces)
	p.rest = p.rest[end:]
	return message, nil
}

// atKey tells whether a bare key stands here.
func (p *textParser) atKey() bool { return isBareKey(strings.SplitN(p.rest, " ", 2)[0]) }

// isBareKey tells whether a key can be told from a value and from everything else.
func isBareKey(s string) bool {
	for i, c := range []byte(s) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
		later := '0' <= c && c <= '9' || c == '-' || c == '.' || c == '/' || c == ':'
		if !letter && (i == 0 || !later) {
			return false
		}
	}
	return s != "" && s != "null" && s != "true" && s != "false"
}

// Format writes operations in the notation that ParseText reads. Values keep their text; null is left out.
func Format(ops Slice) string {
	var b bytes.Buffer
	next := int64(0)
	for i := range ops {
		formatOp(&b, &ops[i], next)
		next = ops[i].Index + 1
	}
	return b.String()
}

func formatOp(b *bytes.Buffer, op *Op, next int64) {
	fmt.Fprintf(b, "%s %s %s", op.Process, op.Type, op.F)
	switch {
	case isBareKey(op.Key):
		b.WriteString(" " + op.Key)
	case op.Key != "":
		fmt.Fprintf(b, " k=%s", appendString(nil, op.Key))
	}
	if op.Value != nil {
		fmt.Fprintf(b, " %s", op.Value)
	}
	if op.Version != 0 {
		fmt.Fprintf(b, " v=%d", op.Version)
	}
	if op.Revision != 0 {
		fmt.Fprintf(b, " r=%d", op.Revision)
	}
	switch {
	case isBareKey(op.Node):
		b.WriteString(" n=" + op.Node)
	case op.Node != "":
		fmt.Fprintf(b, " n=%s", appendString(nil, op.Node))
	}
	if op.Index != next {
		fmt.Fprintf(b, " i=%d", op.Index)
	}
	if op.Time != time.Duration(op.Index) {
		fmt.Fprintf(b, " t=%v", op.Time)
	}
	if op.Error != "" {
		fmt.Fprintf(b, " ! %s", appendString(nil, op.Error))
	}
	b.WriteByte('\n')
}
