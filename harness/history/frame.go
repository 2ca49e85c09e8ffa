package history

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"
)

// The file is a sequence of zstd frames (RFC 8878). First a skippable frame that names the format, then frames
// of whole lines, each with its content checksum, at the end a skippable frame: the completion mark.
// Every zstd program skips what is skippable and sees JSON lines.

const (
	// frameMagic begins a frame with content; skippableMagic one that readers pass over
	// (the last of the sixteen that the format gives to applications).
	frameMagic     = 0xFD2FB528
	skippableMagic = 0x184D2A5F
	// windowMax bounds what a frame may make the reader allocate. zstd -19 asks for 8 MiB.
	windowMax = 32 << 20
)

// header is the file's first frame.
var header = skippable(`{"faultline":"history","format":1}` + "\n")

// markPrefix is what tells a completion mark from other skippable frames.
const markPrefix = `{"faultline":"complete",`

// markLen is the length of every completion mark, so that a reader finds it from the end, and markTail of what
// follows its digest.
const (
	markTail = "\"}\n"
	markLen  = skippableHeadLen + int64(len(markPrefix)+len(`"operations":,"sha256":"`)+20+2*sha256.Size+len(markTail))
)

// markHead is the completion mark up to its digest, which is the SHA-256 of all that the file has before it, markHead
// included.
func markHead(operations int64) []byte {
	b := skippableHead(int(markLen) - skippableHeadLen)
	return fmt.Appendf(b, "%s\"operations\":%20d,\"sha256\":\"", markPrefix, operations)
}

// mark is the completion mark of a file of so many operations; hash was given all that is before it.
func mark(operations int64, hash hash.Hash) []byte {
	head := markHead(operations)
	hash.Write(head)
	return fmt.Appendf(head, "%x%s", hash.Sum(nil), markTail)
}

const skippableHeadLen = 8

// skippableHead begins a skippable frame of so many bytes.
func skippableHead(n int) []byte {
	b := binary.LittleEndian.AppendUint32(nil, skippableMagic)
	return binary.LittleEndian.AppendUint32(b, uint32(n)) // a line
}

func skippable(payload string) []byte { return append(skippableHead(len(payload)), payload...) }

func newCompressor() (*zstd.Encoder, error) {
	// One frame at a time, by one goroutine: frames don't depend on how many cores there are.
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(true),
		zstd.WithEncoderConcurrency(1))
}

func newDecompressor(r io.Reader) (*zstd.Decoder, error) {
	return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(windowMax))
}

// frame is the extent of one zstd frame in a file.
type frame struct {
	start, end int64
	skippable  bool
	checksum   bool
}

var errCutOff = errors.New("a frame that is cut off")

// frameAt finds the end of the frame that begins at offset, without decompressing anything.
func frameAt(r io.ReaderAt, offset, size int64) (frame, error) {
	var head [zstd.HeaderMaxSize]byte
	n, err := readAt(r, head[:min(int64(len(head)), size-offset)], offset)
	if err != nil {
		return frame{}, err
	}
	var h zstd.Header
	if err := h.Decode(head[:n]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return frame{}, errCutOff
		}
		return frame{}, fmt.Errorf("no zstd frame: %w", err)
	}
	f := frame{start: offset, end: offset + int64(h.HeaderSize), skippable: h.Skippable, checksum: h.HasCheckSum}
	if h.Skippable {
		f.end += int64(h.SkippableSize)
	} else if f.end, err = blocksEnd(r, f.end, size); err != nil {
		return frame{}, err
	} else if h.HasCheckSum {
		f.end += 4
	}
	if f.end > size {
		return frame{}, errCutOff
	}
	return f, nil
}

// blocksEnd follows the blocks of a frame to the last one's end.
func blocksEnd(r io.ReaderAt, offset, size int64) (int64, error) {
	for {
		var b [3]byte
		if size-offset < int64(len(b)) {
			return 0, errCutOff
		}
		if _, err := readAt(r, b[:], offset); err != nil {
			return 0, err
		}
		block := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
		last, kind, length := block&1 == 1, block>>1&3, int64(block>>3)
		switch kind {
		case 1: // one byte, repeated
			length = 1
		case 3:
			return 0, errors.New("a reserved kind of zstd block")
		}
		if offset += int64(len(b)) + length; offset > size {
			return 0, errCutOff
		}
		if last {
			return offset, nil
		}
	}
}

// readAt fills b, or says why not.
func readAt(r io.ReaderAt, b []byte, offset int64) (int, error) {
	n, err := r.ReadAt(b, offset)
	if n == len(b) {
		return n, nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, fmt.Errorf("read %d bytes at offset %d: %w", len(b), offset, err)
}

// startsLikeZstd tells whether a file that begins with b is, or may have been cut off from, zstd frames.
func startsLikeZstd(b []byte) bool {
	if len(b) < 4 {
		return len(b) > 0 && (bytes.HasPrefix(header, b) || bytes.HasPrefix(binary.LittleEndian.AppendUint32(nil, frameMagic), b))
	}
	magic := binary.LittleEndian.Uint32(b)
	return magic == frameMagic || magic&^0xF == skippableMagic&^0xF
}
