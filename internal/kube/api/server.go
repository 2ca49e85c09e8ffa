// Package api reaches API servers, each by itself: one connection to one server, no retries behind the caller's back, and
// errors told apart into definite rejections and unknown outcomes.
package api

import (
	"context"
	"net"
)

// Server is how to reach one node's API server, as an administrator.
type Server struct {
	Node string
	// Addr is host:port, as the clients reach it.
	Addr string
	// CA, Cert and Key are PEM.
	CA, Cert, Key []byte
	// Dial, where not nil, is another way to the server than the network: through the control connection, where faults don't reach.
	Dial func(ctx context.Context) (net.Conn, error)
}

// Servers is a system that has an API server on each node. Control is the way through the control connection, as observers take it, otherwise
// the one through the network, as the clients do.
type Servers interface {
	Server(node string, control bool) (Server, error)
}
