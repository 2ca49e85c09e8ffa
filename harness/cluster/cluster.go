// Package cluster is where nodes come from: namespaces on this machine, each with its own address, processes, file
// system and SSH server, or hosts that an inventory or an ssh_config names. Either way everything reaches them over SSH.
//
// What an embedded cluster makes on this machine is named in its lease before it is made, so nothing leaks: any later
// command removes what a killed driver left.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/faultline/faultline/internal/node"
)

const (
	// MaxNodes is the most nodes that an embedded cluster may have.
	MaxNodes = 7
	// DefaultNodes is how many it has if nobody says.
	DefaultNodes = 3
	// downBound bounds how long cleaning up may take where the caller's time is over already.
	downBound = 30 * time.Second
)

// Options are what Up makes.
type Options struct {
	// Nodes is how many: 1 to MaxNodes; 0: DefaultNodes. They are n1, n2, ….
	Nodes int
	// Name is the cluster's; empty: one that is not in use.
	Name string
	// Keep: the cluster outlives this process, and ends only by Down.
	Keep bool
	// Binary is the path of the faultline executable; empty: this program's.
	Binary string
	// Progress, where not nil, is told in words what has been done. It may be called from several goroutines.
	Progress func(string)
	// Lease is how long faults last without a sign of life from this process; 0: node.DefaultLease.
	Lease time.Duration
}

// Cluster is a set of nodes, connected. Safe for concurrent use.
type Cluster struct {
	name   string
	client string
	notes  []string
	nodes  []*Node
	// down ends the cluster itself, once the connections are closed.
	down func(context.Context) error
	// renewing ends the signs of life.
	renewing context.CancelFunc
	renewed  sync.WaitGroup
}

// Up makes an embedded cluster and returns when every node was reached by SSH. It takes root. On error nothing is left.
func Up(ctx context.Context, o Options) (*Cluster, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	s := openStore()
	if _, err := reapAll(ctx, s); err != nil {
		o.Progress("leftovers of an earlier cluster remain: " + err.Error())
	}
	e, err := newEmbedded(ctx, s, o)
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", o.Name, err)
	}
	c, err := e.up(ctx)
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), downBound)
		defer cancel()
		return nil, fmt.Errorf("cluster %s: %w", o.Name, errors.Join(err, e.down(ctx)))
	}
	return c, nil
}

func (o *Options) fill() error {
	if o.Nodes == 0 {
		o.Nodes = DefaultNodes
	}
	if o.Nodes < 1 || o.Nodes > MaxNodes {
		return fmt.Errorf("an embedded cluster has 1 to %d nodes, not %d", MaxNodes, o.Nodes)
	}
	if o.Name == "" {
		o.Name = "c" + token(4)
	}
	if !clusterName.MatchString(o.Name) {
		return fmt.Errorf("cluster name %q: 1 to 32 small letters, digits and '-'", o.Name)
	}
	if os.Geteuid() != 0 {
		return errors.New("an embedded cluster needs root, for namespaces and mounts: run it with sudo, or use hosts of your own over SSH")
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

// Attach connects to an embedded cluster that another process made.
func Attach(ctx context.Context, name string) (*Cluster, error) {
	s := openStore()
	l, err := s.read(name)
	if err != nil {
		return nil, fmt.Errorf("attach to cluster %s: %w", name, err)
	}
	c, err := connect(ctx, s, l, node.DefaultLease)
	if err != nil {
		return nil, fmt.Errorf("attach to cluster %s: %w", name, err)
	}
	return c, nil
}

// Name is the cluster's.
func (c *Cluster) Name() string { return c.name }

// Nodes are the cluster's, in order.
func (c *Cluster) Nodes() []*Node { return c.nodes }

// ClientAddr is the address that this driver's own connections to the nodes come from, as the nodes see it.
func (c *Cluster) ClientAddr() string { return c.client }

// Notes are shortcomings of the nodes that a run can live with but its reader should know.
func (c *Cluster) Notes() []string { return c.notes }

// Heal undoes every fault on every node, and tells what it undid, by node. It goes on after errors.
func (c *Cluster) Heal(ctx context.Context) ([]string, error) {
	var mu sync.Mutex
	undone := []string{}
	err := c.each(func(n *Node) error {
		u, err := n.Heal(ctx)
		mu.Lock()
		defer mu.Unlock()
		for _, what := range u {
			undone = append(undone, n.Name()+": "+what)
		}
		return err
	})
	return undone, err
}

// each does something with every node at once; its error has all nodes' errors.
func (c *Cluster) each(do func(*Node) error) error {
	errs := make([]error, len(c.nodes))
	var g errgroup.Group
	for i, n := range c.nodes {
		g.Go(func() error {
			errs[i] = do(n)
			return nil
		})
	}
	_ = g.Wait() // the errors are in errs
	return errors.Join(errs...)
}

// Close ends the connections; the nodes go on. Faults that are in force last until their lease is over. Safe to call
// more than once.
func (c *Cluster) Close() error {
	c.renewing()
	c.renewed.Wait()
	return c.each(func(n *Node) error { return n.Close() })
}

// Down ends the cluster. Embedded, nothing of it is left: no process, namespace, mount, network interface or file.
// Hosts are left as they were found. It is safe to call at any time, more than once.
func (c *Cluster) Down(ctx context.Context) error {
	c.renewing()
	return errors.Join(c.down(ctx), c.Close())
}

// start begins the signs of life.
func (c *Cluster) start(lease time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	c.renewing = cancel
	every := lease / renewalsPerLease
	c.renewed.Go(func() {
		repeat(ctx, every, func() {
			_ = c.each(func(n *Node) error { // a node that is out of reach now is tried again; if for too long, its watchdog acts
				ctx, cancel := context.WithTimeout(ctx, every)
				defer cancel()
				return n.renew(ctx)
			})
		})
	})
}
