package nemesis

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/faultline/faultline/internal/node"
)

// TestMain makes the test's binary stand in for faultline on the nodes, and for the system that runs there.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "node":
			// Not os.Exit: the race detector makes that sleep for a second.
			syscall.Exit(node.Main(context.Background(), os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
		case "test-echo":
			fmt.Println(echo(os.Args[2:]))
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// echo answers every connection to one of the addresses with what it says.
func echo(addrs []string) error {
	ended := make(chan error)
	for _, addr := range addrs {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					ended <- err
					return
				}
				go func() {
					defer conn.Close()
					_, _ = io.Copy(conn, conn)
				}()
			}
		}()
	}
	return <-ended
}
