package control_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/faultline/faultline/harness/control"
)

// server is an SSH server inside the test, for what OpenSSH can't be made to do: hang up in mid-command, refuse
// sessions, answer any user. Commands are really run, by sh.
type server struct {
	t      *testing.T
	listen net.Listener
	host   ssh.Signer
	// client is the key that it admits.
	client ssh.Signer

	// refuseAuth refuses every key; sessionsMax bounds the sessions of a connection, 0: none.
	refuseAuth  bool
	sessionsMax int
	// hangUp is asked before each command; true cuts the connection, after the command started.
	hangUp func(line string) bool
	// path is put before PATH for commands.
	path string

	mu    sync.Mutex
	lines []string
	conns []net.Conn
	users []string
}

func newServer(t *testing.T, change func(*server)) *server {
	t.Helper()
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, listen: listen, host: newSigner(t), client: newSigner(t)}
	if change != nil {
		change(s)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			raw, err := listen.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, raw)
			s.mu.Unlock()
			serving.Go(func() { s.serve(raw) })
		}
	})
	t.Cleanup(func() {
		listen.Close()
		s.cut()
		serving.Wait()
	})
	return s
}

// config is how to reach the server, with its key pinned.
func (s *server) config() control.Config {
	addr := s.listen.Addr().(*net.TCPAddr)
	return control.Config{
		Name: "n1", Addr: "127.0.0.1", Port: addr.Port, User: "root",
		Signers: []ssh.Signer{s.client}, HostKey: s.host.PublicKey(),
	}
}

// cut breaks every connection.
func (s *server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.conns {
		conn.Close()
	}
	s.conns = nil
}

// ran are the commands that were run and contain a word.
func (s *server) ran(word string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, line := range s.lines {
		if strings.Contains(line, word) {
			n++
		}
	}
	return n
}

func (s *server) serve(raw net.Conn) {
	defer raw.Close()
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if s.refuseAuth || string(key.Marshal()) != string(s.client.PublicKey().Marshal()) {
			return nil, errors.New("unknown key")
		}
		return &ssh.Permissions{}, nil
	}}
	config.AddHostKey(s.host)
	conn, channels, requests, err := ssh.NewServerConn(raw, config)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.users = append(s.users, conn.User())
	s.mu.Unlock()
	go ssh.DiscardRequests(requests)
	var open atomic.Int32
	var sessions sync.WaitGroup
	defer sessions.Wait()
	for channel := range channels {
		if channel.ChannelType() != "session" {
			_ = channel.Reject(ssh.UnknownChannelType, "only sessions")
			continue
		}
		if s.sessionsMax > 0 && int(open.Load()) >= s.sessionsMax {
			_ = channel.Reject(ssh.ConnectionFailed, "open failed")
			continue
		}
		session, requests, err := channel.Accept()
		if err != nil {
			return
		}
		open.Add(1)
		sessions.Go(func() {
			defer open.Add(-1)
			defer session.Close()
			s.session(raw, session, requests)
		})
	}
}

func (s *server) session(raw net.Conn, session ssh.Channel, requests <-chan *ssh.Request) {
	for request := range requests {
		switch request.Type {
		case "exec":
			var exec struct{ Line string }
			_ = ssh.Unmarshal(request.Payload, &exec)
			_ = request.Reply(true, nil)
			s.exec(raw, session, requests, exec.Line)
			return
		case "subsystem":
			_ = request.Reply(true, nil)
			if files, err := sftp.NewServer(session); err == nil {
				_ = files.Serve()
			}
			return
		default:
			_ = request.Reply(false, nil)
		}
	}
}

func (s *server) exec(raw net.Conn, session ssh.Channel, requests <-chan *ssh.Request, line string) {
	s.mu.Lock()
	s.lines = append(s.lines, line)
	s.mu.Unlock()
	// Like OpenSSH for root's log-ins, it takes no signals.
	go ssh.DiscardRequests(requests)
	cmd := exec.Command("sh", "-c", line)
	cmd.Env = os.Environ()
	if s.path != "" {
		cmd.Env = append(cmd.Env, "PATH="+s.path+":"+os.Getenv("PATH"))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Stdout, cmd.Stderr = session, session.Stderr()
	in, err := cmd.StdinPipe()
	if err != nil {
		return
	}
	if err := cmd.Start(); err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(in, session)
		in.Close()
	}()
	if s.hangUp != nil && s.hangUp(line) {
		raw.Close()
	}
	_ = cmd.Wait()
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		_, _ = session.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Signal     string
			CoreDumped bool
			Error      string
			Lang       string
		}{Signal: map[syscall.Signal]string{syscall.SIGKILL: "KILL", syscall.SIGTERM: "TERM"}[status.Signal()]}))
		return
	}
	_, _ = session.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{uint32(status.ExitStatus())}))
}

func newSigner(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// relay forwards TCP connections until it is frozen, when it goes silent without closing anything.
type relay struct {
	listen net.Listener
	frozen chan struct{}
	once   sync.Once
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listen: listen, frozen: make(chan struct{})}
	var all sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	all.Go(func() {
		for {
			near, err := listen.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				continue
			}
			mu.Lock()
			conns = append(conns, near, far)
			mu.Unlock()
			all.Go(func() { r.pump(near, far) })
			all.Go(func() { r.pump(far, near) })
		}
	})
	t.Cleanup(func() {
		listen.Close()
		r.freeze()
		mu.Lock()
		for _, conn := range conns {
			conn.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return r
}

func (r *relay) freeze() { r.once.Do(func() { close(r.frozen) }) }

func (r *relay) isFrozen() bool {
	select {
	case <-r.frozen:
		return true
	default:
		return false
	}
}

func (r *relay) pump(from, to net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if r.isFrozen() {
			return
		}
		if err != nil {
			to.Close()
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			from.Close()
			return
		}
	}
}

// dialInTurn dials the addresses one after the other, the last one again and again, whatever it is asked for.
func dialInTurn(dials *int, addrs ...string) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		addr := addrs[min(*dials, len(addrs)-1)]
		*dials++
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
}
