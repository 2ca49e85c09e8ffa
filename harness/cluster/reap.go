package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/faultline/faultline/internal/node"
)

const (
	// endBound bounds how long the kernel may take to end a node's processes.
	endBound = 15 * time.Second
	// buryBound bounds how long to wait for a node's first process to be reaped after its end.
	buryBound = time.Second
)

// Info is what is known of an embedded cluster without connecting to it.
type Info struct {
	Name string `json:"name"`
	// Kept: it ends only by being taken down; else with its owner.
	Kept       bool       `json:"kept"`
	Owner      Owner      `json:"owner"`
	OwnerAlive bool       `json:"owner_alive"`
	Created    time.Time  `json:"created"`
	Subnet     string     `json:"subnet"`
	Client     string     `json:"client"`
	Dir        string     `json:"dir"`
	Nodes      []NodeInfo `json:"nodes"`
}

// NodeInfo is a node of an Info.
type NodeInfo struct {
	Name  string `json:"name"`
	Addr  string `json:"addr"`
	Alive bool   `json:"alive"`
	// PID is the node's first process, as this machine numbers it.
	PID int `json:"pid"`
}

// Leftover tells whether the next command removes it: its owner is dead, and it was not to be kept.
func (i Info) Leftover() bool { return !i.Kept && !i.OwnerAlive }

// Describe says in a line whose it is and how it is.
func (i Info) Describe() string {
	whose := fmt.Sprintf("of process %d", i.Owner.PID)
	switch {
	case i.Kept:
		whose = "kept"
	case !i.OwnerAlive:
		whose += ", which is dead: the next command removes it"
	}
	alive := 0
	for _, n := range i.Nodes {
		if n.Alive {
			alive++
		}
	}
	return fmt.Sprintf("%d of %d nodes alive in %s, up since %s, %s", alive, len(i.Nodes), i.Subnet, i.Created.Format(time.DateTime)+" UTC", whose)
}

// List tells the embedded clusters of this machine, by name.
func List(_ context.Context) ([]Info, error) {
	s := openStore()
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	names, _, err := s.names()
	if err != nil {
		return nil, fmt.Errorf("list clusters: %w", err)
	}
	var infos []Info
	for _, name := range names {
		l, err := s.read(name)
		if errors.Is(err, errNoCluster) {
			continue // it has gone since
		}
		if err != nil {
			return nil, fmt.Errorf("list clusters: %w", err)
		}
		infos = append(infos, s.info(l, boot))
	}
	return infos, nil
}

func (s store) info(l lease, boot string) Info {
	i := Info{
		Name: l.Name, Kept: l.Kept, Owner: l.Owner, OwnerAlive: l.Owner.alive(boot), Created: l.Created,
		Subnet: l.Subnet, Client: l.Client, Dir: s.cluster(l.Name),
	}
	for _, n := range l.Nodes {
		alive := l.Owner.BootID == boot && n.Init.Alive()
		i.Nodes = append(i.Nodes, NodeInfo{Name: n.Name, Addr: n.Addr, Alive: alive, PID: n.Init.PID})
	}
	return i
}

// Reap removes what is left of the clusters whose owner is dead and that were not to be kept, and tells their names. It
// touches nothing else, and may run at any time, also several times at once.
func Reap(ctx context.Context) ([]string, error) { return reapAll(ctx, openStore()) }

func reapAll(ctx context.Context, s store) ([]string, error) {
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	names, _, err := s.names()
	if err != nil {
		return nil, err
	}
	var reaped []string
	var errs []error
	for _, name := range names {
		l, err := s.read(name)
		switch {
		case errors.Is(err, errNoCluster):
		case err != nil:
			errs = append(errs, err)
		case l.leftover(boot):
			if err := s.tearDown(ctx, name, l.ID); err != nil {
				errs = append(errs, fmt.Errorf("remove what is left of cluster %s: %w", name, err))
				continue
			}
			reaped = append(reaped, name)
		}
	}
	errs = append(errs, s.clearLimbo(ctx, boot))
	return reaped, errors.Join(errs...)
}

// clearLimbo removes the directories that a killed command was making or removing.
func (s store) clearLimbo(ctx context.Context, boot string) error {
	_, inLimbo, err := s.names()
	if err != nil || len(inLimbo) == 0 {
		return err
	}
	// With the lock held nobody is making one, and removing one twice does no harm.
	return s.locked(ctx, func() error {
		var errs []error
		for _, dir := range inLimbo {
			errs = append(errs, removeTree(dir))
		}
		return errors.Join(errs...)
	})
}

// Heal undoes every fault in an embedded cluster and tells what it undid. If nobody owns the cluster any more, it removes it.
func Heal(ctx context.Context, name string) ([]string, error) {
	s := openStore()
	l, err := s.read(name)
	if err != nil {
		return nil, fmt.Errorf("heal cluster %s: %w", name, err)
	}
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	if l.leftover(boot) {
		if err := s.tearDown(ctx, name, l.ID); err != nil {
			return nil, fmt.Errorf("remove what is left of cluster %s: %w", name, err)
		}
		return []string{fmt.Sprintf("cluster %s removed: its driver, process %d, is dead", name, l.Owner.PID)}, nil
	}
	c, err := Attach(ctx, name)
	if err != nil {
		return nil, err
	}
	undone, err := c.Heal(ctx)
	return undone, errors.Join(err, c.Close())
}

// Down ends an embedded cluster by its name, whether its nodes can be reached or not. One that is not there is no error.
func Down(ctx context.Context, name string) error {
	s := openStore()
	l, err := s.read(name)
	if errors.Is(err, errNoCluster) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.tearDown(ctx, name, l.ID)
}

// tearDown removes everything that the lease names, if the cluster of this name still is the one with this id. Each step
// may find its work done.
func (s store) tearDown(ctx context.Context, name, id string) error {
	l, err := s.read(name)
	if errors.Is(err, errNoCluster) || (err == nil && l.ID != id) {
		return nil
	}
	if err != nil {
		return err
	}
	boot, err := bootID()
	if err != nil {
		return err
	}
	if l.Owner.BootID == boot { // a reboot has ended all but the files
		if err := endNodes(ctx, l.Nodes); err != nil {
			return err
		}
		for _, n := range l.Nodes {
			if err := removeLink(n.Veth); err != nil {
				return err
			}
		}
		if err := removeLink(l.Bridge); err != nil {
			return err
		}
	}
	if err := s.remove(ctx, l); err != nil {
		return fmt.Errorf("remove its files: %w", err)
	}
	return nil
}

// endNodes kills the nodes' first processes: the kernel then ends every process of their namespaces before it lets them go.
func endNodes(ctx context.Context, nodes []nodeLease) error {
	for _, n := range nodes {
		if err := kill(n.Init); err != nil {
			return fmt.Errorf("end node %s: %w", n.Name, err)
		}
	}
	for _, n := range nodes {
		what := fmt.Sprintf("end of node %s (process %d)", n.Name, n.Init.PID)
		if err := await(ctx, endBound, what, func() (bool, error) { return !n.Init.Alive(), nil }); err != nil {
			return err
		}
		// Its parent, or whoever inherited it, reaps it. If that one is negligent, an empty shell stays; nothing can be done.
		_ = await(ctx, buryBound, what, func() (bool, error) {
			now, err := node.Identify(n.Init.PID)
			return err != nil || now != n.Init, nil
		})
	}
	return nil
}

// kill kills one process and never another one that was given its number since.
func kill(id node.Identity) error {
	if !id.Alive() {
		return nil
	}
	fd, err := unix.PidfdOpen(id.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if !id.Alive() { // the descriptor may be of a successor
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}
