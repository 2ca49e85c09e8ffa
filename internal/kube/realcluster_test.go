package kube

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/cluster"
	"github.com/faultline/faultline/internal/etcd"
	"github.com/faultline/faultline/internal/kube/install"
	half "github.com/faultline/faultline/internal/node"
)

// TestMain makes the test's binary stand in for faultline: it is what the nodes run.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "node" {
		// At once: with the race detector built in, os.Exit would take a second each time.
		code := half.Main(context.Background(), os.Args[2:], os.Stdin, os.Stdout, os.Stderr)
		_, _, _ = unix.RawSyscall(unix.SYS_EXIT_GROUP, uintptr(code), 0, 0)
	}
	os.Exit(m.Run())
}

// programs are a real control plane's: from the user's cache, or installed there, which takes minutes once.
var programs = sync.OnceValues(func() (o Options, err error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return o, err
	}
	dir = filepath.Join(dir, "faultline")
	say := func(s string) { fmt.Fprintln(os.Stderr, s) }
	o.Binaries, err = install.Installer{Cache: dir, Progress: say}.Install(context.Background(), "1.36", nil)
	if err != nil {
		return o, err
	}
	o.Etcd, err = etcd.Installer{Cache: dir, Progress: say}.Install(context.Background(), "3.6", "")
	return o, err
})

// realOptions are those of a control plane on an embedded cluster.
func realOptions(t testing.TB, nodes int) Options {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for namespaces")
	}
	o, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	o.Token = "test"
	c, err := cluster.Up(t.Context(), cluster.Options{Nodes: nodes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for _, n := range c.Nodes() {
		o.Nodes = append(o.Nodes, harness.Node(n))
	}
	return o
}
