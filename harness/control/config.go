package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"
)

// HostKeyPolicy is what to do with a host key that no known_hosts file lists. A key that differs from a
// listed one is refused under every policy but Unchecked.
type HostKeyPolicy int

// The policies.
const (
	// Strict refuses hosts that are not listed. It is the zero value.
	Strict HostKeyPolicy = iota
	// AcceptNew adds the key of a host seen for the first time to the first known_hosts file. It must be asked for.
	AcceptNew
	// Unchecked takes any key. It must be asked for, and Config.Warn is told.
	Unchecked
)

// Config is how to reach one host. Name, Addr and User must be set; the zero value of the rest is a safe default.
type Config struct {
	// Name is the node's name in this run, and in every error.
	Name string
	// Addr is a host name or an IP address, without a port.
	Addr string
	// Port is 22 if it is 0.
	Port int
	User string

	// Signers are keys held in memory; they are offered first.
	Signers []ssh.Signer
	// IdentityFiles are private key files, offered in this order. One that is encrypted is
	// used through the agent, if that holds it.
	IdentityFiles []string
	// AgentSocket is the SSH agent's Unix socket (the environment's SSH_AUTH_SOCK); empty: no agent.
	AgentSocket string
	// IdentitiesOnly offers only those of the agent's keys that are also in IdentityFiles.
	IdentitiesOnly bool

	// HostKey is the only key to accept, where it is known beforehand; known_hosts files are then not read.
	HostKey ssh.PublicKey
	// KnownHosts are known_hosts files; those that do not exist are passed over. The first is the one AcceptNew writes.
	KnownHosts []string
	// HostKeyAlias is the name to look up in KnownHosts instead of Addr and Port.
	HostKeyAlias string
	HostKeys     HostKeyPolicy

	// ProxyJump are the hosts to go through, nearest first. Their own ProxyJump must be empty.
	ProxyJump []Config

	// ConnectTimeout bounds one attempt to connect, log-in and jumps included; 15 s if it is 0.
	ConnectTimeout time.Duration
	// KeepAlive is the interval between questions whether the host is still there; 5 s if it is 0, negative: none.
	// A connection that leaves one unanswered for three intervals is given up.
	KeepAlive time.Duration
	// Attempts bounds how often connecting, or a step that may be repeated, is tried; 3 if it is 0.
	Attempts int

	// Sudo runs commands and moves files as root, by "sudo -n". Nothing changes where User is root.
	Sudo bool

	// Warn is told in one sentence about what a user should know though it is no error. Needed with Unchecked.
	Warn func(string)
	// DialContext opens the TCP connection to the first host of the way; a net.Dialer's if it is nil.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
}

const (
	defaultPort           = 22
	defaultConnectTimeout = 15 * time.Second
	defaultKeepAlive      = 5 * time.Second
	defaultAttempts       = 3
	// keepAliveMissesMax is how many intervals a question may stay unanswered.
	keepAliveMissesMax = 3
	// sessionsPerConnMax stays under OpenSSH's default MaxSessions of 10: a session that has ended may
	// count there for a moment longer, and ending a cancelled command needs one.
	sessionsPerConnMax = 8
	// connsMax bounds the connections to one host; with all of them full, commands queue.
	connsMax = 8
)

// withDefaults fills in what was left zero and refuses what can't work.
func (c Config) withDefaults() (Config, error) {
	var missing error
	switch {
	case c.Name == "":
		missing = errors.New("a host needs a Name")
	case c.Addr == "":
		missing = fmt.Errorf("%s: a host needs an Addr", c.Name)
	case c.User == "":
		missing = fmt.Errorf("%s: a host needs a User", c.Name)
	case c.Port < 0 || c.Port > 65535:
		missing = fmt.Errorf("%s: %d is not a TCP port", c.Name, c.Port)
	case c.HostKey == nil && c.HostKeys == Unchecked && c.Warn == nil:
		missing = fmt.Errorf("%s: host keys can go unchecked only where Warn is set, so that a user learns of it", c.Name)
	case c.HostKey == nil && c.HostKeys == AcceptNew && len(c.KnownHosts) == 0:
		missing = fmt.Errorf("%s: accept-new needs a known_hosts file to remember the key in", c.Name)
	}
	if missing != nil {
		return c, missing
	}
	if c.Port == 0 {
		c.Port = defaultPort
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = defaultConnectTimeout
	}
	if c.KeepAlive == 0 {
		c.KeepAlive = defaultKeepAlive
	}
	if c.Attempts == 0 {
		c.Attempts = defaultAttempts
	}
	if c.Warn == nil {
		c.Warn = func(string) {}
	}
	if c.DialContext == nil {
		c.DialContext = (&net.Dialer{}).DialContext
	}
	return c.jumpDefaults()
}

func (c Config) jumpDefaults() (Config, error) {
	jumps := make([]Config, len(c.ProxyJump))
	for i, jump := range c.ProxyJump {
		if len(jump.ProxyJump) > 0 {
			return c, fmt.Errorf("%s: jump host %s has a ProxyJump of its own: list the hosts in order in one ProxyJump", c.Name, jump.Name)
		}
		if jump.Warn == nil {
			jump.Warn = c.Warn
		}
		var err error
		if jumps[i], err = jump.withDefaults(); err != nil {
			return c, fmt.Errorf("%s: jump host: %w", c.Name, err)
		}
	}
	c.ProxyJump = jumps
	return c, nil
}

// endpoint is the address with its port, for net.Dial.
func (c Config) endpoint() string { return net.JoinHostPort(c.Addr, strconv.Itoa(c.Port)) }

// login is user@address:port, for people.
func (c Config) login() string { return c.User + "@" + c.endpoint() }

func (c Config) sudo() bool { return c.Sudo && c.User != "root" }
