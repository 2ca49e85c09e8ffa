package formats

import (
	"fmt"
	"io"
	"iter"
	"sync"

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

// entries reads forms on all processors, a batch at a time, and yields them in their order.
func (s *ednSource) entries() iter.Seq2[*readOp, error] {
	return func(yield func(*readOp, error) bool) {
		file, err := s.open()
		if err != nil {
			yield(nil, err)
			return
		}
		defer file.Close()
		cutter := newFormCutter(file)
		free := sync.Pool{New: func() any { return new(readBatch) }}
		for batch := range history.InOrder(cutter.next, func() func(*formBatch) *readBatch { return cutter.newWorker(&free) }) {
			for i := range batch.ops {
				if !yield(&batch.ops[i], nil) {
					return
				}
			}
			if batch.err != nil {
				yield(nil, batch.err)
				return
			}
			free.Put(batch)
		}
	}
}

// readBatch is what a formBatch says: operations up to the first that is wrong, and why.
type readBatch struct {
	ops []readOp
	err error
}

// newWorker returns what reads batches.
func (c *formCutter) newWorker(free *sync.Pool) func(*formBatch) *readBatch {
	ops := newOpReader()
	return func(forms *formBatch) *readBatch {
		out := free.Get().(*readBatch)
		out.ops, out.err = out.ops[:0], forms.err
		for _, f := range forms.forms {
			out.ops = append(out.ops, readOp{})
			op, form := &out.ops[len(out.ops)-1], forms.text[f.from:f.to]
			if err := ops.read(form, op); err != nil {
				out.ops = out.ops[:len(out.ops)-1]
				out.err = fmt.Errorf("line %d: %w; it begins with %.60q", f.line, err, form)
				break
			}
			op.line = f.line
		}
		c.free.Put(forms)
		return out
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
