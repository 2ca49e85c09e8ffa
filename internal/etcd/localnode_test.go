package etcd

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/control"
)

// testVersion is the etcd that tests run: FAULTLINE_TEST_ETCD_VERSION, or a recent one.
func testVersion() string { return cmp.Or(os.Getenv("FAULTLINE_TEST_ETCD_VERSION"), "3.6.16") }

// realEtcd is a real etcd: from the user's cache, or installed there, which takes a minute or two once.
var realEtcd = sync.OnceValues(func() (Binary, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return Binary{}, err
	}
	i := Installer{Cache: filepath.Join(dir, "faultline"), Progress: func(s string) { fmt.Fprintln(os.Stderr, s) }}
	return i.Install(context.Background(), testVersion(), "")
})

// nodeDir stands for each local node's own folder in paths.
const nodeDir = "/NODE"

// localNode is a node that is not one: its processes run on this machine, on a loopback address of its own.
type localNode struct {
	name, addr, dir string

	mu    sync.Mutex
	procs map[string]*localProcess
}

type localProcess struct {
	cmd  *exec.Cmd
	gone chan struct{} // closed when it was waited for
	stop bool
}

var _ harness.Node = (*localNode)(nil)

// localNodes makes nodes with addresses of this process's own, and ends what runs on them when the test does.
func localNodes(t *testing.T, n int) []harness.Node {
	t.Helper()
	pid := os.Getpid()
	var nodes []harness.Node
	for i := range n {
		node := &localNode{
			name:  fmt.Sprintf("n%d", i+1),
			addr:  fmt.Sprintf("127.%d.%d.%d", 10+pid>>14&0x3f, pid>>6&0xff, 1+(pid&0x3f)<<2+i%4+i/4*64),
			dir:   t.TempDir(),
			procs: map[string]*localProcess{},
		}
		t.Cleanup(node.killAll)
		nodes = append(nodes, node)
	}
	return nodes
}

func (n *localNode) local(s string) string { return strings.ReplaceAll(s, nodeDir, n.dir) }

func (n *localNode) locals(args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = n.local(a)
	}
	return out
}

func (n *localNode) Name() string { return n.name }
func (n *localNode) Addr() string { return n.addr }
func (n *localNode) Close() error { return nil }

func (n *localNode) Install(_ context.Context, local string) (string, error) { return local, nil }

func (n *localNode) Run(ctx context.Context, c control.Cmd) (control.Output, error) {
	args := n.locals(c.Args)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	out := control.Output{Stdout: stdout.Bytes(), Stderr: stderr.Bytes()}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return out, &control.ExitError{Node: n.name, Args: args, Code: exit.ExitCode(), StderrTail: stderr.String(), Output: out}
	}
	return out, err
}

func (n *localNode) Upload(_ context.Context, from io.Reader, to string, mode fs.FileMode) error {
	text, err := io.ReadAll(from)
	if err != nil {
		return err
	}
	return os.WriteFile(n.local(to), text, mode)
}

func (n *localNode) Download(_ context.Context, from string, w io.Writer) error {
	f, err := os.Open(n.local(from))
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

func (n *localNode) Dial(ctx context.Context, addr string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
}

func (n *localNode) Start(_ context.Context, p control.Process) (control.ProcessState, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if old := n.procs[p.Name]; old != nil && !old.over() {
		return control.ProcessState{}, fmt.Errorf("%s is running", p.Name)
	}
	log, err := os.OpenFile(n.local(p.Log), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return control.ProcessState{}, err
	}
	defer log.Close()
	args := n.locals(p.Args)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, n.local(p.Dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return control.ProcessState{}, err
	}
	proc := &localProcess{cmd: cmd, gone: make(chan struct{})}
	n.procs[p.Name] = proc
	go func() {
		_ = cmd.Wait()
		close(proc.gone)
	}()
	return proc.state(p.Name), nil
}

func (p *localProcess) over() bool {
	select {
	case <-p.gone:
		return true
	default:
		return false
	}
}

func (p *localProcess) state(name string) control.ProcessState {
	st := control.ProcessState{Name: name, PID: p.cmd.Process.Pid, Status: "running"}
	switch {
	case p.over():
		st.Status, st.Exit = "exited", p.cmd.ProcessState.String()
	case p.stop:
		st.Status = "stopped"
	}
	return st
}

func (n *localNode) Signal(_ context.Context, name string, sig control.Signal) (control.ProcessState, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.procs[name]
	if p == nil || p.over() {
		return control.ProcessState{}, fmt.Errorf("%s does not run", name)
	}
	signals := map[control.Signal]syscall.Signal{
		control.SIGKILL: syscall.SIGKILL, control.SIGTERM: syscall.SIGTERM, control.SIGSTOP: syscall.SIGSTOP, control.SIGCONT: syscall.SIGCONT,
	}
	if err := p.cmd.Process.Signal(signals[sig]); err != nil {
		return control.ProcessState{}, err
	}
	switch sig {
	case control.SIGKILL, control.SIGTERM:
		<-p.gone
	case control.SIGSTOP, control.SIGCONT:
		p.stop = sig == control.SIGSTOP
	}
	return p.state(name), nil
}

func (n *localNode) Processes(context.Context) ([]control.ProcessState, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []control.ProcessState
	for name, p := range n.procs {
		out = append(out, p.state(name))
	}
	return out, nil
}

func (n *localNode) killAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.procs {
		_ = p.cmd.Process.Kill()
		<-p.gone
	}
}

var errNoNetwork = errors.New("a local node has no network of its own")

func (n *localNode) Cut(context.Context, string, []control.CutRule) error { return errNoNetwork }
func (n *localNode) Uncut(context.Context, string) ([]control.CutCount, error) {
	return nil, errNoNetwork
}

func (n *localNode) CutCounts(context.Context, string) ([]control.CutCount, error) {
	return nil, errNoNetwork
}
func (n *localNode) Heal(context.Context) ([]string, error) { return nil, nil }

// startCluster starts a real cluster on local nodes.
func startCluster(t *testing.T, n int, change func(*Options)) *System {
	t.Helper()
	binary, err := realEtcd()
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Nodes: localNodes(t, n), Binary: binary, Token: "test", Dir: nodeDir}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// eventually waits for a condition.
func eventually(t *testing.T, within time.Duration, what string, f func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return
		}
		if harness.Pause(ctx, 50*time.Millisecond) != nil {
			t.Fatalf("%s: not within %v: %v", what, within, err)
		}
	}
}
