package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/faultline/faultline/harness/control"
)

// Check is one thing that a machine needs, as tested on it.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	// Fix is what to do; empty where it is well.
	Fix string `json:"fix,omitempty"`
}

// retransmitBound is what net.ipv4.tcp_rto_max_ms should be: connections then notice within about a second that a cut was healed.
const retransmitBound = 1000

const (
	freeBytesMin = 1 << 30
	openFilesMin = 4096
)

// check tests what faults on this node need.
func (s state) check(ctx context.Context, _ None) ([]Check, error) {
	return []Check{
		checkRoot(), s.checkState(ctx), CheckNFT(), CheckRetransmit(), CheckFree("/opt"), CheckOpenFiles(), s.checkFaults(),
	}, nil
}

// checked is well without an error.
func checked(name, detail string, err error, fix string) Check {
	if err != nil {
		return Check{Name: name, Detail: err.Error(), Fix: fix}
	}
	return Check{Name: name, OK: true, Detail: detail}
}

func checkRoot() Check {
	var err error
	if uid := os.Geteuid(); uid != 0 {
		err = fmt.Errorf("user %d", uid)
	}
	return checked("root", "root", err, "log in as root, or allow the user sudo without a password")
}

func (s state) checkState(ctx context.Context) Check {
	err := s.locked(ctx, func() error { return WriteJSON(s.path("check.json"), None{}) })
	err = errors.Join(err, removeFile(s.path("check.json")))
	return checked("state", s.dir, err, "make "+s.dir+" writable for root")
}

// CheckNFT cuts and restores links in a table that nothing else uses. The rules match only a reserved address, and a loopback
// address at the discard port.
func CheckNFT() Check {
	const discard = 9 // the discard protocol's port
	table := fmt.Sprintf("faultline-check-%d", os.Getpid())
	rules := []control.CutRule{
		{From: "192.0.2.1", Ports: []int{discard}},
		{From: "192.0.2.1", Ports: []int{discard}, Reset: true},
		{To: "127.255.255.254", Ports: []int{discard}},
	}
	err := addChain(table, "check", rules)
	if err == nil {
		var counts []control.CutCount
		counts, _, err = countChain(table, "check")
		if err == nil && len(counts) != len(rules) {
			err = fmt.Errorf("%d rules of %d came back", len(counts), len(rules))
		}
	}
	_, undone := removeTable(table)
	return checked("nftables", "drop and reset, with counters", errors.Join(err, undone),
		"use a kernel with nf_tables (inet, reject): modprobe nf_tables nft_reject_inet")
}

// CheckRetransmit reads the bound of TCP's retransmission time-out in this network namespace.
func CheckRetransmit() Check {
	const name = "retransmission"
	text, err := os.ReadFile("/proc/sys/net/ipv4/tcp_rto_max_ms")
	if err != nil {
		return checked(name, "", errors.New("this kernel has no net.ipv4.tcp_rto_max_ms"),
			"use Linux 6.15 or later, or a quiet period that is at least as long as the longest partition")
	}
	ms, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err == nil && ms > retransmitBound {
		err = fmt.Errorf("net.ipv4.tcp_rto_max_ms is %d", ms)
	}
	return checked(name, fmt.Sprintf("at most %d ms", ms), err,
		fmt.Sprintf("sysctl -w net.ipv4.tcp_rto_max_ms=%d before the system starts, or use a quiet period that is at least as long as the longest partition", retransmitBound))
}

// CheckFree tests that the file system of a path, or of what there is of it, has room.
func CheckFree(path string) Check {
	var st unix.Statfs_t
	err := unix.Statfs(path, &st)
	for errors.Is(err, unix.ENOENT) && path != "/" {
		path = path[:max(1, strings.LastIndexByte(path, '/'))]
		err = unix.Statfs(path, &st)
	}
	free := st.Bavail * uint64(st.Bsize)
	if err == nil && free < freeBytesMin {
		err = fmt.Errorf("%d MiB free on %s", free>>20, path)
	}
	return checked("disk", fmt.Sprintf("%d MiB free on %s", free>>20, path), err, "free 1 GiB there")
}

// CheckOpenFiles tests how many files a process may open.
func CheckOpenFiles() Check {
	var l unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l)
	if err == nil && l.Cur < openFilesMin {
		err = fmt.Errorf("%d", l.Cur)
	}
	return checked("open files", strconv.FormatUint(l.Cur, 10), err, fmt.Sprintf("ulimit -n %d", openFilesMin))
}

func (s state) checkFaults() Check {
	faults, err := s.journaled()
	if err == nil && len(faults) > 0 {
		err = fmt.Errorf("%d faults of an earlier run are in force", len(faults))
	}
	return checked("faults", "none in force", err, "faultline heal")
}
