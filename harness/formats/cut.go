package formats

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/faultline/faultline/harness/history"
)

// formCutter cuts EDN into its outermost forms without reading what is in them. A file that is one vector or list is cut into its elements.
type formCutter struct {
	r io.Reader
	// buf is what was read and not yet dropped; its first used bytes are the form that next returned last.
	buf  []byte
	used int
	eof  bool
	// line is the line that buf begins on.
	line int64
	// closing is what ends the file's one vector or list; 0 where there is none.
	closing      byte
	begun, ended bool
}

func newFormCutter(r io.Reader) *formCutter { return &formCutter{r: r, line: 1} }

const readBytes = 128 << 10

// more reads on; false: there is no more.
func (c *formCutter) more() (bool, error) {
	if c.eof {
		return false, nil
	}
	if len(c.buf) > history.LineMax {
		return false, history.ErrLineTooLong
	}
	at := len(c.buf)
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

// byte is the i-th byte of buf; ok is false where the file ends before it.
func (c *formCutter) byte(i int) (b byte, ok bool, err error) {
	for i >= len(c.buf) {
		if more, err := c.more(); err != nil || !more {
			return 0, false, err
		}
	}
	return c.buf[i], true, nil
}

func (c *formCutter) drop(n int) {
	c.line += int64(bytes.Count(c.buf[:n], []byte("\n")))
	c.buf = c.buf[n:]
}

// next returns the next form and the line that it begins on; io.EOF after the last one. It stays valid until the next call.
// Errors name the line.
func (c *formCutter) next() (form []byte, line int64, err error) {
	c.drop(c.used)
	c.used = 0
	form, err = c.cut()
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("line %d: %w", c.line, err)
	}
	return form, c.line, err
}

func (c *formCutter) cut() ([]byte, error) {
	b, ok, err := c.skip()
	if err == nil && ok && !c.begun && (b == '[' || b == '(') {
		c.closing = map[byte]byte{'[': ']', '(': ')'}[b]
		c.drop(1)
		b, ok, err = c.skip()
	}
	c.begun = true
	switch {
	case err != nil:
		return nil, err
	case !ok && c.closing != 0 && !c.ended:
		return nil, errCutOff
	case !ok:
		return nil, io.EOF
	case c.ended:
		return nil, errors.New("something follows the vector that is the history")
	case c.closing != 0 && b == c.closing:
		c.ended = true
		c.drop(1)
		return c.cut()
	}
	n, err := c.extent()
	c.used = n
	return c.buf[:n], err
}

// skip drops white space and comments, and returns the byte behind them; ok is false at the end of the file.
func (c *formCutter) skip() (b byte, ok bool, err error) {
	for i := 0; ; i++ {
		b, ok, err = c.byte(i)
		if err == nil && ok && b == ';' {
			i, err = c.lineEnd(i)
		}
		if err != nil || !ok {
			c.drop(min(i, len(c.buf)))
			return 0, false, err
		}
		if !isSpace(b) && b != ';' {
			c.drop(i)
			return b, true, nil
		}
		if i > readBytes {
			c.drop(i)
			i = 0
		}
	}
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

// extent is the length of the form that buf begins with: with its tags, up to the bracket that closes the first one.
func (c *formCutter) extent() (int, error) {
	depth := 0
	for i := 0; ; i++ {
		b, ok, err := c.byte(i)
		if err != nil {
			return 0, err
		}
		if !ok {
			if depth > 0 {
				return 0, errCutOff
			}
			return i, nil
		}
		switch b {
		case '{', '[', '(':
			depth++
		case '}', ']', ')':
			if depth--; depth < 0 {
				return 0, fmt.Errorf("%q closes nothing", b)
			}
			if depth == 0 {
				return i + 1, nil
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
