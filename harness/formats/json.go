package formats

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/faultline/faultline/harness/history"
)

// linesSource is a history in JSON lines, or in zstd, that harness/history reads.
type linesSource struct{ *history.File }

func (s linesSource) Ops() func(yield func(history.Op, error) bool) {
	return named(s.Name(), settle(func(yield func(*readOp, error) bool) {
		e := readOp{hasIndex: true, hasTime: true}
		for l, err := range s.Lines() {
			if err != nil {
				yield(nil, err)
				return
			}
			e.Op, e.line = *l.Op, l.Line
			if !yield(&e, nil) {
				return
			}
		}
	}))
}

// arraySource is a history that is one JSON array of operations.
type arraySource struct {
	name string
	open func() (io.ReadCloser, error)
}

func (s *arraySource) Complete() bool { return true }

func (s *arraySource) Ops() func(yield func(history.Op, error) bool) {
	return named(s.name, settle(s.entries()))
}

func (s *arraySource) entries() iter.Seq2[*readOp, error] {
	return func(yield func(*readOp, error) bool) {
		file, err := s.open()
		if err != nil {
			yield(nil, err)
			return
		}
		defer file.Close()
		counter := &lineCounter{r: file, line: 1}
		dec := json.NewDecoder(counter)
		counter.taken = dec.InputOffset
		if _, err := dec.Token(); err != nil {
			yield(nil, err)
			return
		}
		var op readOp
		for dec.More() {
			if err := nextElement(dec, &op); err != nil {
				yield(nil, fmt.Errorf("line %d: %w", counter.at(dec.InputOffset()), err))
				return
			}
			op.line = counter.at(dec.InputOffset())
			if !yield(&op, nil) {
				return
			}
		}
		if _, err := dec.Token(); err != nil {
			yield(nil, fmt.Errorf("line %d: %w", counter.at(dec.InputOffset()), errors.Join(errCutOff, err)))
			return
		}
		if _, err := dec.Token(); !errors.Is(err, io.EOF) {
			yield(nil, fmt.Errorf("line %d: something follows the array that is the history", counter.at(dec.InputOffset())))
		}
	}
}

// nextElement reads the operation that is the array's next element.
func nextElement(dec *json.Decoder, op *readOp) error {
	var raw json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		return err
	}
	var line bytes.Buffer
	if err := json.Compact(&line, raw); err != nil {
		return err
	}
	parsed, given, err := history.ParseLine(line.Bytes())
	*op = readOp{Op: parsed, hasIndex: given.Index, hasTime: given.Time}
	return err
}

// lineCounter knows which line each byte that was read is on, as long as it is asked in order. It reads no more than one element may have ahead of
// what was taken.
type lineCounter struct {
	r      io.Reader
	taken  func() int64
	breaks []int64 // offsets of line breaks that at has not passed
	offset int64
	line   int64
}

func (c *lineCounter) Read(b []byte) (int, error) {
	if c.taken != nil && c.offset-c.taken() > history.LineMax {
		return 0, history.ErrLineTooLong
	}
	n, err := c.r.Read(b)
	for i, x := range b[:n] {
		if x == '\n' {
			c.breaks = append(c.breaks, c.offset+int64(i))
		}
	}
	c.offset += int64(n)
	return n, err
}

func (c *lineCounter) at(offset int64) int64 {
	n := 0
	for n < len(c.breaks) && c.breaks[n] < offset {
		n++
	}
	c.line += int64(n)
	c.breaks = c.breaks[n:]
	return c.line
}
