package control_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/faultline/faultline/harness/control"
)

func TestCommandsThatMayHaveStartedAreNotRunAgain(t *testing.T) {
	var cuts atomic.Int32
	s := newServer(t, func(s *server) {
		s.hangUp = func(line string) bool { return strings.Contains(line, "marker") && cuts.Add(1) == 1 }
	})
	host := connect(t, s.config())

	_, err := host.Run(t.Context(), control.Cmd{Args: []string{"echo", "marker-once"}})
	var lost *control.LostError
	if !errors.As(err, &lost) {
		t.Fatalf("a command cut off gave %T: %v", err, err)
	}
	if want := "n1: echo marker-once: the connection broke"; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("text = %q", err)
	}
	if n := s.ran("marker-once"); n != 1 {
		t.Errorf("a command that is not idempotent was run %d times", n)
	}

	cuts.Store(0)
	out, err := host.Run(t.Context(), control.Cmd{Args: []string{"sh", "-c", "cat; echo marker-again"}, Stdin: strings.NewReader("in\n"), Idempotent: true})
	if err != nil {
		t.Fatal(err)
	}
	if string(out.Stdout) != "in\nmarker-again\n" || s.ran("marker-again") != 2 {
		t.Errorf("run %d times, printed %q", s.ran("marker-again"), out.Stdout)
	}

	cuts.Store(0)
	_, err = host.Run(t.Context(), control.Cmd{Args: []string{"echo", "marker-spent"}, Stdin: iotest.OneByteReader(strings.NewReader("in")), Idempotent: true})
	if !errors.As(err, &lost) || s.ran("marker-spent") != 1 {
		t.Errorf("input that can't be read again: run %d times, %v", s.ran("marker-spent"), err)
	}
}

func TestRetriesAreBounded(t *testing.T) {
	s := newServer(t, func(s *server) {
		s.hangUp = func(line string) bool { return strings.Contains(line, "marker") }
	})
	cfg := s.config()
	cfg.Attempts = 2
	host := connect(t, cfg)
	_, err := host.Run(t.Context(), control.Cmd{Args: []string{"echo", "marker"}, Idempotent: true})
	var lost *control.LostError
	if !errors.As(err, &lost) || s.ran("marker") != 2 {
		t.Errorf("run %d times, %v", s.ran("marker"), err)
	}
}

func TestStreamIsNotRunAgainOnceItPrinted(t *testing.T) {
	printed := make(chan struct{})
	s := newServer(t, func(s *server) {
		s.hangUp = func(string) bool { <-printed; return true }
	})
	host := connect(t, s.config())
	var lost *control.LostError
	err := host.Stream(t.Context(), control.Cmd{Args: []string{"sh", "-c", "echo first; cat"}, Idempotent: true}, signalWriter{printed})
	if !errors.As(err, &lost) || s.ran("first") != 1 {
		t.Errorf("run %d times, %v", s.ran("first"), err)
	}

	full := errors.New("no space left")
	err = connect(t, newServer(t, nil).config()).Stream(t.Context(), control.Cmd{Args: []string{"cat", "/dev/zero"}}, writerFunc(func([]byte) (int, error) { return 0, full }))
	if !errors.Is(err, full) {
		t.Errorf("a writer that fails: %v", err)
	}
}

func TestReconnectsOnTheNextCommand(t *testing.T) {
	s := newServer(t, nil)
	host := connect(t, s.config())
	run(t, host, "true")
	s.cut()
	// Not idempotent: it may be run because it can not have started on the broken connection. The server has closed
	// it by now, but the client may not know.
	waitFor(t, "a command after the cut", func() bool {
		_, err := host.Run(t.Context(), control.Cmd{Args: []string{"echo", "after"}})
		var lost *control.LostError
		if err != nil && !errors.As(err, &lost) {
			t.Fatal(err)
		}
		return err == nil
	})
	if n := s.ran("after"); n != 1 {
		t.Errorf("it ran %d times", n)
	}
}

func TestReconnectsAfterOpenSSHRestarted(t *testing.T) {
	s := startSSHD(t, "")
	host := connect(t, s.config())
	run(t, host, "true")
	s.stop()
	s.start()
	waitFor(t, "a command after the restart", func() bool {
		_, err := host.Run(t.Context(), control.Cmd{Args: []string{"true"}, Idempotent: true})
		return err == nil
	})
}

func TestSilentConnectionIsGivenUp(t *testing.T) {
	s := newServer(t, nil)
	r := newRelay(t, s.listen.Addr().String())
	cfg := s.config()
	cfg.KeepAlive = 20 * time.Millisecond
	dials := 0
	direct := cfg
	cfg.DialContext = dialInTurn(&dials, r.listen.Addr().String(), s.listen.Addr().String())
	host := connect(t, cfg)
	run(t, host, "true")
	r.freeze()
	// The first command is on the silent connection until the keep-alive ends it; it is then run on a new one.
	out, err := host.Run(t.Context(), control.Cmd{Args: []string{"echo", "back"}, Idempotent: true})
	if err != nil || string(out.Stdout) != "back\n" {
		t.Fatalf("%q, %v", out.Stdout, err)
	}
	if dials != 2 {
		t.Errorf("connected %d times to %s", dials, direct.Addr)
	}
}

func TestFiftyCommandsAtOnce(t *testing.T) {
	for _, limit := range []string{"MaxSessions 10", "MaxSessions 2", "MaxSessions 1"} {
		t.Run(limit, func(t *testing.T) {
			fiftyAtOnce(t, connect(t, startSSHD(t, limit).config()))
		})
	}
	t.Run("in-process, 3 sessions", func(t *testing.T) {
		fiftyAtOnce(t, connect(t, newServer(t, func(s *server) { s.sessionsMax = 3 }).config()))
	})
}

func fiftyAtOnce(t *testing.T, host control.Host) {
	t.Helper()
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			want := strconv.Itoa(i)
			out, err := host.Run(t.Context(), control.Cmd{Args: []string{"echo", want}})
			if err != nil || strings.TrimSpace(string(out.Stdout)) != want {
				t.Errorf("command %d: %q, %v", i, out.Stdout, err)
			}
		})
	}
	all.Wait()
}

func TestNoSessionsAtAll(t *testing.T) {
	_, err := connect(t, startSSHD(t, "MaxSessions 0").config()).Run(t.Context(), control.Cmd{Args: []string{"true"}})
	if err == nil || !strings.Contains(err.Error(), "raise MaxSessions in its sshd_config") {
		t.Errorf("error: %v", err)
	}
}

func TestCancellationKillsTheProcessGroup(t *testing.T) {
	hosts := map[string]func() control.Host{
		"OpenSSH":    func() control.Host { return connect(t, startSSHD(t, "").config()) },
		"in-process": func() control.Host { return connect(t, newServer(t, nil).config()) },
	}
	for name, host := range hosts {
		t.Run(name, func(t *testing.T) { cancelCommands(t, host(), 1) })
		t.Run(name+", twelve at once", func(t *testing.T) { cancelCommands(t, host(), 12) })
	}
}

// cancelCommands starts commands that have a child each, cancels them, and sees all of them gone.
func cancelCommands(t *testing.T, host control.Host, n int) {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			script := `sleep 600 & echo $$ $! > "$1.new"; mv "$1.new" "$1"; trap "" TERM; wait`
			_, err := host.Run(ctx, control.Cmd{Args: []string{"sh", "-c", script, "sh", filepath.Join(dir, strconv.Itoa(i))}})
			if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "the run is over") {
				t.Errorf("cancelled command: %v", err)
			}
		})
	}
	var pids []int
	for i := range n {
		file := filepath.Join(dir, strconv.Itoa(i))
		waitFor(t, "the command to start", func() bool { _, err := os.Stat(file); return err == nil })
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, field := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
			t.Cleanup(func() {
				if t.Failed() && isRunning(pid) {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			})
		}
	}
	for _, pid := range pids {
		if !isRunning(pid) {
			t.Fatalf("process %d is not running before it is cancelled", pid)
		}
	}
	cancel(errors.New("the run is over"))
	all.Wait()
	for _, pid := range pids {
		waitFor(t, "process "+strconv.Itoa(pid)+" to be gone", func() bool { return !isRunning(pid) })
	}
}

// isRunning tells whether a process exists and is no zombie.
func isRunning(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, state, ok := strings.Cut(string(stat), ") ")
	return ok && !strings.HasPrefix(state, "Z")
}

func TestCancellationIsPromptOnASilentConnection(t *testing.T) {
	s := newServer(t, nil)
	r := newRelay(t, s.listen.Addr().String())
	cfg := s.config()
	cfg.DialContext = dialInTurn(new(int), r.listen.Addr().String())
	host := connect(t, cfg)
	r.freeze()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := host.Run(ctx, control.Cmd{Args: []string{"true"}})
		done <- err
	}()
	select {
	case err := <-done:
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error: %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("Run has not returned 5 s after its context ended")
	}
}

func TestLargeInputAndOutput(t *testing.T) {
	host := connect(t, startSSHD(t, "").config())
	large := bytes.Repeat([]byte("0123456789abcde\n"), 2<<20)
	out, err := host.Run(t.Context(), control.Cmd{Args: []string{"cat"}, Stdin: bytes.NewReader(large)})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Stdout, large) {
		t.Errorf("%d bytes came back of %d", len(out.Stdout), len(large))
	}
	// Input that nobody reads is no error.
	if _, err := host.Run(t.Context(), control.Cmd{Args: []string{"true"}, Stdin: bytes.NewReader(large)}); err != nil {
		t.Errorf("unread input: %v", err)
	}
	_, err = host.Run(t.Context(), control.Cmd{Args: []string{"cat", "/dev/zero"}})
	if err == nil || !strings.Contains(err.Error(), "it printed more than 64 MiB") {
		t.Errorf("endless output: %v", err)
	}
	run(t, host, "true")
}

func TestBrokenInputIsNeverTakenForAWholeOne(t *testing.T) {
	host := connect(t, startSSHD(t, "").config())
	file := filepath.Join(t.TempDir(), "whole")
	bad := errors.New("disk on fire")
	input := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(bad))
	_, err := host.Run(t.Context(), control.Cmd{Args: []string{"sh", "-c", `cat >/dev/null; : > "$1"`, "sh", file}, Stdin: input})
	if !errors.Is(err, bad) {
		t.Errorf("error: %v", err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the command took half of its input for all of it")
	}
}

func TestStderrTailIsBounded(t *testing.T) {
	host := connect(t, newServer(t, nil).config())
	_, err := host.Run(t.Context(), control.Cmd{Args: []string{"sh", "-c", "seq 100000 >&2; echo the end >&2; exit 9"}})
	var exit *control.ExitError
	if !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if len(exit.StderrTail) > 3<<10 || !strings.HasSuffix(exit.StderrTail, "100000\nthe end\n") || !strings.HasPrefix(exit.StderrTail, "…9") {
		t.Errorf("tail of %d bytes: %q", len(exit.StderrTail), exit.StderrTail)
	}
	if len(exit.Output.Stderr) < 500000 {
		t.Errorf("of stderr %d bytes were kept", len(exit.Output.Stderr))
	}
}

func TestBadCommandsAreRefusedBeforeAnythingRuns(t *testing.T) {
	s := newServer(t, nil)
	host := connect(t, s.config())
	for _, cmd := range []control.Cmd{
		{},
		{Args: []string{""}},
		{Args: []string{"-c"}},
		{Args: []string{"A=b"}},
		{Args: []string{"echo", "a\x00b"}},
		{Args: []string{"true"}, Env: []string{"NOVALUE"}},
		{Args: []string{"true"}, Env: []string{"A B=1"}},
		{Args: []string{"true"}, Dir: "/\x00"},
	} {
		if _, err := host.Run(t.Context(), cmd); err == nil || !strings.HasPrefix(err.Error(), "n1: ") {
			t.Errorf("%+v: %v", cmd, err)
		}
	}
	if n := s.ran(""); n != 0 {
		t.Errorf("%d of them ran", n)
	}
}

func TestCloseEndsAll(t *testing.T) {
	host := connect(t, newServer(t, nil).config())
	started := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- host.Stream(t.Context(), control.Cmd{Args: []string{"sh", "-c", "echo up; cat"}, Stdin: blockingReader{t.Context()}}, signalWriter{started})
	}()
	<-started
	for range 2 {
		if err := host.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := <-done; !errors.Is(err, control.ErrClosed) {
		t.Errorf("the command that was running: %v", err)
	}
	if _, err := host.Run(t.Context(), control.Cmd{Args: []string{"true"}}); !errors.Is(err, control.ErrClosed) {
		t.Errorf("a command after Close: %v", err)
	}
	if _, err := host.Dial(t.Context(), "127.0.0.1:1"); !errors.Is(err, control.ErrClosed) {
		t.Errorf("Dial after Close: %v", err)
	}
}

// blockingReader reads nothing until its context ends.
type blockingReader struct{ ctx context.Context }

func (b blockingReader) Read([]byte) (int, error) { <-b.ctx.Done(); return 0, io.EOF }

// signalWriter tells of the first thing written.
type signalWriter struct{ written chan struct{} }

func (s signalWriter) Write(p []byte) (int, error) { close(s.written); return len(p), nil }
