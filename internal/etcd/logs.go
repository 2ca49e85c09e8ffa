package etcd

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"

	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/harness/history"
)

// alarm is a pattern of log line that no healthy etcd writes, however often its process, its peers or its network are
// killed, stopped, cut or healed.
type alarm struct {
	name string
	re   *regexp.Regexp
}

// alarms are tried in order; a line counts for the first. The levels are zap's, anchored to the field of the
// JSON line, so that the words in a message or an argument don't count.
var alarms = []alarm{
	{"data corruption", regexp.MustCompile(`"alarm":"CORRUPT"|data inconsistency|hash mismatch|different hash values|crc mismatch|checksum mismatch|database corruption|page \d+ already freed|invalid freelist`)},
	{"panic", regexp.MustCompile(`^panic: |^\{"level":"panic"`)},
	{"fatal", regexp.MustCompile(`^fatal error: |^\{"level":"fatal"`)},
	{"signal", regexp.MustCompile(`^\[signal SIG|^SIG(SEGV|BUS|ILL|ABRT): |^unexpected fault address`)},
	{"data race", regexp.MustCompile(`^WARNING: DATA RACE`)},
}

// alarmsPerNodeMax bounds the evidence that one node's log can give: a crash loop says the same thing again and again.
const alarmsPerNodeMax = 100

// lineBytesMax bounds the part of a line that is looked at and kept.
const lineBytesMax = 2000

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
		r, w := io.Pipe()
		go func() { w.CloseWithError(m.node.Download(ctx, s.logFile(), w)) }()
		ops, err := scanLog(m.node.Name(), r)
		r.Close() // ends the download if the scan did not reach the end
		if err != nil {
			return fmt.Errorf("read the log of etcd on %s: %w", m.node.Name(), err)
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

// scanLog finds the lines of alarm in a log.
func scanLog(node string, log io.Reader) ([]history.Op, error) {
	var ops []history.Op
	note := func(pattern, line string) error {
		value, err := json.Marshal(history.LogLine{Component: Component, Pattern: pattern, Line: line})
		ops = append(ops, history.Op{Type: history.Info, Process: history.Evidence, F: history.FLog, Node: node, Value: value})
		return err
	}
	lines := 0
	for r := bufio.NewReaderSize(log, 64<<10); len(ops) < alarmsPerNodeMax; lines++ {
		line, err := readLine(r)
		if errors.Is(err, io.EOF) {
			err := note("", fmt.Sprintf("%d lines were searched", lines))
			return ops, err
		}
		if err != nil {
			return ops, err
		}
		if name, ok := alarmOf(line); ok {
			if err := note(name, string(line)); err != nil {
				return ops, err
			}
		}
	}
	return ops, nil
}

func alarmOf(line []byte) (name string, ok bool) {
	for _, a := range alarms {
		if a.re.Match(line) {
			return a.name, true
		}
	}
	return "", false
}

// readLine is the next line without its end, cut at lineBytesMax.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, isPrefix, err := r.ReadLine()
		if err != nil {
			return nil, err
		}
		line = append(line, part[:min(len(part), lineBytesMax-len(line))]...)
		if !isPrefix {
			return line, nil
		}
	}
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
		err := m.download(ctx, s.logFile(), filepath.Join(to, "etcd.log"))
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
	return m.download(ctx, archive, to)
}

// download copies a file from the node; what is there of a broken download stays.
func (m *member) download(ctx context.Context, from, to string) error {
	f, err := os.Create(to)
	if err != nil {
		return fmt.Errorf("collect %s of %s: %w", from, m.node.Name(), err)
	}
	if err := errors.Join(m.node.Download(ctx, from, f), f.Close()); err != nil {
		return fmt.Errorf("collect %s of %s: %w", from, m.node.Name(), err)
	}
	return nil
}
