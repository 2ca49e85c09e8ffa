package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/faultline/faultline/harness"
)

// How connections behave when their member is away. They are found again soon after it returns, and while it is
// away an operation is given up after a moment without having been sent.
const (
	// connectPatience is how long an operation waits for the connection before it is given up as never sent.
	// It is also what keeps a worker from spinning while its member is down.
	connectPatience = 250 * time.Millisecond
	redialMin       = 50 * time.Millisecond
	redialMax       = 250 * time.Millisecond
	// dialTimeout bounds one attempt to connect, the server's HTTP/2 preface included: a stopped process's kernel accepts
	// connections that nobody answers.
	dialTimeout = time.Second
	// responseBytesMax is the longest response that is accepted.
	responseBytesMax = 64 << 20
)

// tcpRTOMaxMs is TCP_RTO_MAX_MS of linux/tcp.h: the longest pause between retransmissions (Linux 6.15 and later).
const tcpRTOMaxMs = 44

// conn is one process's connection to its one member. One call at a time.
//
// It does not retry: grpc's own retries are switched off, and it is not etcd's clientv3, whose interceptor retries.
// What grpc still does is a transparent retry, of a request that it never put on the wire, or that the server's HTTP/2 layer refused
// with the guarantee that nothing processed it (GOAWAY with a lower stream ID, REFUSED_STREAM; RFC 9113, section 8.7):
// such an attempt had no effect. A call counts the attempts that were put on the wire, and the client records more than one.
type conn struct {
	node    string
	addr    string
	tls     *tls.Config // nil: plain text
	timeout time.Duration

	grpc *grpc.ClientConn
	kv   pb.KVClient

	mu      sync.Mutex
	dialErr error // of the last attempt to connect
}

func dial(node, addr string, secure *tls.Config, timeout time.Duration) (*conn, error) {
	c := &conn{node: node, addr: addr, tls: secure, timeout: timeout}
	return c, c.open()
}

// open makes a connection in the background, in place of the one there may have been.
func (c *conn) open() error {
	g, err := grpc.NewClient("passthrough:///"+c.addr,
		grpc.WithTransportCredentials(credentialsOf(c.tls)),
		grpc.WithContextDialer(c.dialTCP),
		grpc.WithNoProxy(),
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithStatsHandler(wireWatcher{}),
		grpc.WithIdleTimeout(0),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: redialMin, Multiplier: 2, Jitter: 0.1, MaxDelay: redialMax},
			MinConnectTimeout: dialTimeout,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(responseBytesMax)),
	)
	if err != nil {
		return fmt.Errorf("connect to etcd on %s: %w", c.node, err)
	}
	c.grpc, c.kv = g, pb.NewKVClient(g)
	g.Connect()
	return nil
}

func (c *conn) dialTCP(ctx context.Context, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout, Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			// Without this, what was lost in a partition is sent again only long after the heal. Older kernels don't
			// have it; there the connection is replaced after the first time-out, see call.
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, tcpRTOMaxMs, 1000)
		})
	}}
	tcp, err := d.DialContext(ctx, "tcp", addr)
	c.mu.Lock()
	c.dialErr = err
	c.mu.Unlock()
	return tcp, err
}

func (c *conn) close() error { return c.grpc.Close() }

// neverSentError is a call whose request was not put on the wire. It is a definite rejection.
type neverSentError struct{ err error }

func (e *neverSentError) Error() string   { return "never sent: " + e.err.Error() }
func (e *neverSentError) Unwrap() []error { return []error{harness.ErrNotApplied, e.err} }

// wire counts the attempts of one call that were put on the wire.
type wire struct{ sent atomic.Int32 }

type wireKey struct{}

// wireWatcher is told by grpc what it does. grpc reports OutHeader for a stream right after its HEADERS frame was handed to the
// transport's writer, in the goroutine of the call, before any of the request (grpc v1.83 internal/transport/http2_client.go,
// NewStream); each way out of NewStream before that leaves nothing to write. So a call that ended without an
// OutHeader sent nothing, whatever its error.
type wireWatcher struct{}

func (wireWatcher) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (wireWatcher) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (wireWatcher) HandleConn(context.Context, stats.ConnStats)                       {}
func (wireWatcher) HandleRPC(ctx context.Context, s stats.RPCStats) {
	if _, ok := s.(*stats.OutHeader); !ok {
		return
	}
	if w, ok := ctx.Value(wireKey{}).(*wire); ok {
		w.sent.Add(1)
	}
}

// call makes one call. ctx has the operation's deadline. The error wraps harness.ErrNotApplied where the request
// was certainly not applied; note is what else is worth recording.
func call[Req, Resp any](ctx context.Context, c *conn, method func(context.Context, Req, ...grpc.CallOption) (Resp, error), req Req) (resp Resp, note string, err error) {
	if err := c.awaitReady(ctx); err != nil {
		return resp, "", &neverSentError{err}
	}
	w := &wire{}
	resp, err = method(context.WithValue(ctx, wireKey{}, w), req)
	if n := w.sent.Load(); n > 1 {
		note = fmt.Sprintf("sent %d times: the server refused the earlier ones unprocessed", n)
	}
	if err == nil {
		return resp, note, nil
	}
	if w.sent.Load() == 0 {
		return resp, note, &neverSentError{err}
	}
	if code := status.Code(err); code == codes.DeadlineExceeded || code == codes.Canceled {
		// Nobody answered. If that is a partition, this connection may take long to notice its end; a new one either
		// connects at once, or shows before anything is sent that the member can't be reached.
		if reopenErr := c.reopen(); reopenErr != nil {
			err = errors.Join(err, reopenErr)
		}
	}
	return resp, note, classify(err)
}

func (c *conn) reopen() error { return errors.Join(c.grpc.Close(), c.open()) }

// awaitReady waits a moment for the connection to be established.
func (c *conn) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	for {
		state := c.grpc.GetState()
		switch state {
		case connectivity.Ready:
			return nil
		case connectivity.Idle:
			c.grpc.Connect()
		case connectivity.Connecting, connectivity.TransientFailure, connectivity.Shutdown:
		}
		if !c.grpc.WaitForStateChange(ctx, state) {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.dialErr != nil {
				return fmt.Errorf("no connection to etcd on %s: %w", c.node, c.dialErr)
			}
			return fmt.Errorf("no connection to etcd on %s (%v)", c.node, state)
		}
	}
}
