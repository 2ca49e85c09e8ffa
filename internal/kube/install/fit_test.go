package install

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/faultline/faultline/internal/binaries"
)

func TestStopsWithItsContext(t *testing.T) {
	command, _ := fakeGo(t, "1.36.3")
	ctx, cancel := context.WithCancel(t.Context())
	i := Installer{Cache: t.TempDir(), Releases: "http://127.0.0.1:1", Go: command, Progress: func(string) { cancel() }}
	if _, err := i.Install(ctx, "1.36.3", nil); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnknownVersion) {
		t.Errorf("an interrupted installation: %v", err)
	}
}

func TestHollowSourceByLine(t *testing.T) {
	seen := map[string]string{}
	for _, c := range []struct{ version, client string }{
		{"1.34.0", "hollow/cri_logger.go.txt"},
		{"1.35.4", "hollow/cri_logger.go.txt"},
		{"1.36.3", "hollow/cri_context.go.txt"},
		{"1.37.2", "hollow/cri_context.go.txt"},
	} {
		v, err := binaries.ParseVersion(c.version)
		if err != nil {
			t.Fatal(err)
		}
		files, err := hollowFiles(v)
		if err != nil {
			t.Fatal(err)
		}
		clients := slices.DeleteFunc(slices.Clone(files), func(name string) bool { return !strings.Contains(name, "/cri_") })
		if len(clients) != 1 || clients[0] != c.client || !slices.Contains(files, "hollow/main.go.txt") {
			t.Errorf("%s: %v", c.version, files)
		}
		_, source, _ := strings.Cut(hollowOrigin(v), ", ")
		if was, ok := seen[c.client]; ok && was != source {
			t.Errorf("one source has two names: %s, %s", was, source)
		}
		seen[c.client] = source
	}
	if len(seen) != 2 || seen["hollow/cri_logger.go.txt"] == seen["hollow/cri_context.go.txt"] {
		t.Errorf("two sources have one name: %v", seen)
	}
}

func TestEtcdFits(t *testing.T) {
	for _, c := range []struct{ kube, etcd, want string }{
		{"1.36.3", "3.6.16", ""},
		{"1.36.3", "3.7.0", ""},
		{"1.36", "3.5", ""},
		{"1.34.1", "3.5.13", ""},
		{"1.31.0", "3.4.31", ""},
		{"1.30.9", "3.4.0", ""},
		{"1.36.3", "3.5.12", "etcd 3.5.12 is too old for Kubernetes 1.36.3: it needs 3.5.13 or newer"},
		{"1.31.0", "3.5.0", "needs 3.5.13"},
		{"1.31.0", "3.4.30", "needs 3.4.31"},
		{"1.36.3", "3.5.13-rc.0", "needs 3.5.13"},
		{"1.36.3", "3.3", "etcd 3.3 is too old"},
		{"1.20.0", "3.3.27", "needs 3.4"},
		{"1.36.3", "new", "etcd: unknown version"},
	} {
		err := EtcdFits(c.kube, c.etcd)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("Kubernetes %s over etcd %s: %v, want %q", c.kube, c.etcd, err, c.want)
		}
	}
}

func TestGatesFit(t *testing.T) {
	name := filepath.Join(t.TempDir(), "kube-apiserver")
	script := "#!/bin/sh\ncase $1 in *Known=*) echo Kubernetes v1.36.3;; *) echo unrecognized feature gate >&2; exit 1;; esac\n"
	if err := os.WriteFile(name, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	b := binaries.Binary{Name: APIServer, Version: "1.36.3", Path: name}
	if err := GatesFit(t.Context(), b, "Known=true"); err != nil {
		t.Error(err)
	}
	err := GatesFit(t.Context(), b, "Unheard=true")
	if err == nil || err.Error() != "kube-apiserver 1.36.3 refuses the feature gates Unheard=true: unrecognized feature gate" {
		t.Error(err)
	}
}
