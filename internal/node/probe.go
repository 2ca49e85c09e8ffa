package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/creack/pty"
	"github.com/vishvananda/netlink"
)

// ProbeRequest asks whether this kernel can carry an embedded node.
type ProbeRequest struct {
	// Dir is an empty directory where the node's files would be; Binary the faultline executable.
	Dir    string `json:"dir"`
	Binary string `json:"binary"`
}

// runProbe sets up a node as runInit does, in namespaces that end with it, and answers with a list of Check. Nobody can
// connect to that node.
func runProbe(_ context.Context, c call) error {
	if os.Getpid() != 1 {
		return errors.New("it must be the first process of new namespaces")
	}
	var q ProbeRequest
	if err := json.NewDecoder(c.stdin).Decode(&q); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	runtime.LockOSThread()
	return json.NewEncoder(c.stdout).Encode(probe(q))
}

func probe(q ProbeRequest) []Check {
	const link, cidr = "probe1", "192.0.2.2/24"
	checks := []Check{
		checked("namespaces", "network, mount, process, host name and IPC", nil, ""),
		checked("bridge and veth", "a network cable on a bridge", probeLinks("probe0", link), "modprobe bridge veth"),
	}
	if !checks[1].OK {
		return checks
	}
	_, err := setUp(InitRequest{Name: "probe", Dir: q.Dir, Hide: q.Dir, Binary: q.Binary, Link: link, CIDR: cidr})
	checks = append(checks, checked("overlay", "a node's root over / with its files in "+q.Dir, err,
		"use a kernel with overlayfs, and a state directory on ext4, xfs or btrfs (set FAULTLINE_STATE)"))
	if err != nil {
		return checks
	}
	return append(checks, checkTerminal(), CheckNFT(), CheckRetransmit())
}

// probeLinks makes a bridge and a cable with one end in it.
func probeLinks(name, peer string) error {
	bridge := &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs()}
	bridge.Name = "probe"
	if err := netlink.LinkAdd(bridge); err != nil {
		return fmt.Errorf("make a bridge: %w", err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex = name, bridge.Index
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: peer}); err != nil {
		return fmt.Errorf("make a veth pair: %w", err)
	}
	return nil
}

func checkTerminal() Check {
	master, slave, err := pty.Open()
	if err == nil {
		err = errors.Join(master.Close(), slave.Close())
	}
	return checked("terminals", "a pseudo-terminal", err, "use a kernel with devpts (CONFIG_UNIX98_PTYS)")
}
