package etcd

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/faultline/faultline/internal/binaries"
)

// fakeEtcd is a program that says it is a version.
func fakeEtcd(version string) []byte {
	return []byte("#!/bin/sh\necho 'etcd Version: " + version + "'\necho 'Go Version: none'\n")
}

// archive is a release archive with one program in it.
func archive(t *testing.T, version string, program []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	dir := "etcd-v" + version + "-linux-" + runtime.GOARCH
	for _, f := range []struct {
		name string
		text []byte
	}{{dir + "/README.md", []byte("read me")}, {dir + "/etcd", program}} {
		err := errors.Join(
			w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o755, Size: int64(len(f.text)), Typeflag: tar.TypeReg}),
			func() error { _, err := w.Write(f.text); return err }())
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func sumOf(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// releases serves files laid out like the project's releases, and counts the archives that were asked for.
type releases struct {
	*httptest.Server
	archives atomic.Int32
}

func serve(t *testing.T, files map[string][]byte) *releases {
	t.Helper()
	r := &releases{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		text, ok := files[req.URL.Path]
		if !ok {
			http.NotFound(w, req)
			return
		}
		if strings.HasSuffix(req.URL.Path, ".tar.gz") {
			r.archives.Add(1)
		}
		if cut, ok := files["cut "+req.URL.Path]; ok { // promises more than it sends
			w.Header().Set("Content-Length", fmt.Sprint(len(text)))
			text = cut
		}
		_, _ = w.Write(text)
	}))
	t.Cleanup(r.Close)
	return r
}

// fakeGo is a go command that knows one version of etcd's module, and builds a program that says it is that.
func fakeGo(t *testing.T, version string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "go")
	script := `#!/bin/sh
case "$*" in
*-versions*) echo "go.etcd.io/etcd/server/v3 v3.5.3 v` + version + ` v3.6.1" ;;
"list -m -f {{.Version}} go.etcd.io/etcd/server/v3@v3.5") echo v` + version + ` ;;
"list -m go.etcd.io/etcd/server/v3@v` + version + `"|"get "*"@v` + version + `") ;;
"build "*) printf '#!/bin/sh\necho etcd Version: ` + version + `\n' > etcd; chmod +x etcd ;;
*) echo "$*: 404 Not Found" >&2; exit 1 ;;
esac
`
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestInstallWays(t *testing.T) {
	const version = "3.5.4"
	good := archive(t, version, fakeEtcd(version))
	name := "etcd-v" + version + "-linux-" + runtime.GOARCH + ".tar.gz"
	at := "/v" + version + "/"
	other := archive(t, version, fakeEtcd("3.5.5"))
	for _, c := range []struct {
		name string
		// files of the release server; nil: there is no server.
		files map[string][]byte
		// module: the Go module can be built.
		module bool
		source binaries.Source
		// said are what the error, or the progress, says.
		said []string
	}{
		{
			"the release, checked against its sum",
			map[string][]byte{at + name: good, at + "SHA256SUMS": []byte("00  else.zip\n" + sumOf(good) + "  " + name + "\n")},
			true, binaries.SourceRelease, nil,
		},
		{
			"a wrong sum is not used",
			map[string][]byte{at + name: good, at + "SHA256SUMS": []byte(sumOf(other) + "  " + name + "\n")},
			true, binaries.SourceModule,
			[]string{"has SHA-256 " + sumOf(good), "published is " + sumOf(other)},
		},
		{
			"a truncated archive is not used",
			map[string][]byte{at + name: good, "cut " + at + name: good[:len(good)/2], at + "SHA256SUMS": []byte(sumOf(good) + "  " + name + "\n")},
			true, binaries.SourceModule,
			[]string{"broke off after", "unexpected EOF"},
		},
		{
			"a short archive with its right sum is not used",
			map[string][]byte{at + name: good[:len(good)/2], at + "SHA256SUMS": []byte(sumOf(good[:len(good)/2]) + "  " + name + "\n")},
			true, binaries.SourceModule,
			[]string{"unexpected EOF"},
		},
		{
			"an archive of another version is not used",
			map[string][]byte{at + name: other, at + "SHA256SUMS": []byte(sumOf(other) + "  " + name + "\n")},
			true, binaries.SourceModule,
			[]string{"it says that it is version 3.5.5"},
		},
		{
			"no sum, no trust",
			map[string][]byte{at + name: good, at + "SHA256SUMS": []byte("")},
			true, binaries.SourceModule,
			[]string{"SHA256SUMS has no sum for " + name},
		},
		{"not among the releases", map[string][]byte{}, true, binaries.SourceModule, []string{"404 Not Found"}},
		{"no network", nil, true, binaries.SourceModule, []string{"connection refused"}},
		{
			"nowhere",
			map[string][]byte{},
			false, "",
			[]string{"unknown version 3.5.4: the nearest known ones are 3.5.3", "by release: ", "by module: "},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			url := "http://127.0.0.1:1"
			if c.files != nil {
				url = serve(t, c.files).URL
			}
			goCommand := fakeGo(t, "3.5.99")
			if c.module {
				goCommand = fakeGo(t, version)
			}
			var said []string
			i := Installer{Cache: t.TempDir(), Releases: url, Go: goCommand, Progress: func(s string) { said = append(said, s) }}
			b, err := i.Install(context.Background(), "v"+version, "")
			if err != nil {
				said = append(said, err.Error())
			}
			if want := c.source == ""; want != (err != nil) || want != errors.Is(err, ErrUnknownVersion) {
				t.Fatalf("error %v", err)
			}
			if b.Source != c.source || err == nil && b.Version != version {
				t.Errorf("got %+v, want source %q", b, c.source)
			}
			for _, want := range c.said {
				if !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, want) }) {
					t.Errorf("nobody said %q but\n%s", want, strings.Join(said, "\n"))
				}
			}
			left, err := filepath.Glob(filepath.Join(i.Cache, "etcd", ".new-*"))
			if err != nil || len(left) > 0 {
				t.Errorf("scratch folders left: %v %v", left, err)
			}
		})
	}
}

func TestCacheIsUsedAndChecked(t *testing.T) {
	ctx := context.Background()
	i := Installer{Cache: t.TempDir(), Releases: "http://127.0.0.1:1", Go: fakeGo(t, "3.5.4")}
	built, err := i.Install(ctx, "3.5.4", "")
	if err != nil {
		t.Fatal(err)
	}
	again := func() Binary {
		t.Helper()
		b, err := i.Install(ctx, "3.5.4", "")
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if b := again(); b.Source != binaries.SourceCache || b.SHA256 != built.SHA256 || b.Origin != built.Origin {
		t.Errorf("second time: %+v, first %+v", b, built)
	}
	if err := os.WriteFile(built.Path, fakeEtcd("3.5.4 but changed"), 0o755); err != nil {
		t.Fatal(err)
	}
	if b := again(); b.Source != binaries.SourceModule || b.SHA256 != built.SHA256 {
		t.Errorf("a changed binary was taken from the cache: %+v", b)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(built.Path), "etcd.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if b := again(); b.Source != binaries.SourceModule {
		t.Errorf("a binary without a record was taken from the cache: %+v", b)
	}
}

func TestInstallersShareOneCache(t *testing.T) {
	const version = "3.5.4"
	good := archive(t, version, fakeEtcd(version))
	name := "etcd-v" + version + "-linux-" + runtime.GOARCH + ".tar.gz"
	server := serve(t, map[string][]byte{
		"/v3.5.4/" + name: good, "/v3.5.4/SHA256SUMS": []byte(sumOf(good) + "  " + name + "\n"),
	})
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			b, err := Installer{Cache: dir, Releases: server.URL, Go: "/nonexistent/go"}.Install(context.Background(), version, "")
			if err != nil || b.SHA256 != sumOf(fakeEtcd(version)) {
				t.Errorf("%+v: %v", b, err)
			}
		})
	}
	wg.Wait()
	if n := server.archives.Load(); n != 1 {
		t.Errorf("the archive was fetched %d times by installers of one cache", n)
	}
}

func TestNewestPatch(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	i := Installer{Cache: dir, Releases: "http://127.0.0.1:1", Go: fakeGo(t, "3.5.17")}
	b, err := i.Install(ctx, "3.5", "")
	if err != nil || b.Version != "3.5.17" || b.Note != "" {
		t.Errorf("asked for 3.5: %+v, %v", b, err)
	}
	i.Go = "/nonexistent/go"
	b, err = i.Install(ctx, "v3.5", "")
	if err != nil || b.Version != "3.5.17" || b.Source != binaries.SourceCache || !strings.Contains(b.Note, "newest in the cache") {
		t.Errorf("asked for 3.5 with nobody to ask: %+v, %v", b, err)
	}
	if _, err := i.Install(ctx, "3.6", ""); err == nil || errors.Is(err, ErrUnknownVersion) || !strings.Contains(err.Error(), "name a full version") {
		t.Errorf("asked for 3.6 with nobody to ask and none cached: %v", err)
	}
	i.Go = fakeGo(t, "3.5.17")
	if _, err := i.Install(ctx, "3.9", ""); !errors.Is(err, ErrUnknownVersion) || !strings.Contains(err.Error(), "nearest") {
		t.Errorf("asked for 3.9: %v", err)
	}
}

func TestGivenBinary(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "my-etcd")
	if err := os.WriteFile(path, fakeEtcd("3.6.1"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ version, path, err string }{
		{"", path, ""},
		{"3.6.1", path, ""},
		{"3.6", path, ""},
		{"3.6.2", path, "is etcd 3.6.1, but version 3.6.2 was asked for"},
		{"3.5", path, "is etcd 3.6.1, but version 3.5 was asked for"},
		{"", path + "x", "no such file"},
		{"", "/bin/true", "does not print an etcd version"},
	} {
		b, err := Installer{Cache: t.TempDir()}.Install(ctx, c.version, c.path)
		if c.err == "" {
			if err != nil || b.Version != "3.6.1" || b.Source != binaries.SourceGiven || b.SHA256 != sumOf(fakeEtcd("3.6.1")) {
				t.Errorf("%+v: %+v, %v", c, b, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%+v: error %v", c, err)
		}
	}
}

func TestNowhere(t *testing.T) {
	// An old release that the module does not have exists all the same, unless the releases say that it doesn't.
	old, there, gone := binaries.Version{Major: 3, Minor: 4, Patch: 1}, errors.New("no network"), fmt.Errorf("404: %w", binaries.ErrAbsent)
	if nowhere(old, []error{there, gone}) || !nowhere(old, []error{gone, gone}) || !nowhere(binaries.Version{Major: 3, Minor: 6, Patch: 99}, []error{there, gone}) {
		t.Error("what is nowhere?")
	}
}
