package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
)

// HelloAnswer is what a driver must know of a host that it has not made.
type HelloAnswer struct {
	// Client and Server are the two ends of the SSH session, as the host sees them; the port is what no fault may touch.
	Client     string `json:"client"`
	Server     string `json:"server"`
	ServerPort int    `json:"server_port"`
	// Networks are the host's addresses with their prefix lengths, without loopback and link-local ones, in the kernel's order.
	Networks []string `json:"networks"`
}

func (s state) hello(_ context.Context, _ None) (HelloAnswer, error) {
	var a HelloAnswer
	if uid := os.Geteuid(); uid != 0 {
		return a, fmt.Errorf("this runs as user %d, and faults need root: log in as root, or use sudo", uid)
	}
	session, err := sshSession(os.Getpid())
	if err != nil {
		return a, err
	}
	a.Client, a.Server, a.ServerPort = session.client, session.server, session.port
	interfaces, err := net.Interfaces()
	if err != nil {
		return a, err
	}
	for _, i := range interfaces {
		addrs, err := i.Addrs()
		if err != nil {
			return a, fmt.Errorf("addresses of %s: %w", i.Name, err)
		}
		for _, addr := range addrs {
			n, ok := addr.(*net.IPNet)
			if ok && i.Flags&net.FlagUp != 0 && n.IP.IsGlobalUnicast() {
				a.Networks = append(a.Networks, n.String())
			}
		}
	}
	return a, nil
}

// sshEnds is the SSH session that a process runs in.
type sshEnds struct {
	client, server string
	port           int
}

var errNoSession = errors.New("not in an SSH session: neither this process nor one it descends from has SSH_CONNECTION set or holds a TCP connection")

// sshSession finds the SSH session that a process runs in: the nearest ancestor that has it in its environment, or that
// holds a TCP connection. sudo hides the variable from what it runs, and where it does not stay as a parent, it is
// the SSH server itself that is found, by its connection.
func sshSession(pid int) (sshEnds, error) {
	const generations = 32
	for range generations {
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil {
			break // a process of another user, or the first one's parent
		}
		for v := range strings.SplitSeq(string(env), "\x00") {
			if text, ok := strings.CutPrefix(v, "SSH_CONNECTION="); ok {
				return parseConnection(text)
			}
		}
		if ends, ok := connectionOf(pid); ok {
			return ends, nil
		}
		if pid, err = parentOf(pid); err != nil || pid == 0 {
			break
		}
	}
	return sshEnds{}, errNoSession
}

// parseConnection reads SSH_CONNECTION: the client's address and port, the server's address and port; see ssh(1).
func parseConnection(text string) (sshEnds, error) {
	fields := strings.Fields(text)
	if len(fields) != 4 {
		return sshEnds{}, fmt.Errorf("SSH_CONNECTION is %q, not two addresses with ports", text)
	}
	port, err := strconv.Atoi(fields[3])
	if err != nil {
		return sshEnds{}, fmt.Errorf("SSH_CONNECTION is %q: %w", text, err)
	}
	return sshEnds{client: fields[0], server: fields[2], port: port}, nil
}

func parentOf(pid int) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "PPid:"); ok {
			return strconv.Atoi(strings.TrimSpace(value))
		}
	}
	return 0, fmt.Errorf("/proc/%d/status names no parent", pid)
}

// protected are the ports that no cut may name: those given, and the one of the session that asks for it.
func protected(given []int) []int {
	session, err := sshSession(os.Getpid())
	if err != nil {
		return given
	}
	return append(slices.Clone(given), session.port)
}
