package binaries

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

func TestWithDefaults(t *testing.T) {
	i := Installer{}.WithDefaults("https://example.org")
	if i.Releases != "https://example.org" || i.HTTP == nil || i.Arch != runtime.GOARCH || i.Go != "go" || i.Progress == nil {
		t.Errorf("%+v", i)
	}
	i = Installer{Releases: "https://example.com", Arch: "s390x", Go: "/opt/go"}.WithDefaults("https://example.org")
	if i.Releases != "https://example.com" || i.Golang() != (Go{Command: "/opt/go", Arch: "s390x"}) || i.Site().HTTP != i.HTTP {
		t.Errorf("%+v", i)
	}
}

func TestVerify(t *testing.T) {
	ask := Question{Line: regexp.MustCompile(`(?m)^is (\S+)$`), What: "a version of this"}
	for _, c := range []struct {
		script, arch string
		env          []string
		want         string
	}{
		{"echo it; echo is v1.2.3", "", nil, ""},
		{"echo is 1.2.4", "", nil, "it says that it is version 1.2.4"},
		{"echo is 1.2.4", "s390x", nil, ""},
		{"echo nothing", "", nil, `does not print a version of this but "nothing"`},
		{"echo is what", "", nil, `unknown version "what"`},
		{"echo broken >&2; exit 3", "", nil, "exit status 3: broken"},
		{"echo is $VERSION", "", []string{"VERSION=1.2.3"}, ""},
	} {
		path := filepath.Join(t.TempDir(), "program")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+c.script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		ask.Env = c.env
		err := Installer{Arch: c.arch}.WithDefaults("").Verify(t.Context(), ask, path, Version{Major: 1, Minor: 2, Patch: 3})
		if got := errorText(err); c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%q for %q: %q, want %q", c.script, c.arch, got, c.want)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
