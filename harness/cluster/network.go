package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// addressRange is where clusters take their /24 networks from: private (RFC 1918), and in a part of it that neither
// container runtimes nor home routers use by default.
const addressRange = "10.215.0.0/16"

// choosing is the name of the lock that is held from choosing a network until it is in use: a socket in the abstract name
// space. That belongs to the network namespace, as addresses do, and ends with its holder.
const choosing = "@faultline-choosing-addresses"

// choosingBound bounds how long to wait for others that choose.
const choosingBound = 20 * time.Second

func lockAddresses(ctx context.Context) (net.Listener, error) {
	var lock net.Listener
	var lc net.ListenConfig
	err := await(ctx, choosingBound, "lock on the machine's addresses", func() (bool, error) {
		l, err := lc.Listen(ctx, "unix", choosing)
		if errors.Is(err, unix.EADDRINUSE) {
			return false, nil
		}
		lock = l
		return err == nil, err
	})
	return lock, err
}

// freeNetwork finds a /24 that overlaps with no address and no route of this machine.
func freeNetwork() (netip.Prefix, error) {
	used, err := usedNetworks()
	if err != nil {
		return netip.Prefix{}, err
	}
	all := netip.MustParsePrefix(addressRange)
	base := all.Addr().As4()
next:
	for i := range 256 {
		candidate := netip.PrefixFrom(netip.AddrFrom4([4]byte{base[0], base[1], byte(i), 0}), 24)
		for _, u := range used {
			if u.Overlaps(candidate) {
				continue next
			}
		}
		return candidate, nil
	}
	return netip.Prefix{}, fmt.Errorf("no free /24 network in %s: take a cluster down, or remove the routes and addresses in it (ip route; ip addr)", addressRange)
}

func usedNetworks() ([]netip.Prefix, error) {
	var used []netip.Prefix
	add := func(n *net.IPNet) {
		if n == nil {
			return
		}
		if addr, ok := netip.AddrFromSlice(n.IP); ok {
			ones, _ := n.Mask.Size()
			if ones > 0 { // the default route overlaps with everything and uses nothing
				used = append(used, netip.PrefixFrom(addr.Unmap(), ones))
			}
		}
	}
	addrs, err := netlink.AddrList(nil, unix.AF_INET)
	if err != nil {
		return nil, fmt.Errorf("list the machine's addresses: %w", err)
	}
	for _, a := range addrs {
		add(a.IPNet)
	}
	routes, err := netlink.RouteList(nil, unix.AF_INET)
	if err != nil {
		return nil, fmt.Errorf("list the machine's routes: %w", err)
	}
	for _, r := range routes {
		add(r.Dst)
	}
	return used, nil
}

// host is the n-th address of a network.
func host(network netip.Prefix, n byte) netip.Addr {
	a := network.Addr().As4()
	a[3] = n
	return netip.AddrFrom4(a)
}

// makeBridge takes a free network and makes the bridge that joins its nodes and the driver. record is told before it does.
func makeBridge(ctx context.Context, name string, record func(netip.Prefix) error) (*netlink.Bridge, error) {
	lock, err := lockAddresses(ctx)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	network, err := freeNetwork()
	if err != nil {
		return nil, err
	}
	if err := record(network); err != nil {
		return nil, err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	// Without one of its own, a bridge changes its hardware address as nodes come, and their caches are wrong for a while.
	mac := network.Addr().As4()
	attrs.HardwareAddr = net.HardwareAddr{0x02, 0xfa, mac[0], mac[1], mac[2], 1}
	bridge := &netlink.Bridge{LinkAttrs: attrs}
	if err := netlink.LinkAdd(bridge); err != nil {
		return nil, fmt.Errorf("make bridge %s (it takes root and the kernel's bridge module: modprobe bridge): %w", name, err)
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: host(network, 1).AsSlice(), Mask: net.CIDRMask(24, 32)}}
	if err := netlink.AddrAdd(bridge, addr); err != nil {
		return nil, fmt.Errorf("give bridge %s the address %s: %w", name, addr.IPNet, err)
	}
	if err := netlink.LinkSetUp(bridge); err != nil {
		return nil, fmt.Errorf("set bridge %s up: %w", name, err)
	}
	// This bridge's frames are none of the host's IP filter's business.
	own := filepath.Join("/sys/class/net", name, "bridge", "nf_call_iptables")
	if err := os.WriteFile(own, []byte("0"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("keep the host's filter off bridge %s: %w", name, err)
	}
	return bridge, nil
}

// plug makes the cable between the bridge and the network namespace of a node's first process.
func plug(bridge *netlink.Bridge, n nodeLease, pid int) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = n.Veth
	attrs.MasterIndex = bridge.Attrs().Index
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: n.Peer, PeerNamespace: netlink.NsPid(pid)}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("make the network cable %s of node %s (it takes the kernel's veth module: modprobe veth): %w", n.Veth, n.Name, err)
	}
	if err := netlink.LinkSetUp(veth); err != nil {
		return fmt.Errorf("set %s up: %w", n.Veth, err)
	}
	return nil
}

// removeLink removes a network interface. One that is not there is no error.
func removeLink(name string) error {
	link, err := netlink.LinkByName(name)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return nil
	}
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove network interface %s: %w", name, err)
	}
	return nil
}
