// Package install finds or makes the programs of a version of Kubernetes: API server, controller manager and scheduler as they are released, and
// the hollow node, which is the real kubelet over a container runtime that runs nothing (see hollow/).
package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/faultline/faultline/internal/binaries"
)

// The programs.
const (
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	// Hollow is the kubelet with its container runtime. No release has it: it is always built from the Go module, unless given.
	Hollow = "hollow"
)

// Kubelet is the component that Hollow runs as; a given binary may have either name.
const Kubelet = "kubelet"

func names() []string { return []string{APIServer, ControllerManager, Scheduler, Hollow} }

// ErrUnknownVersion marks a version that Kubernetes never released, as far as anybody asked can tell.
var ErrUnknownVersion = binaries.ErrUnknownVersion

// Set is the programs of one version.
type Set struct {
	// Version is without a leading v.
	Version                                         string
	APIServer, ControllerManager, Scheduler, Hollow binaries.Binary
	// Note says what the user should know about the choice of the version; empty where there is nothing to say.
	Note string
}

// All are the programs, in the order in which they are started.
func (s Set) All() []binaries.Binary {
	return []binaries.Binary{s.APIServer, s.ControllerManager, s.Scheduler, s.Hollow}
}

// DefaultReleases is where the Kubernetes project publishes its binaries.
const DefaultReleases = "https://dl.k8s.io/release"

// Installer finds or makes the programs of a version for linux. Under Releases, which is DefaultReleases where it is empty, are
// v1.36.3/bin/linux/amd64/kube-apiserver and the same with .sha256.
type Installer binaries.Installer

// installer is an Installer that has its defaults.
type installer struct{ binaries.Installer }

func (i installer) cache(name string) binaries.Cache {
	return binaries.Cache{Dir: filepath.Join(i.Cache, "kube", name), Name: name, Arch: i.Arch}
}

// Install returns the programs of a version: 1.36.3, v1.36.3, or 1.36 for its newest patch. given are paths of programs to take as they are, by
// name; they must be of that version, and decide it where none is asked for. The other programs are taken from the cache, else the releases, else
// built from the Go module, all that are missing at once. The error tells of each way that was tried; it wraps ErrUnknownVersion if there is no such version.
func (i Installer) Install(ctx context.Context, version string, given map[string]string) (Set, error) {
	w := installer{binaries.Installer(i).WithDefaults(DefaultReleases)}
	found, err := w.given(ctx, given)
	if err != nil {
		return Set{}, err
	}
	v, note, err := w.decide(ctx, version, found)
	if err != nil {
		return Set{}, err
	}
	missing := func() (out []string) {
		for _, name := range names() {
			if _, ok := found[name]; !ok {
				out = append(out, name)
			}
		}
		return out
	}
	w.fromCache(v, missing(), found)
	if len(missing()) > 0 {
		if err := w.obtain(ctx, v, missing, found); err != nil {
			return Set{}, err
		}
	}
	return Set{
		Version: v.String(), APIServer: found[APIServer], ControllerManager: found[ControllerManager],
		Scheduler: found[Scheduler], Hollow: found[Hollow], Note: note,
	}, nil
}

// decide is the version to install: the one asked for, else that of what was given.
func (i installer) decide(ctx context.Context, word string, given map[string]binaries.Binary) (binaries.Version, string, error) {
	var is *binaries.Version
	for _, name := range names() {
		b, ok := given[name]
		if !ok {
			continue
		}
		v, err := binaries.ParseVersion(b.Version)
		if err != nil {
			return v, "", err
		}
		if is != nil && *is != v {
			return v, "", fmt.Errorf("the programs given are of different versions: %s is %s, another one %s", name, v, *is)
		}
		is = &v
	}
	if word == "" {
		if is == nil {
			return binaries.Version{}, "", errors.New("name a version of Kubernetes: no program that was given tells one")
		}
		return *is, "", nil
	}
	v, err := binaries.ParseVersion(word)
	if err != nil {
		return v, "", fmt.Errorf("kubernetes: %w", err)
	}
	if is != nil {
		if !is.Fits(v) {
			return v, "", fmt.Errorf("what was given is Kubernetes %s, but version %s was asked for: leave one of the two out", is, word)
		}
		return *is, "", nil
	}
	if !v.IsLine() {
		return v, "", nil
	}
	return i.newest(ctx, v)
}

// given takes programs as they are.
func (i installer) given(ctx context.Context, given map[string]string) (map[string]binaries.Binary, error) {
	found := map[string]binaries.Binary{}
	for name, path := range given {
		if name == Kubelet {
			name = Hollow
		}
		if !slices.Contains(names(), name) {
			return nil, fmt.Errorf("%s was given as %s: there are %s", path, name, strings.Join(names(), ", "))
		}
		path, err := filepath.Abs(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		sum, err := binaries.FileSHA256(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		is, err := question.Version(ctx, path)
		if err != nil {
			return nil, fmt.Errorf("%s was given as %s: %w", path, name, err)
		}
		found[name] = binaries.Binary{Name: name, Path: path, Version: is.String(), SHA256: sum, Source: binaries.SourceGiven, Origin: path}
	}
	return found, nil
}

// fromCache takes what the cache has, whole.
func (i installer) fromCache(v binaries.Version, missing []string, found map[string]binaries.Binary) {
	for _, name := range missing {
		b, err := i.cache(name).Lookup(v)
		switch {
		case err == nil && (name != Hollow || b.Origin == hollowOrigin(v)):
			found[name] = b
		case err != nil && !errors.Is(err, binaries.ErrNotCached):
			i.Progress(err.Error() + "; installing it again")
		}
	}
}

// obtain gets what is missing by the other ways, while no other process does.
func (i installer) obtain(ctx context.Context, v binaries.Version, missing func() []string, found map[string]binaries.Binary) error {
	unlock, err := i.cache(Hollow).Lock(ctx, v, func() { i.Progress(fmt.Sprintf("another process is installing Kubernetes %s: waiting", v)) })
	if err != nil {
		return err
	}
	defer unlock()
	i.fromCache(v, missing(), found) // it may have come while this process waited
	var tried []error
	released := false // every release is a module's version: if the module says that there is none, and no release showed that there is, there is none
	for _, name := range missing() {
		if name == Hollow {
			continue
		}
		b, err := i.fromRelease(ctx, v, name)
		if err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("install Kubernetes %s: %w", v, err)
			}
			i.Progress(fmt.Sprintf("Kubernetes %s by release: %v", v, err))
			tried = append(tried, fmt.Errorf("release: %w", err))
			break
		}
		found[name], released = b, true
	}
	todo := missing()
	if len(todo) == 0 {
		return nil
	}
	built, err := i.fromModule(ctx, v, todo)
	if err == nil {
		for _, b := range built {
			found[b.Name] = b
		}
		return nil
	}
	tried = append(tried, fmt.Errorf("module: %w", err))
	if ctx.Err() != nil {
		return fmt.Errorf("install Kubernetes %s: %w", v, err)
	}
	if errors.Is(err, binaries.ErrAbsent) && !released {
		return i.unknown(ctx, v)
	}
	return fmt.Errorf("install Kubernetes %s: tried\n%w\ngive the programs, or put them in the cache with a machine that has a network", v, errors.Join(tried...))
}

// fromRelease fetches one program and checks it against its published SHA-256.
func (i installer) fromRelease(ctx context.Context, v binaries.Version, name string) (binaries.Binary, error) {
	url := fmt.Sprintf("%s/v%s/bin/linux/%s/%s", strings.TrimSuffix(i.Releases, "/"), v, i.Arch, name)
	releases := i.Site()
	want, err := releases.OwnSum(ctx, url+".sha256")
	if err != nil {
		return binaries.Binary{}, err
	}
	scratch, err := i.cache(name).Scratch()
	if err != nil {
		return binaries.Binary{}, err
	}
	defer os.RemoveAll(scratch)
	i.Progress("fetching " + url)
	path := filepath.Join(scratch, name)
	if err := releases.Fetch(ctx, url, path, want); err != nil {
		return binaries.Binary{}, err
	}
	if err := os.Chmod(path, 0o755); err != nil {
		return binaries.Binary{}, err
	}
	if err := i.Verify(ctx, question, path, v); err != nil {
		return binaries.Binary{}, fmt.Errorf("%s: %w", url, err)
	}
	return i.cache(name).Keep(v, path, binaries.SourceRelease, url)
}

// question is how a program is asked for its version. What distributions add after a plus tells no other version.
var question = binaries.Question{Line: regexp.MustCompile(`(?m)^Kubernetes (v[^\s+]*)\S*$`), What: "a version of Kubernetes"}
