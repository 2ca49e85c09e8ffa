package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
	"time"

	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/internal/node"
)

const (
	// binDir is where Install puts files.
	binDir = "/opt/faultline/bin"
	// sumLength is how many digits of a file's checksum are in its name there.
	sumLength = 12
	// renewalsPerLease is how many signs of life may get lost before faults are undone, and one.
	renewalsPerLease = 4
)

// Node is one node, reached by SSH, with the node's half of Faultline on it. It is a harness.Node. Safe for concurrent use.
type Node struct {
	control.Host
	addr string
	// program is how to run faultline there.
	program []string
	// protect are the ports that the node is reached by: they can't be cut.
	protect []int
	lease   node.Lease
	sums    *checksums

	// mu guards armed, which counts the faults asked for: while it is not 0, the node gets signs of life.
	mu    sync.Mutex
	armed int
}

// Addr is the node's IP address as the other nodes and the clients use it.
func (n *Node) Addr() string { return n.addr }

// call runs a verb of the node's half.
func call[A any](ctx context.Context, n *Node, verb string, request any, idempotent bool) (A, error) {
	var answer A
	text, err := json.Marshal(request)
	if err != nil {
		return answer, fmt.Errorf("%s: %s: %w", n.Name(), verb, err)
	}
	args := append(append([]string{}, n.program...), "node", verb)
	out, err := n.Run(ctx, control.Cmd{Args: args, Stdin: bytes.NewReader(text), Idempotent: idempotent})
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(out.Stdout, &answer); err != nil {
		return answer, fmt.Errorf("%s: %s answered %.100q: %w", n.Name(), verb, out.Stdout, err)
	}
	return answer, nil
}

// Start starts a supervised process. It is an error if one of that name is running.
func (n *Node) Start(ctx context.Context, p control.Process) (control.ProcessState, error) {
	return call[control.ProcessState](ctx, n, "start", p, false)
}

// Signal sends a signal to a process that Start started, and returns when the kernel shows its effect. SIGKILL
// and SIGTERM also end its restarts, and are no error for a process that has ended; nor is SIGCONT; SIGSTOP is.
func (n *Node) Signal(ctx context.Context, name string, sig control.Signal) (control.ProcessState, error) {
	if sig == control.SIGSTOP {
		n.arm()
	}
	return call[control.ProcessState](ctx, n, "signal", node.SignalRequest{Name: name, Signal: sig, Lease: n.lease}, true)
}

// Processes tells the state of everything that Start started, by name.
func (n *Node) Processes(ctx context.Context) ([]control.ProcessState, error) {
	return call[[]control.ProcessState](ctx, n, "processes", node.None{}, true)
}

// Cut drops or resets traffic that arrives at this node, under an id. The same cut again is no error.
func (n *Node) Cut(ctx context.Context, id string, rules []control.CutRule) error {
	n.arm()
	_, err := call[node.None](ctx, n, "cut", node.CutRequest{ID: id, Rules: rules, Protect: n.protect, Lease: n.lease}, true)
	return err
}

// Uncut undoes a Cut and returns what it had caught, one count for each of its rules. Undoing what is not there is no error:
// it returns what the latest cut of this id had caught when it was undone, if there was one.
func (n *Node) Uncut(ctx context.Context, id string) ([]control.CutCount, error) {
	a, err := call[node.CutAnswer](ctx, n, "uncut", node.CutRequest{ID: id}, true)
	return a.Counts, err
}

// CutCounts tells what a Cut in force has caught so far, one count for each of its rules.
func (n *Node) CutCounts(ctx context.Context, id string) ([]control.CutCount, error) {
	a, err := call[node.CutAnswer](ctx, n, "counts", node.CutRequest{ID: id}, true)
	return a.Counts, err
}

// Heal undoes every fault on the node and tells what it undid. Killed processes stay dead. Idempotent.
func (n *Node) Heal(ctx context.Context) ([]string, error) {
	a, err := call[node.Healed](ctx, n, "heal", node.None{}, true)
	return a.Undone, err
}

// WatchdogFired tells what the node's watchdog undid because this driver gave no sign of life in time: each of
// these faults ended before the driver meant it to.
func (n *Node) WatchdogFired(ctx context.Context) ([]string, error) {
	a, err := call[node.StatusAnswer](ctx, n, "status", node.None{}, true)
	if err != nil {
		return nil, err
	}
	var undone []string
	for _, f := range a.Fired {
		if f.Owner == n.lease.Owner {
			undone = append(undone, f.Undone...)
		}
	}
	return undone, nil
}

// Check tests what faults on this node need.
func (n *Node) Check(ctx context.Context) ([]Check, error) {
	checks, err := call[[]node.Check](ctx, n, "check", node.None{}, true)
	return fromNode(checks), err
}

func (n *Node) arm() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.armed++
}

// renew gives the node a sign of life, if a fault may be in force there.
func (n *Node) renew(ctx context.Context) error {
	n.mu.Lock()
	before := n.armed
	n.mu.Unlock()
	if before == 0 {
		return nil
	}
	a, err := call[node.StatusAnswer](ctx, n, "renew", n.lease, true)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(a.Faults) == 0 && n.armed == before { // none asked for meanwhile
		n.armed = 0
	}
	return nil
}

// Install makes sure that a file of the driver's is on the node, the same by its SHA-256, and executable, and returns
// its path there. It is sent only if the node sees the same file neither at the same path nor where it was sent before.
func (n *Node) Install(ctx context.Context, local string) (string, error) {
	local, err := filepath.Abs(local)
	if err != nil {
		return "", err
	}
	sum, err := n.sums.of(local)
	if err != nil {
		return "", fmt.Errorf("%s: install: %w", n.Name(), err)
	}
	sent := path.Join(binDir, filepath.Base(local)+"-"+sum[:sumLength])
	if at, err := n.find(ctx, sum, local, sent); err != nil || at != "" {
		return at, err
	}
	if err := n.send(ctx, local, sent); err != nil {
		return "", fmt.Errorf("%s: install %s: %w", n.Name(), local, err)
	}
	at, err := n.find(ctx, sum, sent)
	if err == nil && at == "" {
		err = fmt.Errorf("%s: install %s: what arrived at %s has another checksum than %s: is it being written to?", n.Name(), local, sent, sum)
	}
	return at, err
}

// find is the first of the paths where the node has this file.
func (n *Node) find(ctx context.Context, sum string, paths ...string) (string, error) {
	a, err := call[node.SumsAnswer](ctx, n, "sums", node.SumsRequest{Paths: paths}, true)
	if err != nil {
		return "", err
	}
	for _, p := range paths {
		if a.SHA256[p] == sum {
			return p, nil
		}
	}
	return "", nil
}

func (n *Node) send(ctx context.Context, local, remote string) error {
	f, err := os.Open(local)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := n.Run(ctx, control.Cmd{Args: []string{"mkdir", "-p", path.Dir(remote)}, Idempotent: true}); err != nil {
		return err
	}
	return n.Upload(ctx, f, remote, 0o755)
}

// checksums remembers those of the driver's files: all nodes ask for the same ones.
type checksums struct {
	mu  sync.Mutex
	sum map[checksumKey]string
}

type checksumKey struct {
	path     string
	size     int64
	modified time.Time
}

var errNotExecutable = errors.New("not executable: chmod +x")

// of computes a file's SHA-256, once for as long as it does not change. It refuses what could not be run.
func (c *checksums) of(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.Mode().IsRegular() && info.Mode()&0o111 == 0 {
		return "", &fs.PathError{Op: "install", Path: path, Err: errNotExecutable}
	}
	key := checksumKey{path, info.Size(), info.ModTime()}
	c.mu.Lock()
	defer c.mu.Unlock()
	if sum, ok := c.sum[key]; ok {
		return sum, nil
	}
	sum, err := node.Sum(path)
	if err != nil {
		return "", err
	}
	if c.sum == nil {
		c.sum = map[checksumKey]string{}
	}
	c.sum[key] = sum
	return sum, nil
}

// Shell runs a command on the caller's terminal, or with no args a login shell; see (*control.SSH).Shell.
func (n *Node) Shell(ctx context.Context, args []string, t control.Terminal) error {
	return control.Shell(ctx, n.Host, args, t)
}
