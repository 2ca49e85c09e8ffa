package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/faultline/faultline/harness"
)

// How connections behave when their server is away. They are found again soon after it returns, and while it is away an
// operation is given up after a moment without having been sent.
const (
	// connectPatience is for how long a refused connection is tried again. It also keeps a worker from spinning while its
	// server is down.
	connectPatience = 250 * time.Millisecond
	redialPause     = 50 * time.Millisecond
	// dialTimeout bounds one attempt to connect, the TLS handshake included: a stopped process's kernel accepts connections that nobody
	// answers.
	dialTimeout = time.Second
	// pingAfter and pingTimeout find out that nobody is at the other end of a watch that has nothing to tell.
	pingAfter   = 5 * time.Second
	pingTimeout = 5 * time.Second
	// idleMax closes a connection that was replaced, once its last stream has ended.
	idleMax = 30 * time.Second
)

// tcpRTOMaxMs is TCP_RTO_MAX_MS of linux/tcp.h: the longest pause between retransmissions (Linux 6.15 and later).
const tcpRTOMaxMs = 44

// conn is the connection of one client to its one server, as an http.RoundTripper: HTTP/2 only, so that one connection carries
// everything.
//
// It sends a request that changes something once at most. Go's transport would send some again by itself, if it could rewind the body
// (net/http, http2shouldRetryRequest); so it can't.
type conn struct {
	server Server
	tls    *tls.Config

	mu        sync.Mutex
	transport *http.Transport
}

func newConn(s Server, t *tls.Config) *conn {
	c := &conn{server: s, tls: t}
	c.transport = c.newTransport()
	return c
}

func (c *conn) newTransport() *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	return &http.Transport{
		DialTLSContext:  c.dial,
		TLSClientConfig: c.tls.Clone(), // only for Go's check that one is there; it writes to it, while another transport may read its own
		Protocols:       &protocols,
		HTTP2:           &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		IdleConnTimeout: idleMax,
		// One process reads little at a time, on the same machine or a fast link.
		DisableCompression: true,
	}
}

// RoundTrip sends a request over the connection, which it makes if there is none.
func (c *conn) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet && r.GetBody != nil {
		once := *r
		once.GetBody = nil
		r = &once
	}
	c.mu.Lock()
	t := c.transport
	c.mu.Unlock()
	return t.RoundTrip(r)
}

// renew has the next request use a new connection. Streams of the old one go on. After a partition an old connection may take long to
// notice its end; a new one either connects at once, or shows before anything is sent that the server can't be reached.
func (c *conn) renew() {
	c.mu.Lock()
	old := c.transport
	c.transport = c.newTransport()
	c.mu.Unlock()
	old.CloseIdleConnections()
}

func (c *conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.transport.CloseIdleConnections()
}

// dial connects, again for a moment while that is refused.
func (c *conn) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	patience, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	for {
		secure, err := c.dialOnce(ctx)
		if err == nil {
			return secure, nil
		}
		if !errors.Is(err, syscall.ECONNREFUSED) || harness.Pause(patience, redialPause) != nil {
			return nil, fmt.Errorf("connect to the API server on %s: %w", c.server.Node, err)
		}
	}
}

func (c *conn) dialOnce(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	raw, err := c.dialRaw(ctx)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(raw, c.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("TLS handshake: %w", err), raw.Close())
	}
	return secure, nil
}

func (c *conn) dialRaw(ctx context.Context) (net.Conn, error) {
	if c.server.Dial != nil {
		return c.server.Dial(ctx)
	}
	d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			// Without this, what was lost in a partition is sent again only long after the heal. Older kernels don't have it.
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, tcpRTOMaxMs, 1000)
		})
	}}
	return d.DialContext(ctx, "tcp", c.server.Addr)
}
