package history

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Ops yields the operations. Beside the syntax of each line it checks that indexes rise (by one, in a file that
// a Writer wrote) and that times don't fall; the error names the line. See Validate for the other rules.
func (f *File) Ops() func(yield func(Op, error) bool) {
	return func(yield func(Op, error) bool) {
		if err := f.each(func(op *Op, _ int64) bool { return yield(*op, nil) }); err != nil {
			yield(Op{}, fmt.Errorf("history %s: %w", f.name, err))
		}
	}
}

// Line is an operation with where it stands in its file.
type Line struct {
	*Op
	// Line is counted from 1.
	Line int64
}

// Lines is Ops with the line of each operation, which is valid until the next one is asked for. Errors do not name the file.
func (f *File) Lines() func(yield func(Line, error) bool) {
	return func(yield func(Line, error) bool) {
		if err := f.each(func(op *Op, line int64) bool { return yield(Line{op, line}, nil) }); err != nil {
			yield(Line{}, err)
		}
	}
}

// Name is the path that the file was opened by.
func (f *File) Name() string { return f.name }

// Own tells whether a Writer of this package wrote the file.
func (f *File) Own() bool { return f.kind == kindOwn }

// each yields the operations until it is told to stop. Lines are decoded on all processors, a batch at a time, and come in their order.
func (f *File) each(yield func(op *Op, line int64) bool) error {
	var r io.Reader = io.NewSectionReader(f.r, 0, f.end)
	if f.kind == kindOwn || f.kind == kindZstd {
		dec, err := newDecompressor(r)
		if err != nil {
			return fmt.Errorf("start the decompressor: %w", err)
		}
		defer dec.Close()
		r = dec
	}
	batches := newBatchReader(r)
	free := sync.Pool{New: func() any { return new(opBatch) }}
	seq := sequence{own: f.kind == kindOwn}
	before := int64(0)
	for b := range InOrder(batches.next, func() func(textBatch) *opBatch { return batches.newWorker(&free) }) {
		for i := range b.ops {
			if f.count >= 0 && seq.count == f.count {
				return nil
			}
			op := &b.ops[i]
			line := before + op.line
			if err := seq.take(&op.Op, op.given, line); err != nil {
				return err
			}
			if !yield(&op.Op, line) {
				return nil
			}
		}
		before += b.lines
		if b.err != nil {
			if f.count >= 0 && seq.count == f.count {
				return nil
			}
			return fmt.Errorf("line %d: %w", before+1, b.err)
		}
		free.Put(b)
	}
	if f.count >= 0 && seq.count < f.count {
		return fmt.Errorf("it ends after %d of %d operations: was it changed while it was read?", seq.count, f.count)
	}
	return nil
}

// lineOps reads operations one by one, for where it matters how far the file was read.
type lineOps struct {
	lines *lineReader
	dec   *decoder
	sequence
}

func (l *lineOps) next(op *Op) error {
	for {
		line, err := l.lines.next()
		if errors.Is(err, io.EOF) {
			return io.EOF
		}
		if err == nil && isBlank(line) {
			continue
		}
		if err == nil {
			if err = l.dec.decode(line, op); err != nil {
				err = undecodable(line, l.lines.whole, err)
			}
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", l.lines.line, err)
		}
		return l.take(op, Given{l.dec.hasIndex, l.dec.hasTime}, l.lines.line)
	}
}

// sequence puts operations one after the other: what their lines left out follows from their place.
type sequence struct {
	own   bool // indexes rise by one
	count int64
	order order
}

func (s *sequence) take(op *Op, given Given, line int64) error {
	if !given.Index {
		op.Index = s.count
	}
	if !given.Time {
		op.Time = time.Duration(op.Index)
	}
	if s.own && op.Index != s.count {
		return &RuleError{Rule: RuleIndex, Line: line, Index: op.Index, Why: fmt.Sprintf("want index %d here", s.count)}
	}
	if err := s.order.check(op, line); err != nil {
		return err
	}
	s.count++
	return nil
}

// order checks that indexes rise and times don't fall.
type order struct {
	begun bool
	index int64
	time  time.Duration
}

func (o *order) check(op *Op, line int64) error {
	switch {
	case op.Index < 0:
		return &RuleError{Rule: RuleIndex, Line: line, Index: op.Index, Why: "an index is at least 0"}
	case o.begun && op.Index <= o.index:
		return &RuleError{Rule: RuleIndex, Line: line, Index: op.Index, Why: fmt.Sprintf("it follows index %d", o.index)}
	case o.begun && op.Time < o.time:
		return &RuleError{Rule: RuleTime, Line: line, Index: op.Index, Why: fmt.Sprintf("%v follows %v", op.Time, o.time)}
	}
	o.begun, o.index, o.time = true, op.Index, op.Time
	return nil
}
