package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// setUpLinks brings up the loopback and the node's own interface, which becomes eth0.
func setUpLinks(link, cidr string) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	eth, err := netlink.LinkByName(link)
	if err != nil {
		return fmt.Errorf("find %s: %w", link, err)
	}
	if err := netlink.LinkSetName(eth, "eth0"); err != nil {
		return fmt.Errorf("name %s eth0: %w", link, err)
	}
	addr, err := netlink.ParseAddr(cidr)
	if err != nil {
		return fmt.Errorf("address %q: %w", cidr, err)
	}
	if err := netlink.AddrAdd(eth, addr); err != nil {
		return fmt.Errorf("give eth0 the address %s: %w", cidr, err)
	}
	if err := netlink.LinkSetUp(eth); err != nil {
		return fmt.Errorf("set eth0 up: %w", err)
	}
	return nil
}

// mount is one line of what is mounted over the node's root.
type mount struct {
	source, target, kind string
	flags                uintptr
	options              string
}

// setUpRoot makes the driver's / the lower and the node's own directory the upper layer of a new root: the node sees
// every program of the machine and writes only into its directory. Nothing of it shows outside of its namespace.
func setUpRoot(q InitRequest) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	dirs := map[string]string{}
	for _, name := range []string{"upper", "work", "root", "tmp"} {
		dirs[name] = filepath.Join(q.Dir, name)
		if err := os.MkdirAll(dirs[name], 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(dirs["tmp"], 0o777|os.ModeSticky); err != nil {
		return err
	}
	root := dirs["root"]
	layers := fmt.Sprintf("lowerdir=/,upperdir=%s,workdir=%s", dirs["upper"], dirs["work"])
	if err := unix.Mount("overlay", root, "overlay", 0, layers); err != nil {
		return fmt.Errorf("mount an overlay of / with its upper layer in %s (that must be on ext4, xfs or btrfs): %w", q.Dir, err)
	}
	mounts := []mount{
		{"proc", "proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"sysfs", "sys", "sysfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_RDONLY, ""},
		{"dev", "dev", "tmpfs", unix.MS_NOSUID, "mode=755,size=64k"},
		{"run", "run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=755"},
		{dirs["tmp"], "tmp", "", unix.MS_BIND, ""},
		{"hidden", q.Hide, "tmpfs", unix.MS_RDONLY, "mode=755,size=4k"},
	}
	for _, m := range mounts {
		if err := m.at(root); err != nil {
			return err
		}
	}
	if err := setUpDev(filepath.Join(root, "dev")); err != nil {
		return err
	}
	if err := bindBinary(q.Binary, root); err != nil {
		return err
	}
	if err := writeEtc(root, q); err != nil {
		return err
	}
	return enter(root)
}

func (m mount) at(root string) error {
	target := filepath.Join(root, m.target)
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(m.source, target, m.kind, m.flags, m.options); err != nil {
		return fmt.Errorf("mount %s at /%s: %w", m.source, m.target, err)
	}
	return nil
}

// devices are the nodes of /dev that programs expect, with their numbers from the kernel's devices.txt.
func devices() map[string][2]uint32 {
	return map[string][2]uint32{
		"null": {1, 3}, "zero": {1, 5}, "full": {1, 7}, "random": {1, 8}, "urandom": {1, 9},
		"tty": {5, 0}, "fuse": {10, 229}, "net/tun": {10, 200},
	}
}

func setUpDev(dev string) error {
	for name, number := range devices() {
		path := filepath.Join(dev, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(number[0], number[1]))); err != nil {
			return fmt.Errorf("make /dev/%s: %w", name, err)
		}
		if err := os.Chmod(path, 0o666); err != nil { // whatever the umask
			return err
		}
	}
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2", "ptmx": "pts/ptmx",
	} {
		if err := os.Symlink(target, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	for _, m := range []mount{
		{"devpts", "pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620"},
		{"shm", "shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
		{"mqueue", "mqueue", "mqueue", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	} {
		if err := m.at(dev); err != nil && m.kind != "mqueue" { // not every kernel has message queues, and few need them
			return err
		}
	}
	return nil
}

// bindBinary shows the faultline executable at BinaryPath, wherever and on whichever file system the driver has it.
func bindBinary(binary, root string) error {
	target := filepath.Join(root, BinaryPath)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(target, os.O_CREATE|os.O_RDONLY, 0o755)
	if err != nil {
		return err
	}
	f.Close()
	if err := unix.Mount(binary, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("show %s at %s: %w", binary, BinaryPath, err)
	}
	return nil
}

func writeEtc(root string, q InitRequest) error {
	for name, text := range map[string]string{"hosts": q.Hosts, "hostname": q.Name + "\n"} {
		path := filepath.Join(root, "etc", name)
		// A new file, not the one that a symbolic link may lead to.
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// enter makes root the namespace's root and lets go of the old one, by stacking the two on one place; see pivot_root(2).
func enter(root string) error {
	if err := unix.Chdir(root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot into the new root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("let go of the old root: %w", err)
	}
	return unix.Chdir("/")
}
