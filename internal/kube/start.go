package kube

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/faultline/faultline/harness/control"
)

// Start puts programs and certificates on the nodes, starts etcd, then the API servers, then the rest, and returns when all of it is well and pods
// can be made. The run's folder must not exist yet: a control plane is started once.
func (s *System) Start(ctx context.Context) error {
	var both errgroup.Group
	both.Go(func() error { return s.each(func(n *node) error { return s.prepare(ctx, n) }) })
	both.Go(func() error { return s.etcd.Start(ctx) })
	if err := both.Wait(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.StartTimeout)
	defer cancel()
	all := s.started()
	if err := s.launchAll(ctx, all[:1]); err != nil {
		return err
	}
	servers := func(ctx context.Context) []problem { return s.serversUnwell(ctx) }
	if err := s.await(ctx, "become ready", all[:1], servers); err != nil {
		return err
	}
	if err := s.launchAll(ctx, all[1:]); err != nil {
		return err
	}
	first := s.newLook()
	return s.await(ctx, "become ready", all, func(ctx context.Context) []problem {
		if unwell := first.unwell(ctx); len(unwell) > 0 {
			return unwell
		}
		return s.namespacesUnwell(ctx)
	})
}

// launchAll starts processes on every node, those of one node one after the other.
func (s *System) launchAll(ctx context.Context, what []process) error {
	return s.each(func(n *node) error {
		for _, p := range what {
			if err := s.launch(ctx, n, p); err != nil {
				return err
			}
		}
		return nil
	})
}

// launch starts a process.
func (s *System) launch(ctx context.Context, n *node, p process) error {
	args := s.arguments(n, p)
	q := control.Process{Name: p.name, Args: args, Dir: s.dir(), Log: s.logFile(p.name)}
	if p.restart {
		q.Restart = restartDelay
	}
	n.mu.Lock()
	n.commands[p.name] = args
	n.mu.Unlock()
	if _, err := n.Start(ctx, q); err != nil {
		return s.explain(ctx, problem{n, p.name, fmt.Errorf("it would not start: %w", err)})
	}
	return nil
}

// prepare puts the programs and the run's folder on a node.
func (s *System) prepare(ctx context.Context, n *node) error {
	programs := map[string]string{}
	for _, p := range s.started() {
		local := s.files()[p.component]
		remote, err := n.Install(ctx, local)
		if err != nil {
			return fmt.Errorf("install %s on %s: %w", p.name, n.Name(), err)
		}
		programs[p.name] = remote
	}
	if err := s.makeFolder(ctx, n); err != nil {
		return err
	}
	for _, p := range s.started() {
		if err := s.run(ctx, n, "ln", "-s", programs[p.name], s.program(p.name)); err != nil {
			return err
		}
	}
	out, err := n.Run(ctx, control.Cmd{Args: []string{"uname", "-n"}, Idempotent: true})
	if err != nil {
		return fmt.Errorf("%s: its own name: %w", n.Name(), err)
	}
	n.mu.Lock()
	n.hostname = strings.ToLower(strings.TrimSpace(string(out.Stdout)))
	n.mu.Unlock()
	return nil
}

// makeFolder makes the run's folder, with the node's secrets in it, for root's eyes only.
func (s *System) makeFolder(ctx context.Context, n *node) error {
	if err := s.run(ctx, n, "mkdir", "-p", s.o.Dir); err != nil {
		return err
	}
	if err := s.run(ctx, n, "mkdir", "-m", "700", s.dir()); err != nil {
		return fmt.Errorf("the run's own folder: %w", err)
	}
	n.mu.Lock()
	n.made = true
	n.mu.Unlock()
	if err := s.run(ctx, n, "mkdir", path.Join(s.dir(), "bin")); err != nil {
		return err
	}
	archive, err := tarOf(s.secrets(n))
	if err != nil {
		return fmt.Errorf("certificates of %s: %w", n.Name(), err)
	}
	_, err = n.Run(ctx, control.Cmd{Args: []string{"tar", "-C", s.dir(), "-xf", "-"}, Stdin: bytes.NewReader(archive)})
	if err != nil {
		return fmt.Errorf("certificates of %s: %w", n.Name(), err)
	}
	return nil
}

// tarOf packs files that only their owner may read.
func tarOf(files map[string][]byte) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(files[name])), Format: tar.FormatPAX}); err != nil {
			return nil, err
		}
		if _, err := w.Write(files[name]); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

func (s *System) run(ctx context.Context, n *node, args ...string) error {
	if _, err := n.Run(ctx, control.Cmd{Args: args}); err != nil {
		return fmt.Errorf("%s: %w", n.Name(), err)
	}
	return nil
}
