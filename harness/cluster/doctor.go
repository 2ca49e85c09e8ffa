package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/faultline/faultline/internal/node"
)

// Check is one thing that a machine needs, as tested on it.
type Check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Detail is what was found.
	Detail string `json:"detail"`
	// Fix is what to do; empty where it is well.
	Fix string `json:"fix,omitempty"`
}

func fromNode(checks []node.Check) []Check {
	all := make([]Check, len(checks))
	for i, c := range checks {
		all[i] = Check(c)
	}
	return all
}

func checked(name, detail string, err error, fix string) Check {
	if err != nil {
		return Check{Name: name, Detail: err.Error(), Fix: fix}
	}
	return Check{Name: name, OK: true, Detail: detail}
}

// Doctor tests what embedded clusters need of this machine, by doing it: it sets a node up in namespaces of its own and
// throws it away. Nothing is left behind.
func Doctor(ctx context.Context) []Check { return doctor(ctx, "") }

// doctor runs Doctor's tests with another executable than this program's, where one is given.
func doctor(ctx context.Context, binary string) []Check {
	s := openStore()
	checks := []Check{checkRoot(), checkKernel()}
	if checks[0].OK {
		checks = append(checks, probe(ctx, s, binary)...)
	}
	checks = append(checks,
		checkAddresses(), Check(node.CheckFree(s.dir)), Check(node.CheckOpenFiles()), checkLeftovers(ctx), checkGo(ctx))
	return checks
}

func checkRoot() Check {
	var err error
	if uid := os.Geteuid(); uid != 0 {
		err = fmt.Errorf("user %d: what needs root was not tested", uid)
	}
	return checked("root", "root", err, "run it with sudo, or use hosts of your own over SSH")
}

func checkKernel() Check {
	var name unix.Utsname
	err := unix.Uname(&name)
	return checked("kernel", unix.ByteSliceToString(name.Sysname[:])+" "+unix.ByteSliceToString(name.Release[:]), err, "")
}

// probe sets up a node that nobody uses.
func probe(ctx context.Context, s store, binary string) []Check {
	var checks []Check
	err := s.locked(ctx, func() error { // so that no other command takes the directory for a leftover
		dir := filepath.Join(s.clusters(), ".probe-"+token(4))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		var err error
		checks, err = probeIn(ctx, dir, binary)
		return errors.Join(err, removeTree(dir))
	})
	if err != nil {
		checks = append(checks, checked("namespaces", "", err,
			"use a kernel with network, mount, process, UTS and IPC namespaces and overlayfs, not inside an unprivileged container"))
	}
	return checks
}

func probeIn(ctx context.Context, dir, binary string) ([]Check, error) {
	if binary == "" {
		var err error
		if binary, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("find the faultline executable: %w", err)
		}
	}
	log := filepath.Join(dir, "node.log")
	first, err := startFirst(binary, "probe", log)
	if err != nil {
		return nil, err
	}
	defer first.close()
	id, err := node.Identify(first.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, initBound)
	defer cancel()
	checks, err := ask[[]node.Check](ctx, first, node.ProbeRequest{Dir: dir, Binary: binary})
	if err != nil {
		err = fmt.Errorf("%w%s", err, endOfLog(log))
	}
	ended := endNodes(context.WithoutCancel(ctx), []nodeLease{{Name: "probe", Init: id}})
	return fromNode(checks), errors.Join(err, ended)
}

func checkAddresses() Check {
	network, err := freeNetwork()
	return checked("addresses", network.String()+" is free", err, "free a /24 network in "+addressRange)
}

func checkLeftovers(ctx context.Context) Check {
	infos, err := List(ctx)
	var dead []string
	for _, i := range infos {
		if i.Leftover() {
			dead = append(dead, i.Name)
		}
	}
	if err == nil && len(dead) > 0 {
		err = fmt.Errorf("clusters whose driver is dead: %s", strings.Join(dead, ", "))
	}
	return checked("leftovers", fmt.Sprintf("none; %d clusters in use", len(infos)), err, "faultline heal")
}

// checkGo: systems are built from source where no binary is given.
func checkGo(ctx context.Context) Check {
	out, err := exec.CommandContext(ctx, "go", "version").Output()
	return checked("go", strings.TrimSpace(string(out)), err, "install Go (https://go.dev/dl/), or give binaries of the system under test")
}
