package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// runSupervise is the parent of one process: it starts it, records how it ended, and starts it again if so asked.
// It ends when the process has ended for good.
func runSupervise(ctx context.Context, c call) error {
	ready := openReadiness()
	err := c.state.supervise(ctx, c.args, ready)
	if err != nil {
		ready.tell(err)
	}
	return err
}

func (s state) supervise(ctx context.Context, args []string, ready *readiness) error {
	if len(args) != 1 {
		return errors.New("supervise: give the name of one process")
	}
	// Whoever wants it to end says so in the record and wakes it up; a terminal's or a session's end is none of its business.
	wake := make(chan os.Signal, 1)
	signal.Notify(wake, unix.SIGHUP, unix.SIGINT, unix.SIGTERM)
	defer signal.Stop(wake)
	life, err := Lock(ctx, s.path("processes", args[0]+".lock"), 0)
	if errors.Is(err, ErrHeld) {
		return fmt.Errorf("process %s is being started already", args[0])
	}
	if err != nil {
		return err
	}
	defer life.Close()
	for {
		cmd, err := s.launch(ctx, args[0])
		if err != nil || cmd == nil {
			return err
		}
		ready.tell(nil)
		r, err := s.bury(ctx, args[0], cmd)
		if err != nil || !r.Wanted || r.Restart <= 0 {
			return err
		}
		stop := make(chan struct{})
		woken := make(chan struct{})
		go func() {
			select {
			case <-wake:
				close(woken)
			case <-stop:
			}
		}()
		pause(ctx, r.Restart, woken)
		close(stop)
	}
}

// launch starts the process if it is still wanted.
func (s state) launch(ctx context.Context, name string) (*exec.Cmd, error) {
	var cmd *exec.Cmd
	err := s.locked(ctx, func() error {
		r, found, err := s.record(name)
		if err != nil || !found || !r.Wanted {
			return err
		}
		if r.Supervisor, err = Identify(os.Getpid()); err != nil {
			return err
		}
		if r.PID != 0 {
			r.Restarts++
		}
		c, err := execute(r)
		if err != nil {
			r.Exit, r.Wanted = err.Error(), false
			return errors.Join(err, s.save(r))
		}
		cmd = c
		r.Exit, r.Used = "", 0
		if r.Identity, err = Identify(c.Process.Pid); err != nil {
			return err
		}
		return s.save(r)
	})
	return cmd, err
}

// execute starts the program in a session, and so a process group, of its own.
func execute(r record) (*exec.Cmd, error) {
	if err := os.MkdirAll(filepath.Dir(r.Log), 0o755); err != nil {
		return nil, fmt.Errorf("make the log's directory: %w", err)
	}
	log, err := os.OpenFile(r.Log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(r.Args[0], r.Args[1:]...)
	cmd.Env = append(ownEnviron(), r.Env...)
	cmd.Dir = r.Dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start it: %w", err)
	}
	return cmd, nil
}

// ownEnviron is the environment without the SSH session that the process is started from and outlives.
func ownEnviron() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "SSH_") })
}

// bury waits for the process's end and records it. The process is reaped with the lock held: who holds the lock and
// sees the process can signal it, and can't hit another one that was given its number.
func (s state) bury(ctx context.Context, name string, cmd *exec.Cmd) (record, error) {
	for {
		err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINTR) {
			return record{}, fmt.Errorf("wait for %s: %w", name, err)
		}
	}
	var r record
	err := s.locked(ctx, func() error {
		end := describeExit(cmd)
		var found bool
		var err error
		r, found, err = s.record(name)
		if err != nil || !found {
			return err
		}
		r.Exit, r.Used = end, used(cmd)
		return s.save(r)
	})
	return r, err
}

// describeExit reaps a process that has ended.
func describeExit(cmd *exec.Cmd) string {
	err := cmd.Wait()
	if cmd.ProcessState == nil {
		return "unknown: " + err.Error()
	}
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return "signal " + signalWord(ws.Signal())
	}
	return fmt.Sprintf("exit %d", cmd.ProcessState.ExitCode())
}

// used is the processor time of a process that has been reaped.
func used(cmd *exec.Cmd) time.Duration {
	if cmd.ProcessState == nil {
		return 0
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// signalWord is the kernel's own word for a signal: killed, terminated, aborted, …
func signalWord(sig syscall.Signal) string { return sig.String() }
