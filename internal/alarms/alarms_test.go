package alarms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// patterns are what a scan found, in its order, as "PATTERN" or, at the end, "".
func patterns(t *testing.T, ops []history.Op) []string {
	t.Helper()
	var out []string
	for _, op := range ops {
		var line history.LogLine
		err := json.Unmarshal(op.Value, &line)
		if err != nil || op.Node != "n2" || op.F != history.FLog || op.Process != history.Evidence || op.Type != history.Info || line.Component != "server" {
			t.Errorf("%+v: %v", op, err)
		}
		out = append(out, line.Pattern)
	}
	return out
}

func TestScan(t *testing.T) {
	own := []Alarm{
		{Name: "survived", Line: regexp.MustCompile(`^panic: |recovered`), Not: regexp.MustCompile(`harmless`)},
		{Name: "fatal", Line: regexp.MustCompile(`^giving up`)},
	}
	log := `a panic: and a fatal error: are only words here
panic: assignment to entry in nil map
fatal error: concurrent map writes
WARNING: DATA RACE
SIGABRT: abort
unexpected fault address 0x0
giving up
recovered
panic: harmless
` + strings.Repeat("x", 3*lineBytesMax) + `
[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x0]` + strings.Repeat("x", 3*lineBytesMax)
	for _, c := range []struct {
		of   []Alarm
		want []string
	}{
		{GoRuntime, []string{"panic", "fatal", "data race", "signal", "signal", "panic", "signal", ""}},
		{slices.Concat(own, GoRuntime), []string{"survived", "fatal", "data race", "signal", "signal", "fatal", "survived", "signal", ""}},
	} {
		ops, err := Scan("n2", "server", strings.NewReader(log), c.of)
		if err != nil {
			t.Fatal(err)
		}
		if got := patterns(t, ops); !slices.Equal(got, c.want) {
			t.Errorf("alarms %q, want %q", got, c.want)
		}
		var last history.LogLine
		if err := json.Unmarshal(ops[len(ops)-2].Value, &last); err != nil || len(last.Line) != lineBytesMax {
			t.Errorf("a long line is kept with %d bytes, %v", len(last.Line), err)
		}
	}
	ops, err := Scan("n2", "server", strings.NewReader(strings.Repeat("panic: again\n", 1000)), GoRuntime)
	if err != nil || len(ops) != perLogMax {
		t.Errorf("a crash loop gave %d lines, %v", len(ops), err)
	}
}

// disk is a node with one file, of which a download breaks off with an error where there is one.
type disk struct {
	harness.Node
	file, text string
	broken     error
}

func (d disk) Name() string { return "n2" }

func (d disk) Download(_ context.Context, remote string, w io.Writer) error {
	if remote != d.file {
		return os.ErrNotExist
	}
	_, err := io.Copy(w, strings.NewReader(d.text))
	return errors.Join(err, d.broken)
}

func TestSearchAndDownload(t *testing.T) {
	broken := errors.New("the line is dead")
	whole := disk{file: "/log", text: "all is well\npanic: no\n"}
	for _, c := range []struct {
		node disk
		file string
		want []string
		err  error
	}{
		{whole, "/log", []string{"panic", ""}, nil},
		{disk{file: whole.file, text: whole.text, broken: broken}, "/log", []string{"panic"}, broken},
		{whole, "/nowhere", nil, os.ErrNotExist},
	} {
		ops, err := Search(t.Context(), c.node, "server", c.file, GoRuntime)
		if got := patterns(t, ops); !slices.Equal(got, c.want) || !errors.Is(err, c.err) {
			t.Errorf("search %s: %q, %v, want %q, %v", c.file, got, err, c.want, c.err)
		}
		to := filepath.Join(t.TempDir(), "copy")
		err = Download(t.Context(), c.node, c.file, to)
		text, readErr := os.ReadFile(to)
		if !errors.Is(err, c.err) || readErr != nil || c.want != nil && !bytes.Equal(text, []byte(whole.text)) {
			t.Errorf("download %s: %q, %v, %v", c.file, text, err, readErr)
		}
	}
	// A scan that has enough ends the download.
	loop := disk{file: "/log", text: strings.Repeat("panic: again\n", 100_000)}
	if ops, err := Search(t.Context(), loop, "server", "/log", GoRuntime); err != nil || len(ops) != perLogMax {
		t.Errorf("a crash loop gave %d lines, %v", len(ops), err)
	}
	if err := Download(t.Context(), whole, "/log", filepath.Join(t.TempDir(), "no", "copy")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a download to nowhere: %v", err)
	}
}
