// Package formats reads histories that other tools recorded, and writes ours for them. What is read is found out by content:
//
//   - Faultline's own history files, and JSON lines of the same fields from elsewhere, plain or in zstd; also one JSON array of such objects.
//   - EDN as Jepsen, Elle and Knossos write it: a map per operation, one after the other or in one vector, tagged or not.
//   - Logs of Jepsen's, as Porcupine's etcd histories are, and its history.txt.
//   - Porcupine's key-value logs, which are EDN with a :key.
//   - Folders of etcd's robustness tests' reports, as registers with versions: see reportSource for what of them; and of Jepsen's store.
//
// Every source yields operations that keep all rules of package history, or an error that names the file, the line, and the rule or what was expected there.
package formats

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/faultline/faultline/harness/history"
)

// ErrUnknownFormat is what a file gives that is of no known format.
var ErrUnknownFormat = errors.New("no known history: looked for zstd frames or JSON lines of operations (Faultline's own), a JSON array of operations, " +
	"EDN maps of operations (Jepsen, Elle, Knossos, Porcupine's key-value logs), and lines PROCESS :TYPE :F VALUE (Jepsen's logs)")

// headBytes is how much of a file is looked at to find out its format.
const headBytes = 64 << 10

// Open opens a history of any format. The source reads the file anew for each pass. An empty file is a history of no operations
// that is not complete. The error of a file of no known format wraps ErrUnknownFormat.
func Open(path string) (history.Source, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return openFolder(path)
	}
	head, err := headOf(path)
	if err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return os.Open(path) }
	switch detect(head) {
	case formatEDN:
		return &ednSource{path, open}, nil
	case formatArray:
		return &arraySource{path, open}, nil
	case formatLog:
		whole, err := endsWithLineBreak(path)
		return &logSource{path, open, whole}, err
	case formatLines:
		file, err := history.Open(path)
		if err != nil {
			return nil, err
		}
		if file.Own() {
			return ownSource{file}, nil
		}
		return linesSource{file}, nil
	case formatNone:
	}
	return nil, fmt.Errorf("%s: %w; it begins with %.60q", path, ErrUnknownFormat, head)
}

// jepsenHistory is the file of a folder of Jepsen's store that has the history.
const jepsenHistory = "history.edn"

// openFolder opens what a folder of another tool has.
func openFolder(path string) (history.Source, error) {
	report, err := openReport(path)
	if err != nil {
		return nil, err
	}
	if report != nil {
		return report, nil
	}
	if file := filepath.Join(path, jepsenHistory); fileExists(file) {
		return Open(file)
	}
	return nil, fmt.Errorf("%s: %w; of a folder: client-*/operations.json (a report of etcd's robustness tests), or %s (a folder of Jepsen's store)",
		path, ErrUnknownFormat, jepsenHistory)
}

func fileExists(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// Parse reads a history from memory: JSON lines, a JSON array, EDN or a log. Rules that span operations are checked as Open does.
func Parse(name string, content []byte) (history.Source, error) {
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	switch detect(content[:min(len(content), headBytes)]) {
	case formatEDN:
		return &ednSource{name, open}, nil
	case formatArray:
		return &arraySource{name, open}, nil
	case formatLog:
		return &logSource{name, open, bytes.HasSuffix(content, []byte("\n"))}, nil
	case formatLines:
		file, err := history.NewFile(name, bytes.NewReader(content), int64(len(content)))
		if err != nil {
			return nil, err
		}
		return linesSource{file}, nil
	case formatNone:
	}
	return nil, fmt.Errorf("%s: %w; it begins with %.60q", name, ErrUnknownFormat, content)
}

func headOf(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the history: %w", err)
	}
	defer f.Close()
	head := make([]byte, headBytes)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	return head[:n], nil
}

func endsWithLineBreak(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var last [1]byte
	if _, err := f.Seek(-1, io.SeekEnd); err != nil {
		return false, err
	}
	_, err = f.Read(last[:])
	return last[0] == '\n', err
}

// The formats that are told apart.
type format uint8

const (
	formatNone  format = iota
	formatLines        // JSON lines or zstd, which harness/history reads
	formatArray        // a JSON array
	formatEDN
	formatLog
)

// detect finds out a format by how the file begins.
func detect(head []byte) format {
	if isZstd(head) {
		return formatLines
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	if len(text) == 0 {
		return formatLines // empty, which is harness/history's to tell
	}
	switch text[0] {
	case '{':
		if inside := bytes.TrimLeft(text[1:], " \t\r\n"); len(inside) == 0 || inside[0] == '"' {
			return formatLines
		}
		return formatEDN
	case '[':
		inside, isMap := bytes.CutPrefix(bytes.TrimLeft(text[1:], " \t\r\n"), []byte("{"))
		if isMap && bytes.HasPrefix(bytes.TrimLeft(inside, " \t\r\n"), []byte(`"`)) {
			return formatArray
		}
		return formatEDN
	case '(', ';':
		return formatEDN
	case '#':
		if len(text) > 1 && text[1] != ' ' && text[1] != '!' {
			return formatEDN
		}
	}
	for line := range bytes.Lines(text) {
		for _, s := range sources {
			if _, said, found := bytes.Cut(line, s); found && isLogged(said) {
				return formatLog
			}
		}
		if isLogged(line) {
			return formatLog
		}
		if !isChatter(line) {
			break
		}
	}
	return formatNone
}

// isZstd tells zstd's frames, skippable ones included, also where the file ends within the first four bytes.
func isZstd(head []byte) bool {
	for _, magic := range [][]byte{{0x28, 0xb5, 0x2f, 0xfd}, {0x50, 0x2a, 0x4d, 0x18}} {
		first := byte(0)
		if len(head) > 0 {
			first = head[0]
		}
		if magic[0] == 0x50 && first&0xf0 == 0x50 && len(head) >= 4 && bytes.Equal(head[1:4], magic[1:]) {
			return true
		}
		if len(head) >= 4 && bytes.Equal(head[:4], magic) || len(head) > 0 && len(head) < 4 && bytes.HasPrefix(magic, head) {
			return true
		}
	}
	return false
}

// ownSource is a history that Faultline recorded, checked against every rule while it is read.
type ownSource struct{ *history.File }

func (s ownSource) Ops() func(yield func(history.Op, error) bool) {
	return func(yield func(history.Op, error) bool) {
		rules := history.NewRuleChecker()
		for l, err := range s.Lines() {
			if err == nil {
				err = rules.Check(l.Op, l.Line)
			}
			if err != nil {
				yield(history.Op{}, fmt.Errorf("history %s: %w", s.Name(), err))
				return
			}
			if !yield(*l.Op, nil) {
				return
			}
		}
	}
}
