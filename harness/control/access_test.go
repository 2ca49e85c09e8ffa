package control_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/faultline/faultline/harness/control"
)

// mustFail connects where that must not work, and returns the error, which must say all of the words.
func mustFail(t *testing.T, cfg control.Config, words ...string) error {
	t.Helper()
	host, err := control.Connect(t.Context(), cfg)
	if err == nil {
		host.Close()
		t.Fatal("connected")
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error does not say %q: %v", word, err)
		}
	}
	return err
}

func TestHostKeys(t *testing.T) {
	s := newServer(t, nil)
	base := s.config()
	base.HostKey = nil
	file := filepath.Join(t.TempDir(), "ssh", "known_hosts")
	base.KnownHosts = []string{file}
	fingerprint := ssh.FingerprintSHA256(s.host.PublicKey())
	name := knownhosts.Normalize(s.listen.Addr().String())

	// Unknown, and nobody asked to accept it.
	err := mustFail(t, base, "n1: can't connect to root@127.0.0.1:", name, fingerprint, file, "accept-new")
	var refused *control.HostKeyError
	if !errors.As(err, &refused) || refused.Changed {
		t.Errorf("%T: %v", err, err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a refused key was written down")
	}

	// Accepted on first use, told, and remembered for strict use.
	var told []string
	accepting := base
	accepting.HostKeys = control.AcceptNew
	accepting.Warn = func(text string) { told = append(told, text) }
	run(t, connect(t, accepting), "true")
	run(t, connect(t, accepting), "true")
	if len(told) != 1 || !strings.Contains(told[0], fingerprint) {
		t.Errorf("told: %q", told)
	}
	run(t, connect(t, base), "true")

	// Changed: refused by accept-new too, and the line that has the other key is named.
	other := newSigner(t).PublicKey()
	write(t, file, "# comment\n"+knownhosts.Line([]string{name}, other)+"\n", 0o600)
	for _, cfg := range []control.Config{base, accepting} {
		err := mustFail(t, cfg, "changed", file+":2", fingerprint, "ssh-keygen -f "+file+" -R '"+name+"'")
		if !errors.As(err, &refused) || !refused.Changed {
			t.Errorf("%T: %v", err, err)
		}
	}
	// Revoked.
	write(t, file, "@revoked * "+strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.host.PublicKey())))+"\n", 0o600)
	mustFail(t, accepting, file+":1", "revoked")
	// Not a known_hosts file.
	write(t, file, "garbage\n", 0o600)
	mustFail(t, base, file+":1", "correct or remove that line")

	// A pinned key needs no file, and none overrules it.
	pinned := base
	pinned.HostKey = s.host.PublicKey()
	run(t, connect(t, pinned), "true")
	pinned.HostKey = other
	mustFail(t, pinned, "changed", ssh.FingerprintSHA256(other))

	// Unchecked: only where someone is told, and then once.
	unchecked := base
	unchecked.HostKeys = control.Unchecked
	mustFail(t, unchecked, "unchecked only where Warn is set")
	told = nil
	unchecked.Warn = accepting.Warn
	host := connect(t, unchecked)
	s.cut()
	waitFor(t, "a reconnect", func() bool {
		_, err := host.Run(t.Context(), control.Cmd{Args: []string{"true"}})
		return err == nil
	})
	if len(told) != 1 || !strings.Contains(told[0], "n1: the host key of 127.0.0.1:") || !strings.Contains(told[0], "not checked") {
		t.Errorf("told: %q", told)
	}
}

// A server with several host keys shows the kind that is asked for: it must be the kind that is known.
func TestKnownKeyOfAnotherKindThanTheServersFavourite(t *testing.T) {
	s := startSSHD(t, "")
	cfg := s.config()
	rsa := filepath.Join(s.dir, "host_rsa")
	if out, err := runLocal("ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", rsa); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.stop()
	s.extra = "HostKey " + rsa
	s.start()
	for _, known := range []string{rsa, filepath.Join(s.dir, "host_key")} {
		line := knownhosts.Line([]string{knownhosts.Normalize(s.endpoint())}, readPublicKey(t, known+".pub"))
		write(t, s.knownHosts(), line+"\n", 0o600)
		run(t, connect(t, cfg), "true")
	}
}

func TestHostCertificates(t *testing.T) {
	s := startSSHD(t, "")
	cfg := s.config()
	authority := filepath.Join(s.dir, "ca")
	writeKey(t, authority)
	if out, err := runLocal("ssh-keygen", "-q", "-s", authority, "-I", "host", "-h", "-n", "127.0.0.1", filepath.Join(s.dir, "host_key.pub")); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.stop()
	s.extra = "HostCertificate " + filepath.Join(s.dir, "host_key-cert.pub")
	s.start()
	pattern := "@cert-authority " + knownhosts.Normalize(s.endpoint()) + " "
	write(t, s.knownHosts(), pattern+string(ssh.MarshalAuthorizedKey(readPublicKey(t, authority+".pub"))), 0o600)
	run(t, connect(t, cfg), "true")
	write(t, s.knownHosts(), pattern+string(ssh.MarshalAuthorizedKey(newSigner(t).PublicKey())), 0o600)
	mustFail(t, cfg, "host key of")
}

func TestAuthenticationFailureSaysWhatWasTried(t *testing.T) {
	s := startSSHD(t, "")
	cfg := s.config()
	stranger := filepath.Join(t.TempDir(), "id_stranger")
	fingerprint := ssh.FingerprintSHA256(writeKey(t, stranger))
	locked := filepath.Join(t.TempDir(), "id_locked")
	writeEncryptedKey(t, locked)
	cfg.IdentityFiles = []string{stranger, stranger + ".missing", locked}
	cfg.AgentSocket = filepath.Join(t.TempDir(), "no-agent")

	err := mustFail(t, cfg, "n1: can't connect to ", "the server refused every key: tried "+stranger+" "+fingerprint, "authorized_keys",
		stranger+".missing (no such file", locked+" (encrypted: add it to the agent with ssh-add)", "the agent (", "no-agent")
	var auth *control.AuthError
	if !errors.As(err, &auth) || len(auth.Tried) != 1 || len(auth.Unusable) != 3 {
		t.Errorf("%T: %+v", err, auth)
	}

	cfg.IdentityFiles, cfg.AgentSocket = nil, ""
	mustFail(t, cfg, "no key to log in with", "ssh-add")

	for range 8 { // more than MaxAuthTries
		cfg.Signers = append(cfg.Signers, newSigner(t))
	}
	mustFail(t, cfg, "the server refused every key", "a key held in memory SHA256:")
}

func TestAgent(t *testing.T) {
	s := startSSHD(t, "")
	cfg := s.config()
	text, err := os.ReadFile(s.identity())
	if err != nil {
		t.Fatal(err)
	}
	private, err := ssh.ParseRawPrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: private}); err != nil {
		t.Fatal(err)
	}
	cfg.AgentSocket = serveAgent(t, ring)
	cfg.IdentityFiles = nil
	run(t, connect(t, cfg), "true")

	// IdentitiesOnly: the agent's key counts only if a file names it, here by its public half.
	cfg.IdentitiesOnly = true
	mustFail(t, cfg, "no key to log in with")
	cfg.IdentityFiles = []string{s.identity() + ".pub"}
	run(t, connect(t, cfg), "true")
	if err := os.Remove(s.identity()); err != nil {
		t.Fatal(err)
	}
	cfg.IdentityFiles = []string{s.identity()}
	run(t, connect(t, cfg), "true")
}

// serveAgent serves a keyring as ssh-agent does.
func serveAgent(t *testing.T, ring agent.Agent) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "agent")
	listen, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listen.Close() })
	go func() {
		for {
			conn, err := listen.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_ = agent.ServeAgent(ring, conn)
			}()
		}
	}()
	return socket
}

func writeEncryptedKey(t *testing.T, file string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, string(pem.EncodeToMemory(block)), 0o600)
}

func TestProxyJump(t *testing.T) {
	s := startSSHD(t, "")
	cfg := s.config()
	near, far := cfg, cfg
	near.Name, far.Name = "near", "far"
	cfg.ProxyJump = []control.Config{near, far}
	host := connect(t, cfg)
	if got := run(t, host, "echo", "through"); got != "through\n" {
		t.Errorf("printed %q", got)
	}
	waitFor(t, "three log-ins", func() bool { return strings.Count(s.log.String(), "Accepted publickey") == 3 })

	broken := cfg
	broken.ProxyJump = []control.Config{near, far}
	broken.ProxyJump[1].KnownHosts = nil
	mustFail(t, broken, "n1: can't connect to ", " through "+username(t)+"@127.0.0.1:", "jump host", "any known_hosts file")
	unreachable := cfg
	unreachable.Port = freePort(t)
	mustFail(t, unreachable, "the jump host can't reach it", "AllowTcpForwarding")
	nested := cfg
	nested.ProxyJump = []control.Config{cfg}
	mustFail(t, nested, "ProxyJump of its own")
}

func TestUnreachableHostsSayWhyAndWhatToDo(t *testing.T) {
	s := newServer(t, nil)
	var dials atomic.Int32
	dialing := func(err error) control.Config {
		cfg := s.config()
		cfg.DialContext = func(context.Context, string, string) (net.Conn, error) {
			dials.Add(1)
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
		}
		return cfg
	}
	refused := s.config()
	refused.Port = freePort(t)
	mustFail(t, refused, "n1: can't connect to root@127.0.0.1:", "connection refused: start sshd on it")
	mustFail(t, dialing(os.NewSyscallError("connect", syscall.ECONNREFUSED)), "connection refused")
	if n := dials.Swap(0); n != 3 {
		t.Errorf("a refused connection was tried %d times, want 3", n)
	}
	mustFail(t, dialing(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), "no route to it", "check its address")
	mustFail(t, dialing(&net.DNSError{Err: "no such host", Name: "127.0.0.1", IsNotFound: true}), "does not resolve", "HostName in ssh_config")
	if n := dials.Swap(0); n != 2 {
		t.Errorf("hopeless connections were tried %d times, want 1 each", n)
	}

	silent := s.config()
	silent.Port = silentPort(t)
	silent.ConnectTimeout = 50 * time.Millisecond
	err := mustFail(t, silent, "no answer within 50ms", "firewall")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("not a time-out: %v", err)
	}
	silent.ConnectTimeout = time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := control.Connect(ctx, silent); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the caller's time-out: %v", err)
	}

	for _, incomplete := range []control.Config{{}, {Name: "n1"}, {Name: "n1", Addr: "h"}, {Name: "n1", Addr: "h", User: "u", Port: 70000}, {Name: "n1", Addr: "h", User: "u", HostKeys: control.AcceptNew}} {
		mustFail(t, incomplete, "ssh configuration: ")
	}
}

// silentPort accepts connections and says nothing.
func silentPort(t *testing.T) int {
	t.Helper()
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listen.Close() })
	return listen.Addr().(*net.TCPAddr).Port
}
