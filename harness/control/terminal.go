package control

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"
)

// Terminal is where a person sits. Setting the person's own terminal to raw mode, and back, is the caller's.
type Terminal struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Kind is the value of TERM; empty: no pseudo-terminal is asked for on the node.
	Kind string
	Size TerminalSize
	// Resized, where not nil, gives each new size.
	Resized <-chan TerminalSize
}

// TerminalSize is in characters.
type TerminalSize struct{ Columns, Rows int }

// Shell runs a command on a terminal, or with no args a login shell, to its end. Its error is an *ExitError if that
// ended otherwise than by exit 0; Terminal.Stderr has all of its stderr, so there is no tail in it.
func (s *SSH) Shell(ctx context.Context, args []string, t Terminal) error {
	line, err := shellLine(args, s.cfg.sudo())
	if err != nil {
		return fmt.Errorf("%s: %w", s.cfg.Name, err)
	}
	cmd := Cmd{Args: args}
	if len(args) == 0 {
		cmd.Args = []string{"login shell"}
	}
	conn, session, err := s.pool.openSession(ctx)
	if err != nil {
		return s.notStarted(ctx, cmd, err)
	}
	defer s.pool.release(conn)
	defer session.Close()
	defer context.AfterFunc(ctx, func() { session.Close() })()
	session.Stdout, session.Stderr = t.Stdout, t.Stderr
	in, err := session.StdinPipe() // not session.Stdin: Wait would wait for the person's next key
	if err != nil {
		return err
	}
	if t.Kind != "" {
		if err := session.RequestPty(t.Kind, t.Size.Rows, t.Size.Columns, ssh.TerminalModes{}); err != nil {
			return fmt.Errorf("%s: the node gives no terminal: %w", s.cfg.Name, err)
		}
	}
	if line == "" {
		err = session.Shell()
	} else {
		err = session.Start(line)
	}
	if err != nil {
		return s.outcome(cmd, err, nil)
	}
	ended := make(chan struct{})
	defer close(ended)
	go t.follow(session, ended)
	if t.Stdin != nil {
		go func() {
			_, _ = io.Copy(in, t.Stdin)
			in.Close()
		}()
	} else {
		in.Close()
	}
	err = session.Wait()
	if ctx.Err() != nil {
		return whyEnded(ctx, ctx)
	}
	return s.outcome(cmd, err, nil)
}

// follow passes new sizes on until the session has ended.
func (t Terminal) follow(session *ssh.Session, ended <-chan struct{}) {
	for {
		select {
		case <-ended:
			return
		case size, ok := <-t.Resized:
			if !ok || session.WindowChange(size.Rows, size.Columns) != nil {
				return
			}
		}
	}
}

// shellLine is the command line for the node's login shell; empty: the login shell itself.
func shellLine(args []string, sudo bool) (string, error) {
	if len(args) == 0 {
		if sudo {
			return Quote([]string{"sudo", "-n", "-i"}), nil
		}
		return "", nil
	}
	if err := checkCmd(Cmd{Args: args}); err != nil {
		return "", err
	}
	if sudo {
		args = append([]string{"sudo", "-n", "--"}, args...)
	}
	return "exec " + Quote(args), nil
}

var errNoTerminal = errors.New("this host offers no terminal")

// Shell runs a command on a terminal if the host can; see (*SSH).Shell.
func Shell(ctx context.Context, h Host, args []string, t Terminal) error {
	s, ok := h.(interface {
		Shell(ctx context.Context, args []string, t Terminal) error
	})
	if !ok {
		return fmt.Errorf("%s: %w", h.Name(), errNoTerminal)
	}
	return s.Shell(ctx, args, t)
}
