// Package conformance compares verdicts with those of other tools over histories that nobody here wrote, for tests whose names begin
// with TestConformance: `make conformance` runs them over the folder it is given. Every disagreement is a row of CONFORMANCE.md,
// which argues it, or the test fails; a row that is no longer true fails too, so that the page and the tests can't drift apart.
package conformance

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
)

// FolderVariable is the environment variable that names the folder.
const FolderVariable = "FAULTLINE_CONFORMANCE"

// Folder is the folder of the histories. A test is skipped where it is not set, and fails where it names no folder.
func Folder(t testing.TB) string {
	t.Helper()
	folder := os.Getenv(FolderVariable)
	if folder == "" {
		t.Skipf("%s is not set; make conformance CONFORMANCE=folder runs this", FolderVariable)
	}
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		t.Fatalf("%s=%s is no folder", FolderVariable, folder)
	}
	return folder
}

// Files are the files below the folder that fit a pattern of filepath.Glob, in order; the test is skipped where there are none, so that
// a folder may hold some kinds of histories only.
func Files(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(Folder(t), filepath.FromSlash(pattern)))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skipf("no %s in the folder", pattern)
	}
	slices.Sort(files)
	return files
}

// Name is a file's path within the folder, with slashes: what CONFORMANCE.md calls it.
func Name(t testing.TB, file string) string {
	t.Helper()
	name, err := filepath.Rel(Folder(t), file)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.ToSlash(name)
}

// Group is a set of cases of one kind, counted together. Safe for concurrent use.
type Group struct {
	t    testing.TB
	name string

	mu      sync.Mutex
	rows    []Row
	used    map[Row]bool
	settled []Row // rows whose case agrees now, or has another verdict

	agree, argued, disagree int
}

// NewGroup begins a group; when its test ends it tells how many cases agreed, were argued, or disagreed without an argument.
func NewGroup(t testing.TB, name string) *Group {
	t.Helper()
	rows, err := Argued(page())
	if err != nil {
		t.Fatal(err)
	}
	g := &Group{t: t, name: name, rows: rows, used: map[Row]bool{}}
	t.Cleanup(g.report)
	return g
}

// page is CONFORMANCE.md of this module.
func page() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "CONFORMANCE.md")
}

// Case compares the verdict of another tool on a case with ours: words that mean the same on both sides, as
// "valid", or "invalid G1c, G2-item". detail helps to find out why they differ.
func (g *Group) Case(name, theirs, ours, detail string) {
	g.t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	fits := rowsOf(g.rows, name)
	if theirs == ours {
		g.agree++
		g.settled = append(g.settled, fits...)
		return
	}
	for _, r := range fits {
		if r.Theirs == theirs && r.Ours == ours {
			g.argued++
			g.used[r] = true
			g.t.Logf("conformance: argued: %s: theirs %q, ours %q", name, theirs, ours)
			return
		}
	}
	g.disagree++
	g.settled = append(g.settled, fits...)
	g.t.Errorf("conformance: DISAGREE: %s: theirs %q, ours %q; %s", name, theirs, ours, detail)
}

func (g *Group) report() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.settled {
		if !g.used[r] {
			g.used[r] = true
			g.t.Errorf("conformance: OUTDATED: CONFORMANCE.md argues about %s (theirs %q, ours %q), and that is not what was found", r.Case, r.Theirs, r.Ours)
		}
	}
	g.t.Logf("conformance: %s: %d cases, %d agree, %d argued, %d disagree", g.name, g.agree+g.argued+g.disagree, g.agree, g.argued, g.disagree)
}
