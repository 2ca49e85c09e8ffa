package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// lingerMax bounds how long a closed tunnel may take to deliver what was written to it.
const lingerMax = 5 * time.Second

// Dial opens a TCP connection from the node, through the SSH connection. The result honours deadlines, and has a CloseWrite.
func (s *SSH) Dial(ctx context.Context, addr string) (net.Conn, error) {
	for n := 1; ; n++ {
		conn, err := s.pool.any(ctx)
		if err != nil {
			return nil, err
		}
		remote, err := conn.client.DialContext(ctx, "tcp", addr)
		var refused *ssh.OpenChannelError
		switch {
		case err == nil:
			return newTunnel(remote), nil
		case ctx.Err() != nil:
			return nil, fmt.Errorf("%s: dial %s from the node: %w", s.cfg.Name, addr, whyEnded(ctx, ctx))
		case errors.As(err, &refused), n >= s.cfg.Attempts:
			return nil, fmt.Errorf("%s: dial %s from the node: %w", s.cfg.Name, addr, err)
		}
		if err := pause(ctx, backoff(n)); err != nil {
			return nil, fmt.Errorf("%s: dial %s from the node: %w", s.cfg.Name, addr, err)
		}
	}
}

// tunnel gives a forwarded connection the deadlines that SSH channels lack: two pipes that have
// them stand between.
type tunnel struct {
	remote net.Conn
	in     net.Conn // what came from the remote
	out    net.Conn // what goes there

	close sync.Once
	// sent is closed when all that was written has been handed to the SSH connection.
	sent chan struct{}
}

func newTunnel(remote net.Conn) *tunnel {
	inLocal, inRemote := net.Pipe()
	outLocal, outRemote := net.Pipe()
	t := &tunnel{remote: remote, in: inLocal, out: outLocal, sent: make(chan struct{})}
	go func() {
		_, _ = io.Copy(inRemote, remote)
		inRemote.Close()
	}()
	go func() {
		defer close(t.sent)
		_, err := io.Copy(remote, outRemote)
		outRemote.Close()
		if half, ok := remote.(interface{ CloseWrite() error }); ok && err == nil {
			_ = half.CloseWrite()
		}
	}()
	return t
}

func (t *tunnel) Read(p []byte) (int, error)  { return t.in.Read(p) }
func (t *tunnel) Write(p []byte) (int, error) { return t.out.Write(p) }

// CloseWrite ends what is sent; reading goes on.
func (t *tunnel) CloseWrite() error { return t.out.Close() }

func (t *tunnel) Close() error {
	t.close.Do(func() {
		t.in.Close()
		t.out.Close()
		go func() {
			linger := time.NewTimer(lingerMax)
			defer linger.Stop()
			select {
			case <-t.sent:
			case <-linger.C:
			}
			t.remote.Close()
		}()
	})
	return nil
}

func (t *tunnel) LocalAddr() net.Addr  { return t.remote.LocalAddr() }
func (t *tunnel) RemoteAddr() net.Addr { return t.remote.RemoteAddr() }

func (t *tunnel) SetDeadline(at time.Time) error {
	return errors.Join(t.SetReadDeadline(at), t.SetWriteDeadline(at))
}
func (t *tunnel) SetReadDeadline(at time.Time) error  { return t.in.SetReadDeadline(at) }
func (t *tunnel) SetWriteDeadline(at time.Time) error { return t.out.SetWriteDeadline(at) }
