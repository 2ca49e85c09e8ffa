package install

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// fakeProgram is a program that says it is of a version.
func fakeProgram(version string) []byte {
	return []byte("#!/bin/sh\necho 'Kubernetes v" + version + "'\n")
}

func sumOf(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// releases serves files laid out like the project's, and counts the programs that were asked for.
type releases struct {
	*httptest.Server
	programs atomic.Int32
}

// serve serves files by their path below the version's and platform's; one that begins with "cut " is what is sent of the file promised.
func serve(t *testing.T, version string, files map[string][]byte) *releases {
	t.Helper()
	r := &releases{}
	folder := "/v" + version + "/bin/linux/" + runtime.GOARCH
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		name := path.Base(req.URL.Path)
		text, ok := files[name]
		if !ok || path.Dir(req.URL.Path) != folder {
			http.NotFound(w, req)
			return
		}
		if !strings.HasSuffix(name, ".sha256") {
			r.programs.Add(1)
		}
		if cut, ok := files["cut "+name]; ok {
			w.Header().Set("Content-Length", fmt.Sprint(len(text)))
			text = cut
		}
		_, _ = w.Write(text)
	}))
	t.Cleanup(r.Close)
	return r
}

// released are the three programs of a release with their sums.
func released(version string) map[string][]byte {
	files := map[string][]byte{}
	for _, name := range []string{APIServer, ControllerManager, Scheduler} {
		files[name] = fakeProgram(version)
		files[name+".sha256"] = []byte(sumOf(fakeProgram(version))) // no name, no end of line
	}
	return files
}

// with is a map with some more.
func with(m map[string][]byte, name string, text []byte) map[string][]byte {
	m[name] = text
	return m
}

// fakeGo is a go command that knows one version of Kubernetes' module and builds programs that say they are of that. Into the file that
// is returned it writes a line for each build: what is built, and how many modules are replaced.
func fakeGo(t *testing.T, version string) (command, builds string) {
	t.Helper()
	dir := t.TempDir()
	command, builds = filepath.Join(dir, "go"), filepath.Join(dir, "builds")
	mod := `module k8s.io/kubernetes

go 1.26.0

require (
	github.com/spf13/pflag v1.0.9
	k8s.io/api v0.0.0
	k8s.io/apiserver v0.0.0
	k8s.io/utils v0.0.0-20260210185600-b8788abfbbc2
)

replace (
	k8s.io/api => ./staging/src/k8s.io/api
	k8s.io/kubelet => ./staging/src/k8s.io/kubelet
)
`
	script := `#!/bin/sh
case "$*" in
"list -m -versions k8s.io/kubernetes") echo "k8s.io/kubernetes v1.35.4 v1.36.2 v` + version + ` v1.37.0" ;;
"list -m -f {{.Version}} k8s.io/kubernetes@v1.36") echo v` + version + ` ;;
"mod download -json k8s.io/kubernetes@v` + version + `") echo "go: downloading it" >&2; echo '{"GoMod": "` + dir + `/kubernetes.mod"}' ;;
"build "*)
	grep -q '^go 1.26.0$' go.mod || exit 1
	echo "$(echo "$*" | sed 's/.* out. //') $(grep -c '=> .* v0.' go.mod)" >> ` + builds + `
	case "$*" in *gitVersion=v` + version + `*gitMajor=1*gitMinor=*) ;; *) echo no version; exit 1 ;; esac
	for p; do case $p in
	k8s.io/kubernetes/cmd/*) n=${p##*/} ;;
	./hollow) n=hollow; test -f hollow/main.go || exit 1 ;;
	*) continue ;;
	esac; printf '#!/bin/sh\necho Kubernetes v` + version + `\n' > out/$n; chmod +x out/$n; done ;;
*) echo "$*: 404 Not Found" >&2; exit 1 ;;
esac
`
	for name, text := range map[string]string{command: script, filepath.Join(dir, "kubernetes.mod"): mod} {
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return command, builds
}

// read is what a file has, or nothing.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(text)
}

// sources are where the programs of a set came from, in their order.
func sources(s Set) string {
	var out []string
	for _, b := range s.All() {
		out = append(out, string(b.Source))
	}
	return strings.Join(out, " ")
}

const (
	everything = "k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager k8s.io/kubernetes/cmd/kube-scheduler ./hollow 3\n"
	hollowOnly = "./hollow 3\n"
	allBuilt   = "module module module module"
	noneBuilt  = "release release release module"
)

func TestInstallWays(t *testing.T) {
	const version = "1.36.3"
	other := fakeProgram("1.36.2")
	for _, c := range []struct {
		name string
		// files of the release server; nil: there is no server.
		files map[string][]byte
		// module: the Go module can be built.
		module bool
		// sources are where the programs come from; empty: from nowhere. built is what was built.
		sources, built string
		// said are what the error, or the progress, says.
		said []string
	}{
		{"releases, checked against their sums; only the hollow node is built", released(version), true, noneBuilt, hollowOnly, nil},
		{
			"a sum with the name after it", with(released(version), Scheduler+".sha256", []byte(sumOf(fakeProgram(version))+"  kube-scheduler\n")),
			true, noneBuilt, hollowOnly, nil,
		},
		{
			"a wrong sum is not used", with(released(version), APIServer+".sha256", []byte(sumOf(other))), true, allBuilt, everything,
			[]string{"has SHA-256 " + sumOf(fakeProgram(version)), "published is " + sumOf(other)},
		},
		{
			"a truncated download is not used", with(released(version), "cut "+APIServer, []byte("#!/bin/sh")), true, allBuilt, everything,
			[]string{"broke off after", "unexpected EOF"},
		},
		{
			"another version is not used", with(with(released(version), APIServer, other), APIServer+".sha256", []byte(sumOf(other))),
			true, allBuilt, everything,
			[]string{"it says that it is version 1.36.2"},
		},
		{
			"no sum, no trust", with(released(version), APIServer+".sha256", []byte("<html>")), true, allBuilt, everything,
			[]string{"kube-apiserver.sha256 has no sum"},
		},
		{
			"what was fetched before a failure is not built again", with(released(version), Scheduler+".sha256", nil), true,
			"release release module module", "k8s.io/kubernetes/cmd/kube-scheduler ./hollow 3\n",
			nil,
		},
		{"not among the releases", map[string][]byte{}, true, allBuilt, everything, []string{"404 Not Found"}},
		{
			"no network", nil, true, allBuilt, everything,
			[]string{"connection refused", "building kube-apiserver, kube-controller-manager, kube-scheduler, hollow of Kubernetes 1.36.3 from its Go module"},
		},
		{
			"nowhere",
			map[string][]byte{},
			false, "", "",
			[]string{"kubernetes: unknown version 1.36.3: the nearest known ones are 1.36.2", "by release: "},
		},
		{
			"released, but no module to make the hollow node of", released(version), false, "", "",
			[]string{"install Kubernetes 1.36.3: tried\nmodule: "},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			url := "http://127.0.0.1:1"
			if c.files != nil {
				url = serve(t, version, c.files).URL
			}
			knows := "1.36.99"
			if c.module {
				knows = version
			}
			command, builds := fakeGo(t, knows)
			var said []string
			i := Installer{Cache: t.TempDir(), Releases: url, Go: command, Progress: func(s string) { said = append(said, s) }}
			set, err := i.Install(t.Context(), "v"+version, nil)
			if err != nil {
				said = append(said, err.Error())
			}
			if want := c.sources == ""; want != (err != nil) || errors.Is(err, ErrUnknownVersion) != (c.name == "nowhere") {
				t.Fatalf("error %v", err)
			}
			if err == nil && (sources(set) != c.sources || set.Version != version) {
				t.Errorf("got %s from %s, want from %s", set.Version, sources(set), c.sources)
			}
			if got := read(t, builds); got != c.built {
				t.Errorf("built %q, want %q", got, c.built)
			}
			for _, want := range c.said {
				if !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, want) }) {
					t.Errorf("nobody said %q but\n%s", want, strings.Join(said, "\n"))
				}
			}
			left, err := filepath.Glob(filepath.Join(i.Cache, "kube", "*", ".new-*"))
			if err != nil || len(left) > 0 {
				t.Errorf("scratch folders left: %v %v", left, err)
			}
		})
	}
}

func TestCacheIsUsedAndChecked(t *testing.T) {
	command, builds := fakeGo(t, "1.36.3")
	i := Installer{Cache: t.TempDir(), Releases: "http://127.0.0.1:1", Go: command}
	built, err := i.Install(t.Context(), "1.36.3", nil)
	if err != nil {
		t.Fatal(err)
	}
	// again installs a second time and tells what was built.
	again := func() string {
		t.Helper()
		if err := os.WriteFile(builds, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := i.Install(t.Context(), "1.36", nil)
		if err != nil {
			t.Fatal(err)
		}
		for n, b := range s.All() {
			if was := built.All()[n]; b.SHA256 != was.SHA256 || b.Origin != was.Origin || b.Path != was.Path || b.Name != was.Name {
				t.Errorf("%+v, first %+v", b, was)
			}
		}
		return read(t, builds)
	}
	if got := again(); got != "" {
		t.Errorf("all are cached, and yet built: %q", got)
	}
	change := func(name string, text []byte) {
		t.Helper()
		if err := os.WriteFile(name, text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	change(built.Scheduler.Path, fakeProgram("1.36.3 but changed"))
	if got := again(); got != "k8s.io/kubernetes/cmd/kube-scheduler 3\n" {
		t.Errorf("a changed scheduler: built %q", got)
	}
	record := built.Hollow.Path + ".json"
	change(record, []byte(strings.Replace(read(t, record), "hollow node ", "hollow node 00", 1)))
	if got := again(); got != hollowOnly {
		t.Errorf("a hollow node of another source: built %q", got)
	}
	change(record, []byte("{"))
	if got := again(); got != hollowOnly {
		t.Errorf("a hollow node without a record: built %q", got)
	}
}

func TestInstallersShareOneCache(t *testing.T) {
	const version = "1.36.3"
	server := serve(t, version, released(version))
	command, builds := fakeGo(t, version)
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s, err := Installer{Cache: dir, Releases: server.URL, Go: command}.Install(context.Background(), version, nil)
			if err != nil || s.APIServer.SHA256 != sumOf(fakeProgram(version)) {
				t.Errorf("%+v: %v", s, err)
			}
		})
	}
	wg.Wait()
	if n := server.programs.Load(); n != 3 || read(t, builds) != hollowOnly {
		t.Errorf("%d programs fetched, built %q by installers of one cache", n, read(t, builds))
	}
}

func TestNewestPatch(t *testing.T) {
	command, _ := fakeGo(t, "1.36.3")
	i := Installer{Cache: t.TempDir(), Releases: "http://127.0.0.1:1", Go: command}
	s, err := i.Install(t.Context(), "1.36", nil)
	if err != nil || s.Version != "1.36.3" || s.Note != "" {
		t.Errorf("asked for 1.36: %+v, %v", s, err)
	}
	i.Go = "/nonexistent/go"
	s, err = i.Install(t.Context(), "v1.36", nil)
	if err != nil || s.Version != "1.36.3" || sources(s) != "cache cache cache cache" || !strings.Contains(s.Note, "newest in the cache") {
		t.Errorf("asked for 1.36 with nobody to ask: %+v, %v", s, err)
	}
	if _, err := i.Install(t.Context(), "1.35", nil); err == nil || errors.Is(err, ErrUnknownVersion) || !strings.Contains(err.Error(), "name a full version") {
		t.Errorf("asked for 1.35 with nobody to ask and none cached: %v", err)
	}
	i.Go = command
	for word, want := range map[string]string{
		"1.99":   "kubernetes: unknown version 1.99: the nearest known ones are 1.3",
		"1.36.9": "kubernetes: unknown version 1.36.9: the nearest known ones are 1.36.3, 1.36.2",
		"banana": `kubernetes: unknown version "banana"`,
	} {
		if _, err := i.Install(t.Context(), word, nil); !errors.Is(err, ErrUnknownVersion) || !strings.Contains(err.Error(), want) {
			t.Errorf("asked for %s: %v", word, err)
		}
	}
}

func TestGivenPrograms(t *testing.T) {
	dir := t.TempDir()
	for name, version := range map[string]string{"36.3": "1.36.3", "36.2": "1.36.2", "k3s": "1.36.3+k3s1"} {
		if err := os.WriteFile(filepath.Join(dir, name), fakeProgram(version), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	command, _ := fakeGo(t, "1.36.3")
	for _, c := range []struct{ version, given, want string }{
		{"", "kube-scheduler=36.3", "1.36.3 module module given module"},
		{"1.36.3", "kube-scheduler=36.3", "1.36.3 module module given module"},
		{"1.36", "kube-apiserver=36.3 kubelet=36.3", "1.36.3 given module module given"},
		{"", "kube-apiserver=k3s kube-controller-manager=k3s kube-scheduler=36.3 hollow=36.3", "1.36.3 given given given given"},
		{"1.36.3", "kube-scheduler=36.2", "what was given is Kubernetes 1.36.2, but version 1.36.3 was asked for"},
		{"1.35", "hollow=36.3", "what was given is Kubernetes 1.36.3, but version 1.35 was asked for"},
		{"", "kube-apiserver=36.3 kube-scheduler=36.2", "of different versions: kube-scheduler is 1.36.2, another one 1.36.3"},
		{"", "", "name a version of Kubernetes"},
		{"", "kube-apiserver=nowhere", "no such file"},
		{"", "kube-apiserver=/bin/true", "/bin/true was given as kube-apiserver: /bin/true --version does not print a version of Kubernetes"},
		{"1.36.3", "kube-proxy=36.3", "was given as kube-proxy: there are kube-apiserver, kube-controller-manager, kube-scheduler, hollow"},
	} {
		given := map[string]string{}
		for _, word := range strings.Fields(c.given) {
			name, file, _ := strings.Cut(word, "=")
			if !filepath.IsAbs(file) {
				file = filepath.Join(dir, file)
			}
			given[name] = file
		}
		s, err := Installer{Cache: t.TempDir(), Releases: "http://127.0.0.1:1", Go: command}.Install(t.Context(), c.version, given)
		got := s.Version + " " + sources(s)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%q given %q: %s, want %s", c.version, c.given, got, c.want)
		}
	}
}
