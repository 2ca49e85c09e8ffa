package binaries

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Cache holds one folder per version and platform: the binary, and a record with its checksum. A folder appears
// by one rename, so that it is whole or not there, and writers take turns by a lock file beside it. Readers need no lock.
type Cache struct {
	// Dir is the program's own folder.
	Dir string
	// Name is the program's: etcd, kube-apiserver, …
	Name string
	// Arch is the GOARCH of what is kept; the operating system is always linux.
	Arch string
}

// Record is the name of the file that says what is known of a version's program, beside it.
func (c Cache) Record() string { return c.Name + ".json" }

// cacheRecord is what the cache knows of a binary. SHA256 is the binary's, not that of the archive it came in.
type cacheRecord struct {
	Version string `json:"version"`
	SHA256  string `json:"sha256"`
	Source  Source `json:"source"`
	// Origin is the URL, or the module and its version.
	Origin string `json:"origin"`
}

// ErrNotCached is that the cache has no such version, which is no failure.
var ErrNotCached = errors.New("not in the cache")

// Folder is where a version is kept.
func (c Cache) Folder(v Version) string {
	return filepath.Join(c.Dir, v.String()+"-linux-"+c.Arch)
}

// Lookup finds a version whose binary still has the checksum that was recorded when it came.
func (c Cache) Lookup(v Version) (Binary, error) {
	dir := c.Folder(v)
	text, err := os.ReadFile(filepath.Join(dir, c.Record()))
	if errors.Is(err, fs.ErrNotExist) {
		return Binary{}, ErrNotCached
	}
	if err != nil {
		return Binary{}, fmt.Errorf("cache: %w", err)
	}
	var r cacheRecord
	if err := json.Unmarshal(text, &r); err != nil {
		return Binary{}, fmt.Errorf("cache: record %s: %w", filepath.Join(dir, c.Record()), err)
	}
	path := filepath.Join(dir, c.Name)
	sum, err := FileSHA256(path)
	if err != nil {
		return Binary{}, fmt.Errorf("cache: %w", err)
	}
	if sum != r.SHA256 {
		return Binary{}, fmt.Errorf("cache: %s has SHA-256 %s, recorded was %s: it was changed or damaged", path, sum, r.SHA256)
	}
	return Binary{Name: c.Name, Path: path, Version: r.Version, SHA256: sum, Source: SourceCache, Origin: r.Origin}, nil
}

// Versions are the ones that the cache holds, in no order.
func (c Cache) Versions() []Version {
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return nil
	}
	var vs []Version
	suffix := "-linux-" + c.Arch
	for _, e := range entries {
		name := e.Name()
		if len(name) <= len(suffix) || name[len(name)-len(suffix):] != suffix {
			continue
		}
		if v, err := ParseVersion(name[:len(name)-len(suffix)]); err == nil && !v.IsLine() {
			vs = append(vs, v)
		}
	}
	return vs
}

// Scratch makes a folder on the cache's own file system, where a binary can be made and then kept by a rename.
func (c Cache) Scratch() (string, error) {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return "", fmt.Errorf("cache: %w", err)
	}
	dir, err := os.MkdirTemp(c.Dir, ".new-")
	if err != nil {
		return "", fmt.Errorf("cache: %w", err)
	}
	return dir, nil
}

// Keep takes the binary at path, which must be in a scratch folder, into the cache under a version.
// What was there is replaced. The caller holds the version's lock.
func (c Cache) Keep(v Version, path string, source Source, origin string) (Binary, error) {
	sum, err := FileSHA256(path)
	if err != nil {
		return Binary{}, fmt.Errorf("cache: %w", err)
	}
	r := cacheRecord{Version: v.String(), SHA256: sum, Source: source, Origin: origin}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return Binary{}, fmt.Errorf("cache: %w", err)
	}
	dir, err := c.Scratch()
	if err != nil {
		return Binary{}, err
	}
	defer os.RemoveAll(dir) // gone by rename if all went well
	err = errors.Join(
		os.Chmod(dir, 0o755),
		os.Chmod(path, 0o755),
		os.Rename(path, filepath.Join(dir, c.Name)),
		os.WriteFile(filepath.Join(dir, c.Record()), append(text, '\n'), 0o644),
		os.RemoveAll(c.Folder(v)),
	)
	if err == nil {
		err = os.Rename(dir, c.Folder(v))
	}
	if err != nil {
		return Binary{}, fmt.Errorf("cache: keep %s %s: %w", c.Name, v, err)
	}
	return Binary{Name: c.Name, Path: filepath.Join(c.Folder(v), c.Name), Version: r.Version, SHA256: sum, Source: source, Origin: origin}, nil
}

// Lock waits until this process alone may change a version in the cache. The kernel gives the lock back when a
// process dies, so there are no stale ones. waiting is called once if another process has it.
func (c Cache) Lock(ctx context.Context, v Version, waiting func()) (unlock func(), err error) {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	f, err := os.OpenFile(c.Folder(v)+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	for told := false; ; {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("cache: lock %s: %w", f.Name(), err)
		}
		if !told {
			waiting()
			told = true
		}
		if err := Pause(ctx, 100*time.Millisecond); err != nil {
			f.Close()
			return nil, fmt.Errorf("cache: another process is installing %s %s (it holds %s): %w", c.Name, v, f.Name(), err)
		}
	}
}

// FileSHA256 is the checksum of a file, in hexadecimal.
func FileSHA256(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
