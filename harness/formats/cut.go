package formats

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/faultline/faultline/harness/history"
)

// formCutter cuts EDN into its outermost forms without reading what is in them. A file that is one vector or list is cut into its elements.
type formCutter struct {
	r io.Reader
	// buf is what was read from where the batch begins; up to used it was cut.
	buf  []byte
	used int
	eof  bool
	// line is the line that buf[counted] is on.
	line    int64
	counted int
	// closing is what ends the file's one vector or list; 0 where there is none.
	closing      byte
	begun, ended bool
	done         bool
	free         sync.Pool // of *formBatch
}

// formBatch are forms that are read together.
type formBatch struct {
	text  []byte
	forms []formAt
	// err is what is wrong behind the last form.
	err error
}

// formAt is where a form is in the text of its batch, and the line of the file that it begins on.
type formAt struct {
	from, to int
	line     int64
}

func newFormCutter(r io.Reader) *formCutter {
	return &formCutter{r: r, line: 1, free: sync.Pool{New: func() any { return new(formBatch) }}}
}

const (
	readBytes  = 128 << 10
	batchBytes = 128 << 10
)

// next returns the next forms; false: the batch before was the last. Errors name the line.
func (c *formCutter) next() (*formBatch, bool) {
	if c.done {
		return nil, false
	}
	c.count(c.used)
	c.buf = c.buf[c.used:]
	c.used, c.counted = 0, 0
	b := c.free.Get().(*formBatch)
	b.forms, b.err = b.forms[:0], nil
	for c.used < batchBytes {
		f, err := c.cut()
		if err != nil {
			c.done = true
			if !errors.Is(err, io.EOF) {
				b.err = fmt.Errorf("line %d: %w", c.line, err)
			}
			break
		}
		b.forms = append(b.forms, f)
	}
	b.text = append(b.text[:0], c.buf[:c.used]...)
	return b, true
}

// count moves the count of lines on to an offset.
func (c *formCutter) count(to int) {
	c.line += int64(bytes.Count(c.buf[c.counted:to], []byte("\n")))
	c.counted = to
}

// cut finds the next form; io.EOF where there is none.
func (c *formCutter) cut() (formAt, error) {
	b, ok, err := c.skip()
	if err == nil && ok && !c.begun && (b == '[' || b == '(') {
		c.closing = map[byte]byte{'[': ']', '(': ')'}[b]
		c.used++
		b, ok, err = c.skip()
	}
	c.begun = true
	switch {
	case err != nil:
		return formAt{}, err
	case !ok && c.closing != 0 && !c.ended:
		return formAt{}, errCutOff
	case !ok:
		return formAt{}, io.EOF
	case c.ended:
		return formAt{}, errors.New("something follows the vector that is the history")
	case c.closing != 0 && b == c.closing:
		c.ended = true
		c.used++
		return c.cut()
	}
	from := c.used
	n, err := c.extent(from)
	if err == nil {
		c.used = from + n
	}
	return formAt{from, c.used, c.line}, err
}

// skip passes over white space and comments, and returns the byte behind them; ok is false at the end of the file.
func (c *formCutter) skip() (b byte, ok bool, err error) {
	for i := c.used; ; i++ {
		b, ok, err = c.byte(i)
		if err == nil && ok && b == ';' {
			i, err = c.lineEnd(i)
		}
		if err == nil && ok && (isSpace(b) || b == ';') {
			continue
		}
		c.used = min(i, len(c.buf))
		c.count(c.used)
		return b, ok, err
	}
}

// byte is the i-th byte of buf; ok is false where the file ends before it.
func (c *formCutter) byte(i int) (b byte, ok bool, err error) {
	for i >= len(c.buf) {
		if more, err := c.more(); err != nil || !more {
			return 0, false, err
		}
	}
	return c.buf[i], true, nil
}

// more reads on; false: there is no more.
func (c *formCutter) more() (bool, error) {
	if c.eof {
		return false, nil
	}
	at := len(c.buf)
	if at-c.used > history.LineMax {
		return false, history.ErrLineTooLong
	}
	if cap(c.buf)-at < readBytes {
		bigger := make([]byte, at, 2*at+2*readBytes)
		copy(bigger, c.buf)
		c.buf = bigger
	}
	n, err := c.r.Read(c.buf[at : at+readBytes])
	c.buf = c.buf[:at+n]
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	c.eof = err != nil
	return n > 0 || !c.eof, nil
}

// lineEnd is where the line break is that ends the comment at i.
func (c *formCutter) lineEnd(i int) (int, error) {
	for {
		if at := bytes.IndexByte(c.buf[i:], '\n'); at >= 0 {
			return i + at, nil
		}
		if more, err := c.more(); err != nil || !more {
			return len(c.buf), err
		}
	}
}

// marks are the bytes that matter to where a form ends.
var marks = func() (t [256]bool) {
	for _, c := range "(){}[];\"\\" {
		t[c] = true
	}
	return t
}()

// extent is the length of the form that begins at from: with its tags, up to the bracket that closes the first one.
func (c *formCutter) extent(from int) (int, error) {
	depth := 0
	for i := from; ; i++ {
		for i < len(c.buf) && !marks[c.buf[i]] {
			i++
		}
		b, ok, err := c.byte(i)
		if err != nil {
			return 0, err
		}
		if !ok {
			if depth > 0 {
				return 0, errCutOff
			}
			return min(i, len(c.buf)) - from, nil // a comment or a backslash may be the last
		}
		switch b {
		case '{', '[', '(':
			depth++
		case '}', ']', ')':
			if depth--; depth < 0 {
				return 0, fmt.Errorf("%q closes nothing", b)
			}
			if depth == 0 {
				return i + 1 - from, nil
			}
		case '\\':
			i++
		case ';':
			if i, err = c.lineEnd(i); err != nil {
				return 0, err
			}
		case '"':
			if i, err = c.stringEnd(i); err != nil {
				return 0, err
			}
		}
	}
}

// stringEnd is where the string ends that begins at i.
func (c *formCutter) stringEnd(i int) (int, error) {
	for {
		i++
		b, ok, err := c.byte(i)
		switch {
		case err != nil:
			return 0, err
		case !ok:
			return 0, errCutOff
		case b == '\\':
			i++
		case b == '"':
			return i, nil
		}
	}
}
