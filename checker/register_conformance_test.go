package checker

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/faultline/faultline/harness/formats"
	"github.com/faultline/faultline/internal/conformance"
)

// linearizes judges the register of a file from elsewhere.
func linearizes(t *testing.T, file string) (verdict, detail string) {
	t.Helper()
	src, err := formats.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := must(t)(Linearizable(LinearizableOptions{})).Check(t.Context(), src, Budget{Time: time.Minute})
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return r.Verdict.String(), told(r)
}

// numbers are the three digits of Porcupine's logs.
var numbers = regexp.MustCompile(`\b[0-9]{3}\b`)

func TestConformancePorcupine(t *testing.T) {
	expected, err := os.ReadFile(filepath.Join(conformance.Folder(t), "porcupine", "EXPECTED.md"))
	if err != nil {
		t.Skip(err)
	}
	var valid, invalid []string
	for line := range strings.SplitSeq(string(expected), "\n") {
		switch {
		case strings.HasPrefix(line, "Linearizable"):
			valid = numbers.FindAllString(line, -1)
		case strings.HasPrefix(line, "Not linearizable"):
			invalid = numbers.FindAllString(line, -1)
		}
	}
	g := conformance.NewGroup(t, "Porcupine's etcd logs")
	for _, file := range conformance.Files(t, "porcupine/jepsen/*.log") {
		number := strings.TrimPrefix(strings.TrimSuffix(filepath.Base(file), ".log"), "etcd_")
		var theirs string
		switch {
		case slices.Contains(valid, number):
			theirs = Valid.String()
		case slices.Contains(invalid, number):
			theirs = Invalid.String()
		default:
			continue
		}
		ours, detail := linearizes(t, file)
		g.Case(conformance.Name(t, file), theirs, ours, detail)
	}
}

func TestConformanceKnossos(t *testing.T) {
	g := conformance.NewGroup(t, "Knossos' CAS registers")
	for folder, theirs := range map[string]Verdict{"knossos-good": Valid, "knossos-bad": Invalid} {
		for _, file := range conformance.Files(t, "knossos/"+folder+"/*") {
			ours, detail := linearizes(t, file)
			g.Case(conformance.Name(t, file), theirs.String(), ours, detail)
		}
	}
}
