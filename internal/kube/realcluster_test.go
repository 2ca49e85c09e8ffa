//go:build kubebinaries

// A control plane takes minutes to build: these tests are run where it is there, with
//
//	FAULTLINE_TEST_KUBE_BINARIES=DIR go test -tags kubebinaries ./internal/kube

package kube

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/cluster"
	"github.com/faultline/faultline/internal/etcd"
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

// binariesFolder names a folder with kube-apiserver, kube-controller-manager, kube-scheduler, hollow, etcd, and kubectl, if that is to be
// tried too.
const binariesFolder = "FAULTLINE_TEST_KUBE_BINARIES"

// realOptions are those of a control plane on an embedded cluster.
func realOptions(t *testing.T, nodes int) Options {
	t.Helper()
	dir := os.Getenv(binariesFolder)
	if dir == "" || os.Geteuid() != 0 {
		t.Fatalf("a real control plane needs root and its programs in a folder that $%s names", binariesFolder)
	}
	c, err := cluster.Up(t.Context(), cluster.Options{Nodes: nodes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	o := Options{
		Binaries: Binaries{
			Version: "test", APIServer: filepath.Join(dir, APIServer), ControllerManager: filepath.Join(dir, ControllerManager),
			Scheduler: filepath.Join(dir, Scheduler), Hollow: filepath.Join(dir, "hollow"),
		},
		Etcd: etcd.Binary{Path: filepath.Join(dir, "etcd")}, Token: "test",
	}
	for _, n := range c.Nodes() {
		o.Nodes = append(o.Nodes, harness.Node(n))
	}
	return o
}
