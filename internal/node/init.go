package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// InitRequest says what an embedded node is to be. The process that reads it is the first one of new network, mount,
// process, host name and IPC namespaces.
type InitRequest struct {
	Name string `json:"name"`
	// Dir is the node's directory on the driver's disk: upper, work, root and tmp are made in it.
	Dir string `json:"dir"`
	// Hide is a directory of the driver's that the node must not see.
	Hide string `json:"hide"`
	// Binary is the faultline executable on the driver; the node sees it at BinaryPath.
	Binary string `json:"binary"`
	// Link is the network interface that was put into the namespace, and CIDR its address.
	Link string `json:"link"`
	CIDR string `json:"cidr"`
	// Hosts is the text of /etc/hosts.
	Hosts string `json:"hosts"`
	// HostKey (PEM) and AuthorizedKeys are the SSH server's.
	HostKey        string `json:"host_key"`
	AuthorizedKeys string `json:"authorized_keys"`
	// Port is the SSH server's.
	Port int `json:"port"`
}

// InitAnswer is what the node says when its SSH server listens, or why it does not.
type InitAnswer struct {
	Error string `json:"error,omitempty"`
	// Notes are shortcomings of this kernel that the node lives with.
	Notes []string `json:"notes,omitempty"`
}

// restartDelay is between the SSH server's unexpected end and its next start.
const restartDelay = 100 * time.Millisecond

// runInit sets the node up, starts its SSH server, and reaps until the end. With its end the kernel ends the node.
func runInit(ctx context.Context, c call) error {
	if os.Getpid() != 1 {
		return errors.New("it must be the first process of new namespaces")
	}
	var q InitRequest
	if err := json.NewDecoder(c.stdin).Decode(&q); err != nil {
		return fmt.Errorf("read the request: %w", err) // the driver died: so does the node
	}
	// The thread that drops capabilities must be the one that starts the server.
	runtime.LockOSThread()
	server := &server{request: q}
	notes, err := setUp(q)
	if err == nil {
		err = server.start(ctx)
	}
	a := InitAnswer{Notes: notes}
	if err != nil {
		a.Error = err.Error()
	}
	if e := json.NewEncoder(c.stdout).Encode(a); e != nil || err != nil {
		return errors.Join(err, e)
	}
	if err := detach(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, unix.SIGTERM, unix.SIGINT)
	defer stop()
	context.AfterFunc(ctx, func() { _ = unix.Kill(-1, unix.SIGKILL) }) // everything in this namespace but this process
	return server.reap(ctx)
}

// detach lets go of the driver's pipes: from now on standard output is the log, as standard error is.
func detach() error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	return errors.Join(unix.Dup3(int(null.Fd()), 0, 0), unix.Dup3(2, 1, 0))
}

func setUp(q InitRequest) (notes []string, err error) {
	if notes, err = setSysctls(); err != nil {
		return notes, err
	}
	if err := setUpLinks(q.Link, q.CIDR); err != nil {
		return notes, fmt.Errorf("network of node %s: %w", q.Name, err)
	}
	if err := setUpRoot(q); err != nil {
		return notes, fmt.Errorf("file systems of node %s: %w", q.Name, err)
	}
	if err := unix.Sethostname([]byte(q.Name)); err != nil {
		return notes, fmt.Errorf("set the host name: %w", err)
	}
	return notes, dropCapabilities()
}

// retransmissions is how many of them without an answer end a connection: within about 8 s, as each is at most 1 s after
// the one before.
const retransmissions = 8

// setSysctls bounds TCP's retransmissions before any socket is made, as sockets take the value when they are created.
func setSysctls() (notes []string, err error) {
	err = os.WriteFile("/proc/sys/net/ipv4/tcp_rto_max_ms", []byte(strconv.Itoa(retransmitBound)), 0)
	if errors.Is(err, os.ErrNotExist) {
		notes = append(notes, "this kernel has no net.ipv4.tcp_rto_max_ms (Linux 6.15): after a partition, connections may take as long as it lasted to notice its end")
		err = nil
	}
	if err != nil {
		return notes, fmt.Errorf("set net.ipv4.tcp_rto_max_ms: %w", err)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/tcp_retries2", []byte(strconv.Itoa(retransmissions)), 0); err != nil {
		return notes, fmt.Errorf("set net.ipv4.tcp_retries2: %w", err)
	}
	return notes, nil
}

// dropCapabilities takes from this thread, and so from what it starts, what has no namespace: a node can't set the
// machine's clock, load modules or reboot it.
func dropCapabilities() error {
	for _, c := range []uintptr{unix.CAP_SYS_TIME, unix.CAP_SYS_MODULE, unix.CAP_SYS_BOOT} {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	return nil
}

// server is the node's SSH server as its first process sees it.
type server struct {
	request InitRequest
	pid     int
}

// keyFiles are where the server finds its keys.
func keyFiles() (hostKey, authorized string) {
	return filepath.Join(DefaultStateDir, "ssh", "host_key"), filepath.Join(DefaultStateDir, "ssh", "authorized_keys")
}

// start writes the keys and starts the server; it returns when that listens. Not reaped here: reap does.
func (s *server) start(ctx context.Context) error {
	hostKey, authorized := keyFiles()
	if err := os.MkdirAll(filepath.Dir(hostKey), 0o700); err != nil {
		return err
	}
	for path, text := range map[string]string{hostKey: s.request.HostKey, authorized: s.request.AuthorizedKeys} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := exec.Command(BinaryPath, "node", "serve", "--port", strconv.Itoa(s.request.Port), "--host-key", hostKey, "--authorized-keys", authorized)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + loginPath, "HOME=/root", "USER=root", "LOGNAME=root", "SHELL=" + loginShell(), "LANG=C.UTF-8"}
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return fmt.Errorf("start the SSH server: %w", err)
	}
	s.pid = cmd.Process.Pid
	if err := cmd.Process.Release(); err != nil {
		return err
	}
	return awaitReady(ctx, r, "the SSH server")
}

// reap buries every process whose parent is gone, and restarts the SSH server should it end before ctx does.
func (s *server) reap(ctx context.Context) error {
	for {
		pid, err := unix.Wait4(-1, nil, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil && !errors.Is(err, unix.ECHILD):
			return fmt.Errorf("wait for processes: %w", err)
		case err == nil && pid != s.pid:
			continue
		case ctx.Err() != nil:
			return nil
		}
		pause(ctx, restartDelay, nil)
		if err := s.start(ctx); err != nil {
			_, _ = io.WriteString(os.Stderr, "restart: "+err.Error()+"\n") // and again when the next process ends
		}
	}
}
