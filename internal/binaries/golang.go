package binaries

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

// Go is the go command that builds programs.
type Go struct {
	// Command is go, found by PATH, or another path.
	Command string
	// Arch is the GOARCH to build for; the operating system is linux.
	Arch string
}

// EmptyModule is the go.mod that everything happens in; go fills it in.
const EmptyModule = "module build\n\ngo 1.21\n"

// Query runs the go command in a module of its own, so that no go.mod of the surroundings has a say.
func (g Go) Query(ctx context.Context, args ...string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "faultline-query-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(EmptyModule), 0o644); err != nil {
		return nil, err
	}
	return g.Run(ctx, dir, args...)
}

// Run runs the go command in a folder and returns what it printed.
func (g Go) Run(ctx context.Context, dir string, args ...string) ([]byte, error) {
	return g.RunTelling(ctx, dir, func(string) {}, args...)
}

// RunTelling is Run that passes on each line while the command runs, from one goroutine.
func (g Go) RunTelling(ctx context.Context, dir string, told func(line string), args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, g.Command, args...)
	cmd.Dir = dir
	// The binary must run on any linux, so it links no C; -mod=mod lets go fill in go.mod and go.sum.
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+g.Arch)
	out := &teller{told: told}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		return out.all, fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return out.all, nil
}

// absentWords are how the go command says that a version is not there, as against that it could not ask.
var absentWords = []string{
	"no matching versions", "unknown revision", "invalid version",
	"403 Forbidden", "404 Not Found", "410 Gone", // what module proxies answer
}

// ModuleError tells a version that does not exist from a module that could not be reached.
func ModuleError(out []byte, err error) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err // go is not installed, or was interrupted
	}
	for _, w := range absentWords {
		if bytes.Contains(out, []byte(w)) {
			return fmt.Errorf("%w: %s: %w", err, LastBytes(out, 500), ErrAbsent)
		}
	}
	return fmt.Errorf("%w: %s", err, LastBytes(out, 2000))
}

// LastLine is the last line of some output.
func LastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// LastBytes is the end of some output, trimmed.
func LastBytes(b []byte, n int) string {
	b = bytes.TrimSpace(b)
	if len(b) > n {
		b = append([]byte("…"), b[len(b)-n:]...)
	}
	return string(b)
}

// teller keeps everything that is written to it and passes on whole lines.
type teller struct {
	all  []byte
	sent int
	told func(line string)
}

func (t *teller) Write(b []byte) (int, error) {
	t.all = append(t.all, b...)
	for {
		n := bytes.IndexByte(t.all[t.sent:], '\n')
		if n < 0 {
			return len(b), nil
		}
		t.told(string(t.all[t.sent : t.sent+n]))
		t.sent += n + 1
	}
}
