package formats

import (
	"testing"

	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/conformance"
)

// TestConformanceReading: every file of the other tools can be read, and keeps the rules.
func TestConformanceReading(t *testing.T) {
	g := conformance.NewGroup(t, "files that can be read")
	for _, pattern := range []string{"elle/*.edn", "porcupine/jepsen/*.log", "porcupine/kv/*.txt", "knossos/*/*.jsonl"} {
		for _, file := range conformance.Files(t, pattern) {
			ours, detail := "read", ""
			if src, err := Open(file); err != nil {
				ours, detail = "refused", err.Error()
			} else if err := history.Validate(src); err != nil {
				ours, detail = "refused", err.Error()
			}
			g.Case("reading "+conformance.Name(t, file), "read", ours, detail)
		}
	}
}
