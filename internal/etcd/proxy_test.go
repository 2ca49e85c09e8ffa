package etcd

import (
	"bytes"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// proxied is a system behind a proxy that can be told to misbehave.
type proxied struct {
	*System
	addr string
}

func (p *proxied) ClientAddr(string) (string, error) { return p.addr, nil }

// proxy forwards to a member. While mute, it forwards requests but swallows what comes back; in reset mode it
// forwards a request that has the marker in it, and resets the client's connection when the server answers; while shut,
// it accepts connections and forwards nothing.
type proxy struct {
	listener          net.Listener
	to, marker        string
	mute, shut, reset atomic.Bool

	mu    sync.Mutex
	conns []net.Conn
}

func newProxy(t *testing.T, to, marker string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, to: to, marker: marker}
	go p.accept()
	t.Cleanup(p.close)
	return p
}

func (p *proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.keep(c)
		if p.shut.Load() {
			continue
		}
		server, err := net.Dial("tcp", p.to)
		if err != nil {
			c.Close()
			continue
		}
		p.keep(server)
		asked := &atomic.Bool{} // the request was forwarded in reset mode
		go p.forth(c, server, asked)
		go p.back(c, server, asked)
	}
}

// forth forwards what the client says. The server's connection stays open when the client's has ended, so that the server
// does not cancel what it was asked for.
func (p *proxy) forth(c, server net.Conn, asked *atomic.Bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if p.reset.Load() && bytes.Contains(buf[:n], []byte(p.marker)) {
			asked.Store(true)
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

// back forwards what the server says.
func (p *proxy) back(c, server net.Conn, asked *atomic.Bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		switch {
		case err != nil:
			c.Close()
			return
		case p.reset.Load() && asked.Load():
			_ = c.(*net.TCPConn).SetLinger(0)
			c.Close()
			return
		case p.mute.Load():
			continue
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) keep(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, c)
}

// drop ends all connections.
func (p *proxy) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

func (p *proxy) close() {
	p.listener.Close()
	p.drop()
}

// afterOne sets a flag when the client's next call has been answered.
func afterOne(t *testing.T, c harness.Client, flag *atomic.Bool) {
	t.Helper()
	own := c.(*client)
	wrapped := map[string]perform{}
	for name, f := range own.functions {
		wrapped[name] = func(ctx context.Context, c *client, op history.Op) (history.Op, error) {
			c.kv = &tripwire{KVClient: c.kv, flag: flag}
			return f(ctx, c, op)
		}
	}
	own.functions = wrapped
}

// tripwire is an etcd that sets a flag once it has answered a call.
type tripwire struct {
	pb.KVClient
	flag interface{ Store(bool) }
}

func (w *tripwire) Range(ctx context.Context, r *pb.RangeRequest, o ...grpc.CallOption) (*pb.RangeResponse, error) {
	defer w.flag.Store(true)
	return w.KVClient.Range(ctx, r, o...)
}

func (w *tripwire) Txn(ctx context.Context, r *pb.TxnRequest, o ...grpc.CallOption) (*pb.TxnResponse, error) {
	defer w.flag.Store(true)
	return w.KVClient.Txn(ctx, r, o...)
}
