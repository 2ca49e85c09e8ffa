package etcd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/faultline/faultline/internal/binaries"
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
func moduleOf(v binaries.Version) (module, at, program string) {
	if old, ok := oldReleases[v.String()]; ok {
		return oldModule, old, oldMainProgram
	}
	return serverModule, "v" + v.String(), mainProgram
}

// fromModule builds etcd from its Go module.
func (i installer) fromModule(ctx context.Context, v binaries.Version) (Binary, error) {
	if v.Major == 3 && v.Minor < 5 && oldReleases[v.String()] == "" {
		return Binary{}, fmt.Errorf("no module version of etcd %s is known: %w", v, binaries.ErrAbsent)
	}
	module, at, program := moduleOf(v)
	dir, err := i.cache().Scratch()
	if err != nil {
		return Binary{}, err
	}
	defer os.RemoveAll(dir)
	for name, text := range map[string]string{"go.mod": binaries.EmptyModule, "main.go": program} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return Binary{}, err
		}
	}
	if out, err := i.Golang().Run(ctx, dir, "list", "-m", module+"@"+at); err != nil {
		return Binary{}, binaries.ModuleError(out, err)
	}
	elapsed := binaries.Stopwatch()
	stop := binaries.Every(10*time.Second, func() {
		i.Progress(fmt.Sprintf("building etcd %s from its Go module: %.0f s so far (a minute or two is usual)", v, elapsed().Seconds()))
	})
	defer stop()
	i.Progress(fmt.Sprintf("building etcd %s from its Go module %s@%s", v, module, at))
	if out, err := i.Golang().Run(ctx, dir, "get", module+"@"+at); err != nil {
		return Binary{}, binaries.ModuleError(out, err)
	}
	if out, err := i.Golang().Run(ctx, dir, "build", "-trimpath", "-o", "etcd", "."); err != nil {
		return Binary{}, fmt.Errorf("%w: %s", err, binaries.LastBytes(out, 2000))
	}
	path := filepath.Join(dir, "etcd")
	if err := i.Verify(ctx, question, path, v); err != nil {
		return Binary{}, fmt.Errorf("%s@%s: %w", module, at, err)
	}
	return i.cache().Keep(v, path, binaries.SourceModule, module+"@"+at)
}

// newestModule asks for the newest patch of a line of releases.
func (i installer) newestModule(ctx context.Context, line binaries.Version) (binaries.Version, error) {
	if line.Major == 3 && line.Minor < 5 {
		if v, ok := binaries.NewestOf(line, i.knownOld()); ok {
			return v, nil
		}
		return binaries.Version{}, fmt.Errorf("%w %s: no release of it can be built; name a full version, or give a binary", ErrUnknownVersion, line)
	}
	out, err := i.Golang().Query(ctx, "list", "-m", "-f", "{{.Version}}", serverModule+"@v"+line.String())
	if err != nil {
		err = binaries.ModuleError(out, err)
		if errors.Is(err, binaries.ErrAbsent) {
			return binaries.Version{}, fmt.Errorf("%w %s", ErrUnknownVersion, line)
		}
		return binaries.Version{}, err
	}
	v, err := binaries.ParseVersion(binaries.LastLine(out))
	if err != nil || v.IsLine() {
		return binaries.Version{}, fmt.Errorf("go list -m printed %q for the newest etcd %s", binaries.LastBytes(out, 200), line)
	}
	return v, nil
}

// knownModules are the versions that the module's index lists (it lists not all that exist); none if it can't be asked.
func (i installer) knownModules(ctx context.Context) []binaries.Version {
	out, err := i.Golang().Query(ctx, "list", "-m", "-versions", serverModule)
	if err != nil {
		return i.knownOld()
	}
	return append(i.knownOld(), binaries.ParseVersions(string(out))...)
}

func (i installer) knownOld() []binaries.Version {
	var vs []binaries.Version
	for word := range oldReleases {
		vs = append(vs, binaries.ParseVersions(word)...)
	}
	return vs
}
