package formats

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/faultline/faultline/harness/history"
)

// logSource is a log of Jepsen's, in which operations are lines of
//
//	PROCESS  :TYPE  :F  VALUE  [ERROR]
//
// divided by white space, alone (history.txt) or behind "… jepsen.util - ". Lines that other parts logged, and their stack traces, are passed over;
// everything else is an error.
type logSource struct {
	name string
	open func() (io.ReadCloser, error)
	// whole: the last line has its end. Without, nobody knows whether 12 was 123.
	whole bool
}

func (s *logSource) Complete() bool { return s.whole }

// Recovered says why the history is not complete.
func (s *logSource) Recovered() string {
	if s.whole {
		return ""
	}
	return "the last line has no line break: the log may be cut off"
}

func (s *logSource) Ops() func(yield func(history.Op, error) bool) {
	return named(s.name, settle(s.entries()))
}

func (s *logSource) entries() iter.Seq2[*readOp, error] {
	return func(yield func(*readOp, error) bool) {
		file, err := s.open()
		if err != nil {
			yield(nil, err)
			return
		}
		defer file.Close()
		lines, ops := newLines(file), newOpReader()
		var op readOp
		for {
			line, err := lines.next()
			if errors.Is(err, io.EOF) {
				return
			}
			isOp := false
			if err == nil {
				isOp, err = ops.readLogged(line, &op)
			}
			if err != nil {
				yield(nil, fmt.Errorf("line %d: %w; it begins with %.60q", lines.line, err, line))
				return
			}
			op.line = lines.line
			if isOp && !yield(&op, nil) {
				return
			}
		}
	}
}

// errNoLog is what a line gives that is neither.
var errNoLog = errors.New("neither an operation (PROCESS :TYPE :F VALUE) nor a line of a log")

// sources are what stands before operations in logs of several versions of Jepsen.
var sources = [][]byte{[]byte("jepsen.util - "), []byte("jepsen.util: "), []byte("jepsen.core - "), []byte("jepsen.interpreter - ")}

// readLogged reads the operation of a line; false where it has none.
func (r *opReader) readLogged(line []byte, op *readOp) (bool, error) {
	for _, s := range sources {
		_, said, found := bytes.Cut(line, s)
		switch {
		case !found:
		case isLogged(said):
			return true, r.logged(said, op)
		case string(s[:11]) == "jepsen.util":
			return false, errNoLog
		}
	}
	if isLogged(line) {
		return true, r.logged(line, op)
	}
	if !isChatter(line) {
		return false, errNoLog
	}
	return false, nil
}

// isLogged tells whether a process and a type stand here.
func isLogged(b []byte) bool {
	words := bytes.Fields(b)
	if len(words) < 3 || len(words[1]) < 2 || words[1][0] != ':' {
		return false
	}
	if _, err := history.ParseType(string(words[1][1:])); err != nil {
		return false
	}
	return string(words[0]) == ":nemesis" || len(bytes.Trim(words[0], "0123456789")) == 0
}

// isChatter tells the other lines of a log, and those of stack traces.
func isChatter(line []byte) bool {
	if len(line) == 0 || line[0] == ' ' || line[0] == '\t' || line[0] == '\r' {
		return true
	}
	for _, begin := range []string{"INFO ", "WARN ", "ERROR ", "DEBUG ", "TRACE ", "Caused by:", "java.", "clojure.", "19", "20"} {
		if bytes.HasPrefix(line, []byte(begin)) {
			return true
		}
	}
	return false
}

func loose(op *readOp, field string) bool { return op.Process == history.Nemesis && field == "value" }

// logged reads the words of an operation.
func (r *opReader) logged(b []byte, op *readOp) error {
	*op = readOp{}
	e := &r.edn
	*e = ednReader{b: b, out: e.out[:0]}
	for _, field := range []string{"process", "type", "f", "value", "error"} {
		if end, err := e.end(); err != nil || end {
			if field == "error" || err != nil {
				break
			}
			return fmt.Errorf("no %s", field)
		}
		e.out = e.out[:0]
		keyword := e.b[e.i] == ':'
		at := e.i
		err := e.value(1)
		if err != nil && !loose(op, field) {
			return err
		}
		if end, endErr := e.end(); loose(op, field) && (err != nil || endErr != nil || !end) {
			// What a nemesis did is a sentence without quotes.
			e.out = appendJSON(e.out[:0], string(bytes.ToValidUTF8(bytes.TrimSpace(b[at:]), nil)))
			e.i = len(b)
		}
		if err := r.set(op, field, e.out); err != nil {
			return fmt.Errorf("%s: %w", field, err)
		}
		if field == "value" {
			op.keyword = keyword
		}
	}
	if end, err := e.end(); err != nil || !end {
		return errors.Join(err, errors.New("something follows the operation"))
	}
	return complete(op)
}

// lines are those of a file, without their ends.
type lines struct {
	scanner *bufio.Scanner
	line    int64 // the number of the one that next returned last, from 1
}

func newLines(r io.Reader) *lines {
	l := &lines{scanner: bufio.NewScanner(r)}
	l.scanner.Buffer(make([]byte, 0, 64<<10), history.LineMax)
	return l
}

// next returns the next line; io.EOF after the last one. It stays valid until the next call.
func (l *lines) next() ([]byte, error) {
	l.line++
	if l.scanner.Scan() {
		return l.scanner.Bytes(), nil
	}
	switch err := l.scanner.Err(); {
	case err == nil:
		return nil, io.EOF
	case errors.Is(err, bufio.ErrTooLong):
		return nil, history.ErrLineTooLong
	default:
		return nil, err
	}
}
