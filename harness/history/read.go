package history

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// Ops yields the operations. Beside the syntax of each line it checks that indexes rise (by one, in a file that
// a Writer wrote) and that times don't fall; the error names the line. See Validate for the other rules.
func (f *File) Ops() func(yield func(Op, error) bool) {
	return func(yield func(Op, error) bool) {
		if err := f.each(func(op Op, _ int64) bool { return yield(op, nil) }); err != nil {
			yield(Op{}, fmt.Errorf("history %s: %w", f.name, err))
		}
	}
}

// Line is an operation with where it stands in its file.
type Line struct {
	Op
	// Line is counted from 1.
	Line int64
}

// Lines is Ops with the line of each operation. Errors do not name the file.
func (f *File) Lines() func(yield func(Line, error) bool) {
	return func(yield func(Line, error) bool) {
		if err := f.each(func(op Op, line int64) bool { return yield(Line{op, line}, nil) }); err != nil {
			yield(Line{}, err)
		}
	}
}

// Name is the path that the file was opened by.
func (f *File) Name() string { return f.name }

// Own tells whether a Writer of this package wrote the file.
func (f *File) Own() bool { return f.kind == kindOwn }

// each yields the operations until it is told to stop.
func (f *File) each(yield func(op Op, line int64) bool) error {
	var r io.Reader = io.NewSectionReader(f.r, 0, f.end)
	if f.kind == kindOwn || f.kind == kindZstd {
		dec, err := newDecompressor(r)
		if err != nil {
			return fmt.Errorf("start the decompressor: %w", err)
		}
		defer dec.Close()
		r = dec
	}
	ops := &lineOps{lines: newLineReader(r), dec: newDecoder(), own: f.kind == kindOwn}
	var op Op
	for f.count < 0 || ops.count < f.count {
		err := ops.next(&op)
		switch {
		case errors.Is(err, io.EOF) && f.count >= 0:
			return fmt.Errorf("it ends after %d of %d operations: was it changed while it was read?", ops.count, f.count)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if !yield(op, ops.lines.line) {
			return nil
		}
	}
	return nil
}

// lineOps reads operations from lines and checks their order.
type lineOps struct {
	lines *lineReader
	dec   *decoder
	own   bool // indexes rise by one
	count int64
	order order
}

func (l *lineOps) next(op *Op) error {
	for {
		line, err := l.lines.next()
		if errors.Is(err, io.EOF) {
			return io.EOF
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", l.lines.line, err)
		}
		if isBlank(line) {
			continue
		}
		if err := l.dec.decode(line, l.count, op); err != nil {
			if !l.lines.whole {
				return &damageError{fmt.Sprintf("line %d is cut off after %d bytes", l.lines.line, len(line)), err}
			}
			return fmt.Errorf("line %d: %w; it begins with %.60q", l.lines.line, err, line)
		}
		if l.own && op.Index != l.count {
			return &RuleError{Rule: RuleIndex, Line: l.lines.line, Index: op.Index, Why: fmt.Sprintf("want index %d here", l.count)}
		}
		if err := l.order.check(op, l.lines.line); err != nil {
			return err
		}
		l.count++
		return nil
	}
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
