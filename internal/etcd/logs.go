package etcd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/alarms"
)

// logAlarms are what no etcd writes that is well. The levels are zap's, anchored to the field of the JSON line, so that the words in a message or an
// argument don't count.
var logAlarms = slices.Concat([]alarms.Alarm{
	{
		Name: "data corruption",
		Line: regexp.MustCompile(`"alarm":"CORRUPT"|data inconsistency|hash mismatch|different hash values|crc mismatch|checksum mismatch|database corruption|page \d+ already freed|invalid freelist`),
	},
	{Name: "panic", Line: regexp.MustCompile(`^\{"level":"panic"`)},
	{Name: "fatal", Line: regexp.MustCompile(`^\{"level":"fatal"`)},
}, alarms.GoRuntime)

// LogEvidence reads each node's log and returns an evidence operation for each line of alarm, at most 100 for a node, and
// one without a pattern for each log that was read to its end: it says that somebody looked.
func (s *System) LogEvidence(ctx context.Context) ([]history.Op, error) {
	found := make([][]history.Op, len(s.members))
	index := map[*member]int{}
	for i, m := range s.members {
		index[m] = i
	}
	err := s.each(func(m *member) error {
		if m.args == nil {
			return nil
		}
		ops, err := alarms.Search(ctx, m.node, Component, s.logFile(), logAlarms)
		if err != nil {
			return err
		}
		found[index[m]] = ops
		return nil
	})
	var all []history.Op
	for _, ops := range found {
		all = append(all, ops...)
	}
	return all, err
}

// CollectLogs downloads each node's log to dir/NODE/etcd.log, and with data also its data directory to
// dir/NODE/etcd-data.tar.gz. It takes what it can get from each node, and returns all errors.
func (s *System) CollectLogs(ctx context.Context, dir string, withData bool) error {
	return s.each(func(m *member) error {
		if m.args == nil {
			return nil
		}
		to := filepath.Join(dir, m.node.Name())
		if err := os.MkdirAll(to, 0o755); err != nil {
			return fmt.Errorf("collect etcd's log: %w", err)
		}
		err := alarms.Download(ctx, m.node, s.logFile(), filepath.Join(to, "etcd.log"))
		if withData {
			err = errors.Join(err, s.collectData(ctx, m, filepath.Join(to, "etcd-data.tar.gz")))
		}
		return err
	})
}

func (s *System) collectData(ctx context.Context, m *member, to string) error {
	archive := path.Join(s.dir(), "data.tar.gz")
	args := []string{"tar", "-C", s.dir(), "-czf", archive, path.Base(s.dataDir())}
	_, err := m.node.Run(ctx, control.Cmd{Args: args})
	var exit *control.ExitError
	if errors.As(err, &exit) && exit.Code == 1 {
		err = nil // a file changed while it was read: etcd is running, the archive is as good as it can be
	}
	if err != nil {
		return fmt.Errorf("pack etcd's data on %s: %w", m.node.Name(), err)
	}
	return alarms.Download(ctx, m.node, archive, to)
}
