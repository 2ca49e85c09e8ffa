package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"

	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/alarms"
)

// logAlarms are what no component writes that is well. That one gave up is not among them: controller managers and schedulers do when they lose their
// lease, API servers when they can't reach etcd at their start.
var logAlarms = slices.Concat([]alarms.Alarm{
	// The API server compares its caches with etcd by itself (apiserver, pkg/storage/cacher/delegator.go).
	{Name: "data corruption", Line: regexp.MustCompile(`Cache consistency check failed`)},
	// Panics that are survived as well (apimachinery, pkg/util/runtime; apiserver, pkg/server/filters/wrap.go). An aborted handler is how the API
	// server ends a request that took too long or whose client has gone.
	{
		Name: "panic", Line: regexp.MustCompile(`^panic: |Observed a panic|apiserver panic'd`),
		Not: regexp.MustCompile(`net/http: abort Handler`),
	},
}, alarms.GoRuntime)

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
			ops, err := alarms.Search(ctx, n, p.name, s.logFile(p.name), logAlarms)
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
				errs = append(errs, alarms.Download(ctx, n, s.logFile(p.name), filepath.Join(to, p.name+".log")))
			}
		}
		if n.wasStarted(Runtime) {
			errs = append(errs, alarms.Download(ctx, n, s.runtimeLog(), filepath.Join(to, filepath.Base(s.runtimeLog()))))
		}
		return errors.Join(errs...)
	}))
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
