package formats

import (
	"bufio"
	"fmt"
	"io"

	"github.com/faultline/faultline/harness/history"
)

// Export is a format that histories are written in.
type Export struct {
	Name, Doc string
	// Write writes a history. The error is the source's or the writer's.
	Write func(w io.Writer, src history.Source) error
}

// Exports are the formats that histories are written in.
var Exports = []Export{
	{"jsonl", "JSON lines, an operation a line, nothing left out", writeLines},
	{"edn", "a map a line, as Jepsen, Elle and Knossos read them", writeEDN},
	{"chrome-trace", "a trace for Perfetto or chrome://tracing: a track per process, faults as tracks of their own", writeTrace},
}

// writeLines writes what a history file has when it is decompressed.
func writeLines(w io.Writer, src history.Source) error {
	out := bufio.NewWriterSize(w, 256<<10)
	var line []byte
	for op, err := range src.Ops() {
		if err != nil {
			return err
		}
		line = history.AppendLine(line[:0], &op)
		if _, err := out.Write(line); err != nil {
			return fmt.Errorf("write JSON lines: %w", err)
		}
	}
	return out.Flush()
}
