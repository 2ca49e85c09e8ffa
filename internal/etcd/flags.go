package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/internal/binaries"
)

// Profiles are sets of flags: stock is etcd's own defaults, stress makes rare paths common (snapshots
// every hundred entries, followers that need one soon, compaction in tiny batches).
const (
	ProfileStock  = "stock"
	ProfileStress = "stress"
)

// Profiles are the names that Options.Profile may have, the default first.
func Profiles() []string { return []string{ProfileStock, ProfileStress} }

// wish is a flag to set if the binary has it, by the first of its names that the binary knows.
type wish struct {
	names []string
	value string
}

// stressWishes are the stress profile. Names changed between 3.5, which has the experimental ones only,
// and 3.7, which has dropped them; 3.4 lacks some.
var stressWishes = []wish{
	{[]string{"snapshot-count"}, "100"},
	{[]string{"snapshot-catchup-entries", "experimental-snapshot-catchup-entries"}, "100"},
	{[]string{"compaction-batch-limit", "experimental-compaction-batch-limit"}, "10"},
}

// always are set in every profile. JSON logs are what LogEvidence reads; 3.4 needs to be asked for them.
var always = []wish{
	{[]string{"logger"}, "zap"},
}

// grant turns wishes into arguments, leaving out what a binary does not know. It is asked flag by flag, with --version: it
// parses the flags first, and the help is no guide (3.5's does not tell of experimental-snapshot-catchup-entries).
func grant(ctx context.Context, n harness.Node, binary string, wishes []wish) ([]string, error) {
	var args []string
	for _, w := range wishes {
		for _, name := range w.names {
			arg := "--" + name + "=" + w.value
			out, err := n.Run(ctx, control.Cmd{Args: []string{binary, arg, "--version"}, Idempotent: true})
			var exit *control.ExitError
			if errors.As(err, &exit) && strings.Contains(exit.StderrTail+string(exit.Output.Stderr), "flag provided but not defined") {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("ask etcd whether it has the flag --%s: %w", name, err)
			}
			if !question.Line.Match(out.Stdout) {
				return nil, fmt.Errorf("%s --version on %s does not print %s but %q", binary, n.Name(), question.What, binaries.LastBytes(out.Stdout, 200))
			}
			args = append(args, arg)
			break
		}
	}
	return args, nil
}

// arguments is the command line of a node's etcd.
func (s *System) arguments(ctx context.Context, m *member) ([]string, error) {
	wishes := always
	if s.o.Profile == ProfileStress {
		wishes = slices.Concat(always, stressWishes)
	}
	granted, err := grant(ctx, m.node, m.binary, wishes)
	if err != nil {
		return nil, err
	}
	cluster := make([]string, len(s.members))
	for i, o := range s.members {
		cluster[i] = o.node.Name() + "=" + s.peerURL(o)
	}
	args := []string{
		m.binary,
		"--name=" + m.node.Name(),
		"--data-dir=" + s.dataDir(),
		"--listen-peer-urls=" + s.peerURL(m),
		"--initial-advertise-peer-urls=" + s.peerURL(m),
		"--listen-client-urls=" + strings.Join(s.listenClients(m), ","),
		"--advertise-client-urls=" + s.url(m.clientAddr()),
		"--initial-cluster=" + strings.Join(cluster, ","),
		"--initial-cluster-token=" + s.o.Token,
		"--initial-cluster-state=new",
		fmt.Sprintf("--heartbeat-interval=%d", s.o.Heartbeat.Milliseconds()),
		fmt.Sprintf("--election-timeout=%d", s.o.Election.Milliseconds()),
		"--log-level=" + s.o.LogLevel,
	}
	return slices.Concat(args, s.tlsArgs(), granted, s.o.Args), nil // the user's last, so that they win
}
