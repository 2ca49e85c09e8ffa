package etcd

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/control"
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

var flagLine = regexp.MustCompile(`(?m)^\s*--?([a-z][a-z0-9-]*)\b`)

// knownFlags asks a binary on a node which flags it has.
func knownFlags(ctx context.Context, n harness.Node, binary string) (map[string]bool, error) {
	out, err := n.Run(ctx, control.Cmd{Args: []string{binary, "--help"}, Idempotent: true})
	var exit *control.ExitError
	if errors.As(err, &exit) {
		out, err = exit.Output, nil // some versions print the help and exit with 2
	}
	if err != nil {
		return nil, fmt.Errorf("ask etcd for its flags: %w", err)
	}
	flags := map[string]bool{}
	for _, text := range [][]byte{out.Stdout, out.Stderr} {
		for _, m := range flagLine.FindAllSubmatch(text, -1) {
			flags[string(m[1])] = true
		}
	}
	if !flags["initial-cluster"] {
		return nil, fmt.Errorf("%s --help on %s does not look like etcd's: %q", binary, n.Name(), lastBytes(append(out.Stdout, out.Stderr...), 300))
	}
	return flags, nil
}

// grant turns wishes into arguments, leaving out what the binary does not know.
func grant(wishes []wish, known map[string]bool) []string {
	var args []string
	for _, w := range wishes {
		if i := slices.IndexFunc(w.names, func(n string) bool { return known[n] }); i >= 0 {
			args = append(args, "--"+w.names[i]+"="+w.value)
		}
	}
	return args
}

// arguments is the command line of a node's etcd.
func (s *System) arguments(m *member, known map[string]bool) []string {
	cluster := make([]string, len(s.members))
	for i, o := range s.members {
		cluster[i] = o.node.Name() + "=" + o.peerURL()
	}
	clients := m.clientURL()
	if m.adminAddr() != m.clientAddr() {
		clients += ",http://" + m.adminAddr()
	}
	args := []string{
		m.binary,
		"--name=" + m.node.Name(),
		"--data-dir=" + s.dataDir(),
		"--listen-peer-urls=" + m.peerURL(),
		"--initial-advertise-peer-urls=" + m.peerURL(),
		"--listen-client-urls=" + clients,
		"--advertise-client-urls=" + m.clientURL(),
		"--initial-cluster=" + strings.Join(cluster, ","),
		"--initial-cluster-token=" + s.o.Token,
		"--initial-cluster-state=new",
		fmt.Sprintf("--heartbeat-interval=%d", s.o.Heartbeat.Milliseconds()),
		fmt.Sprintf("--election-timeout=%d", s.o.Election.Milliseconds()),
		"--log-level=" + s.o.LogLevel,
	}
	args = append(args, grant(always, known)...)
	if s.o.Profile == ProfileStress {
		args = append(args, grant(stressWishes, known)...)
	}
	return append(args, s.o.Args...) // last, so that they win
}
