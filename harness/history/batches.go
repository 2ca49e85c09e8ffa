package history

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
)

// batchBytes is how much of a file is decoded at a time by one goroutine.
const batchBytes = 256 << 10

// textBatch is a piece of a file: whole lines, but for the last one of the file.
type textBatch struct {
	text []byte
	// err is why nothing could be read behind text; io.EOF at the end of the file.
	err error
}

// opBatch is what a textBatch says.
type opBatch struct {
	ops []lineOp
	// lines are how many the batch has. err is what is wrong behind the last of ops, on the line after those.
	lines int64
	err   error
	// whole: its last line has its line break.
	whole bool
}

// lineOp is an operation as its line has it.
type lineOp struct {
	Op
	// line is its line within the batch, from 1.
	line  int64
	given Given
}

// batchReader cuts what it reads into batches.
type batchReader struct {
	r    io.Reader
	rest []byte // of a line, from the last read
	done bool
	free sync.Pool // of text
}

func newBatchReader(r io.Reader) *batchReader {
	b := &batchReader{r: r}
	b.free.New = func() any { return new([]byte) }
	return b
}

// next returns the next batch; false: the one before was the last.
func (b *batchReader) next() (textBatch, bool) {
	if b.done {
		return textBatch{}, false
	}
	text := append((*b.free.Get().(*[]byte))[:0], b.rest...)
	for {
		at := len(text)
		if cap(text)-at < batchBytes {
			text = append(make([]byte, 0, 2*at+batchBytes), text...)
		}
		n, err := io.ReadFull(b.r, text[at:at+batchBytes])
		text = text[:at+n]
		if err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				err = io.EOF
			}
			b.done = true
			return textBatch{text, err}, true
		}
		if end := bytes.LastIndexByte(text[at:], '\n'); end >= 0 {
			b.rest = append(b.rest[:0], text[at+end+1:]...)
			return textBatch{text[:at+end+1], nil}, true
		}
		if len(text) > LineMax {
			b.done = true
			return textBatch{text, ErrLineTooLong}, true
		}
	}
}

// newWorker returns what decodes batches.
func (b *batchReader) newWorker(opsFree *sync.Pool) func(textBatch) *opBatch {
	dec := newDecoder()
	return func(t textBatch) *opBatch {
		out := opsFree.Get().(*opBatch)
		out.decode(dec, t)
		b.free.Put(&t.text)
		return out
	}
}

// decode reads the operations of a batch, up to the first line that is none.
func (o *opBatch) decode(dec *decoder, t textBatch) {
	*o = opBatch{ops: o.ops[:0]}
	for rest := t.text; len(rest) > 0; {
		var line []byte
		line, rest, o.whole = bytes.Cut(rest, []byte("\n"))
		if len(line) >= LineMax {
			o.err = ErrLineTooLong
			return
		}
		o.lines++
		if isBlank(line) {
			continue
		}
		o.ops = append(o.ops, lineOp{line: o.lines})
		op := &o.ops[len(o.ops)-1]
		if err := dec.decode(line, &op.Op); err != nil {
			o.ops = o.ops[:len(o.ops)-1]
			o.lines--
			o.err = undecodable(line, o.whole, err)
			return
		}
		op.given = Given{dec.hasIndex, dec.hasTime}
	}
	if !errors.Is(t.err, io.EOF) {
		o.err = t.err
	}
}

// undecodable says what is wrong with a line; its number is put before.
func undecodable(line []byte, whole bool, err error) error {
	if !whole {
		return &damageError{fmt.Sprintf("it is cut off after %d bytes", len(line)), err}
	}
	return fmt.Errorf("%w; it begins with %.60q", err, line)
}
