package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/faultline/faultline/internal/node"
)

// reachBound bounds a try whether an address is reached.
const reachBound = 3 * time.Second

// settle gives the hosts their addresses: those that were given, else the first of the networks they share on which the
// driver reaches all of them, and they reach each other.
func (c *Cluster) settle(ctx context.Context, o RemoteOptions, hellos []node.HelloAnswer) error {
	given := make([]string, len(o.Hosts))
	for i, h := range o.Hosts {
		given[i] = o.Addrs[h.Name]
	}
	candidates, err := addressings(given, hellos)
	if err != nil {
		return err
	}
	var errs []error
	for _, addrs := range candidates {
		for i, n := range c.nodes {
			n.addr = addrs[i]
		}
		err := c.reachable(ctx, hellos)
		if err == nil {
			c.client, err = clientAddr(ctx, addrs[0], hellos[0])
			return err
		}
		errs = append(errs, err)
	}
	return fmt.Errorf("no network on which the driver reaches the hosts and they reach each other; give each host its address: %w", errors.Join(errs...))
}

// addressings are the ways to address the hosts, the likeliest first. Each has an address for every host, in their order.
func addressings(given []string, hellos []node.HelloAnswer) ([][]string, error) {
	if !slices.Contains(given, "") {
		return [][]string{given}, nil
	}
	if slices.ContainsFunc(given, func(a string) bool { return a != "" }) {
		return nil, errors.New("some hosts are given an address and some are not: give all of them one, or none")
	}
	var all [][]string
	// Hosts as they were logged in to, where that tells them apart: the address works, at least for SSH.
	control := make([]string, len(hellos))
	for i, h := range hellos {
		control[i] = h.Server
	}
	for _, addrs := range sharedNetworks(hellos) {
		if !slices.Equal(addrs, control) {
			all = append(all, addrs)
		}
	}
	// A network of their own first: Vagrant's machines have one beside that of the log-in.
	private := func(addrs []string) bool {
		a, err := netip.ParseAddr(addrs[0])
		return err == nil && a.IsPrivate()
	}
	slices.SortStableFunc(all, func(a, b []string) int {
		switch {
		case private(a) == private(b):
			return 0
		case private(a):
			return -1
		}
		return 1
	})
	if len(hellos) == 1 {
		// Nobody else is there to share a network with; container bridges would look like one.
		all = append([][]string{control}, all...)
	} else if distinct(control) {
		all = append(all, control)
	}
	if len(all) == 0 {
		return nil, errors.New("the hosts share no network on which each has an address of its own: give each host its address")
	}
	return all, nil
}

// sharedNetworks are the networks that all hosts are in with an address of their own.
func sharedNetworks(hellos []node.HelloAnswer) [][]string {
	at := map[netip.Prefix][]string{}
	var order []netip.Prefix
	for i, h := range hellos {
		for _, text := range h.Networks {
			p, err := netip.ParsePrefix(text)
			if err != nil {
				continue
			}
			network := p.Masked()
			if i == 0 && at[network] == nil {
				order = append(order, network)
			}
			if len(at[network]) == i { // the first of a host's addresses in it
				at[network] = append(at[network], p.Addr().String())
			}
		}
	}
	var shared [][]string
	for _, network := range order {
		if len(at[network]) == len(hellos) && distinct(at[network]) {
			shared = append(shared, at[network])
		}
	}
	return shared
}

func distinct(addrs []string) bool {
	sorted := slices.Sorted(slices.Values(addrs))
	return len(slices.Compact(sorted)) == len(addrs)
}

// reachable tries every node's address from the driver and from the node before it.
func (c *Cluster) reachable(ctx context.Context, hellos []node.HelloAnswer) error {
	return c.each(func(n *Node) error {
		ctx, cancel := context.WithTimeout(ctx, reachBound)
		defer cancel()
		i := slices.Index(c.nodes, n)
		target := net.JoinHostPort(n.addr, strconv.Itoa(hellos[i].ServerPort))
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", target)
		if err == nil {
			conn.Close()
		} else if !errors.Is(err, unix.ECONNREFUSED) { // a refusal is an answer: it is reached
			return fmt.Errorf("the driver does not reach %s at %s: %w", n.Name(), n.addr, err)
		}
		before := c.nodes[(i+len(c.nodes)-1)%len(c.nodes)]
		conn, err = before.Dial(ctx, target)
		if err == nil {
			conn.Close()
		} else if !strings.Contains(strings.ToLower(err.Error()), "refused") {
			return fmt.Errorf("%s does not reach %s at %s: %w", before.Name(), n.Name(), n.addr, err)
		}
		return nil
	})
}

// clientAddr is where the driver's connections come from, as a host sees them.
func clientAddr(ctx context.Context, addr string, h node.HelloAnswer) (string, error) {
	if addr == h.Server {
		return h.Client, nil // whatever is in between, the host has seen it
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "udp", net.JoinHostPort(addr, "9")) // asks for the route, sends nothing
	if err != nil {
		return "", fmt.Errorf("find the driver's address on the way to %s: %w", addr, err)
	}
	defer conn.Close()
	host, _, err := net.SplitHostPort(conn.LocalAddr().String())
	return host, err
}
