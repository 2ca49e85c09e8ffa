package kube

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"sync"

	"github.com/faultline/faultline/harness/history"
)

// alarm is a pattern of log line that no healthy component writes, however often it, its servers or its network are killed, stopped,
// cut or healed. That a component gave up is not one: controller managers and schedulers do when they lose their lease, API servers when they
// can't reach etcd at their start.
type alarm struct {
	name string
	re   *regexp.Regexp
	// not, where not nil, are lines that don't count.
	not *regexp.Regexp
}

// alarms are tried in order; a line counts for the first.
var alarms = []alarm{
	// The API server compares its caches with etcd by itself (apiserver, pkg/storage/cacher/delegator.go).
	{"data corruption", regexp.MustCompile(`Cache consistency check failed`), nil},
	// Panics that are survived (apimachinery, pkg/util/runtime; apiserver, pkg/server/filters/wrap.go). An aborted handler is how the API server ends
	// a request that took too long or whose client has gone.
	{"panic", regexp.MustCompile(`^panic: |Observed a panic|apiserver panic'd`), regexp.MustCompile(`net/http: abort Handler`)},
	{"fatal", regexp.MustCompile(`^fatal error: `), nil},
	{"signal", regexp.MustCompile(`^\[signal SIG|^SIG(SEGV|BUS|ILL|ABRT): |^unexpected fault address`), nil},
	{"data race", regexp.MustCompile(`^WARNING: DATA RACE`), nil},
}

const (
	// alarmsPerLogMax bounds the evidence that one log can give: a crash loop says the same thing again and again.
	alarmsPerLogMax = 100
	// lineBytesMax bounds the part of a line that is looked at and kept.
	lineBytesMax = 2000
)

// LogEvidence reads the logs of every process of each node and returns an evidence operation for each line of alarm, and one without a pattern for
// each log that was read to its end: it says that somebody looked. Etcd's are read as etcd's own System reads them.
func (s *System) LogEvidence(ctx context.Context) ([]history.Op, error) {
	all, err := s.etcd.LogEvidence(ctx)
	errs := []error{err}
	var mu sync.Mutex
	found := map[string][]history.Op{}
	errs = append(errs, s.each(func(n *node) error {
		var errs []error
		for _, p := range s.started() {
			if !n.wasStarted(p.name) {
				continue
			}
			ops, err := s.searchLog(ctx, n, p.name)
			errs = append(errs, err)
			mu.Lock()
			found[n.Name()] = append(found[n.Name()], ops...)
			mu.Unlock()
		}
		return errors.Join(errs...)
	}))
	for _, n := range s.nodes {
		all = append(all, found[n.Name()]...)
	}
	return all, errors.Join(errs...)
}

func (s *System) searchLog(ctx context.Context, n *node, process string) ([]history.Op, error) {
	r, w := io.Pipe()
	go func() { w.CloseWithError(n.Download(ctx, s.logFile(process), w)) }()
	ops, err := scanLog(n.Name(), process, r)
	r.Close() // ends the download if the scan did not reach the end
	if err != nil {
		return ops, fmt.Errorf("read the log of %s on %s: %w", process, n.Name(), err)
	}
	return ops, nil
}

// scanLog finds the lines of alarm in a log.
func scanLog(node, component string, log io.Reader) ([]history.Op, error) {
	var ops []history.Op
	note := func(pattern, line string) error {
		value, err := json.Marshal(history.LogLine{Component: component, Pattern: pattern, Line: line})
		ops = append(ops, history.Op{Type: history.Info, Process: history.Evidence, F: history.FLog, Node: node, Value: value})
		return err
	}
	lines := 0
	for r := bufio.NewReaderSize(log, 64<<10); len(ops) < alarmsPerLogMax; lines++ {
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
		if a.re.Match(line) && (a.not == nil || !a.not.Match(line)) {
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

// CollectLogs downloads the logs of each node's processes to dir/NODE/PROCESS.log, what the container runtime wrote about containers to
// dir/NODE/runtime.events, and with data also etcd's to dir/NODE/etcd-data.tar.gz. It takes what it can get, and returns all errors.
func (s *System) CollectLogs(ctx context.Context, dir string, withData bool) error {
	if s.etcd == nil {
		return nil
	}
	return errors.Join(s.etcd.CollectLogs(ctx, dir, withData), s.each(func(n *node) error {
		to := filepath.Join(dir, n.Name())
		if err := os.MkdirAll(to, 0o755); err != nil {
			return fmt.Errorf("collect Kubernetes' logs: %w", err)
		}
		var errs []error
		for _, p := range s.started() {
			if n.wasStarted(p.name) {
				errs = append(errs, n.collect(ctx, s.logFile(p.name), filepath.Join(to, p.name+".log")))
			}
		}
		if n.wasStarted(Runtime) {
			errs = append(errs, n.collect(ctx, s.runtimeLog(), filepath.Join(to, filepath.Base(s.runtimeLog()))))
		}
		return errors.Join(errs...)
	}))
}

// collect copies a file from the node; what is there of a broken download stays.
func (n *node) collect(ctx context.Context, from, to string) error {
	f, err := os.Create(to)
	if err != nil {
		return fmt.Errorf("collect %s of %s: %w", from, n.Name(), err)
	}
	if err := errors.Join(n.Download(ctx, from, f), f.Close()); err != nil {
		return fmt.Errorf("collect %s of %s: %w", from, n.Name(), err)
	}
	return nil
}

// RuntimeLogs are what the container runtimes wrote about their containers, by node: JSON, an event a line.
func (s *System) RuntimeLogs(ctx context.Context) (map[string][]byte, error) {
	var mu sync.Mutex
	out := map[string][]byte{}
	err := s.each(func(n *node) error {
		if !n.wasStarted(Runtime) {
			return nil
		}
		var text bytes.Buffer
		if err := n.Download(ctx, s.runtimeLog(), &text); err != nil {
			return fmt.Errorf("the log of the container runtime on %s: %w", n.Name(), err)
		}
		mu.Lock()
		defer mu.Unlock()
		out[n.Name()] = text.Bytes()
		return nil
	})
	return out, err
}
