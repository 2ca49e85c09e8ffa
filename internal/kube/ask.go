package kube

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/faultline/faultline/internal/kube/api"
)

// askTimeout bounds one question to one API server.
const askTimeout = 2 * time.Second

// serverOf is how to reach a node's API server.
func (s *System) serverOf(n *node, control bool) api.Server {
	server := api.Server{
		Node: n.Name(), Addr: net.JoinHostPort(n.Addr(), strconv.Itoa(apiPort)),
		CA: s.pki.ca.pem, Cert: s.pki.admin.cert, Key: s.pki.admin.key,
	}
	if control {
		server.Dial = func(ctx context.Context) (net.Conn, error) {
			return n.Dial(ctx, net.JoinHostPort(controlHost, strconv.Itoa(apiPort)))
		}
	}
	return server
}

// ask asks every API server at once, through the control connections, and returns the first answer. Whatever is asked must be
// answered alike by all of them: a read of the newest state, or a write that may be made more than once.
func ask[T any](ctx context.Context, s *System, f func(ctx context.Context, n *node) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, len(s.nodes))
	for _, n := range s.nodes {
		go func() {
			// Not cut short by the first answer: a call that is cancelled costs its client the connection. They end by their own time-out.
			value, err := f(context.WithoutCancel(ctx), n)
			if err != nil {
				err = fmt.Errorf("%s: %w", n.Name(), err)
			}
			answers <- answer{value, err}
		}()
	}
	var none T
	var errs []error
	for range s.nodes {
		select {
		case a := <-answers:
			if a.err == nil {
				return a.value, nil
			}
			errs = append(errs, a.err)
		case <-ctx.Done():
			return none, errors.Join(append(errs, ctx.Err())...)
		}
	}
	return none, fmt.Errorf("no API server answers: %w", errors.Join(errs...))
}
