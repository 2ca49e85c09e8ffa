package etcd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"

	"github.com/faultline/faultline/internal/binaries"
)

// Binary is an etcd that was found.
type Binary = binaries.Binary

// ErrUnknownVersion marks a version that etcd never released.
var ErrUnknownVersion = binaries.ErrUnknownVersion

// DefaultReleases is where the etcd project publishes its archives.
const DefaultReleases = "https://github.com/etcd-io/etcd/releases/download"

// Installer finds or makes an etcd binary of a version for linux. Under Releases, which is DefaultReleases where it is empty, are
// v3.5.4/etcd-v3.5.4-linux-amd64.tar.gz and v3.5.4/SHA256SUMS.
type Installer binaries.Installer

// installer is an Installer that has its defaults.
type installer struct{ binaries.Installer }

// Install returns an etcd of a version: 3.5.4, v3.5.4, or 3.6 for its newest patch. If given is not empty it is the path
// of a binary to take as it is; its own version is reported and version, if not empty, must be that.
// The ways are tried in order (given; cache; release archive; Go module); the error tells of each one that was tried.
// It wraps ErrUnknownVersion if there is no such version.
func (i Installer) Install(ctx context.Context, version, given string) (Binary, error) {
	w := installer{binaries.Installer(i).WithDefaults(DefaultReleases)}
	if given != "" {
		return w.given(ctx, version, given)
	}
	v, note, err := w.resolve(ctx, version)
	if err != nil {
		return Binary{}, err
	}
	b, err := w.install(ctx, v)
	b.Note = note
	return b, err
}

func (i installer) cache() binaries.Cache {
	return binaries.Cache{Dir: filepath.Join(i.Cache, "etcd"), Name: Component, Arch: i.Arch}
}

// given takes a binary as it is.
func (i installer) given(ctx context.Context, want, path string) (Binary, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Binary{}, fmt.Errorf("etcd binary: %w", err)
	}
	sum, err := binaries.FileSHA256(path)
	if err != nil {
		return Binary{}, fmt.Errorf("etcd binary: %w", err)
	}
	is, err := question.Version(ctx, path)
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
func (i installer) resolve(ctx context.Context, word string) (v binaries.Version, note string, err error) {
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

func (i installer) install(ctx context.Context, v binaries.Version) (Binary, error) {
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
func (i installer) unknown(ctx context.Context, v binaries.Version) error {
	return binaries.Unknown("etcd", v, append(i.knownModules(ctx), i.cache().Versions()...))
}

// question is how an etcd is asked for its version.
var question = binaries.Question{
	Line: regexp.MustCompile(`(?m)^etcd Version: (\S+)$`), What: "an etcd version",
	Env: []string{"PATH=" + os.Getenv("PATH"), "ETCD_UNSUPPORTED_ARCH=" + runtime.GOARCH},
}
