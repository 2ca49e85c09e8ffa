package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/control"
)

var _ harness.Node = (*Node)(nil)

// needRoot skips where namespaces can't be made, and gives the test a state directory of its own.
func needRoot(t testing.TB) context.Context {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for namespaces")
	}
	t.Setenv(StateEnv, t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// up makes a cluster that the test's end takes down.
func up(t testing.TB, ctx context.Context, o Options) *Cluster {
	t.Helper()
	c, err := Up(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), downBound)
		defer cancel()
		if err := c.Down(ctx); err != nil {
			t.Errorf("down: %v", err)
		}
	})
	return c
}

// traces is what a cluster of this name has on the machine, by kind.
func traces(t *testing.T, l lease) []string {
	t.Helper()
	var found []string
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if strings.Contains(link.Attrs().Name, l.ID) {
			found = append(found, "link "+link.Attrs().Name)
		}
	}
	for _, n := range l.Nodes {
		if n.Init.Alive() {
			found = append(found, fmt.Sprintf("process %d", n.Init.PID))
		}
	}
	dir := openStore().cluster(l.Name)
	for _, d := range []string{dir, openStore().limbo(l)} {
		if _, err := os.Stat(d); err == nil {
			found = append(found, "directory "+d)
		}
	}
	// Every mount namespace of the machine, through one of its processes.
	processes, _ := filepath.Glob("/proc/[0-9]*/mountinfo")
	for _, p := range processes {
		text, err := os.ReadFile(p)
		if err == nil && strings.Contains(string(text), dir) {
			found = append(found, "mount in "+p)
		}
	}
	return found
}

func leaseOf(t *testing.T, name string) lease {
	t.Helper()
	l, err := openStore().read(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// namespacesOf are the identities of a process's namespaces.
func namespacesOf(t *testing.T, pid int) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, kind := range []string{"net", "mnt", "pid", "uts", "ipc"} {
		id, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
		if err != nil {
			t.Fatal(err)
		}
		all[id] = true
	}
	return all
}

// inNamespaces are the processes of the machine that are in one of them.
func inNamespaces(all map[string]bool) []string {
	var found []string
	links, _ := filepath.Glob("/proc/[0-9]*/ns/*")
	for _, l := range links {
		if id, err := os.Readlink(l); err == nil && all[id] {
			found = append(found, l)
		}
	}
	return found
}

func TestUpAndDownLeaveNothing(t *testing.T) {
	ctx := needRoot(t)
	began := time.Now()
	c := up(t, ctx, Options{Nodes: 3, Name: "a"})
	t.Logf("3 nodes up and reached in %v", time.Since(began))
	l := leaseOf(t, "a")
	spaces := map[string]bool{}
	for _, n := range l.Nodes {
		for id := range namespacesOf(t, n.Init.PID) {
			spaces[id] = true
		}
	}
	if len(spaces) != 3*5 {
		t.Errorf("three nodes have %d namespaces of five kinds, not 15", len(spaces))
	}
	for _, n := range c.Nodes() {
		out, err := n.Run(ctx, control.Cmd{Args: []string{"sh", "-c", "hostname; cat /proc/sys/net/ipv4/tcp_rto_max_ms; touch /srv/mark /tmp/mark; sleep 1000 </dev/null >/dev/null 2>&1 & echo $$"}})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(out.Stdout), n.Name()+"\n1000\n") {
			t.Errorf("%s says %q", n.Name(), out.Stdout)
		}
	}
	for range 2 {
		if err := c.Down(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if left := append(traces(t, l), inNamespaces(spaces)...); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	for _, f := range []string{"/srv/mark", "/tmp/mark"} {
		if _, err := os.Stat(f); err == nil {
			t.Errorf("what a node wrote to %s shows on the host", f)
		}
	}
}

func TestTwoClustersSideBySide(t *testing.T) {
	ctx := needRoot(t)
	type made struct {
		c   *Cluster
		err error
	}
	results := make(chan made)
	for _, name := range []string{"a", "b"} {
		go func() {
			c, err := Up(ctx, Options{Nodes: 2, Name: name})
			results <- made{c, err}
		}()
	}
	var both []*Cluster
	for range 2 {
		r := <-results
		if r.err != nil {
			t.Fatal(r.err)
		}
		t.Cleanup(func() { _ = r.c.Down(context.WithoutCancel(ctx)) })
		both = append(both, r.c)
	}
	if both[0].ClientAddr() == both[1].ClientAddr() {
		t.Fatalf("both clusters have the driver at %s", both[0].ClientAddr())
	}
	if _, err := Up(ctx, Options{Nodes: 1, Name: "a"}); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("a third cluster with a name in use: %v", err)
	}
	l := leaseOf(t, both[0].Name())
	if err := both[0].Down(ctx); err != nil {
		t.Fatal(err)
	}
	if left := traces(t, l); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if _, err := both[1].Nodes()[0].Run(ctx, control.Cmd{Args: []string{"true"}}); err != nil {
		t.Errorf("the other cluster's node after one went down: %v", err)
	}
}

func TestKilledDriverIsReaped(t *testing.T) {
	ctx := needRoot(t)
	driver := exec.CommandContext(ctx, os.Args[0], "test-driver", "a")
	out, err := driver.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	driver.Stderr = os.Stderr
	if err := driver.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "up\n" {
		t.Fatalf("the driver says %q, %v", line, err)
	}
	l := leaseOf(t, "a")
	other := up(t, ctx, Options{Nodes: 1, Name: "b"})
	if reaped, err := Reap(ctx); err != nil || len(reaped) != 0 {
		t.Fatalf("with its driver alive, reaped %q, %v", reaped, err)
	}
	if err := driver.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = driver.Wait()
	if !l.Nodes[0].Init.Alive() {
		t.Error("the node died with its driver: nothing could be looked at any more")
	}
	spaces := namespacesOf(t, l.Nodes[0].Init.PID)
	for _, expected := range []string{"[a]", "[]"} {
		reaped, err := Reap(ctx)
		if err != nil || fmt.Sprint(reaped) != expected {
			t.Errorf("reaped %q, %v; not %s", reaped, err, expected)
		}
	}
	if left := append(traces(t, l), inNamespaces(spaces)...); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if _, err := other.Nodes()[0].Run(ctx, control.Cmd{Args: []string{"true"}}); err != nil {
		t.Errorf("the other cluster was hit: %v", err)
	}
}

func TestKeptClusterOutlivesItsDriver(t *testing.T) {
	ctx := needRoot(t)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), downBound)
		defer cancel()
		if err := Down(ctx, "kept"); err != nil {
			t.Error(err)
		}
	})
	if out, err := exec.CommandContext(ctx, os.Args[0], "test-keeper", "kept").CombinedOutput(); err != nil {
		t.Fatalf("%s, %v", out, err)
	}
	l := leaseOf(t, "kept")
	if reaped, err := Reap(ctx); err != nil || len(reaped) != 0 {
		t.Fatalf("reaped %q, %v", reaped, err)
	}
	again, err := Attach(ctx, "kept")
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Nodes()[0].Cut(ctx, "p", peerRule("", false)); err != nil {
		t.Fatal(err)
	}
	for _, expected := range []int{1, 0} {
		if undone, err := Heal(ctx, "kept"); err != nil || len(undone) != expected {
			t.Errorf("healed %q, %v", undone, err)
		}
	}
	if err := again.Down(ctx); err != nil {
		t.Fatal(err)
	}
	if left := traces(t, l); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if _, err := Attach(ctx, "kept"); !errors.Is(err, errNoCluster) {
		t.Errorf("attached to what is gone: %v", err)
	}
}

func TestInstall(t *testing.T) {
	ctx := needRoot(t)
	n := up(t, ctx, Options{Nodes: 1, Name: "a"}).Nodes()[0]
	// The nodes' /tmp is their own, so what is there must be sent.
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho one\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"one", "two"} {
		if err := os.WriteFile(program, []byte("#!/bin/sh\necho "+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			at, err := n.Install(ctx, program)
			if err != nil {
				t.Fatal(err)
			}
			out, err := n.Run(ctx, control.Cmd{Args: []string{at}})
			if err != nil || string(out.Stdout) != text+"\n" {
				t.Errorf("%s says %q, %v", at, out.Stdout, err)
			}
		}
	}
	// What the node sees at the same path is used from there.
	if at, err := n.Install(ctx, "/bin/true"); err != nil || at != "/bin/true" {
		t.Errorf("installed /bin/true at %q, %v", at, err)
	}
	if err := os.Chmod(program, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Install(ctx, program); !errors.Is(err, errNotExecutable) {
		t.Errorf("a file that can't run was installed: %v", err)
	}
}

// TestNodeCanNotHarmTheMachine: what has no namespace is out of a node's reach.
func TestNodeCanNotHarmTheMachine(t *testing.T) {
	ctx := needRoot(t)
	n := up(t, ctx, Options{Nodes: 1, Name: "a"}).Nodes()[0]
	var exit *control.ExitError
	// To the time that it is: were the guard broken, no harm would come of this test.
	if _, err := n.Run(ctx, control.Cmd{Args: []string{"sh", "-c", `date -s "@$(date +%s)"`}}); !errors.As(err, &exit) {
		t.Errorf("a node set the machine's clock: %v", err)
	}
	if _, err := n.Run(ctx, control.Cmd{Args: []string{"ls", openStore().dir + "/clusters"}}); !errors.As(err, &exit) {
		t.Errorf("a node sees the driver's state: %v", err)
	}
	if err := unix.Kill(leaseOf(t, "a").Nodes[0].Init.PID, 0); err != nil {
		t.Error(err)
	}
}
