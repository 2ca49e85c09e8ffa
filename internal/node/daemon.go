package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// readyBound bounds how long a daemon may take to say that it is ready.
const readyBound = 10 * time.Second

// readyFD is the file on which a daemon tells its starter that it is ready: one line, "ok" or the error.
const readyFD = 3

// spawn starts one of this program's verbs as a daemon of its own session, which outlives the SSH session that it
// was asked for on, and returns when it is ready.
func (s state) spawn(ctx context.Context, log string, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	out, err := os.OpenFile(log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := exec.Command(self, append([]string{"node", "--state", s.dir}, args...)...)
	cmd.Dir = "/"
	cmd.Env = ownEnviron()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return fmt.Errorf("start %q: %w", args, err)
	}
	go func() { _ = cmd.Wait() }() // reap it if it ends before this process does; its error is in its log
	return awaitReady(ctx, r, args[0])
}

// awaitReady reads a daemon's answer.
func awaitReady(ctx context.Context, r *os.File, what string) error {
	ctx, cancel := context.WithTimeout(ctx, readyBound)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { r.Close() })
	defer stop()
	text, err := io.ReadAll(r)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s was not ready within %v: %w", what, readyBound, ctx.Err())
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	case len(text) == 0:
		return fmt.Errorf("%s ended before it was ready", what)
	case string(text) != "ok":
		return errors.New(string(text))
	}
	return nil
}

// readiness is the daemon's side of spawn. Its first answer counts.
type readiness struct{ f *os.File }

// openReadiness finds the file that spawn left open. Run by hand, there is none, and answers go nowhere.
func openReadiness() *readiness {
	// Not os.NewFile at once: what it makes is closed by the garbage collector, also where the file is not ours.
	var st syscall.Stat_t
	if err := syscall.Fstat(readyFD, &st); err != nil || st.Mode&syscall.S_IFMT != syscall.S_IFIFO {
		return &readiness{}
	}
	syscall.CloseOnExec(readyFD)
	return &readiness{f: os.NewFile(readyFD, "ready")}
}

func (r *readiness) tell(err error) {
	if r.f == nil {
		return
	}
	text := "ok"
	if err != nil {
		text = err.Error()
	}
	_, _ = io.WriteString(r.f, text) // the starter may be gone; then nobody asks
	r.f.Close()
	r.f = nil
}
