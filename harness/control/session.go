package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	// outputMax bounds each captured output of a command, in bytes.
	outputMax = 64 << 20
	// pidMark begins the line by which a command's shell tells its process group.
	pidMark = "faultline-pid"
	// signalGrace is how long a killed session may take to end before its process group is killed by a command.
	signalGrace = 50 * time.Millisecond
	// abortMax bounds how long a cancelled command is waited for.
	abortMax = 2 * time.Second
)

// execution is a command in its session.
type execution struct {
	conn    *conn
	session *ssh.Session
	stderr  *markedStderr
	ended   chan struct{}
	err     error // what Start or Wait said; to be read after ended
}

// execute runs a command once. started tells that it may have run, whatever the error. Errors are an *ExitError,
// a *LostError, ctx's, or about connecting.
func (s *SSH) execute(parent context.Context, cmd Cmd, stdout io.Writer) (started bool, stderr []byte, err error) {
	line, err := commandLine(cmd, s.cfg.sudo(), pidMark)
	if err != nil {
		return false, nil, fmt.Errorf("%s: %w", s.cfg.Name, err)
	}
	ctx, stop := context.WithCancelCause(parent)
	defer stop(nil)
	conn, session, err := s.pool.openSession(ctx)
	if err != nil {
		return false, nil, s.notStarted(parent, cmd, err)
	}
	errOut := &capture{stop: stop}
	if own, ok := stdout.(*capture); ok {
		own.stop = stop
	} else {
		stdout = &stoppingWriter{stdout, ctx, stop}
	}
	e := &execution{conn: conn, session: session, ended: make(chan struct{}), stderr: &markedStderr{to: errOut, found: make(chan struct{})}}
	session.Stdout, session.Stderr = stdout, e.stderr
	if cmd.Stdin != nil {
		session.Stdin = &stoppingReader{cmd.Stdin, stop, e.ended}
	}
	go func() {
		defer s.pool.release(conn)
		defer close(e.ended)
		if e.err = session.Start(line); e.err == nil {
			e.err = session.Wait()
		}
		session.Close()
	}()
	select {
	case <-e.ended:
	case <-ctx.Done():
		s.abort(e)
		return true, nil, fmt.Errorf("%s: %s: ended before it was done: %w", s.cfg.Name, commandText(cmd.Args), whyEnded(parent, ctx))
	}
	e.stderr.flush()
	if err := ctx.Err(); err != nil && parent.Err() == nil {
		return true, errOut.Bytes(), fmt.Errorf("%s: %s: %w", s.cfg.Name, commandText(cmd.Args), context.Cause(ctx))
	}
	return true, errOut.Bytes(), s.outcome(cmd, e.err, errOut.Bytes())
}

// notStarted makes the error of a command that has no session. A connection that turned out to be broken is
// a *LostError, so that it is tried again on a new one.
func (s *SSH) notStarted(parent context.Context, cmd Cmd, err error) error {
	var conn *ConnError
	switch {
	case parent.Err() != nil:
		return fmt.Errorf("%s: %s: not started: %w", s.cfg.Name, commandText(cmd.Args), whyEnded(parent, parent))
	case errors.As(err, &conn), errors.Is(err, ErrClosed):
		return err
	default:
		return &LostError{Node: s.cfg.Name, Args: cmd.Args, Err: err}
	}
}

// outcome reads how a session ended.
func (s *SSH) outcome(cmd Cmd, err error, stderr []byte) error {
	var exit *ssh.ExitError
	switch {
	case err == nil, errors.Is(err, io.EOF) && !s.closed():
		// EOF alone: it exited with 0 without having read all of its input.
		return nil
	case errors.As(err, &exit):
		failed := &ExitError{Node: s.cfg.Name, Args: cmd.Args, Code: exit.ExitStatus(), Signal: exit.Signal(), StderrTail: tail(stderr, stderrTailMax)}
		if failed.Signal != "" {
			failed.Code = -1
		}
		return failed
	case s.closed():
		return &LostError{Node: s.cfg.Name, Args: cmd.Args, Err: ErrClosed}
	default:
		return &LostError{Node: s.cfg.Name, Args: cmd.Args, Err: err}
	}
}

func (s *SSH) closed() bool { return s.pool.life.Err() != nil }

// whyEnded is the error of the context that ended: with the caller's own reason, where it gave one.
func whyEnded(parent, ctx context.Context) error {
	cause, err := context.Cause(ctx), parent.Err()
	if err == nil || errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// abort kills a command and waits for its end, at most for abortMax. A signal request may be refused (OpenSSH does for
// root's log-ins, and it can't reach what sudo started), so the process group is then killed by a command.
func (s *SSH) abort(e *execution) {
	limit := time.NewTimer(abortMax)
	defer limit.Stop()
	go func() {
		_ = e.session.Signal(ssh.SIGKILL)
		grace := time.NewTimer(signalGrace)
		defer grace.Stop()
		select {
		case <-e.ended:
			return
		case <-grace.C:
		}
		select {
		case <-e.ended:
		case <-e.conn.dead:
		case <-e.stderr.found:
			s.killGroup(e)
		}
	}()
	select {
	case <-e.ended:
	case <-limit.C:
		// On a stalled connection even closing may wait.
		go e.session.Close()
	}
}

// killGroup kills the process group of a command by another session on its connection. Those come one at a time: the
// limit on sessions leaves room for one beside the commands'.
func (s *SSH) killGroup(e *execution) {
	e.conn.killing.Lock()
	defer e.conn.killing.Unlock()
	select {
	case <-e.ended:
		return
	default:
	}
	session, err := e.conn.client.NewSession()
	if err != nil {
		// The server allows no session more on this connection. Another one will do.
		ctx, cancel := context.WithTimeout(s.pool.life, abortMax)
		defer cancel()
		var other *conn
		if other, session, err = s.pool.openSession(ctx); err != nil {
			return
		}
		defer s.pool.release(other)
	}
	defer session.Close()
	kill := []string{"kill", "-s", "KILL", "--", "-" + strconv.Itoa(e.stderr.pid)}
	if s.cfg.sudo() {
		kill = append([]string{"sudo", "-n", "--"}, kill...)
	}
	_ = session.Run(Quote(kill))
}

// markedStderr takes the line with the process group out of a command's stderr and passes the rest on.
type markedStderr struct {
	to    io.Writer
	line  []byte
	pid   int           // to be read after found
	found chan struct{} // closed when pid is known
	done  bool
}

func (m *markedStderr) Write(p []byte) (int, error) {
	if m.done {
		return m.to.Write(p)
	}
	m.line = append(m.line, p...)
	for !m.done {
		end := bytes.IndexByte(m.line, '\n')
		if end < 0 {
			return len(p), nil
		}
		line := m.line[:end+1]
		m.line = m.line[end+1:]
		// The login shell's start-up files may have left a line unfinished before it.
		before, mark, ok := strings.Cut(string(line), pidMark+" ")
		if pid, err := strconv.Atoi(strings.TrimSpace(mark)); ok && err == nil && pid > 1 {
			line, m.pid, m.done = []byte(before), pid, true
			close(m.found)
		}
		if _, err := m.to.Write(line); err != nil {
			return len(p), err
		}
	}
	_, err := m.to.Write(m.line)
	m.line = nil
	return len(p), err
}

// flush passes on a last line without an end, where the mark never came.
func (m *markedStderr) flush() {
	_, _ = m.to.Write(m.line)
	m.line = nil
}

// capture keeps what is printed, up to outputMax, past which the command is stopped. The buffer is not embedded: its
// ReadFrom, which io.Copy prefers, knows no limit.
type capture struct {
	printed bytes.Buffer
	stop    context.CancelCauseFunc
}

func (c *capture) Bytes() []byte { return c.printed.Bytes() }

func (c *capture) Write(p []byte) (int, error) {
	if c.printed.Len()+len(p) > outputMax {
		err := fmt.Errorf("it printed more than %d MiB: let it write to a file and download that", outputMax>>20)
		c.stop(err)
		return 0, err
	}
	return c.printed.Write(p)
}

// stoppingWriter stops the command when its output can't be written, and writes nothing once the command is
// cancelled: the caller may have its writer back by then.
type stoppingWriter struct {
	to   io.Writer
	ctx  context.Context
	stop context.CancelCauseFunc
}

func (w *stoppingWriter) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := w.to.Write(p)
	if err != nil {
		w.stop(fmt.Errorf("write its output: %w", err))
	}
	return n, err
}

// stoppingReader stops the command when its input can't be read, and keeps the end of the input from
// it until it is gone: half an input must not be taken for all of it.
type stoppingReader struct {
	from  io.Reader
	stop  context.CancelCauseFunc
	ended <-chan struct{}
}

func (r *stoppingReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.stop(fmt.Errorf("read its input: %w", err))
		<-r.ended
	}
	return n, err
}
