package binaries

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestLockEndsWithItsContext(t *testing.T) {
	c := Cache{Dir: t.TempDir(), Name: "etcd", Arch: "amd64"}
	v := Version{Major: 3, Minor: 5, Patch: 4}
	unlock, err := c.Lock(context.Background(), v, func() {})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if _, err := c.Lock(ctx, v, cancel); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "another process is installing etcd 3.5.4") {
		t.Errorf("a second lock gave %v", err)
	}
	unlock()
	unlock, err = c.Lock(context.Background(), v, func() { t.Error("waits for a lock that was given back") })
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestVersions(t *testing.T) {
	for _, word := range []string{"", "banana", "3", "3.5.", "3.5.4.1", "v", "3.-1.2", "latest", "3.5.x", "99999.1.1"} {
		if v, err := ParseVersion(word); !errors.Is(err, ErrUnknownVersion) {
			t.Errorf("%q was read as %v, %v", word, v, err)
		}
	}
	known := ParseVersions("v3.5.0-alpha.0 v3.5.0 v3.5.9 v3.5.10 v3.6.0-rc.1 nonsense v3.6.0 v3.4.13")
	line, err := ParseVersion("3.5")
	if v, ok := NewestOf(line, known); err != nil || !ok || v.String() != "3.5.10" {
		t.Errorf("newest 3.5 of %v is %v", known, v)
	}
	slices.SortFunc(known, Version.Compare)
	if got := fmt.Sprint(known); got != "[3.4.13 3.5.0-alpha.0 3.5.0 3.5.9 3.5.10 3.6.0-rc.1 3.6.0]" {
		t.Errorf("sorted: %s", got)
	}
	for word, asked := range map[string]string{"3.5.10": "3.5", "3.6.0-rc.1": "3.6", "3.6.0": "3.6.0", "3.5.0-alpha.0": "3.5.0-alpha.0"} {
		v, _ := ParseVersion(word)
		if w, err := ParseVersion(asked); err != nil || !v.Fits(w) || v.Fits(Version{Major: 3, Minor: 4, Patch: -1}) {
			t.Errorf("%s does not fit %s", word, asked)
		}
	}
	for word, want := range map[string]string{"3.5.11": "3.5.10", "3.4.1": "3.4.13", "3.9.0": "3.6.0", "3.5": "3.5.0"} {
		v, err := ParseVersion(word)
		if got := Nearest(v, known); err != nil || got[0] != want {
			t.Errorf("nearest %s: %v, want %s", word, got, want)
		}
	}
}

func TestSums(t *testing.T) {
	const sum, other = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for _, c := range []struct{ text, own, listed string }{
		{sum, sum, ""},
		{sum + "\n", sum, ""},
		{strings.ToUpper(sum) + "  a.tar.gz\n", sum, sum},
		{other + "  b.zip\n" + sum + " *a.tar.gz\n", other, sum},
		{other + "  not-a.tar.gz\n", other, ""},
		{sum[1:] + "  a.tar.gz\n", "", ""},
		{"<html>" + sum, "", ""},
		{"", "", ""},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, c.text) }))
		r := Releases{HTTP: server.Client()}
		own, err := r.OwnSum(t.Context(), server.URL)
		if own != c.own || (err != nil) != (own == "") || err != nil && !errors.Is(err, ErrAbsent) {
			t.Errorf("%q alone: %q, %v", c.text, own, err)
		}
		listed, err := r.PublishedSum(t.Context(), server.URL, "a.tar.gz")
		if listed != c.listed || (err != nil) != (listed == "") || err != nil && !errors.Is(err, ErrAbsent) {
			t.Errorf("%q as a list: %q, %v", c.text, listed, err)
		}
		server.Close()
	}
}

func TestLinesAreToldAsTheyCome(t *testing.T) {
	command := filepath.Join(t.TempDir(), "go")
	if err := os.WriteFile(command, []byte("#!/bin/sh\necho one; echo two >&2; printf 'three'; printf ' four\\nhalf'; exit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	var told []string
	out, err := Go{Command: command, Arch: "amd64"}.RunTelling(t.Context(), t.TempDir(), func(line string) { told = append(told, line) }, "build")
	if err == nil || string(out) != "one\ntwo\nthree four\nhalf" || !slices.Equal(told, []string{"one", "two", "three four"}) {
		t.Errorf("%q, told %q, %v", out, told, err)
	}
}
