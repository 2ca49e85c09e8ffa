package install

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/faultline/faultline/internal/binaries"
)

// kubernetes is the module that the programs are in.
const kubernetes = "k8s.io/kubernetes"

// hollowSource is the hollow node's program. It is built in a module of its own beside Kubernetes' version, never with this one.
//
//go:embed hollow/*.go.txt
var hollowSource embed.FS

// hollowVariants are the files of it that only some lines of Kubernetes can have: those whose minor is one of these or between them. All other
// files suit 1.34 to 1.37.
var hollowVariants = map[string]struct{ least, most int }{
	"hollow/cri_logger.go.txt":  {0, 35},    // the client of the runtime took a logger
	"hollow/cri_context.go.txt": {36, 9999}, // it takes a context
}

// hollowFiles are the files of the hollow node for a version.
func hollowFiles(v binaries.Version) ([]string, error) {
	all, err := fs.Glob(hollowSource, "hollow/*.go.txt")
	return slices.DeleteFunc(all, func(name string) bool {
		lines, some := hollowVariants[name]
		return some && (v.Minor < lines.least || v.Minor > lines.most)
	}), err
}

// staged are the modules that Kubernetes' repository publishes apart, and replaces by its own folders: in a build from modules the published
// ones of the same release take their place.
var staged = regexp.MustCompile(`(?m)^\s*(k8s\.io/[a-z0-9-]+) => \./staging/|^\s*(k8s\.io/[a-z0-9-]+) v0\.0\.0(?:\s|$)`)

// fromModule builds programs from Kubernetes' Go module, all in one build.
func (i installer) fromModule(ctx context.Context, v binaries.Version, programs []string) ([]binaries.Binary, error) {
	dir, err := i.cache(Hollow).Scratch()
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	elapsed := binaries.Stopwatch()
	i.Progress(fmt.Sprintf("building %s of Kubernetes %s from its Go module: the first time about 6 minutes on two cores that have nothing else to do",
		strings.Join(programs, ", "), v))
	var compiled atomic.Int64
	stop := binaries.Every(10*time.Second, func() {
		i.Progress(fmt.Sprintf("building Kubernetes %s: %.0f s so far, %d packages compiled (of about %d if none was before)",
			v, elapsed().Seconds(), compiled.Load(), packages))
	})
	defer stop()
	if err := i.prepare(ctx, v, dir); err != nil {
		return nil, err
	}
	if err := i.build(ctx, v, dir, programs, &compiled); err != nil {
		return nil, err
	}
	var made []binaries.Binary
	for _, name := range programs {
		path, origin := filepath.Join(dir, "out", name), kubernetes+"@v"+v.String()
		if name == Hollow {
			origin = hollowOrigin(v)
		}
		if err := i.Verify(ctx, question, path, v); err != nil {
			return nil, fmt.Errorf("%s of %s: %w", name, origin, err)
		}
		b, err := i.keep(v, name, path, origin)
		if err != nil {
			return nil, err
		}
		made = append(made, b)
	}
	return made, nil
}

// keep takes a program that was built into its cache.
func (i installer) keep(v binaries.Version, name, path, origin string) (binaries.Binary, error) {
	scratch, err := i.cache(name).Scratch()
	if err != nil {
		return binaries.Binary{}, err
	}
	defer os.RemoveAll(scratch)
	to := filepath.Join(scratch, name)
	if err := os.Rename(path, to); err != nil {
		return binaries.Binary{}, err
	}
	return i.cache(name).Keep(v, to, binaries.SourceModule, origin)
}

// hollowOrigin names the module and the source of the hollow node, so that one of an older source is built again.
func hollowOrigin(v binaries.Version) string {
	h := sha256.New()
	files, _ := hollowFiles(v) // the pattern is right
	for _, name := range files {
		text, _ := hollowSource.ReadFile(name) // it is in the program
		fmt.Fprintf(h, "%s %d\n%s", name, len(text), text)
	}
	return fmt.Sprintf("%s@v%s, hollow node %s", kubernetes, v, hex.EncodeToString(h.Sum(nil))[:12])
}

// prepare writes the module that everything is built in.
func (i installer) prepare(ctx context.Context, v binaries.Version, dir string) error {
	mod, err := i.moduleFile(ctx, v, dir)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o644); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, Hollow), 0o755); err != nil {
		return err
	}
	files, err := hollowFiles(v)
	if err != nil {
		return err
	}
	for _, name := range files {
		text, err := hollowSource.ReadFile(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, strings.TrimSuffix(name, ".txt")), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// moduleFile is a go.mod that requires Kubernetes and replaces what its own go.mod replaces, by what was published.
func (i installer) moduleFile(ctx context.Context, v binaries.Version, dir string) (string, error) {
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(binaries.EmptyModule), 0o644); err != nil {
		return "", err
	}
	out, err := i.Golang().Run(ctx, dir, "mod", "download", "-json", kubernetes+"@v"+v.String())
	if err != nil {
		return "", binaries.ModuleError(out, err)
	}
	at := strings.IndexByte(string(out), '{') // progress may stand before it
	var answer struct{ GoMod string }
	if at < 0 || json.Unmarshal(out[at:], &answer) != nil || answer.GoMod == "" {
		return "", fmt.Errorf("go mod download -json %s printed %q", kubernetes, binaries.LastBytes(out, 300))
	}
	text, err := os.ReadFile(answer.GoMod)
	if err != nil {
		return "", err
	}
	modules := stagedIn(string(text))
	if len(modules) == 0 {
		return "", fmt.Errorf("the go.mod of %s@v%s replaces nothing: it is not what was expected", kubernetes, v)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "module build\n\ngo %s\n\nrequire %s v%s\n\nreplace (\n", goLine(string(text)), kubernetes, v)
	for _, m := range modules {
		fmt.Fprintf(&b, "\t%s => %s v0.%d.%d%s\n", m, m, v.Minor, v.Patch, v.Pre)
	}
	return b.String() + ")\n", nil
}

// stagedIn are the staged modules that a go.mod names, sorted.
func stagedIn(text string) []string {
	var out []string
	for _, m := range staged.FindAllStringSubmatch(text, -1) {
		out = append(out, m[1]+m[2])
	}
	slices.Sort(out)
	return slices.Compact(out)
}

var goWord = regexp.MustCompile(`(?m)^go (\S+)$`)

// goLine is the version of Go that a go.mod asks for.
func goLine(text string) string {
	if m := goWord.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return "1.24"
}

// packages is how many packages the programs of 1.36.3 consist of together.
const packages = 2500

// build builds programs into the folder out, and counts the packages that it compiles.
func (i installer) build(ctx context.Context, v binaries.Version, dir string, programs []string, compiled *atomic.Int64) error {
	if err := os.MkdirAll(filepath.Join(dir, "out"), 0o755); err != nil {
		return err
	}
	const in = "-X k8s.io/component-base/version."
	flags := fmt.Sprintf("-s -w %[1]sgitVersion=v%[2]s %[1]sgitMajor=%[3]d %[1]sgitMinor=%[4]d %[1]sgitTreeState=clean", in, v, v.Major, v.Minor)
	args := []string{"build", "-v", "-trimpath", "-ldflags", flags, "-o", "out" + string(filepath.Separator)}
	for _, name := range programs {
		if name == Hollow {
			args = append(args, "./"+Hollow)
			continue
		}
		args = append(args, kubernetes+"/cmd/"+name)
	}
	out, err := i.Golang().RunTelling(ctx, dir, func(line string) {
		if !strings.Contains(line, " ") { // -v prints the package's path alone
			compiled.Add(1)
		}
	}, args...)
	if err != nil {
		return fmt.Errorf("%w: %s", err, binaries.LastBytes(out, 3000))
	}
	return nil
}

// newest is the newest patch of a line of releases.
func (i installer) newest(ctx context.Context, line binaries.Version) (binaries.Version, string, error) {
	out, err := i.Golang().Query(ctx, "list", "-m", "-f", "{{.Version}}", kubernetes+"@v"+line.String())
	if err == nil {
		v, err := binaries.ParseVersion(binaries.LastLine(out))
		if err == nil && !v.IsLine() {
			return v, "", nil
		}
		return v, "", fmt.Errorf("go list -m printed %q for the newest Kubernetes %s", binaries.LastBytes(out, 200), line)
	}
	err = binaries.ModuleError(out, err)
	if errors.Is(err, binaries.ErrAbsent) {
		return line, "", i.unknown(ctx, line)
	}
	if v, ok := binaries.NewestOf(line, i.cache(Hollow).Versions()); ok {
		return v, fmt.Sprintf("the newest Kubernetes %s could not be asked for (%v): took %s, the newest in the cache", line, err, v), nil
	}
	return line, "", fmt.Errorf("find the newest Kubernetes %s: %w; none is in the cache: name a full version, or give the programs", line, err)
}

// unknown is the error for a version that is nowhere, with the ones it may have meant.
func (i installer) unknown(ctx context.Context, v binaries.Version) error {
	known := i.cache(Hollow).Versions()
	if out, err := i.Golang().Query(ctx, "list", "-m", "-versions", kubernetes); err == nil {
		known = append(known, binaries.ParseVersions(string(out))...)
	}
	return binaries.Unknown("kubernetes", v, known)
}
