package cluster

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/faultline/faultline/internal/node"
)

// TestMain makes the test's binary stand in for faultline: it is what the nodes run.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "sudo" {
		fmt.Fprintln(os.Stderr, sudo(os.Args[1:]))
		os.Exit(1)
	}
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "node":
			exit(node.Main(context.Background(), os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
		case "test-echo":
			fmt.Println(echo(os.Args[2]))
			os.Exit(1)
		case "test-driver":
			fmt.Println(drive(os.Args[2]))
			os.Exit(1)
		case "test-keeper":
			if _, err := Up(context.Background(), Options{Nodes: 1, Name: os.Args[2], Keep: true}); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// exit ends a node's process at once: with the race detector built in, os.Exit would take a second each time.
func exit(code int) {
	_, _, _ = unix.RawSyscall(unix.SYS_EXIT_GROUP, uintptr(code), 0, 0)
}

// sudo runs a command as root with a clean environment, as the real one does with -n and --.
func sudo(args []string) error {
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		args = args[1:]
	}
	if err := syscall.Setuid(0); err != nil {
		return err
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	return syscall.Exec(path, args, []string{"PATH=" + os.Getenv("PATH"), "HOME=/root"})
}

// echo answers every connection with what it says.
func echo(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			_, _ = io.Copy(conn, conn)
		}()
	}
}

// drive is a driver that ups a cluster, says so, and waits to be killed.
func drive(name string) error {
	c, err := Up(context.Background(), Options{Nodes: 2, Name: name})
	if err != nil {
		return err
	}
	if err := c.Nodes()[0].Cut(context.Background(), "cut", peerRule(c.Nodes()[1].Addr(), false)); err != nil {
		return err
	}
	fmt.Println("up")
	select {}
}
