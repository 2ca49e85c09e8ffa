package etcd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/faultline/faultline/internal/binaries"
)

// Binary is an etcd that was found.
type Binary = binaries.Binary

// ErrUnknownVersion marks a version that etcd never released.
var ErrUnknownVersion = binaries.ErrUnknownVersion

// DefaultReleases is where the etcd project publishes its archives.
const DefaultReleases = "https://github.com/etcd-io/etcd/releases/download"

// Installer finds or makes an etcd binary of a version for linux. Several of them, in several processes,
// may work on one cache. The zero value of every field but Cache is a sensible default.
type Installer struct {
	// Cache is the folder that binaries are kept in; it is made when needed.
	Cache string
	// Releases is the URL under which are v3.5.4/etcd-v3.5.4-linux-amd64.tar.gz and v3.5.4/SHA256SUMS.
	Releases string
	// HTTP fetches releases. The default gives up on a server that does not answer within seconds.
	HTTP *http.Client
	// Arch is the GOARCH of the nodes; default the driver's.
	Arch string
	// Go is the go command; default "go", found by PATH.
	Go string
	// Progress is told what happens, in sentences for people, from one goroutine at a time.
	Progress func(string)
}

// Install returns an etcd of a version: 3.5.4, v3.5.4, or 3.6 for its newest patch. If given is not empty it is the path
// of a binary to take as it is; its own version is reported and version, if not empty, must be that.
// The ways are tried in order (given; cache; release archive; Go module); the error tells of each one that was tried.
// It wraps ErrUnknownVersion if there is no such version.
func (i Installer) Install(ctx context.Context, version, given string) (Binary, error) {
	i = i.withDefaults()
	if given != "" {
		return i.given(ctx, version, given)
	}
	v, note, err := i.resolve(ctx, version)
	if err != nil {
		return Binary{}, err
	}
	b, err := i.install(ctx, v)
	b.Note = note
	return b, err
}

func (i Installer) withDefaults() Installer {
	if i.Releases == "" {
		i.Releases = DefaultReleases
	}
	if i.HTTP == nil {
		i.HTTP = binaries.NewHTTP()
	}
	if i.Arch == "" {
		i.Arch = runtime.GOARCH
	}
	if i.Go == "" {
		i.Go = "go"
	}
	if i.Progress == nil {
		i.Progress = func(string) {}
	}
	return i
}

func (i Installer) cache() binaries.Cache {
	return binaries.Cache{Dir: filepath.Join(i.Cache, "etcd"), Name: Component, Arch: i.Arch}
}

func (i Installer) releases() binaries.Releases { return binaries.Releases{HTTP: i.HTTP} }
func (i Installer) golang() binaries.Go         { return binaries.Go{Command: i.Go, Arch: i.Arch} }

// given takes a binary as it is.
func (i Installer) given(ctx context.Context, want, path string) (Binary, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Binary{}, fmt.Errorf("etcd binary: %w", err)
	}
	sum, err := binaries.FileSHA256(path)
	if err != nil {
		return Binary{}, fmt.Errorf("etcd binary: %w", err)
	}
	is, err := askVersion(ctx, path)
	if err != nil {
		return Binary{}, fmt.Errorf("%s was given as etcd: %w", path, err)
	}
	if want != "" {
		w, err := binaries.ParseVersion(want)
		if err != nil {
			return Binary{}, fmt.Errorf("etcd: %w", err)
		}
		if !is.Fits(w) {
			return Binary{}, fmt.Errorf("%s is etcd %s, but version %s was asked for: leave one of the two out", path, is, want)
		}
	}
	return Binary{Name: Component, Path: path, Version: is.String(), SHA256: sum, Source: binaries.SourceGiven, Origin: path}, nil
}

// resolve turns a word into one released version, a line into its newest patch.
func (i Installer) resolve(ctx context.Context, word string) (v binaries.Version, note string, err error) {
	v, err = binaries.ParseVersion(word)
	if err != nil {
		return binaries.Version{}, "", fmt.Errorf("etcd: %w", err)
	}
	if !v.IsLine() {
		return v, "", nil
	}
	newest, err := i.newestModule(ctx, v)
	if err == nil {
		return newest, "", nil
	}
	if errors.Is(err, ErrUnknownVersion) {
		return binaries.Version{}, "", i.unknown(ctx, v)
	}
	if newest, ok := binaries.NewestOf(v, i.cache().Versions()); ok {
		return newest, fmt.Sprintf("the newest etcd %s could not be asked for (%v): took %s, the newest in the cache", v, err, newest), nil
	}
	return binaries.Version{}, "", fmt.Errorf("find the newest etcd %s: %w; none is in the cache %s: name a full version, or give a binary", v, err, i.cache().Dir)
}

func (i Installer) install(ctx context.Context, v binaries.Version) (Binary, error) {
	c := i.cache()
	if b, err := c.Lookup(v); err == nil {
		return b, nil
	}
	unlock, err := c.Lock(ctx, v, func() { i.Progress(fmt.Sprintf("another process is installing etcd %s: waiting", v)) })
	if err != nil {
		return Binary{}, err
	}
	defer unlock()
	b, err := c.Lookup(v) // it may have come while this process waited
	if err == nil {
		return b, nil
	}
	if !errors.Is(err, binaries.ErrNotCached) {
		i.Progress(err.Error() + "; installing it again")
	}
	var tried []error
	for _, way := range []struct {
		source  binaries.Source
		install func(context.Context, binaries.Version) (Binary, error)
	}{
		{binaries.SourceRelease, i.fromRelease},
		{binaries.SourceModule, i.fromModule},
	} {
		b, err := way.install(ctx, v)
		if err == nil {
			return b, nil
		}
		if ctx.Err() != nil {
			return Binary{}, fmt.Errorf("install etcd %s: %w", v, err)
		}
		i.Progress(fmt.Sprintf("etcd %s by %s: %v", v, way.source, err))
		tried = append(tried, fmt.Errorf("%s: %w", way.source, err))
	}
	if nowhere(v, tried) {
		return Binary{}, i.unknown(ctx, v)
	}
	return Binary{}, fmt.Errorf("install etcd %s: tried\n%w\ngive a binary, or put one in the cache with a machine that has a network", v, errors.Join(tried...))
}

// nowhere tells whether a version does not exist, from what the ways said, the module's last. The module's word is enough from
// 3.5 on, where every release is a module version; older ones are nowhere only if the releases say so too.
func nowhere(v binaries.Version, tried []error) bool {
	absent := func(err error) bool { return errors.Is(err, binaries.ErrAbsent) }
	if v.Major == 3 && v.Minor >= 5 {
		return absent(tried[len(tried)-1])
	}
	return !slices.ContainsFunc(tried, func(err error) bool { return !absent(err) })
}

// unknown is the error for a version that is nowhere, with the ones it may have meant.
func (i Installer) unknown(ctx context.Context, v binaries.Version) error {
	known := append(i.knownModules(ctx), i.cache().Versions()...)
	names := binaries.Nearest(v, known)
	if len(names) == 0 {
		return fmt.Errorf("etcd: %w %s", ErrUnknownVersion, v)
	}
	return fmt.Errorf("etcd: %w %s: the nearest known ones are %s", ErrUnknownVersion, v, strings.Join(names, ", "))
}

var versionLine = regexp.MustCompile(`(?m)^etcd Version: (\S+)$`)

// askVersion runs a binary to learn its version.
func askVersion(ctx context.Context, path string) (binaries.Version, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "ETCD_UNSUPPORTED_ARCH=" + runtime.GOARCH}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return binaries.Version{}, fmt.Errorf("%s --version: %w: %s", path, err, binaries.LastBytes(out, 500))
	}
	m := versionLine.FindSubmatch(out)
	if m == nil {
		return binaries.Version{}, fmt.Errorf("%s --version does not print an etcd version but %q", path, binaries.LastBytes(out, 200))
	}
	return binaries.ParseVersion(string(m[1]))
}

// verify makes sure that a binary that came from somewhere is the version it should be. One for
// another machine can't be asked and is taken at its checksum's word.
func (i Installer) verify(ctx context.Context, path string, v binaries.Version) error {
	if runtime.GOOS != "linux" || runtime.GOARCH != i.Arch {
		return nil
	}
	is, err := askVersion(ctx, path)
	if err != nil {
		return err
	}
	if is != v {
		return fmt.Errorf("it says that it is version %s", is)
	}
	return nil
}
