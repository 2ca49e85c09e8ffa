package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lockBound bounds how long a verb waits for another one; each holds the lock for milliseconds.
const lockBound = 10 * time.Second

// state is the node's memory: a directory of small JSON files, each replaced whole.
//
//	lock                      held while any of the others changes
//	processes/NAME.json       what was started under NAME; .log has its supervisor's own errors
//	faults/KIND-ID.json       the journal: what is broken, written before it is
//	lease.json                until when the driver is believed to live
//	fired.json                what the watchdog undid
//	caught/ID.json            what a cut had caught when it was undone, by whomever
type state struct {
	dir string
	// table is the nftables table of its cuts.
	table string
}

func (s state) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

// locked runs f while no other process changes the state. The kernel frees the lock if this process dies.
func (s state) locked(ctx context.Context, f func() error) error {
	for _, dir := range []string{s.dir, s.path("processes"), s.path("faults"), s.path("caught")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make the state directory (is this root?): %w", err)
		}
	}
	lock, err := Lock(ctx, s.path("lock"), lockBound)
	if err != nil {
		return err
	}
	defer lock.Close()
	return f()
}

// ErrHeld says that another process has a lock.
var ErrHeld = errors.New("held by another process")

// Lock takes a lock file; closing it frees it, and so does the end of the process. It waits for at most bound, and with
// none fails at once with ErrHeld.
func Lock(ctx context.Context, path string, bound time.Duration) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	try := func() (bool, error) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR) {
			return false, nil
		}
		return err == nil, err
	}
	ok, err := try()
	if !ok && err == nil && bound > 0 {
		err = await(ctx, bound, "lock "+path, try)
		ok = err == nil
	}
	if err == nil && !ok {
		err = fmt.Errorf("%s: %w", path, ErrHeld)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// ReadJSON fills v from a file; a missing file leaves it as it is and tells so.
func ReadJSON(path string, v any) (found bool, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	return true, nil
}

// WriteJSON replaces a file whole, so that no reader sees half of it.
func WriteJSON(path string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	temp := path + ".new"
	if err := os.WriteFile(temp, append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// fileName makes a file's name of any text.
func fileName(text string) string { return url.PathEscape(text) }

// namesIn lists the JSON files of a directory without their ending; a missing directory is an empty one.
func namesIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".json"); ok {
			names = append(names, name)
		}
	}
	return names, nil
}
