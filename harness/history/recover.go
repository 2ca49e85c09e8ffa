package history

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// recover finds the prefix of a zstd file that can be trusted: up to the last frame that is whole, agrees with its checksum,
// and has operations that continue the ones before.
func (f *File) recover() error {
	frames, err := newFrameReader(f.r, f.size, f.kind == kindOwn)
	if err != nil {
		return err
	}
	defer frames.close()
	ops := &lineOps{lines: newLineReader(frames), dec: newDecoder(), sequence: sequence{own: f.kind == kindOwn}}
	// A frame's end is told when more is asked for than was in it: all its whole lines are counted by then.
	frames.ended = func(end int64) { f.count, f.end = ops.count, end }
	f.count, f.end = 0, 0
	for op := new(Op); err == nil; {
		err = ops.next(op)
	}
	var damage *damageError
	switch {
	case errors.Is(err, io.EOF):
		f.recovered(ops.count, f.end, "nothing: there is no completion mark, its writer is still at work or died")
	case errors.As(err, &damage) || f.kind == kindOwn:
		f.recovered(f.count, f.end, fmt.Sprintf("%d bytes that are not read: %v", f.size-f.end, err))
	default:
		return err
	}
	return nil
}

// damageError is what a frame gives that is not as it was written, and a last line without its end.
type damageError struct {
	what string
	err  error
}

func damagedFrame(offset int64, err error) error {
	return &damageError{fmt.Sprintf("the frame at byte offset %d is damaged", offset), err}
}

func (e *damageError) Error() string { return e.what + ": " + e.err.Error() }

func (e *damageError) Unwrap() error { return e.err }

// frameReader reads the content of a zstd file frame by frame.
type frameReader struct {
	r     io.ReaderAt
	size  int64
	own   bool
	dec   *zstd.Decoder
	at    frame
	open  bool
	ended func(end int64)
}

func newFrameReader(r io.ReaderAt, size int64, own bool) (*frameReader, error) {
	dec, err := newDecompressor(nil)
	if err != nil {
		return nil, fmt.Errorf("start the decompressor: %w", err)
	}
	return &frameReader{r: r, size: size, own: own, dec: dec}, nil
}

func (f *frameReader) close() { f.dec.Close() }

// Read reads from one frame at a time.
func (f *frameReader) Read(b []byte) (int, error) {
	for {
		if !f.open {
			if err := f.next(); err != nil {
				return 0, err
			}
		}
		n, err := f.dec.Read(b)
		if errors.Is(err, io.EOF) {
			f.open = false
			f.ended(f.at.end)
		} else if err != nil {
			return 0, damagedFrame(f.at.start, err)
		}
		if n > 0 {
			return n, nil
		}
	}
}

// next opens the next frame that has content.
func (f *frameReader) next() error {
	for f.at.end < f.size {
		at, err := frameAt(f.r, f.at.end, f.size)
		if err != nil {
			return damagedFrame(f.at.end, err)
		}
		if at.skippable {
			if f.own && isMark(f.r, at) {
				return damagedFrame(at.start, errMark)
			}
			f.at = at
			f.ended(at.end)
			continue
		}
		if f.own && !at.checksum {
			return damagedFrame(at.start, errors.New("it has no checksum"))
		}
		if err := f.dec.Reset(io.NewSectionReader(f.r, at.start, at.end-at.start)); err != nil {
			return damagedFrame(at.start, err)
		}
		f.at, f.open = at, true
		return nil
	}
	return io.EOF
}

var errMark = errors.New("a completion mark that does not agree with what is before it, or has something behind it")

func isMark(r io.ReaderAt, at frame) bool {
	b := make([]byte, min(at.end-at.start, markLen))
	_, err := readAt(r, b, at.start)
	return err == nil && bytes.HasPrefix(b[skippableHeadLen:], []byte(markPrefix))
}
