package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/faultline/faultline/harness/control"
)

// SumsRequest asks for the checksums of files.
type SumsRequest struct {
	Paths []string `json:"paths"`
}

// SumsAnswer has the SHA-256 of each regular file that is there, in hexadecimal, by its path.
type SumsAnswer struct {
	SHA256 map[string]string `json:"sha256"`
}

func (s state) sums(_ context.Context, q SumsRequest) (SumsAnswer, error) {
	a := SumsAnswer{SHA256: map[string]string{}}
	for _, path := range q.Paths {
		sum, err := Sum(path)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, errNotRegular):
		case err != nil:
			return a, err
		default:
			a.SHA256[path] = sum
		}
	}
	return a, nil
}

var errNotRegular = errors.New("not a regular file")

// Sum is the SHA-256 of a regular file, in hexadecimal.
func Sum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s: %w", path, errNotRegular)
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// clean ends everything that was started, undoes every fault, and forgets all of it: the node is as before.
func (s state) clean(ctx context.Context, _ None) (Healed, error) {
	h, err := s.heal(ctx, None{})
	if err != nil {
		return h, err
	}
	names, err := namesIn(s.path("processes"))
	if err != nil {
		return h, err
	}
	for _, name := range names {
		r, _, err := s.record(name)
		if err != nil {
			return h, err
		}
		if r.Alive() {
			h.Undone = append(h.Undone, "process "+name+" killed")
		}
		if err := s.end(ctx, SignalRequest{Name: name, Signal: control.SIGKILL, Bound: signalBound}); err != nil {
			return h, fmt.Errorf("end process %s: %w", name, err)
		}
	}
	if err := s.dismiss(ctx); err != nil {
		return h, err
	}
	if err := os.RemoveAll(s.dir); err != nil {
		return h, err
	}
	return h, nil
}

// dismiss waits for the watchdog's end: without a lease it has nothing to wait for.
func (s state) dismiss(ctx context.Context) error {
	if err := removeFile(s.path("lease.json")); err != nil {
		return err
	}
	if _, err := os.Stat(s.path("watchdog.lock")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	life, err := Lock(ctx, s.path("watchdog.lock"), endBound)
	if err != nil {
		return fmt.Errorf("end of the watchdog: %w", err)
	}
	return life.Close()
}
