package history

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a Writer. The zero value is a run on the wall clock.
type Options struct {
	// Clock is the time since the run began. Nil: the monotonic clock, from 0 at the Writer's creation.
	Clock func() time.Duration
	// FlushInterval is how often what was appended is given to the operating system. 0 means
	// DefaultFlushInterval; negative: only full frames, Flush and Close write, and the bytes of the file depend on
	// nothing but the operations, the clock and when Flush was called.
	FlushInterval time.Duration
}

// DefaultFlushInterval leaves compression and the write as much time again before an operation is 100 ms old.
const DefaultFlushInterval = 50 * time.Millisecond

const (
	// frameBytes is how many bytes of lines make a full frame.
	frameBytes = 256 << 10
	// queueFrames bounds how many full frames may wait for compression; then Append waits too.
	queueFrames = 8
)

// ErrClosed is what a Writer gives after Close.
var ErrClosed = errors.New("the history is closed")

// Writer appends operations to a history file. Safe for concurrent use.
type Writer struct {
	path  string
	clock func() time.Duration

	mu     sync.Mutex
	lines  []byte // of the frame that is being filled
	next   int64
	last   time.Duration
	closed bool

	frames chan pending
	spare  chan []byte
	broken atomic.Pointer[error] // the first error of the file: everything fails with it from then on
	file   *os.File
	stop   chan struct{}
	behind sync.WaitGroup // the goroutines
	hash   hash.Hash      // of the file's bytes, the compressor's until it has ended
	once   sync.Once
	result error // of Close
}

// pending is a frame on its way to the file. written, where not nil, is closed after it got there.
type pending struct {
	lines   []byte
	written chan<- struct{}
}

// Create makes a history file for a run that begins now. It never overwrites one.
func Create(path string) (*Writer, error) { return CreateWith(path, Options{}) }

// CreateWith is Create with options.
func CreateWith(path string, o Options) (*Writer, error) {
	if o.Clock == nil {
		o.Clock = sinceNow()
	}
	if o.FlushInterval == 0 {
		o.FlushInterval = DefaultFlushInterval
	}
	compressor, err := newCompressor()
	if err != nil {
		return nil, fmt.Errorf("history %s: %w", path, err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("create the history (a file that is there is never overwritten): %w", err)
	}
	if _, err := file.Write(header); err != nil {
		return nil, errors.Join(fmt.Errorf("begin the history: %w", err), file.Close())
	}
	w := &Writer{
		path: path, clock: o.Clock, file: file, hash: sha256.New(),
		frames: make(chan pending, queueFrames), spare: make(chan []byte, queueFrames), stop: make(chan struct{}),
	}
	w.hash.Write(header)
	w.behind.Go(func() { w.compress(compressor.EncodeAll) })
	if o.FlushInterval > 0 {
		w.behind.Go(func() { every(o.FlushInterval, w.stop, w.cut) })
	}
	return w, nil
}

// Now is the time since the run began, on the clock that Append uses.
func (w *Writer) Now() time.Duration { return w.clock() }

// Append sets op.Index and op.Time and records the operation. It refuses, and records nothing, where the
// operation has no type or function, or its value is not one line of JSON. Once the file can't be written,
// every Append returns that error. It waits while the disk is slower than the run.
func (w *Writer) Append(op *Op) error {
	if err := checkOp(op); err != nil {
		return fmt.Errorf("history %s: refused %s %s of process %s: %w", w.path, op.Type, op.F, op.Process, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.err(); err != nil {
		return err
	}
	op.Index = w.next
	op.Time = max(w.clock(), w.last)
	start := len(w.lines)
	w.lines = appendLine(w.lines, op)
	if n := len(w.lines) - start; n > LineMax {
		w.lines = w.lines[:start]
		return fmt.Errorf("history %s: refused %s %s of process %s: its line of %d bytes is %w",
			w.path, op.Type, op.F, op.Process, n, ErrLineTooLong)
	}
	w.next++
	w.last = op.Time
	if len(w.lines) >= frameBytes {
		w.send(nil)
	}
	return nil
}

// checkOp tells why an operation can't be recorded.
func checkOp(op *Op) error {
	switch {
	case op.Type < Invoke || op.Type > Info:
		return ErrUnknownType
	case op.Process < Evidence:
		return errors.New("no such process")
	case op.F == "":
		return errors.New("no function (F)")
	case op.Value == nil:
		return nil
	}
	return checkValue(op.Value)
}

// Flush returns when all that was appended before is with the operating system.
func (w *Writer) Flush() error {
	written := make(chan struct{})
	w.mu.Lock()
	if err := w.err(); err != nil {
		w.mu.Unlock()
		return err
	}
	w.send(written)
	w.mu.Unlock()
	<-written
	if err := w.broken.Load(); err != nil {
		return *err
	}
	return nil
}

// Close flushes, writes the completion mark, and syncs the file to the disk. A history that is not closed, or could
// not be, stays a readable prefix without the mark. It is safe to call more than once and gives the same result.
func (w *Writer) Close() error { return w.closeWith(true) }

// Abandon is Close without the completion mark, for a run that did not end by itself: what was recorded is a prefix of
// what would have been.
func (w *Writer) Abandon() error { return w.closeWith(false) }

func (w *Writer) closeWith(complete bool) error {
	w.once.Do(func() { w.result = w.finish(complete) })
	return w.result
}

func (w *Writer) finish(complete bool) error {
	close(w.stop)
	w.mu.Lock()
	w.send(nil)
	w.closed = true
	close(w.frames)
	w.mu.Unlock()
	w.behind.Wait()
	if err := w.broken.Load(); err != nil {
		return errors.Join(*err, w.file.Close())
	}
	if complete {
		if _, err := w.file.Write(mark(w.next, w.hash)); err != nil {
			return errors.Join(fmt.Errorf("write the completion mark: %w", err), w.file.Close())
		}
	}
	return errors.Join(w.file.Sync(), w.file.Close())
}

// err is why nothing can be appended. The lock is held.
func (w *Writer) err() error {
	if err := w.broken.Load(); err != nil {
		return *err
	}
	if w.closed {
		return fmt.Errorf("history %s: %w", w.path, ErrClosed)
	}
	return nil
}

// cut ends the frame that is being filled, if there is anything in it.
func (w *Writer) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed && len(w.lines) > 0 {
		w.send(nil)
	}
}

// send gives the lines so far to the compressor. The lock is held: frames keep the order.
func (w *Writer) send(written chan<- struct{}) {
	w.frames <- pending{w.lines, written}
	select {
	case w.lines = <-w.spare:
	default:
		w.lines = make([]byte, 0, frameBytes+frameBytes/8)
	}
}

// compress writes frames until there are no more. After an error it goes on to take them, so that nobody waits for ever.
func (w *Writer) compress(encode func(src, dst []byte) []byte) {
	var out []byte
	for p := range w.frames {
		if len(p.lines) > 0 && w.broken.Load() == nil {
			out = encode(p.lines, out[:0])
			w.hash.Write(out)
			if _, err := w.file.Write(out); err != nil {
				err = fmt.Errorf("write the history: %w", err)
				w.broken.Store(&err)
			}
		}
		if p.written != nil {
			close(p.written)
		}
		if cap(p.lines) <= 2*frameBytes {
			select {
			case w.spare <- p.lines[:0]:
			default:
			}
		}
	}
}
