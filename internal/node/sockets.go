package node

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// connectionOf finds an established TCP connection among a process's open files.
func connectionOf(pid int) (sshEnds, bool) {
	sockets := map[string]bool{}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return sshEnds{}, false
	}
	for _, f := range files {
		target, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, f.Name()))
		if inode, ok := strings.CutPrefix(target, "socket:["); err == nil && ok {
			sockets[strings.TrimSuffix(inode, "]")] = true
		}
	}
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if ends, inode, ok := parseSocket(line); ok && sockets[inode] {
				return ends, true
			}
		}
	}
	return sshEnds{}, false
}

// parseSocket reads a line of /proc/net/tcp or tcp6: the ends of an established connection, and its inode.
func parseSocket(line string) (sshEnds, string, bool) {
	const established = "01"
	fields := strings.Fields(line)
	if len(fields) < 10 || fields[3] != established {
		return sshEnds{}, "", false
	}
	local, err1 := parseEnd(fields[1])
	remote, err2 := parseEnd(fields[2])
	if err1 != nil || err2 != nil {
		return sshEnds{}, "", false
	}
	return sshEnds{client: remote.Addr().String(), server: local.Addr().String(), port: int(local.Port())}, fields[9], true
}

// parseEnd reads an address and port as the kernel shows them: the address as 32-bit words in the machine's byte order,
// which is little-endian on all that Faultline is built for.
func parseEnd(text string) (netip.AddrPort, error) {
	address, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	for word := range slices.Chunk(raw, 4) {
		slices.Reverse(word)
	}
	addr, ok := netip.AddrFromSlice(raw)
	number, err := strconv.ParseUint(port, 16, 16)
	if err != nil || !ok {
		return netip.AddrPort{}, fmt.Errorf("no address and port: %q", text)
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(number)), nil
}
