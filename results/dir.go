package results

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Names of the files in a run directory.
const (
	TestFile     = "test.json"
	HistoryFile  = "history.jsonl.zst"
	ResultsFile  = "results.json"
	LogFile      = "faultline.log"
	ChecksumFile = "checksums.txt"
	NodesDir     = "nodes"
	latestLink   = "latest"
)

// ErrNoRun is what opening something else than a run directory gives.
var ErrNoRun = errors.New("not a run directory")

// Dir is the directory of one run.
type Dir struct{ Path string }

// Create makes the directory of a new run, <out>/<system>/<workload>/<UTC time>-<seed>[-N], never an existing one, and
// lets <out>/latest point at it by a relative link.
func Create(out, workload string, started time.Time, seed uint64) (Dir, error) {
	base := filepath.Join(out, filepath.FromSlash(workload))
	if err := os.MkdirAll(base, 0o755); err != nil {
		return Dir{}, fmt.Errorf("make the results folder: %w", err)
	}
	name := started.UTC().Format("20060102T150405Z") + "-" + strconv.FormatUint(seed, 10)
	path := filepath.Join(base, name)
	for n := 2; ; n++ {
		err := os.Mkdir(path, 0o755)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrExist) {
			return Dir{}, fmt.Errorf("make the run directory: %w", err)
		}
		path = filepath.Join(base, name+"-"+strconv.Itoa(n))
	}
	if err := pointLatest(out, path); err != nil {
		return Dir{}, err
	}
	return Dir{path}, nil
}

// pointLatest replaces the link in one step, so that a reader always finds one.
func pointLatest(out, path string) error {
	target, err := filepath.Rel(out, path)
	if err != nil {
		return fmt.Errorf("link latest: %w", err)
	}
	fresh := filepath.Join(out, "."+latestLink+"-"+filepath.Base(path))
	if err := os.Symlink(target, fresh); err != nil {
		return fmt.Errorf("link latest: %w", err)
	}
	if err := os.Rename(fresh, filepath.Join(out, latestLink)); err != nil {
		_ = os.Remove(fresh)
		return fmt.Errorf("link latest: %w", err)
	}
	return nil
}

// Open finds a run directory: path itself, or the directory of a file in it.
func Open(path string) (Dir, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Dir{}, fmt.Errorf("open run: %w", err)
	}
	if !info.IsDir() {
		path = filepath.Dir(path)
	}
	if _, err := os.Stat(filepath.Join(path, TestFile)); err != nil {
		return Dir{}, fmt.Errorf("%s: %w (it has no %s)", path, ErrNoRun, TestFile)
	}
	return Dir{path}, nil
}

// File is the path of a file in the directory.
func (d Dir) File(name ...string) string {
	return filepath.Join(append([]string{d.Path}, name...)...)
}

// SaveTest writes test.json. It is saved at the start, and again when more is known.
func (d Dir) SaveTest(t Test) error {
	t.Schema = Schema
	return d.saveJSON(TestFile, t)
}

// LoadTest reads test.json.
func (d Dir) LoadTest() (Test, error) {
	var t Test
	err := d.loadJSON(TestFile, &t, func() int { return t.Schema })
	return t, err
}

// SaveResults writes results.json.
func (d Dir) SaveResults(r Results) error {
	r.Schema = Schema
	return d.saveJSON(ResultsFile, r)
}

// LoadResults reads results.json.
func (d Dir) LoadResults() (Results, error) {
	var r Results
	err := d.loadJSON(ResultsFile, &r, func() int { return r.Schema })
	return r, err
}

// saveJSON writes a file whole or not at all.
func (d Dir) saveJSON(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("save %s: %w", name, err)
	}
	return d.SaveFile(name, append(b, '\n'))
}

// SaveFile writes a file of the run whole or not at all. Folders in its name are made.
func (d Dir) SaveFile(name string, content []byte) error {
	path := d.File(filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("save %s: %w", name, err)
	}
	fresh := path + ".new"
	if err := os.WriteFile(fresh, content, 0o644); err != nil {
		return fmt.Errorf("save %s: %w", name, err)
	}
	if err := os.Rename(fresh, path); err != nil {
		return fmt.Errorf("save %s: %w", name, err)
	}
	return nil
}

func (d Dir) loadJSON(name string, v any, schema func() int) error {
	b, err := os.ReadFile(d.File(name))
	if err != nil {
		return fmt.Errorf("load %s: %w", name, err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("load %s: %w", d.File(name), err)
	}
	switch got := schema(); {
	case got > Schema:
		return fmt.Errorf("load %s: schema %d is newer than this faultline's %d: use a newer faultline", d.File(name), got, Schema)
	case got < 1:
		return fmt.Errorf("load %s: it has no schema version: not written by faultline", d.File(name))
	}
	return nil
}

// relative is a path below the directory with forward slashes.
func (d Dir) relative(path string) string {
	return filepath.ToSlash(strings.TrimPrefix(path, d.Path+string(filepath.Separator)))
}
