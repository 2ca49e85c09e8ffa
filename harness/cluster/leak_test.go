package cluster

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// firstProcesses are the living first processes of nodes that this test's binary started, whether a lease knows them or not.
func firstProcesses() []string {
	var found []string
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range all {
		text, err := os.ReadFile(p)
		if err == nil && strings.HasPrefix(string(text), os.Args[0]+"\x00node\x00init") {
			found = append(found, filepath.Dir(p))
		}
	}
	return found
}

func awaitNoFirstProcess(t *testing.T, ctx context.Context) {
	t.Helper()
	err := await(ctx, 5*time.Second, "end of the nodes' first processes", func() (bool, error) { return len(firstProcesses()) == 0, nil })
	if err != nil {
		t.Fatalf("%v: %q", err, firstProcesses())
	}
}

// TestDriverKilledAtAnyMoment kills drivers sooner and later on their way to a cluster: what they had made is in the lease.
func TestDriverKilledAtAnyMoment(t *testing.T) {
	ctx := needRoot(t)
	const kills = 12
	whole := 0
	for i := range kills {
		driver := exec.CommandContext(ctx, os.Args[0], "test-driver", "a")
		if err := driver.Start(); err != nil {
			t.Fatal(err)
		}
		delay := time.Duration(i) * 8 * time.Millisecond
		timer := time.NewTimer(delay)
		<-timer.C
		if err := driver.Process.Signal(unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = driver.Wait()
		l, err := openStore().read("a")
		switch {
		case errors.Is(err, errNoCluster): // killed before there was anything
		case err != nil:
			t.Fatalf("after %v: %v", delay, err)
		default:
			whole++
		}
		if _, err := Reap(ctx); err != nil {
			t.Fatalf("after %v: %v", delay, err)
		}
		awaitNoFirstProcess(t, ctx)
		if l.ID != "" {
			if left := traces(t, l); len(left) > 0 {
				t.Errorf("killed after %v, left behind: %q", delay, left)
			}
		}
		if names, limbo, err := openStore().names(); err != nil || len(names)+len(limbo) > 0 {
			t.Errorf("killed after %v, left behind: %q %q %v", delay, names, limbo, err)
		}
	}
	if whole == 0 || whole == kills {
		t.Logf("of %d kills, %d came after the lease", kills, whole)
	}
}

func TestUpCancelledAtAnyMoment(t *testing.T) {
	ctx := needRoot(t)
	failed := 0
	for i := range 12 {
		short, cancel := context.WithTimeout(ctx, time.Duration(i)*4*time.Millisecond)
		c, err := Up(short, Options{Nodes: 2, Name: "a"})
		cancel()
		if err == nil {
			err = c.Down(ctx)
			if err != nil {
				t.Fatal(err)
			}
			continue
		}
		failed++
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cancelled after %d ms, it says: %v", 4*i, err)
		}
		awaitNoFirstProcess(t, ctx)
		if names, limbo, err := openStore().names(); err != nil || len(names)+len(limbo) > 0 {
			t.Errorf("cancelled after %d ms, left behind: %q %q %v", 4*i, names, limbo, err)
		}
	}
	if failed == 0 {
		t.Error("none of them was cancelled in time")
	}
}

func TestListTellsWhoIsAlive(t *testing.T) {
	ctx := needRoot(t)
	c := up(t, ctx, Options{Nodes: 2, Name: "a"})
	infos, err := List(ctx)
	if err != nil || len(infos) != 1 {
		t.Fatalf("%v, %v", infos, err)
	}
	i := infos[0]
	if i.Name != "a" || !i.OwnerAlive || i.Leftover() || i.Client != c.ClientAddr() || len(i.Nodes) != 2 || !i.Nodes[1].Alive {
		t.Errorf("%+v", i)
	}
	if text := i.Describe(); !strings.HasPrefix(text, "2 of 2 nodes alive in 10.215.") {
		t.Error(text)
	}
	if err := kill(leaseOf(t, "a").Nodes[1].Init); err != nil {
		t.Fatal(err)
	}
	err = await(ctx, 5*time.Second, "end of n2", func() (bool, error) {
		infos, err := List(ctx)
		return err == nil && !infos[0].Nodes[1].Alive, err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestUpRefusesWhatCanNotBe(t *testing.T) {
	ctx := needRoot(t)
	for _, test := range []struct {
		o    Options
		want string
	}{
		{Options{Nodes: MaxNodes + 1}, "1 to 7 nodes"},
		{Options{Nodes: -1}, "1 to 7 nodes"},
		{Options{Name: "../etc"}, "cluster name"},
		{Options{Name: "a", Nodes: 1, Binary: "/nonexistent"}, "/nonexistent"},
		{Options{Name: "a", Nodes: 1, Binary: "/bin/true"}, "ended while it set itself up"},
	} {
		c, err := Up(ctx, test.o)
		if err == nil {
			t.Fatalf("%+v was accepted: %v", test.o, c.Down(ctx))
		}
		if !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v; not %q", test.o, err, test.want)
		}
		if names, _, err := openStore().names(); err != nil || len(names) > 0 {
			t.Errorf("%+v: left behind %q, %v", test.o, names, err)
		}
	}
}

// TestMountsAreNeverRemovedThrough: a directory that something is mounted in is not a cluster's to remove.
func TestMountsAreNeverRemovedThrough(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	inside := filepath.Join(dir, "inside")
	if err := os.Mkdir(inside, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("precious", inside, "tmpfs", 0, "size=4k"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Unmount(inside, unix.MNT_DETACH) }()
	precious := filepath.Join(inside, "file")
	if err := os.WriteFile(precious, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := removeTree(dir); err == nil || !strings.Contains(err.Error(), "umount") {
		t.Errorf("removed through a mount: %v", err)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
}
