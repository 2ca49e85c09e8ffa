package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// busyRefusalsMax bounds how often opening a session is tried again on a server that ran some before: for about 15 s.
const busyRefusalsMax = 10

// pool holds the connections to one host. Servers bound the sessions of a connection (OpenSSH: MaxSessions 10), so
// sessions are counted, further connections opened when all are full, and past that commands wait.
type pool struct {
	cfg Config
	// life ends with Close.
	life context.Context
	end  context.CancelFunc

	mu    sync.Mutex
	conns []*conn
	// opening is the attempt to connect that is under way. Who waits for it shares its outcome.
	opening *opening
	// freed is closed, and replaced, when a session ended or a connection came.
	freed chan struct{}
}

type opening struct {
	done chan struct{}
	err  error
}

func newPool(cfg Config) *pool {
	life, end := context.WithCancel(context.Background())
	return &pool{cfg: cfg, life: life, end: end, freed: make(chan struct{})}
}

// any gives a live connection, for what needs no session.
func (p *pool) any(ctx context.Context) (*conn, error) {
	return p.wait(ctx, func(*conn) bool { return true })
}

// session gives a connection with a session to open on it. release must follow.
func (p *pool) session(ctx context.Context) (*conn, error) {
	return p.wait(ctx, func(c *conn) bool {
		if c.sessions >= c.sessionsMax {
			return false
		}
		c.sessions++
		return true
	})
}

// wait waits for a connection that take accepts, and opens one where there is none.
func (p *pool) wait(ctx context.Context, take func(*conn) bool) (*conn, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("%s: waiting for a connection to %s: %w", p.cfg.Name, p.cfg.login(), whyEnded(ctx, ctx))
		}
		found, freed, opening, err := p.look(take)
		if found != nil || err != nil {
			return found, err
		}
		var opened chan struct{}
		if opening != nil {
			opened = opening.done
		}
		select {
		case <-ctx.Done():
		case <-freed:
		case <-opened:
			// Not reaching the host once more matters only while there is no connection to wait on.
			if opening.err != nil && !p.alive() {
				return nil, opening.err
			}
		}
	}
}

func (p *pool) look(take func(*conn) bool) (*conn, <-chan struct{}, *opening, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life.Err() != nil {
		return nil, nil, nil, fmt.Errorf("%s: %w", p.cfg.Name, ErrClosed)
	}
	p.conns = slices.DeleteFunc(p.conns, (*conn).isDead)
	for _, c := range p.conns {
		if take(c) {
			return c, nil, nil, nil
		}
	}
	if p.opening == nil && len(p.conns) < connsMax {
		p.opening = &opening{done: make(chan struct{})}
		go p.open(p.opening)
	}
	return nil, p.freed, p.opening, nil
}

func (p *pool) alive() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.conns, func(c *conn) bool { return !c.isDead() })
}

// open connects, trying again where the failure may pass.
func (p *pool) open(o *opening) {
	var made *conn
	for attempt := 1; ; attempt++ {
		made, o.err = p.cfg.connect(p.life)
		if o.err == nil || attempt >= p.cfg.Attempts || !mayPass(o.err) || pause(p.life, backoff(attempt)) != nil {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opening = nil
	if made != nil {
		if p.life.Err() != nil {
			made.closeAll()
		}
		p.conns = append(p.conns, made)
		p.broadcast()
	} else if p.life.Err() != nil {
		o.err = fmt.Errorf("%s: %w", p.cfg.Name, ErrClosed)
	}
	close(o.done)
}

// release gives a session back.
func (p *pool) release(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.sessions--
	p.broadcast()
}

// full gives back a session that the server refused to open, and remembers how many it allows. It tells
// whether there are others whose end may be waited for.
func (p *pool) full(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.sessions--
	p.broadcast()
	if c.sessions == 0 {
		return false
	}
	c.sessionsMax = min(c.sessionsMax, c.sessions)
	return true
}

func (p *pool) broadcast() {
	close(p.freed)
	p.freed = make(chan struct{})
}

func (p *pool) close() {
	p.end()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.closeAll()
	}
	p.broadcast()
}

// openSession opens a session, on whichever connection has room. release must follow.
func (p *pool) openSession(ctx context.Context) (*conn, *ssh.Session, error) {
	refusals := 0
	for {
		c, err := p.session(ctx)
		if err != nil {
			return nil, nil, err
		}
		session, err := newSession(ctx, c, func() { p.release(c) })
		if err == nil {
			c.hadSession.Store(true)
			return c, session, nil
		}
		var refused *ssh.OpenChannelError
		if !errors.As(err, &refused) {
			return nil, nil, err
		}
		if p.full(c) {
			continue
		}
		// An ended session counts for the server until it has cleaned up.
		if refusals++; refusals > p.refusalsMax(c) {
			return nil, nil, &ConnError{
				Node: p.cfg.Name, Login: p.cfg.login(), Err: err,
				Why: fmt.Sprintf("the server refuses sessions (%s): raise MaxSessions in its sshd_config", refused.Message),
			}
		}
		if err := pause(ctx, backoff(refusals)); err != nil {
			return nil, nil, fmt.Errorf("%s: opening a session: %w", p.cfg.Name, err)
		}
	}
}

// refusalsMax is how often a server may refuse a session where there is no other one on the connection. One that
// has allowed some before is short of them, and busy; one that has not will not.
func (p *pool) refusalsMax(c *conn) int {
	if c.hadSession.Load() {
		return busyRefusalsMax
	}
	return p.cfg.Attempts
}

// newSession opens a session unless ctx ends first. The session's place in the count is kept on
// success and on a refusal by the server, which the caller accounts for; else it is released.
func newSession(ctx context.Context, c *conn, release func()) (*ssh.Session, error) {
	type result struct {
		session *ssh.Session
		err     error
	}
	opened := make(chan result, 1)
	go func() {
		session, err := c.client.NewSession()
		opened <- result{session, err}
	}()
	select {
	case r := <-opened:
		var refused *ssh.OpenChannelError
		if r.err != nil && !errors.As(r.err, &refused) {
			release()
		}
		return r.session, r.err
	case <-ctx.Done():
		go func() {
			defer release()
			if r := <-opened; r.session != nil {
				r.session.Close()
			}
		}()
		return nil, context.Cause(ctx)
	}
}

// backoff is the pause after the n-th failure: 100 ms, doubled each time, at most 2 s.
func backoff(n int) time.Duration {
	return min(100*time.Millisecond<<min(n-1, 8), 2*time.Second)
}

// pause waits, unless ctx ends first; then it says why.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
