package binaries

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"runtime"
	"time"
)

// Installer is what an installer of any system's programs needs. Several of them, in several processes, may work on one cache. The zero
// value of every field but Cache is a sensible default.
type Installer struct {
	// Cache is the folder that programs are kept in; it is made when needed.
	Cache string
	// Releases is the URL under which are a project's releases, laid out as the project does; default the project's own.
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

// WithDefaults has every field set, Releases to where the project has its own.
func (i Installer) WithDefaults(releases string) Installer {
	if i.Releases == "" {
		i.Releases = releases
	}
	if i.HTTP == nil {
		i.HTTP = NewHTTP()
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

// Golang is the go command for the nodes' machines.
func (i Installer) Golang() Go { return Go{Command: i.Go, Arch: i.Arch} }

// Site is where the releases are.
func (i Installer) Site() Releases { return Releases{HTTP: i.HTTP} }

// Verify makes sure that a program that came from somewhere is the version it should be. One for another machine can't be
// asked and is taken at its checksum's word.
func (i Installer) Verify(ctx context.Context, ask Question, path string, v Version) error {
	if runtime.GOOS != "linux" || runtime.GOARCH != i.Arch {
		return nil
	}
	is, err := ask.Version(ctx, path)
	if err != nil {
		return err
	}
	if is != v {
		return fmt.Errorf("it says that it is version %s", is)
	}
	return nil
}

// Question is how a program is asked for its version: with --version.
type Question struct {
	// Line is the line that answers it; its first group is the version.
	Line *regexp.Regexp
	// What such a line is, as people say: "a version of Kubernetes".
	What string
	// Env is the environment of the program; nil: the driver's.
	Env []string
}

// Version runs a program, for 30 seconds at most, to learn its version.
func (q Question) Version(ctx context.Context, path string) (Version, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.Env = q.Env
	out, err := cmd.CombinedOutput()
	if err != nil {
		return Version{}, fmt.Errorf("%s --version: %w: %s", path, err, LastBytes(out, 500))
	}
	m := q.Line.FindSubmatch(out)
	if m == nil {
		return Version{}, fmt.Errorf("%s --version does not print %s but %q", path, q.What, LastBytes(out, 200))
	}
	return ParseVersion(string(m[1]))
}
