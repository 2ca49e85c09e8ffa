package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"time"

	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/internal/node"
)

// RemoteOptions are hosts that exist already.
type RemoteOptions struct {
	// Name is the cluster's; empty: remote.
	Name string
	// Hosts are how to log in to each; their names must differ.
	Hosts []control.Config
	// Addrs are the addresses that the hosts and the clients use among themselves, by host. Empty: they are found.
	Addrs map[string]string
	// Binary is the path of the faultline executable, built for the hosts' Linux; empty: this program's.
	Binary string
	// Progress, where not nil, is told in words what has been done. It may be called from several goroutines.
	Progress func(string)
	// Lease is how long faults last without a sign of life from this process; 0: node.DefaultLease.
	Lease time.Duration
}

// Remote connects to hosts: by SSH as their configurations say, as root or by sudo. It sends them the faultline executable,
// unless they have it, and changes nothing else there. Down ends what was started on them.
func Remote(ctx context.Context, o RemoteOptions) (*Cluster, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	hosts, err := connectAll(ctx, o.Hosts)
	if err != nil {
		return nil, err
	}
	c := &Cluster{name: o.Name}
	c.down = c.clean
	lease := node.Lease{Owner: o.Name + "-" + token(4), TTL: o.Lease}
	sums := &checksums{}
	for i, h := range hosts {
		// The port as the driver sees it; that of the node's side, which may differ behind NAT, comes with its hello.
		port := o.Hosts[i].Port
		if port == 0 {
			port = sshPort
		}
		c.nodes = append(c.nodes, &Node{Host: h, protect: []int{port}, lease: lease, sums: sums})
	}
	c.start(lease.TTL)
	if err := c.move(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("cluster %s: %w", o.Name, err), c.Close())
	}
	return c, nil
}

func (o *RemoteOptions) fill() error {
	if len(o.Hosts) == 0 {
		return errors.New("no hosts given: name them in an inventory or an ssh_config")
	}
	seen := map[string]bool{}
	for _, h := range o.Hosts {
		if seen[h.Name] {
			return fmt.Errorf("host %s is given twice", h.Name)
		}
		seen[h.Name] = true
	}
	if o.Name == "" {
		o.Name = "remote"
	}
	if o.Lease <= 0 {
		o.Lease = node.DefaultLease
	}
	if o.Binary == "" {
		var err error
		if o.Binary, err = os.Executable(); err != nil {
			return fmt.Errorf("find the faultline executable: %w", err)
		}
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	return nil
}

// move brings the node's half of Faultline to the hosts and learns their addresses.
func (c *Cluster) move(ctx context.Context, o RemoteOptions) error {
	hellos := make([]node.HelloAnswer, len(c.nodes))
	index := map[*Node]int{}
	for i, n := range c.nodes {
		index[n] = i
	}
	err := c.each(func(n *Node) error {
		if err := n.bootstrap(ctx, o.Binary); err != nil {
			return err
		}
		a, err := call[node.HelloAnswer](ctx, n, "hello", node.None{}, true)
		if err != nil {
			return err
		}
		n.protect = append(n.protect, a.ServerPort)
		hellos[index[n]] = a
		o.Progress(n.Name() + " has faultline")
		return nil
	})
	if err != nil {
		return err
	}
	return c.settle(ctx, o, hellos)
}

// bootstrap sends the faultline executable, unless it is there. Only coreutils are there to compare it with.
func (n *Node) bootstrap(ctx context.Context, binary string) error {
	sum, err := n.sums.of(binary)
	if err != nil {
		return fmt.Errorf("the faultline executable: %w", err)
	}
	at := path.Join(binDir, "faultline-"+sum[:sumLength])
	there, err := n.hasFile(ctx, at, sum)
	if err == nil && !there {
		if err = n.send(ctx, binary, at); err == nil {
			there, err = n.hasFile(ctx, at, sum)
		}
	}
	if err == nil && !there {
		err = fmt.Errorf("what arrived at %s has another checksum than %s", at, sum)
	}
	if err != nil {
		return fmt.Errorf("%s: send the faultline executable: %w", n.Name(), err)
	}
	n.program = []string{at}
	out, err := n.Run(ctx, control.Cmd{Args: []string{at, "node", "processes"}, Idempotent: true})
	if err != nil {
		return fmt.Errorf("%s: %s does not run there (is it built for that machine? it says %q): %w", n.Name(), binary, out.Stdout, err)
	}
	return nil
}

func (n *Node) hasFile(ctx context.Context, at, sum string) (bool, error) {
	out, err := n.Run(ctx, control.Cmd{Args: []string{"sha256sum", "--", at}, Idempotent: true})
	var exit *control.ExitError
	if errors.As(err, &exit) && exit.Code == 1 { // it can't be read: it is not there
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return strings.HasPrefix(string(out.Stdout), sum), nil
}

// clean ends everything that was started on the hosts, and forgets it there.
func (c *Cluster) clean(ctx context.Context) error {
	return c.each(func(n *Node) error {
		if len(n.program) == 0 {
			return nil // it never came that far
		}
		_, err := call[node.Healed](ctx, n, "clean", node.None{}, true)
		if errors.Is(err, control.ErrClosed) {
			return nil // down before
		}
		return err
	})
}
