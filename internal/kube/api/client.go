package api

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// DefaultTimeout is the deadline of a call where none is asked for. It is longer than an election of etcd, so that a call can
// outlast a change of leader.
const DefaultTimeout = 3 * time.Second

// Content types. Protobuf is a third of JSON's work for both sides; types that don't have it (custom resources) come as JSON.
const (
	contentProtobuf = "application/vnd.kubernetes.protobuf"
	acceptBoth      = contentProtobuf + ",application/json"
)

// Options shape a Client.
type Options struct {
	// Timeout bounds each call but Watch; 0 is DefaultTimeout.
	Timeout time.Duration
}

// Client talks to one API server over one HTTP/2 connection of its own. It sends each request once at most, is not limited in its
// rate, and prints nothing. Safe for concurrent use.
//
// Objects are the typed ones of k8s.io/api. Errors wrap harness.ErrNotApplied where the request was certainly not applied; see Definite.
type Client struct {
	node    string
	timeout time.Duration
	conn    *conn
	config  rest.Config
	http    *http.Client

	mu   sync.Mutex
	rest map[schema.GroupVersion]*rest.RESTClient
}

// Connect makes a client of a server. It does not wait for a connection: calls do, for a moment. The error says what is wrong with
// the certificates or the address.
func Connect(s Server, o Options) (*Client, error) {
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	t, err := tlsOf(s)
	if err != nil {
		return nil, fmt.Errorf("connect to the API server on %s: %w", s.Node, err)
	}
	c := &Client{node: s.Node, timeout: o.Timeout, conn: newConn(s, t), rest: map[schema.GroupVersion]*rest.RESTClient{}}
	c.http = &http.Client{Transport: c.conn}
	c.config = rest.Config{
		Host:            "https://" + s.Addr,
		TLSClientConfig: rest.TLSClientConfig{CAData: s.CA, CertData: s.Cert, KeyData: s.Key},
		ContentConfig: rest.ContentConfig{
			ContentType: contentProtobuf, AcceptContentTypes: acceptBoth,
			NegotiatedSerializer: scheme.Codecs.WithoutConversion(),
		},
		QPS:            -1,
		WarningHandler: rest.NoWarnings{},
		UserAgent:      "faultline",
		Dial:           func(ctx context.Context, _, _ string) (net.Conn, error) { return c.conn.dialRaw(ctx) },
	}
	return c, nil
}

func tlsOf(s Server) (*tls.Config, error) {
	host, _, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", s.Addr, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(s.CA) {
		return nil, errors.New("its CA has no certificate in PEM")
	}
	t := &tls.Config{ServerName: host, RootCAs: roots, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}}
	if len(s.Cert) > 0 {
		pair, err := tls.X509KeyPair(s.Cert, s.Key)
		if err != nil {
			return nil, fmt.Errorf("the administrator's certificate: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// Node is the node whose server this is.
func (c *Client) Node() string { return c.node }

// HTTP sends requests over the client's connection.
func (c *Client) HTTP() *http.Client { return c.http }

// Config is how others reach the same server, in the same way (through Server.Dial where there is one). What is made from it by
// itself has connections and retries of its own: client-go repeats requests that were refused with a Retry-After up to ten times, reads
// also after lost connections. Give HTTP to constructors named …ForConfigAndClient to share this client's connection.
func (c *Client) Config() *rest.Config { return rest.CopyConfig(&c.config) }

// REST is a client-go client of one group and version over this client's connection, as informers want it. Its requests are
// retried as Config says, unless MaxRetries(0) is set on each.
func (c *Client) REST(gv schema.GroupVersion) (*rest.RESTClient, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.rest[gv]; r != nil {
		return r, nil
	}
	config := c.Config()
	config.GroupVersion, config.APIPath = &gv, "/apis"
	if gv.Group == "" {
		config.APIPath = "/api"
	}
	r, err := rest.RESTClientForConfigAndClient(config, c.http)
	if err != nil {
		return nil, fmt.Errorf("client of %s: %w", gv, err)
	}
	c.rest[gv] = r
	return r, nil
}

// Close ends the connection, once what is under way over it has ended.
func (c *Client) Close() error {
	c.conn.close()
	return nil
}

// sent counts how often one request was put on the wire. Go calls WroteHeaders once it tried to write them, whether or not
// that went well (net/http, encodeAndWriteHeaders), and writes nothing of a request before. So a request that ended without it was never sent.
type sent struct{ n atomic.Int32 }

// A request's context also keeps client-go from logging: what went wrong is in its error.
func (s *sent) traced(ctx context.Context) context.Context {
	ctx = klog.NewContext(ctx, klog.Logger{})
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { s.n.Add(1) }})
}

// call bounds and classifies one request.
func (c *Client) call(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var s sent
	return c.classify(&s, f(s.traced(ctx)))
}

// classify says what an error means, and replaces the connection after one that nobody answered.
func (c *Client) classify(s *sent, err error) error {
	switch {
	case err == nil:
		return nil
	case s.n.Load() == 0:
		return &neverSentError{err}
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled):
		c.conn.renew()
	}
	return classify(err)
}
