package etcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// serverModule is the module that etcd's server is, from 3.5 on.
const serverModule = "go.etcd.io/etcd/server/v3"

// oldModule is the one that it was before; its tags are not module versions, so that its releases
// are known by the pseudo-versions of their commits.
const oldModule = "go.etcd.io/etcd"

// oldReleases are the releases of oldModule that can be built.
var oldReleases = map[string]string{
	"3.4.3":  "v0.5.0-alpha.5.0.20191023171146-3cf2f69b5738",
	"3.4.13": "v0.5.0-alpha.5.0.20200824191128-ae9734ed278b",
}

// The main packages that make etcd of the modules: Main took no argument before 3.5.
const (
	mainProgram = `package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
`
	oldMainProgram = `package main

import "go.etcd.io/etcd/etcdmain"

func main() { etcdmain.Main() }
`
)

// moduleOf is the module, its version and the program for a release.
func moduleOf(v version) (module, at, program string) {
	if old, ok := oldReleases[v.String()]; ok {
		return oldModule, old, oldMainProgram
	}
	return serverModule, "v" + v.String(), mainProgram
}

// fromModule builds etcd from its Go module.
func (i Installer) fromModule(ctx context.Context, v version) (Binary, error) {
	if v.major == 3 && v.minor < 5 && oldReleases[v.String()] == "" {
		return Binary{}, fmt.Errorf("no module version of etcd %s is known: %w", v, errAbsent)
	}
	module, at, program := moduleOf(v)
	dir, err := i.cache().scratch()
	if err != nil {
		return Binary{}, err
	}
	defer os.RemoveAll(dir)
	for name, text := range map[string]string{"go.mod": emptyModule, "main.go": program} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return Binary{}, err
		}
	}
	if out, err := i.goCommand(ctx, dir, "list", "-m", module+"@"+at); err != nil {
		return Binary{}, moduleError(out, err)
	}
	elapsed := stopwatch()
	stop := every(10*time.Second, func() {
		i.Progress(fmt.Sprintf("building etcd %s from its Go module: %.0f s so far (a minute or two is usual)", v, elapsed().Seconds()))
	})
	defer stop()
	i.Progress(fmt.Sprintf("building etcd %s from its Go module %s@%s", v, module, at))
	if out, err := i.goCommand(ctx, dir, "get", module+"@"+at); err != nil {
		return Binary{}, moduleError(out, err)
	}
	if out, err := i.goCommand(ctx, dir, "build", "-trimpath", "-o", "etcd", "."); err != nil {
		return Binary{}, fmt.Errorf("%w: %s", err, lastBytes(out, 2000))
	}
	path := filepath.Join(dir, "etcd")
	if err := i.verify(ctx, path, v); err != nil {
		return Binary{}, fmt.Errorf("%s@%s: %w", module, at, err)
	}
	return i.cache().keep(v, path, SourceModule, module+"@"+at)
}

// emptyModule is the go.mod that everything happens in; go fills it in.
const emptyModule = "module build\n\ngo 1.21\n"

// goQuery runs the go command in a module of its own, so that no go.mod of the surroundings has a say.
func (i Installer) goQuery(ctx context.Context, args ...string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "faultline-query-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(emptyModule), 0o644); err != nil {
		return nil, err
	}
	return i.goCommand(ctx, dir, args...)
}

// goCommand runs the go command in a folder and returns what it printed.
func (i Installer) goCommand(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, i.Go, args...)
	cmd.Dir = dir
	// The binary must run on any linux, so it links no C; -mod=mod lets go fill in go.mod and go.sum.
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+i.Arch)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return out.Bytes(), nil
}

// absentWords are how the go command says that a version is not there, as against that it could not ask.
var absentWords = []string{
	"no matching versions", "unknown revision", "invalid version",
	"403 Forbidden", "404 Not Found", "410 Gone", // what module proxies answer
}

// moduleError tells a version that does not exist from a module that could not be reached.
func moduleError(out []byte, err error) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err // go is not installed, or was interrupted
	}
	for _, w := range absentWords {
		if bytes.Contains(out, []byte(w)) {
			return fmt.Errorf("%w: %s: %w", err, lastBytes(out, 500), errAbsent)
		}
	}
	return fmt.Errorf("%w: %s", err, lastBytes(out, 2000))
}

// newestModule asks for the newest patch of a line of releases.
func (i Installer) newestModule(ctx context.Context, line version) (version, error) {
	if line.major == 3 && line.minor < 5 {
		if v, ok := newestOf(line, i.knownOld()); ok {
			return v, nil
		}
		return version{}, fmt.Errorf("%w %s: no release of it can be built; name a full version, or give a binary", ErrUnknownVersion, line)
	}
	out, err := i.goQuery(ctx, "list", "-m", "-f", "{{.Version}}", serverModule+"@v"+line.String())
	if err != nil {
		err = moduleError(out, err)
		if errors.Is(err, errAbsent) {
			return version{}, fmt.Errorf("%w %s", ErrUnknownVersion, line)
		}
		return version{}, err
	}
	v, err := parseVersion(lastLine(out))
	if err != nil || v.isLine() {
		return version{}, fmt.Errorf("go list -m printed %q for the newest etcd %s", lastBytes(out, 200), line)
	}
	return v, nil
}

// knownModules are the versions that the module's index lists (it lists not all that exist); none if it can't be asked.
func (i Installer) knownModules(ctx context.Context) []version {
	out, err := i.goQuery(ctx, "list", "-m", "-versions", serverModule)
	if err != nil {
		return i.knownOld()
	}
	return append(i.knownOld(), parseVersions(string(out))...)
}

func (i Installer) knownOld() []version {
	var vs []version
	for word := range oldReleases {
		vs = append(vs, parseVersions(word)...)
	}
	return vs
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
