package results

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var started = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func create(t *testing.T, out string) Dir {
	t.Helper()
	d, err := Create(out, "etcd/register", started, 42)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRunDirectoriesAreNeverOverwritten(t *testing.T) {
	out := t.TempDir()
	var got []string
	for range 3 {
		d := create(t, out)
		got = append(got, d.relativeTo(out))
		link, err := os.Readlink(filepath.Join(out, "latest"))
		if err != nil || filepath.IsAbs(link) {
			t.Fatalf("latest is %q, %v: want a relative link", link, err)
		}
		if link != got[len(got)-1] {
			t.Errorf("latest points at %s, not at %s", link, got[len(got)-1])
		}
	}
	want := "etcd/register/20260102T030405Z-42 etcd/register/20260102T030405Z-42-2 etcd/register/20260102T030405Z-42-3"
	if strings.Join(got, " ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
	}
}

func (d Dir) relativeTo(out string) string {
	rel, err := filepath.Rel(out, d.Path)
	if err != nil {
		return err.Error()
	}
	return filepath.ToSlash(rel)
}

func TestWhatIsSavedIsLoaded(t *testing.T) {
	d := create(t, t.TempDir())
	if _, err := Open(d.Path); !errors.Is(err, ErrNoRun) {
		t.Errorf("a folder without test.json opens as a run: %v", err)
	}
	if err := d.SaveTest(Test{Workload: "etcd/register", Seed: 42, Started: started}); err != nil {
		t.Fatal(err)
	}
	opened, err := Open(d.File(TestFile))
	if err != nil || opened != d {
		t.Fatalf("open by a file of it: %v, %v", opened, err)
	}
	got, err := opened.LoadTest()
	if err != nil || got.Seed != 42 || got.Schema != Schema || !got.Started.Equal(started) || !got.Ended.IsZero() {
		t.Errorf("loaded %+v, %v", got, err)
	}
	if _, err := d.LoadResults(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("results that are not there: %v", err)
	}
}

func TestOtherSchemasAreRefused(t *testing.T) {
	d := create(t, t.TempDir())
	for _, c := range []struct{ content, want string }{
		{`{"schema":99}`, "newer than this faultline's"},
		{`{"verdict":"valid"}`, "no schema version"},
		{`{"schema":1,"verdict":"fine"}`, `unknown verdict "fine"`},
		{`<html>`, "invalid character"},
	} {
		if err := d.SaveFile(ResultsFile, []byte(c.content)); err != nil {
			t.Fatal(err)
		}
		if _, err := d.LoadResults(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.content, err, c.want)
		}
	}
}

func TestChecksumsTellWhatChanged(t *testing.T) {
	d := create(t, t.TempDir())
	for name, content := range map[string]string{"a.txt": "a", "nodes/n1/etcd.log": "b", "gone.txt": "c"} {
		if err := d.SaveFile(name, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.VerifyChecksums(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without checksums: %v", err)
	}
	if err := d.SaveChecksums(); err != nil {
		t.Fatal(err)
	}
	if wrong, err := d.VerifyChecksums(); err != nil || len(wrong) != 0 {
		t.Errorf("unchanged: %v, %v", wrong, err)
	}
	if err := os.WriteFile(d.File("nodes", "n1", "etcd.log"), []byte("tampered"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(d.File("gone.txt")); err != nil {
		t.Fatal(err)
	}
	wrong, err := d.VerifyChecksums()
	if err != nil || strings.Join(wrong, " ") != "gone.txt nodes/n1/etcd.log" {
		t.Errorf("changed and missing: %v, %v", wrong, err)
	}
	if err := d.SaveFile(ChecksumFile, []byte("00  ../../outside\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.VerifyChecksums(); err == nil || !strings.Contains(err.Error(), "bad line") {
		t.Errorf("a path outside of the run: %v", err)
	}
}
