// Package architecture holds the tests of the project's shape: which package may import which, which libraries the core
// may lean on, and how long a file may get.
package architecture

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/faultline/faultline/"

// layer is a package (with the ones below it), what of the project it may import, and why not more.
type layer struct {
	pkg     string
	imports []string
	// libraries are prefixes of the modules outside of the project that it may import; nil: any.
	libraries []string
	why       string
}

// none allows no module beside the standard library.
var none = []string{}

// layers are ordered: the first row whose package fits, rules.
var layers = []layer{
	{
		"harness/history", nil,
		[]string{"github.com/klauspost/compress"},
		"the only contract between run and check outlives both: it may depend on nothing that changes",
	},
	{
		"harness/generator",
		[]string{"harness/history"},
		none,
		"generators are pure: no system, no network, no clock of their own",
	},
	{
		"harness/control", nil, nil,
		"reaching a node is the same for every system",
	},
	{
		"harness/control/fake",
		[]string{"harness/control"},
		none,
		"the scripted host stands where a real one would",
	},
	{
		"harness/cluster",
		[]string{"harness/control", "internal/node"},
		nil,
		"where nodes come from does not depend on what runs on them",
	},
	{
		"harness/formats",
		[]string{"harness/history"},
		none,
		"histories of other tools become histories, which nothing else needs to know",
	},
	{
		"harness/sim",
		[]string{"harness", "harness/control", "harness/generator", "harness/history"},
		none,
		"the simulator stands where a real system would, seen through the same interfaces",
	},
	{
		"harness",
		[]string{"harness/control", "harness/generator", "harness/history"},
		none,
		"the runner knows no particular system, fault or checker",
	},
	{
		"checker/monitors",
		nil,
		none,
		"they compare times of operations on one object, wherever those come from",
	},
	{
		"checker",
		[]string{"harness/history"},
		nil,
		"a checker cannot reach a cluster: it decides from the history alone",
	},
	{
		"checker/transactions",
		[]string{"harness/history"},
		none,
		"what follows from transactions is inferred from the history alone, whatever a verdict is made of it",
	},
	{
		"nemesis",
		[]string{"harness", "harness/control", "harness/generator", "harness/history"},
		nil,
		"faults see a system through the harness's small interfaces only",
	},
	{
		"internal/node",
		[]string{"harness/control"},
		nil,
		"the node's half runs on the nodes: it carries as little as it can",
	},
	{
		"internal/binaries",
		nil, nil,
		"finding or making a program is the same for every system",
	},
	{
		"internal/alarms",
		[]string{"harness", "harness/history"},
		none,
		"what a crash looks like in a log is the same for every system",
	},
	{
		"internal/etcd",
		[]string{"harness", "harness/control", "harness/history", "internal/alarms", "internal/binaries"},
		nil,
		"a system offers what the harness asks for and knows no workload, fault or checker",
	},
	{
		"internal/kube/install",
		[]string{"internal/binaries"},
		nil,
		"programs are found before there is a node to put them on",
	},
	{
		"internal/kube/api",
		[]string{"harness"},
		nil,
		"reaching an API server is the same for clients, observers and the system's own questions",
	},
	{
		"internal/kube/observe",
		[]string{"harness", "harness/history", "internal/kube/api"},
		nil,
		"what is observed, and what should match, does not depend on how the system was started",
	},
	{
		"internal/kube/collections",
		[]string{"harness", "harness/history", "internal/kube/api"},
		nil,
		"clients see API servers, not how they are run",
	},
	{
		"internal/kube/declared",
		[]string{"harness", "harness/history", "internal/kube/api"},
		nil,
		"clients see API servers, not how they are run",
	},
	{
		"internal/kube",
		[]string{
			"harness", "harness/control", "harness/history", "internal/alarms", "internal/binaries", "internal/etcd",
			"internal/kube/api", "internal/kube/install", "internal/kube/observe",
		},
		nil,
		"Kubernetes runs over etcd; it knows no workload, fault or checker",
	},
	{
		"workloads",
		[]string{
			"checker", "harness", "harness/generator", "harness/history", "internal/etcd",
			"internal/kube/collections", "internal/kube/declared", "internal/kube/observe",
		},
		nil,
		"a workload joins operations, checkers and clients; it breaks nothing",
	},
	{
		"results",
		[]string{"checker", "harness/history"},
		nil,
		"what a run left can be read without any system",
	},
	{
		"internal/conformance", nil, none,
		"what is compared with other tools does not depend on what compares it",
	},
	{
		"internal/architecture", nil, none,
		"these tests look at the tree from outside",
	},
	{
		"cmd/faultline",
		[]string{
			"checker", "harness", "harness/cluster", "harness/control", "harness/formats", "harness/generator", "harness/history", "harness/sim",
			"internal/binaries", "internal/etcd", "internal/kube", "internal/kube/api", "internal/kube/declared", "internal/kube/install",
			"internal/kube/observe", "internal/node", "nemesis", "results", "workloads",
		},
		nil,
		"the command joins everything and is the only place that prints or exits",
	},
}

type pkg struct {
	ImportPath string
	Imports    []string
	Dir        string
	GoFiles    []string
}

func TestImportsFollowTheDesign(t *testing.T) {
	for _, p := range listPackages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		l, ok := layerOf(name)
		if !ok {
			t.Errorf("package %s has no row in the table of layers: add one, with its reason", name)
			continue
		}
		for _, imported := range p.Imports {
			if !allowed(l, imported) {
				t.Errorf("%s imports %s, which its layer may not: %s", name, imported, l.why)
			}
		}
	}
}

// TestTheTableCanRefuse shows that the rule is one: imports that the design forbids are found.
func TestTheTableCanRefuse(t *testing.T) {
	for _, c := range []struct{ from, to string }{
		{"checker", module + "harness"},
		{"harness", module + "internal/etcd"},
		{"nemesis", module + "internal/etcd"},
		{"harness/history", "golang.org/x/crypto/ssh"},
		{"results", module + "workloads"},
	} {
		l, ok := layerOf(c.from)
		if !ok {
			t.Fatalf("no row for %s", c.from)
		}
		if allowed(l, c.to) {
			t.Errorf("%s may import %s", c.from, c.to)
		}
	}
}

func layerOf(name string) (layer, bool) {
	for _, l := range layers {
		if l.pkg == name {
			return l, true
		}
	}
	for _, l := range layers {
		if strings.HasPrefix(name, l.pkg+"/") && l.pkg != "harness" {
			return l, true
		}
	}
	return layer{}, false
}

func allowed(l layer, imported string) bool {
	if inside, ok := strings.CutPrefix(imported, module); ok {
		return slices.Contains(l.imports, inside) || strings.HasPrefix(inside, l.pkg+"/") && l.pkg != "harness"
	}
	first, _, _ := strings.Cut(imported, "/")
	if !strings.Contains(first, ".") || l.libraries == nil {
		return true // the standard library, or no restriction
	}
	return slices.ContainsFunc(l.libraries, func(prefix string) bool { return strings.HasPrefix(imported, prefix) })
}

// linesMax keeps files short enough to read; 400 is the guide, this is where it ends.
const linesMax = 450

func TestFilesAreShortEnoughToRead(t *testing.T) {
	for _, p := range listPackages(t) {
		files, err := filepath.Glob(filepath.Join(p.Dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(b, []byte("\n")); n > linesMax {
				t.Errorf("%s has %d lines, more than %d: it is two rooms in one", f, n, linesMax)
			}
		}
	}
}

// TestVagueNames refuses packages and files whose names say nothing.
func TestVagueNames(t *testing.T) {
	vague := []string{"manager", "util", "utils", "helper", "helpers", "common", "suite", "data", "misc"}
	for _, p := range listPackages(t) {
		if slices.Contains(vague, filepath.Base(p.ImportPath)) {
			t.Errorf("package %s: the name says nothing", p.ImportPath)
		}
		for _, f := range p.GoFiles {
			if slices.Contains(vague, strings.TrimSuffix(f, ".go")) {
				t.Errorf("%s/%s: the name says nothing", p.ImportPath, f)
			}
		}
	}
}

func listPackages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Dir,GoFiles", "./...")
	cmd.Dir = "../.."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) < 10 {
		t.Fatalf("go list found %d packages only", len(pkgs))
	}
	return pkgs
}
