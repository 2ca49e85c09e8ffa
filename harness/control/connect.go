package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// connect makes one SSH connection, through the jump hosts. Its errors are *ConnError.
func (c Config) connect(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.ConnectTimeout)
	defer cancel()
	made := &conn{dead: make(chan struct{})}
	dial := c.DialContext
	var via []string
	for _, hop := range append(append([]Config(nil), c.ProxyJump...), c) {
		client, err := hop.logIn(ctx, dial)
		if err != nil {
			made.closeAll()
			return nil, c.connError(ctx, hop, via, err)
		}
		made.clients = append(made.clients, client)
		dial = client.DialContext
		via = append(via, hop.login())
	}
	made.client = made.clients[len(made.clients)-1]
	made.sessionsMax = sessionsPerConnMax
	go made.watch()
	if c.KeepAlive > 0 {
		go made.keepAlive(c.KeepAlive)
	}
	return made, nil
}

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// logIn does the handshake with one host.
func (c Config) logIn(ctx context.Context, dial dialFunc) (*ssh.Client, error) {
	keys, err := c.hostKeys()
	if err != nil {
		return nil, err
	}
	raw, err := dial(ctx, "tcp", c.endpoint())
	if err != nil {
		return nil, err
	}
	// The handshake knows no context, and a jumped connection no deadline: closing ends both.
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()

	var hostKeyErr error
	ring := &keyring{}
	defer func() { ring.Close() }()
	offered := false
	config := &ssh.ClientConfig{
		User:              c.User,
		HostKeyAlgorithms: keys.algorithms,
		HostKeyCallback: func(host string, remote net.Addr, key ssh.PublicKey) error {
			hostKeyErr = keys.callback(host, remote, key)
			return hostKeyErr
		},
		Auth: []ssh.AuthMethod{ssh.PublicKeysCallback(func() ([]ssh.Signer, error) {
			// Asked for only after the host key was found good.
			offered = true
			ring = c.keyring(ctx)
			return ring.signers, nil
		})},
	}
	sshConn, channels, requests, err := ssh.NewClientConn(raw, c.endpoint(), config)
	if err != nil {
		raw.Close()
		return nil, handshakeError(err, hostKeyErr, offered, ring)
	}
	if !stop() {
		sshConn.Close()
		return nil, context.Cause(ctx)
	}
	return ssh.NewClient(sshConn, channels, requests), nil
}

func handshakeError(err, hostKeyErr error, offered bool, ring *keyring) error {
	if hostKeyErr != nil {
		return hostKeyErr
	}
	// The library has no types for these two; a server that was offered too many keys hangs up with the second.
	refused := strings.Contains(err.Error(), "unable to authenticate") || strings.Contains(err.Error(), "Too many authentication failures")
	if refused {
		tried := ring.tried
		if !offered {
			return &AuthError{Err: fmt.Errorf("the server does not take public keys: %w", err)}
		}
		return &AuthError{Tried: tried, Unusable: ring.unusable, Err: err}
	}
	return err
}

// connError says which hop failed, why, and what to do about it.
func (c Config) connError(ctx context.Context, hop Config, via []string, err error) error {
	why := hop.why(ctx, err)
	if hop.Name != c.Name {
		why = fmt.Sprintf("jump host %s: %s", hop.login(), why)
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) && !isVerdict(err) {
		err = fmt.Errorf("%w (%w)", cause, err)
	}
	return &ConnError{Node: c.Name, Login: c.login(), Via: via, Why: why, Err: err}
}

// isVerdict tells refusals that trying again can't change.
func isVerdict(err error) bool {
	var auth *AuthError
	var hostKey *HostKeyError
	var algorithms *ssh.AlgorithmNegotiationError
	var name *net.DNSError
	return errors.As(err, &auth) || errors.As(err, &hostKey) || errors.As(err, &algorithms) || errors.As(err, &name) && name.IsNotFound
}

func (c Config) why(ctx context.Context, err error) string {
	var channel *ssh.OpenChannelError
	var name *net.DNSError
	var timeout net.Error
	switch {
	case isVerdict(err) && !errors.As(err, &name):
		return err.Error()
	case errors.As(err, &name):
		return fmt.Sprintf("the name %q does not resolve (%v): give its address, or a HostName in ssh_config", c.Addr, err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("connection refused: start sshd on it, or give the port it listens on instead of %d", c.Port)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return fmt.Sprintf("no route to it (%v): check its address and that it is up", err)
	case errors.As(err, &channel):
		return fmt.Sprintf("the jump host can't reach it (%s): check its address, that it is up, and AllowTcpForwarding on the jump host", channel.Message)
	case errors.Is(context.Cause(ctx), context.Canceled):
		return "cancelled while connecting"
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Sprintf("no answer within %v: check that it is up and that no firewall drops port %d, or raise ConnectTimeout", c.ConnectTimeout, c.Port)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Sprintf("it hung up during the handshake (%v): sshd's log on the node says why", err)
	default:
		return err.Error()
	}
}

// mayPass tells failures to connect that are often over in a moment: sshd restarting, or too busy to greet.
func mayPass(err error) bool {
	var timeout net.Error
	return !isVerdict(err) && (errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, io.EOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)) && (!errors.As(err, &timeout) || !timeout.Timeout())
}

// conn is one SSH connection. How many sessions it holds is kept under its pool's lock.
type conn struct {
	client  *ssh.Client
	clients []*ssh.Client // of the jump hosts and, last, the client itself
	dead    chan struct{} // closed when the connection broke

	sessions    int
	sessionsMax int
	// hadSession tells that the server has allowed a session.
	hadSession atomic.Bool
	// killing is held while a cancelled command is killed.
	killing sync.Mutex
}

// watch notes the end of the connection.
func (c *conn) watch() {
	_ = c.client.Wait()
	close(c.dead)
	c.closeAll()
}

// keepAlive closes a connection whose host does not answer any more.
func (c *conn) keepAlive(interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	answered := make(chan struct{}, 1)
	asked, misses := false, 0
	for {
		select {
		case <-c.dead:
			return
		case <-answered:
			asked, misses = false, 0
		case <-ticker.C:
			if asked {
				if misses++; misses >= keepAliveMissesMax {
					c.closeAll()
					return
				}
				continue
			}
			asked = true
			go func() {
				if _, _, err := c.client.SendRequest("keepalive@openssh.com", true, nil); err == nil {
					answered <- struct{}{}
				}
			}()
		}
	}
}

func (c *conn) closeAll() {
	for i := len(c.clients) - 1; i >= 0; i-- {
		c.clients[i].Close()
	}
}

func (c *conn) isDead() bool {
	select {
	case <-c.dead:
		return true
	default:
		return false
	}
}
