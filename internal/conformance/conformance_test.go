package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fake is a test that remembers what was said and does not fail.
type fake struct {
	testing.TB
	errors, logs []string
}

func (f *fake) Helper() {}
func (f *fake) Errorf(format string, args ...any) {
	f.errors = append(f.errors, fmt.Sprintf(format, args...))
}

func (f *fake) Logf(format string, args ...any) {
	f.logs = append(f.logs, fmt.Sprintf(format, args...))
}

func TestArguments(t *testing.T) {
	rows := []Row{
		{Case: "a/1.log", Theirs: "valid", Ours: "invalid", Why: "they let a read of nil be anything"},
		{Case: "b/*", Theirs: "invalid", Ours: "valid", Why: "an unknown write need not happen"},
	}
	for _, c := range []struct{ name, theirs, ours, want string }{
		{"c", "valid", "valid", ""},
		{"c", "valid", "invalid", "DISAGREE: c"},
		{"a/1.log", "valid", "invalid", ""},
		{"a/1.log", "valid", "unknown", "DISAGREE: a/1.log"},
		{"a/1.log", "valid", "unknown", "OUTDATED: CONFORMANCE.md argues about a/1.log"},
		{"a/1.log", "valid", "valid", "OUTDATED: CONFORMANCE.md argues about a/1.log"},
		{"b/7", "invalid", "valid", ""},
		{"a/1xlog", "valid", "invalid", "DISAGREE"},
	} {
		f := &fake{}
		g := &Group{t: f, name: "g", rows: rows, used: map[Row]bool{}}
		g.Case(c.name, c.theirs, c.ours, "")
		g.report()
		said := strings.Join(f.errors, "\n")
		if (c.want == "") != (said == "") || !strings.Contains(said, c.want) {
			t.Errorf("%s: theirs %s, ours %s: said %q, want %q", c.name, c.theirs, c.ours, said, c.want)
		}
		if len(f.logs) == 0 || !strings.Contains(f.logs[len(f.logs)-1], "g: 1 cases") {
			t.Errorf("%s: not counted: %q", c.name, f.logs)
		}
	}
}

func TestTables(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# Page\n| other | table |\n|---|---|\n| x | y |\n\n| case | theirs | ours | why |\n|---|---|---|---|\n" +
		"| `a/1 x` | valid | invalid G0 | a bar \\| within the argument |\n\n| not | a | row | of it, surely |\n")
	rows, err := Argued(file)
	want := Row{"a/1 x", "valid", "invalid G0", "a bar | within the argument"}
	if err != nil || len(rows) != 1 || rows[0] != want {
		t.Errorf("got %+v, %v", rows, err)
	}
	write("| case | theirs | ours | why |\n|---|---|---|---|\n| a | valid | invalid | |\n")
	if _, err := Argued(file); err == nil || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("a row without an argument: %v", err)
	}
}

// TestThePageCanBeRead: the rows of the real page are well-formed also where nobody has the histories.
func TestThePageCanBeRead(t *testing.T) {
	if _, err := Argued(page()); err != nil {
		t.Error(err)
	}
}
