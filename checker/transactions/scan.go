package transactions

import (
	"bytes"
	"errors"
	"fmt"
)

// ErrMalformed is what a value gives that is no transaction of the kind asked for.
var ErrMalformed = errors.New("malformed transaction")

func malformed(b []byte, what string) error {
	return fmt.Errorf("%w: %s in %.80q", ErrMalformed, what, b)
}

// scanner goes through the JSON of one transaction. The history was checked for its syntax when it was read; the scanner needs no
// more than to find its way, and to refuse what has another shape.
type scanner struct {
	b []byte
	i int
}

func (s *scanner) space() {
	for s.i < len(s.b) && s.b[s.i] <= ' ' {
		s.i++
	}
}

// next takes one punctuation mark if it is there.
func (s *scanner) next(c byte) bool {
	s.space()
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

// value takes one JSON value and returns its text; nil if there is none.
func (s *scanner) value() []byte {
	s.space()
	start := s.i
	if start >= len(s.b) {
		return nil
	}
	switch s.b[start] {
	case '"':
		s.text()
	case '[', '{':
		s.nested()
	default:
		for s.i < len(s.b) && s.b[s.i] > ' ' && s.b[s.i] != ',' && s.b[s.i] != ']' && s.b[s.i] != '}' && s.b[s.i] != ':' {
			s.i++
		}
	}
	if s.i == start {
		return nil
	}
	return s.b[start:s.i]
}

// text moves behind the string that begins here.
func (s *scanner) text() {
	for s.i++; s.i < len(s.b); s.i++ {
		switch s.b[s.i] {
		case '\\':
			s.i++
		case '"':
			s.i++
			return
		}
	}
	s.i = len(s.b)
}

// nested moves behind the array or object that begins here.
func (s *scanner) nested() {
	depth := 0
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case '"':
			s.text()
			continue
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		}
		s.i++
		if depth == 0 {
			return
		}
	}
}

// rawMicro is one micro-operation's texts.
type rawMicro struct {
	f, key, value, version []byte
}

// micros visits the micro-operations of a transaction; null is the empty transaction.
func micros(b []byte, visit func(rawMicro) error) error {
	s := scanner{b: b}
	s.space()
	if s.i == len(b) || bytes.HasPrefix(b[s.i:], []byte("null")) {
		return nil
	}
	if !s.next('[') {
		return malformed(b, "a transaction is an array")
	}
	if s.next(']') {
		return nil
	}
	for {
		m, ok := s.micro()
		if !ok {
			return malformed(b, "a micro-operation is [f, key, value] or [f, key, value, version]")
		}
		if err := visit(m); err != nil {
			return fmt.Errorf("%w in %.80q", err, b)
		}
		if s.next(',') {
			continue
		}
		if !s.next(']') {
			return malformed(b, "want , or ]")
		}
		if s.space(); s.i != len(b) {
			return malformed(b, "more behind the transaction")
		}
		return nil
	}
}

// micro takes one micro-operation: [f, key], [f, key, value] or [f, key, value, version].
func (s *scanner) micro() (m rawMicro, ok bool) {
	if !s.next('[') {
		return m, false
	}
	if m.f = s.value(); len(m.f) < 3 || m.f[0] != '"' || !s.next(',') {
		return m, false
	}
	m.f = m.f[1 : len(m.f)-1]
	if m.key = s.value(); m.key == nil {
		return m, false
	}
	if s.next(',') {
		if m.value = s.value(); m.value == nil {
			return m, false
		}
	}
	if s.next(',') {
		if m.version = s.value(); m.version == nil {
			return m, false
		}
	}
	return m, s.next(']')
}

// list visits the texts of an array's elements; null and nothing are the empty array.
func list(b []byte, visit func([]byte)) error {
	if len(b) == 0 || string(b) == "null" {
		return nil
	}
	s := scanner{b: b}
	if !s.next('[') {
		return malformed(b, "a list is an array")
	}
	if s.next(']') {
		return nil
	}
	for {
		v := s.value()
		if v == nil {
			return malformed(b, "an element is missing")
		}
		visit(v)
		if s.next(']') {
			return nil
		}
		if !s.next(',') {
			return malformed(b, "want , or ] in a list")
		}
	}
}
