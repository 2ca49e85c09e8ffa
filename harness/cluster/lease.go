package cluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/faultline/faultline/internal/node"
)

// StateEnv names the environment variable that replaces DefaultState.
const StateEnv = "FAULTLINE_STATE"

// DefaultState is where embedded clusters keep their leases and their nodes' files.
const DefaultState = "/var/lib/faultline"

// leaseVersion is the format of lease files.
const leaseVersion = 1

// lockBound bounds how long one command waits for another that changes which clusters there are.
const lockBound = 30 * time.Second

// lease names everything that an embedded cluster made on this machine, each before it was made, and whose it is: so any
// later command can remove what a killed driver left, and nothing else.
type lease struct {
	Version int    `json:"version"`
	ID      string `json:"id"`
	Name    string `json:"name"`
	// Kept: the cluster outlives its driver and ends only by being taken down.
	Kept    bool        `json:"kept"`
	Owner   Owner       `json:"owner"`
	Created time.Time   `json:"created"`
	Bridge  string      `json:"bridge"`
	Subnet  string      `json:"subnet"`
	Client  string      `json:"client"`
	Nodes   []nodeLease `json:"nodes"`
	Notes   []string    `json:"notes,omitempty"`
}

type nodeLease struct {
	Name string `json:"name"`
	Addr string `json:"addr"`
	// Veth is the driver's end of the node's network cable; Peer the node's, until the node calls it eth0.
	Veth string `json:"veth"`
	Peer string `json:"peer"`
	// Init is the node's first process. It is not known before it runs, but it ends by itself if its driver dies
	// before having written it here.
	Init node.Identity `json:"init,omitzero"`
}

// Owner is the process that a cluster belongs to.
type Owner struct {
	node.Identity
	// BootID tells this start of the machine from others: after one, nothing of a cluster but its files is left.
	BootID string `json:"boot_id"`
}

func self() (Owner, error) {
	id, err := node.Identify(os.Getpid())
	if err != nil {
		return Owner{}, fmt.Errorf("identify this process: %w", err)
	}
	boot, err := bootID()
	return Owner{Identity: id, BootID: boot}, err
}

func bootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("identify this start of the machine: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// alive tells whether the owner still runs.
func (o Owner) alive(boot string) bool { return o.BootID == boot && o.Alive() }

// leftover tells whether nobody wants the cluster any more.
func (l lease) leftover(boot string) bool { return !l.Kept && !l.Owner.alive(boot) }

// store is the directory with all clusters of this machine.
//
//	lock                     held while a cluster's directory appears or disappears
//	clusters/NAME/lease.json
//	clusters/.NAME-ID        a cluster's directory that is about to appear, or to be removed
type store struct{ dir string }

func openStore() store {
	if dir := os.Getenv(StateEnv); dir != "" {
		return store{dir: dir}
	}
	return store{dir: DefaultState}
}

func (s store) clusters() string           { return filepath.Join(s.dir, "clusters") }
func (s store) cluster(name string) string { return filepath.Join(s.clusters(), name) }
func (s store) limbo(l lease) string {
	return filepath.Join(s.clusters(), "."+l.Name+"-"+l.ID)
}

func leasePath(dir string) string { return filepath.Join(dir, "lease.json") }

var clusterName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// errNoCluster says that there is no cluster of a name.
var errNoCluster = errors.New("no such cluster")

func (s store) read(name string) (lease, error) {
	if !clusterName.MatchString(name) {
		return lease{}, fmt.Errorf("cluster name %q: 1 to 32 small letters, digits and '-'", name)
	}
	return readLease(s.cluster(name))
}

func readLease(dir string) (lease, error) {
	var l lease
	found, err := node.ReadJSON(leasePath(dir), &l)
	if err != nil {
		return l, fmt.Errorf("read lease: %w", err)
	}
	if !found {
		return l, fmt.Errorf("%s: %w", filepath.Base(dir), errNoCluster)
	}
	if l.Version != leaseVersion {
		return l, fmt.Errorf("%s has version %d, this program reads %d: use the faultline that made it", leasePath(dir), l.Version, leaseVersion)
	}
	return l, nil
}

func (s store) locked(ctx context.Context, f func() error) error {
	if err := os.MkdirAll(s.clusters(), 0o755); err != nil {
		return fmt.Errorf("make the state directory (choose another by %s): %w", StateEnv, err)
	}
	lock, err := node.Lock(ctx, filepath.Join(s.dir, "lock"), lockBound)
	if err != nil {
		return err
	}
	defer lock.Close()
	return f()
}

// create makes a cluster's directory, which appears with its lease in it.
func (s store) create(ctx context.Context, l lease) (dir string, err error) {
	dir = s.cluster(l.Name)
	return dir, s.locked(ctx, func() error {
		if old, err := readLease(dir); err == nil {
			whose := fmt.Sprintf("process %d", old.Owner.PID)
			if old.Kept {
				whose = "kept"
			}
			return fmt.Errorf("there is a cluster %s already (%s): take it down, or choose another name", l.Name, whose)
		}
		if err := os.MkdirAll(s.limbo(l), 0o755); err != nil {
			return err
		}
		if err := node.WriteJSON(leasePath(s.limbo(l)), l); err != nil {
			return fmt.Errorf("write lease: %w", err)
		}
		return os.Rename(s.limbo(l), dir)
	})
}

// remove removes a cluster's directory, unless that is another cluster's by now.
func (s store) remove(ctx context.Context, l lease) error {
	err := s.locked(ctx, func() error {
		now, err := readLease(s.cluster(l.Name))
		if errors.Is(err, errNoCluster) || (err == nil && now.ID != l.ID) {
			return nil
		}
		if err != nil {
			return err
		}
		return os.Rename(s.cluster(l.Name), s.limbo(l))
	})
	if err != nil {
		return err
	}
	return removeTree(s.limbo(l))
}

// removeTree removes a directory in which nothing is mounted: through a mount, it would remove what is not ours.
func removeTree(dir string) error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) > 4 && (fields[4] == dir || strings.HasPrefix(fields[4], dir+"/")) {
			return fmt.Errorf("%s is not removed: something is mounted at %s: umount it", dir, fields[4])
		}
	}
	return os.RemoveAll(dir)
}

// names are the clusters', and inLimbo the directories that a killed command was making or removing.
func (s store) names() (names, inLimbo []string, err error) {
	entries, err := os.ReadDir(s.clusters())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			inLimbo = append(inLimbo, filepath.Join(s.clusters(), e.Name()))
		} else {
			names = append(names, e.Name())
		}
	}
	return names, inLimbo, nil
}

// leaseFile is the lease of a cluster that this process is making. Safe for concurrent use.
type leaseFile struct {
	dir string
	mu  sync.Mutex
	lease
}

// change writes the lease with a change made to it.
func (f *leaseFile) change(edit func(*lease)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	edit(&f.lease)
	if err := node.WriteJSON(leasePath(f.dir), f.lease); err != nil {
		return fmt.Errorf("write lease: %w", err)
	}
	return nil
}

func (f *leaseFile) snapshot() lease {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.lease
	l.Nodes = slices.Clone(l.Nodes)
	return l
}

// token is a random name of n bytes in hexadecimal. Only uniqueness is asked of it: no run depends on it.
func token(n int) string {
	raw := make([]byte, n)
	rand.Read(raw) // never fails; see its documentation
	return hex.EncodeToString(raw)
}
