package formats

import (
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/faultline/faultline/harness/history"
)

// ednSource is a history of EDN, read anew each time: one map after the other, or one vector or list of maps.
type ednSource struct {
	name string
	open func() (io.ReadCloser, error)
}

func (s *ednSource) Complete() bool { return true }

func (s *ednSource) Ops() func(yield func(history.Op, error) bool) {
	return named(s.name, settle(s.entries()))
}

func (s *ednSource) entries() iter.Seq2[*readOp, error] {
	return func(yield func(*readOp, error) bool) {
		file, err := s.open()
		if err != nil {
			yield(nil, err)
			return
		}
		defer file.Close()
		cutter, ops := newFormCutter(file), newOpReader()
		var op readOp
		for {
			form, line, err := cutter.next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err == nil {
				if err = ops.read(form, &op); err != nil {
					err = fmt.Errorf("line %d: %w; it begins with %.60q", line, err, form)
				}
			}
			op.line = line
			if !yield(&op, err) || err != nil {
				return
			}
		}
	}
}

// named puts the file's name before errors.
func named(name string, ops func(func(history.Op, error) bool)) func(func(history.Op, error) bool) {
	return func(yield func(history.Op, error) bool) {
		ops(func(op history.Op, err error) bool {
			if err != nil {
				err = fmt.Errorf("history %s: %w", name, err)
			}
			return yield(op, err)
		})
	}
}
