package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/internal/node"
)

const (
	sshPort = 22
	// firstHost is the last byte of n1's address less one.
	firstHost = 10
	// initBound bounds how long a node may take to set itself up.
	initBound = 30 * time.Second
	// connectTimeout bounds each attempt to log in to an embedded node.
	connectTimeout = 10 * time.Second
)

// embedded is a cluster of namespaces that this process is making.
type embedded struct {
	store   store
	options Options
	lease   *leaseFile
	keys    keys
	bridge  *netlink.Bridge
	network netip.Prefix
}

// newEmbedded claims the name.
func newEmbedded(ctx context.Context, s store, o Options) (*embedded, error) {
	owner, err := self()
	if err != nil {
		return nil, err
	}
	id := token(4)
	l := lease{Version: leaseVersion, ID: id, Name: o.Name, Owner: owner, Created: wallClock(), Bridge: "fl-" + id}
	for i := range o.Nodes {
		name := "n" + strconv.Itoa(i+1)
		l.Nodes = append(l.Nodes, nodeLease{Name: name, Veth: "fl-" + id + "-" + name, Peer: "flp-" + id + "-" + name})
	}
	dir, err := s.create(ctx, l)
	if err != nil {
		return nil, err
	}
	return &embedded{store: s, options: o, lease: &leaseFile{dir: dir, lease: l}}, nil
}

func (e *embedded) up(ctx context.Context) (*Cluster, error) {
	var err error
	if e.keys, err = makeKeys(e.lease.dir); err != nil {
		return nil, fmt.Errorf("make the cluster's keys: %w", err)
	}
	if e.bridge, err = makeBridge(ctx, e.lease.snapshot().Bridge, e.takeNetwork); err != nil {
		return nil, err
	}
	g, startCtx := errgroup.WithContext(ctx)
	for i := range e.options.Nodes {
		g.Go(func() error { return e.startNode(startCtx, i) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	c, err := connect(ctx, e.store, e.lease.snapshot(), e.options.Lease)
	if err != nil {
		return nil, err
	}
	if err := c.meet(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	// Only now: until a kept cluster is whole, it is its maker's to clean up.
	if err := e.lease.change(func(l *lease) { l.Kept = e.options.Keep }); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// takeNetwork writes the network and the addresses into the lease, before any of it exists.
func (e *embedded) takeNetwork(network netip.Prefix) error {
	e.network = network
	return e.lease.change(func(l *lease) {
		l.Subnet = network.String()
		l.Client = host(network, 1).String()
		for i := range l.Nodes {
			l.Nodes[i].Addr = host(network, byte(firstHost+i+1)).String()
		}
	})
}

// startNode starts a node's first process, connects its network, and returns when its SSH server listens.
func (e *embedded) startNode(ctx context.Context, i int) error {
	n := e.lease.snapshot().Nodes[i]
	dir := filepath.Join(e.lease.dir, n.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	logPath := filepath.Join(dir, "node.log")
	init, err := startFirst(e.options.Binary, "init", logPath)
	if err != nil {
		return fmt.Errorf("node %s: %w", n.Name, err)
	}
	defer init.close()
	id, err := node.Identify(init.cmd.Process.Pid)
	if err == nil {
		err = e.lease.change(func(l *lease) { l.Nodes[i].Init = id })
	}
	if err == nil {
		err = plug(e.bridge, n, id.PID)
	}
	// A process that is ending has no namespaces any more (ESRCH) a little before it is gone.
	if err != nil && (!id.Alive() || errors.Is(err, unix.ESRCH)) {
		err = fmt.Errorf("%w: %w%s", errInitEnded, err, endOfLog(logPath))
	}
	if err != nil {
		return fmt.Errorf("node %s: %w", n.Name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, initBound)
	defer cancel()
	answer, err := ask[node.InitAnswer](ctx, init, e.initRequest(n, dir))
	if err == nil && answer.Error != "" {
		err = errors.New(answer.Error)
	}
	if err != nil {
		return fmt.Errorf("node %s: %w%s", n.Name, err, endOfLog(logPath))
	}
	if i == 0 {
		if err := e.lease.change(func(l *lease) { l.Notes = answer.Notes }); err != nil {
			return err
		}
	}
	e.options.Progress(fmt.Sprintf("%s is up at %s", n.Name, n.Addr))
	return nil
}

func (e *embedded) initRequest(n nodeLease, dir string) node.InitRequest {
	var hosts strings.Builder
	fmt.Fprintf(&hosts, "127.0.0.1 localhost\n::1 localhost\n")
	for _, other := range e.lease.snapshot().Nodes {
		fmt.Fprintf(&hosts, "%s %s\n", other.Addr, other.Name)
	}
	return node.InitRequest{
		Name: n.Name, Dir: dir, Hide: e.store.dir, Binary: e.options.Binary,
		Link: n.Peer, CIDR: n.Addr + "/" + strconv.Itoa(e.network.Bits()), Hosts: hosts.String(),
		HostKey: e.keys.hostPEM, AuthorizedKeys: authorizedKey(e.keys.client), Port: sshPort,
	}
}

// firstProcess is the first process of new namespaces, as its parent sees it until it has detached.
type firstProcess struct {
	cmd *exec.Cmd
	in  *os.File
	out *os.File
}

// startFirst starts the first process of new namespaces. It waits for its request, and ends if this process dies before.
func startFirst(binary, verb, logPath string) (*firstProcess, error) {
	log, err := os.OpenFile(logPath, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	inR, inW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer inR.Close()
	outR, outW, err := os.Pipe()
	if err != nil {
		inW.Close()
		return nil, err
	}
	defer outW.Close()
	cmd := exec.Command(binary, "node", verb)
	cmd.Dir = "/"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inR, outW, log
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
	}
	if err := cmd.Start(); err != nil {
		inW.Close()
		outR.Close()
		return nil, fmt.Errorf("start %s in new namespaces (it takes root and a kernel with network, mount, process, UTS and IPC namespaces): %w", binary, err)
	}
	go func() { _ = cmd.Wait() }() // whoever ends it: no zombie stays while this process lives
	return &firstProcess{cmd: cmd, in: inW, out: outR}, nil
}

func (p *firstProcess) close() {
	p.in.Close()
	p.out.Close()
}

var errInitEnded = errors.New("its first process ended while it set itself up")

// ask sends the request and waits for the answer.
func ask[A any](ctx context.Context, p *firstProcess, request any) (A, error) {
	defer context.AfterFunc(ctx, p.close)()
	var a A
	err := json.NewEncoder(p.in).Encode(request)
	if err == nil {
		err = json.NewDecoder(p.out).Decode(&a)
	}
	switch {
	case err == nil:
		return a, nil
	case ctx.Err() != nil:
		return a, fmt.Errorf("not set up in time: %w", ctx.Err())
	case errors.Is(err, io.EOF), errors.Is(err, unix.EPIPE):
		return a, errInitEnded
	}
	return a, err
}

// endOfLog is what a node's first process wrote last, for an error's text.
func endOfLog(path string) string {
	const lines = 5
	text, err := os.ReadFile(path)
	if err != nil || len(text) == 0 {
		return ""
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return "; its log ends:\n" + strings.Join(all[max(0, len(all)-lines):], "\n")
}

// connect logs in to every node of a lease.
func connect(ctx context.Context, s store, l lease, ttl time.Duration) (*Cluster, error) {
	k, err := readKeys(s.cluster(l.Name))
	if err != nil {
		return nil, fmt.Errorf("read the cluster's keys: %w", err)
	}
	configs := make([]control.Config, len(l.Nodes))
	for i, n := range l.Nodes {
		configs[i] = sshConfig(n, k)
	}
	c := &Cluster{name: l.Name, client: l.Client, notes: l.Notes, down: func(ctx context.Context) error { return s.tearDown(ctx, l.Name, l.ID) }}
	hosts, err := connectAll(ctx, configs)
	if err != nil {
		return nil, err
	}
	lease := node.Lease{Owner: l.Name + "-" + token(4), TTL: ttl}
	if lease.TTL <= 0 {
		lease.TTL = node.DefaultLease
	}
	sums := &checksums{}
	for i, h := range hosts {
		c.nodes = append(c.nodes, &Node{
			Host: h, addr: l.Nodes[i].Addr, program: []string{node.BinaryPath}, protect: []int{sshPort}, lease: lease, sums: sums,
		})
	}
	c.start(lease.TTL)
	return c, nil
}

func sshConfig(n nodeLease, k keys) control.Config {
	return control.Config{
		Name: n.Name, Addr: n.Addr, Port: sshPort, User: "root", Signers: []ssh.Signer{k.client}, HostKey: k.host.PublicKey(),
		ConnectTimeout: connectTimeout,
	}
}

// connectAll logs in to all hosts at once. On error it closes those it reached.
func connectAll(ctx context.Context, configs []control.Config) ([]*control.SSH, error) {
	hosts := make([]*control.SSH, len(configs))
	var g errgroup.Group
	errs := make([]error, len(configs))
	for i, cfg := range configs {
		g.Go(func() error {
			hosts[i], errs[i] = control.Connect(ctx, cfg)
			return nil
		})
	}
	_ = g.Wait() // the errors are in errs
	if err := errors.Join(errs...); err != nil {
		for _, h := range hosts {
			if h != nil {
				h.Close()
			}
		}
		return nil, err
	}
	return hosts, nil
}

// meet makes sure that each node reaches the next one: a firewall on the host may filter bridges.
func (c *Cluster) meet(ctx context.Context) error {
	return c.each(func(n *Node) error {
		for i, other := range c.nodes {
			if other != n {
				continue
			}
			next := c.nodes[(i+1)%len(c.nodes)]
			conn, err := n.Dial(ctx, net.JoinHostPort(next.Addr(), strconv.Itoa(sshPort)))
			if err != nil {
				return fmt.Errorf("%s can't reach %s: a firewall on this machine may filter bridges (sysctl net.bridge.bridge-nf-call-iptables; iptables -L FORWARD): allow %s, or set that to 0: %w",
					n.Name(), next.Name(), c.client, err)
			}
			conn.Close()
		}
		return nil
	})
}

// down ends what was made so far.
func (e *embedded) down(ctx context.Context) error {
	l := e.lease.snapshot()
	return e.store.tearDown(ctx, l.Name, l.ID)
}
