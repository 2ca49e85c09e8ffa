package history

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
)

// ErrForeign is what opening a file gives that is no history.
var ErrForeign = errors.New("not a history (want zstd frames or JSON lines)")

// File is a history on disk, as it was when it was opened. It is a Source: Ops reads the file anew each time,
// with memory for a line and a zstd window. Safe for concurrent use.
//
// Three kinds of files are read. What a Writer wrote: complete if its completion mark agrees with all its bytes; else
// the longest prefix of whole, CRC-checked frames whose indexes have no gap. JSON lines: complete if the last line is whole;
// a missing index is the number of operations before the line, a missing time is the index, fields of other names are
// passed over. JSON lines compressed by zstd: the same, but never complete, for nothing tells that the end is there.
// An empty file is a history of no operations that is not complete.
type File struct {
	name     string
	r        io.ReaderAt
	close    func() error
	kind     kind
	size     int64 // of the file when it was opened
	end      int64 // what is beyond is not read
	count    int64 // operations before end; -1: not counted
	complete bool
	note     string
}

type kind uint8

const (
	kindEmpty kind = iota
	kindOwn        // written by a Writer
	kindZstd       // some other zstd file
	kindPlain      // JSON lines
)

// Open opens a history file, also one that is still being written. A file that is no history is an error that wraps
// ErrForeign; one that is damaged opens as the prefix that can be trusted, see Recovered.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the history: %w", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the history %s: %w", path, err), f.Close())
	}
	file, err := newFile(path, f, info.Size())
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	file.close = f.Close
	return file, nil
}

// NewFile reads a history that is not in a file system: size bytes of r. name is for errors.
func NewFile(name string, r io.ReaderAt, size int64) (*File, error) { return newFile(name, r, size) }

// newFile finds out what kind of history r is, and how much of it can be trusted.
func newFile(name string, r io.ReaderAt, size int64) (*File, error) {
	f := &File{name: name, r: r, size: size, end: size, count: -1, close: func() error { return nil }}
	head := make([]byte, min(size, int64(len(header))))
	_, err := readAt(r, head, 0)
	switch {
	case err != nil:
	case size == 0:
		f.recovered(0, 0, "nothing: the file is empty")
	case bytes.Equal(head, header):
		f.kind = kindOwn
		if err = f.checkMark(); err == nil && !f.complete {
			err = f.recover()
		}
	case bytes.Contains(head, []byte(`"faultline"`)):
		f.recovered(0, 0, "a header that is damaged, or of a format that this version does not know")
	case startsLikeZstd(head):
		f.kind = kindZstd
		err = f.recover()
	default:
		f.kind = kindPlain
		err = f.checkPlain()
	}
	if err != nil {
		return nil, fmt.Errorf("history %s: %w", name, err)
	}
	return f, nil
}

// Close closes the file. Ops gives errors afterwards.
func (f *File) Close() error { return f.close() }

// Complete tells whether the history is all there; see File.
func (f *File) Complete() bool { return f.complete }

// Recovered says, where the history is not complete, how much was recovered and what follows; "" for a complete one.
func (f *File) Recovered() string { return f.note }

func (f *File) recovered(count, end int64, follows string) {
	f.complete, f.count, f.end = false, count, end
	f.note = fmt.Sprintf("recovered prefix: %d operations up to byte offset %d; what follows is %s", count, end, follows)
}

// checkMark looks for a completion mark that agrees with the file.
func (f *File) checkMark() error {
	start := f.size - markLen
	if start < int64(len(header)) {
		return nil
	}
	at := make([]byte, markLen)
	if _, err := readAt(f.r, at, start); err != nil {
		return err
	}
	count, ok := markCount(at)
	if !ok {
		return nil
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, io.NewSectionReader(f.r, 0, start)); err != nil {
		return fmt.Errorf("read up to the completion mark: %w", err)
	}
	if bytes.Equal(at, mark(count, hash)) {
		f.complete, f.count, f.end = true, count, start
	}
	return nil
}

// markCount reads the number of operations from what may be a mark.
func markCount(b []byte) (count int64, ok bool) {
	b, ok = bytes.CutPrefix(b[skippableHeadLen:], []byte(markPrefix))
	if !ok {
		return 0, false
	}
	_, err := fmt.Sscanf(string(b), `"operations":%d,`, &count)
	return count, err == nil && count >= 0
}

// checkPlain refuses what does not begin with an operation, and finds out whether the last line is whole.
func (f *File) checkPlain() error {
	if blank, err := f.checkFirstLine(); err != nil || blank {
		return err
	}
	start, err := f.lastLineStart()
	if err != nil {
		return err
	}
	line := make([]byte, f.size-start)
	if _, err := readAt(f.r, line, start); err != nil {
		return err
	}
	f.complete = true
	if len(bytes.TrimSpace(line)) == 0 || newDecoder().decode(line, new(Op)) == nil {
		return nil
	}
	f.end = start
	count, err := f.countLines()
	if err != nil {
		return err
	}
	f.recovered(count, start, fmt.Sprintf("a line that is cut off after %d bytes", len(line)))
	return nil
}

func (f *File) checkFirstLine() (blank bool, err error) {
	lines := newLineReader(io.NewSectionReader(f.r, 0, f.size))
	for {
		line, err := lines.next()
		switch {
		case errors.Is(err, io.EOF):
			f.recovered(0, 0, "white space only")
			return true, nil
		case err != nil:
			return false, fmt.Errorf("line %d: %w: %w", lines.line, ErrForeign, err)
		case isBlank(line):
			continue
		}
		if err := newDecoder().decode(line, new(Op)); err != nil && (lines.whole || !maybeCutOff(line)) {
			return false, fmt.Errorf("line %d, offset %d: %w: %w; it begins with %.60q",
				lines.line, lines.offset, ErrForeign, err, line)
		}
		return false, nil
	}
}

// maybeCutOff tells whether a line without its end can have been an operation's.
func maybeCutOff(line []byte) bool {
	const begin = `{"`
	line = bytes.TrimLeft(line, " \t\r")
	return bytes.HasPrefix(line, []byte(begin)) || bytes.HasPrefix([]byte(begin), line)
}

// lastLineStart is the offset of what stands behind the last line break.
func (f *File) lastLineStart() (int64, error) {
	const step = 64 << 10
	for end := f.size; end > 0; {
		start := max(0, end-step)
		b := make([]byte, end-start)
		if _, err := readAt(f.r, b, start); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(b, '\n'); i >= 0 {
			return start + int64(i) + 1, nil
		}
		if end = start; f.size-end > LineMax {
			return 0, fmt.Errorf("the last line is %w", ErrLineTooLong)
		}
	}
	return 0, nil
}

func (f *File) countLines() (count int64, err error) {
	lines := newLineReader(io.NewSectionReader(f.r, 0, f.end))
	for {
		line, err := lines.next()
		if errors.Is(err, io.EOF) {
			return count, nil
		}
		if err != nil {
			return 0, fmt.Errorf("line %d: %w", lines.line, err)
		}
		if !isBlank(line) {
			count++
		}
	}
}

// lineReader cuts what it reads into lines of at most LineMax bytes.
type lineReader struct {
	r      *bufio.Reader
	long   []byte // what of the line did not fit the reader's buffer
	line   int64  // number of the line returned last, from 1
	offset int64  // of its first byte
	after  int64
	whole  bool // it had its line break
}

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 64<<10)}
}

// next returns a line without its line break. It stays valid until the next call.
func (l *lineReader) next() ([]byte, error) {
	l.line++
	l.offset = l.after
	l.long = l.long[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		l.after += int64(len(part))
		if len(l.long)+len(part) > LineMax {
			return nil, ErrLineTooLong
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			l.long = append(l.long, part...)
			continue
		}
		if len(l.long) > 0 {
			l.long = append(l.long, part...)
			part = l.long
		}
		l.whole = err == nil
		if err != nil && (len(part) == 0 || !errors.Is(err, io.EOF)) {
			return nil, err
		}
		return bytes.TrimSuffix(part, []byte("\n")), nil
	}
}

func isBlank(line []byte) bool { return skipSpace(line, 0) == len(line) }
