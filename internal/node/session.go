package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/creack/pty"
	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

const (
	loginPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	// drain bounds how long the output of what a command left in the background is still passed on.
	drain = 200 * time.Millisecond
)

func loginShell() string {
	if _, err := os.Stat("/bin/bash"); err == nil {
		return "/bin/bash"
	}
	return "/bin/sh"
}

// session is one SSH session: RFC 4254, section 6.
type session struct {
	channel ssh.Channel
	env     []string
	term    *ptyRequest
	tty     *os.File

	// mu guards process: signals come while it starts and ends.
	mu      sync.Mutex
	process *os.Process
}

type ptyRequest struct {
	Term                         string
	Columns, Rows, Width, Height uint32
	Modes                        string
}

// serveSession runs the one command, shell or subsystem that a session is for.
func serveSession(ctx context.Context, conn *ssh.ServerConn, ch ssh.NewChannel) {
	channel, requests, err := ch.Accept()
	if err != nil {
		return
	}
	defer channel.Close()
	s := &session{channel: channel, env: sessionEnv(conn)}
	var run sync.WaitGroup
	defer run.Wait()
	started := false
	for r := range requests {
		var work func()
		ok := true
		switch r.Type {
		case "env":
			ok = s.setEnv(r.Payload)
		case "pty-req":
			s.term = &ptyRequest{}
			ok = ssh.Unmarshal(r.Payload, s.term) == nil
		case "window-change":
			ok = s.resize(r.Payload)
		case "signal":
			ok = s.signal(r.Payload)
		case "shell", "exec":
			var command struct{ Text string }
			if r.Type == "exec" {
				ok = ssh.Unmarshal(r.Payload, &command) == nil
			}
			work = func() { s.finish(s.execute(ctx, command.Text)) }
		case "subsystem":
			var name struct{ Text string }
			ok = ssh.Unmarshal(r.Payload, &name) == nil && name.Text == "sftp"
			work = s.serveFiles
		default:
			ok = false
		}
		if work != nil {
			ok = ok && !started // one per session
		}
		if r.WantReply {
			_ = r.Reply(ok, nil)
		}
		if work != nil && ok {
			started = true
			run.Go(work)
		}
	}
	// The client has closed the channel: nobody reads what the command still says. As a terminal's end would, this ends it;
	// what it started in sessions of their own stays.
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		_ = unix.Kill(-s.process.Pid, unix.SIGKILL)
	}
}

// sessionEnv tells commands where they were called from, as OpenSSH does.
func sessionEnv(conn *ssh.ServerConn) []string {
	remoteHost, remotePort, err1 := net.SplitHostPort(conn.RemoteAddr().String())
	localHost, localPort, err2 := net.SplitHostPort(conn.LocalAddr().String())
	if err1 != nil || err2 != nil {
		return nil
	}
	return []string{"SSH_CONNECTION=" + strings.Join([]string{remoteHost, remotePort, localHost, localPort}, " ")}
}

func (s *session) setEnv(payload []byte) bool {
	var v struct{ Name, Value string }
	if ssh.Unmarshal(payload, &v) != nil {
		return false
	}
	s.env = append(s.env, v.Name+"="+v.Value)
	return true
}

func (s *session) resize(payload []byte) bool {
	var size struct{ Columns, Rows, Width, Height uint32 }
	if ssh.Unmarshal(payload, &size) != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tty == nil {
		return false
	}
	return pty.Setsize(s.tty, &pty.Winsize{Rows: uint16(size.Rows), Cols: uint16(size.Columns)}) == nil
}

func (s *session) signal(payload []byte) bool {
	var sig struct{ Name string }
	if ssh.Unmarshal(payload, &sig) != nil {
		return false
	}
	number := unix.SignalNum("SIG" + sig.Name)
	s.mu.Lock()
	defer s.mu.Unlock()
	return number != 0 && s.process != nil && unix.Kill(-s.process.Pid, number) == nil
}

// execute runs a command, or with no text a login shell, to its end.
func (s *session) execute(ctx context.Context, text string) (*os.ProcessState, error) {
	args := []string{"/bin/sh", "-c", text}
	if text == "" {
		args = []string{loginShell(), "-l"}
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = os.Getenv("HOME")
	if _, err := os.Stat(cmd.Dir); err != nil {
		cmd.Dir = "/"
	}
	cmd.Env = append(os.Environ(), s.env...)
	cmd.WaitDelay = drain
	var err error
	if s.term != nil {
		err = s.runOnTerminal(cmd)
	} else {
		err = s.runPlain(cmd)
	}
	return cmd.ProcessState, err
}

func (s *session) runPlain(cmd *exec.Cmd) error {
	cmd.Stdout, cmd.Stderr = s.channel, s.channel.Stderr()
	// Not cmd.Stdin: Wait would wait for the client to close its side.
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := s.start(cmd.Start, cmd); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(stdin, s.channel) // a command need not read its input
		stdin.Close()
	}()
	return s.wait(cmd)
}

func (s *session) runOnTerminal(cmd *exec.Cmd) error {
	cmd.Env = append(cmd.Env, "TERM="+s.term.Term)
	size := &pty.Winsize{Rows: uint16(s.term.Rows), Cols: uint16(s.term.Columns)}
	err := s.start(func() (err error) {
		s.tty, err = pty.StartWithSize(cmd, size)
		return err
	}, cmd)
	if err != nil {
		return err
	}
	go func() { _, _ = io.Copy(s.tty, s.channel) }()
	output := make(chan struct{})
	go func() {
		defer close(output)
		_, _ = io.Copy(s.channel, s.tty) // ends with EIO when the last process lets go of the terminal
	}()
	err = s.wait(cmd)
	if pause(context.Background(), drain, output) { // something in the background still holds the terminal
		s.tty.Close()
	}
	<-output
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tty.Close()
	s.tty = nil
	return err
}

func (s *session) start(start func() error, cmd *exec.Cmd) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := start(); err != nil {
		return err
	}
	s.process = cmd.Process
	return nil
}

// wait reaps the process with the lock held, so that a signal never reaches another one with its number.
func (s *session) wait(cmd *exec.Cmd) error {
	for {
		err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	s.mu.Lock()
	s.process = nil
	s.mu.Unlock()
	return cmd.Wait()
}

// finish tells the client how the command ended: RFC 4254, section 6.10.
func (s *session) finish(state *os.ProcessState, err error) {
	if state == nil {
		fmt.Fprintln(s.channel.Stderr(), err)
		_, _ = s.channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{127}))
	} else if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		name := strings.TrimPrefix(unix.SignalName(ws.Signal()), "SIG")
		_, _ = s.channel.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Name       string
			CoreDumped bool
			Text, Lang string
		}{name, ws.CoreDump(), "", ""}))
	} else {
		_, _ = s.channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{uint32(state.ExitCode())}))
	}
	s.channel.Close()
}

// serveFiles serves SFTP.
func (s *session) serveFiles() {
	defer s.channel.Close()
	files, err := sftp.NewServer(s.channel, sftp.WithServerWorkingDirectory(os.Getenv("HOME")))
	if err != nil {
		fmt.Fprintln(s.channel.Stderr(), err)
		return
	}
	defer files.Close()
	status := uint32(0)
	if err := files.Serve(); err != nil && !errors.Is(err, io.EOF) {
		status = 1
	}
	_, _ = s.channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{status}))
}
