package control

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// SSH is a Host reached over SSH. One connection carries many commands; it is made again on the next use after it broke.
type SSH struct {
	cfg  Config
	pool *pool
}

var _ Host = (*SSH)(nil)

// Connect reaches a host and logs in. ctx bounds the connecting only. Its errors are a *ConnError, which wraps
// an *AuthError or a *HostKeyError where those are the reason, or about an incomplete Config.
func Connect(ctx context.Context, cfg Config) (*SSH, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("ssh configuration: %w", err)
	}
	for _, hop := range append([]Config{cfg}, cfg.ProxyJump...) {
		if hop.HostKey == nil && hop.HostKeys == Unchecked {
			hop.Warn(fmt.Sprintf("%s: the host key of %s is not checked, as its configuration asks (StrictHostKeyChecking no): anyone on the way could pose as it", cfg.Name, hop.endpoint()))
		}
	}
	s := &SSH{cfg: cfg, pool: newPool(cfg)}
	if _, err := s.pool.any(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Name is the node's name in this run.
func (s *SSH) Name() string { return s.cfg.Name }

// Close ends the connections, and with them the commands that still run. Safe to call more than once.
func (s *SSH) Close() error {
	s.pool.close()
	return nil
}

// Run runs a command to its end and keeps at most 64 MiB of each of its outputs; more is an error, for which
// Stream and Download are meant. When ctx ends, the command's process group is killed.
//
// A command is run again, a bounded number of times, only where the connection broke before it can have started, or
// where it is Idempotent and its Stdin, if any, can be read again (an io.Seeker). Else a broken connection
// is a *LostError: what the command did is not known.
func (s *SSH) Run(ctx context.Context, cmd Cmd) (Output, error) {
	var out Output
	err := s.retry(ctx, cmd, func() (bool, error) {
		stdout := &capture{}
		started, stderr, err := s.execute(ctx, cmd, stdout)
		out = Output{Stdout: stdout.Bytes(), Stderr: stderr}
		var exit *ExitError
		if errors.As(err, &exit) {
			exit.Output = out
		}
		return started && !cmd.Idempotent, err
	})
	if err != nil {
		return Output{}, err
	}
	return out, nil
}

// Stream runs a command as Run does and writes what it prints to stdout as it comes. Once something was
// written it is not run again.
func (s *SSH) Stream(ctx context.Context, cmd Cmd, stdout io.Writer) error {
	counted := &countingWriter{to: stdout}
	return s.retry(ctx, cmd, func() (bool, error) {
		started, _, err := s.execute(ctx, cmd, counted)
		return counted.bytes > 0 || started && !cmd.Idempotent, err
	})
}

// retry makes attempts until one ends other than by a broken connection, may not be repeated, or was the last.
func (s *SSH) retry(ctx context.Context, cmd Cmd, attempt func() (final bool, err error)) error {
	seeker, canSeek := cmd.Stdin.(io.Seeker)
	start := int64(0)
	if canSeek {
		var err error
		if start, err = seeker.Seek(0, io.SeekCurrent); err != nil {
			canSeek = false
		}
	}
	for n := 1; ; n++ {
		final, err := attempt()
		var lost *LostError
		if !errors.As(err, &lost) || final || n >= s.cfg.Attempts || cmd.Stdin != nil && !canSeek {
			return err
		}
		if pauseErr := pause(ctx, backoff(n)); pauseErr != nil {
			return errors.Join(err, pauseErr)
		}
		if canSeek {
			if _, seekErr := seeker.Seek(start, io.SeekStart); seekErr != nil {
				return errors.Join(err, fmt.Errorf("rewind its input to try again: %w", seekErr))
			}
		}
	}
}

type countingWriter struct {
	to    io.Writer
	bytes int64
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	w.bytes += int64(n)
	return n, err
}
