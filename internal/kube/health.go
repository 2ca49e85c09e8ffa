package kube

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/control"
)

const (
	// lookPause is between two looks at whether all is well.
	lookPause = 200 * time.Millisecond
	// crashLoop is how often a process may end by itself while its health is waited for.
	crashLoop = 4
)

// AwaitHealthy returns when etcd is well, every API server says that it is ready, the controller manager and the scheduler have leaders that renew
// their leases, and every node is Ready and takes pods. A process that has ended, and will not be started again, ends the wait at
// once, with the end of its log.
func (s *System) AwaitHealthy(ctx context.Context) error {
	if err := s.etcd.AwaitHealthy(ctx); err != nil {
		return err
	}
	return s.await(ctx, "be well", s.started(), s.newLook().unwell)
}

// await looks until there are no problems. It gives up when ctx is done, or when one of the processes has ended for good.
func (s *System) await(ctx context.Context, what string, of []process, look func(context.Context) []problem) error {
	before := s.restarts(ctx)
	for {
		problems := look(ctx)
		if len(problems) == 0 {
			return nil
		}
		if p := s.ended(ctx, of, before); p != nil {
			return s.explain(ctx, *p)
		}
		if err := harness.Pause(ctx, lookPause); err != nil {
			return fmt.Errorf("kube: it did not %s in time: %w: %w\n  %w", what, err, join(problems), s.explain(ctx, problems[0]))
		}
	}
}

// restarts are how often each process was started again, by node and name.
func (s *System) restarts(ctx context.Context) map[*node]map[string]control.ProcessState {
	out := map[*node]map[string]control.ProcessState{}
	var mu sync.Mutex
	_ = s.each(func(n *node) error {
		states, err := n.states(ctx)
		mu.Lock()
		defer mu.Unlock()
		out[n] = states // nil where it can't be told: then nothing is known of before
		return err
	})
	return out
}

// ended is a process that has ended for good, or does so again and again; nil if there is none.
func (s *System) ended(ctx context.Context, of []process, before map[*node]map[string]control.ProcessState) *problem {
	now := s.restarts(ctx)
	for _, n := range s.nodes {
		for _, p := range of {
			st, known := now[n][p.name]
			if !known {
				continue
			}
			if !alive(st) && !st.Restarting {
				return &problem{n, p.name, fmt.Errorf("it is not running: %s", st.Exit)}
			}
			if again := st.Restarts - before[n][p.name].Restarts; again >= crashLoop {
				return &problem{n, p.name, fmt.Errorf("it ended by itself %d times, the last time with %s", again, cmp.Or(st.Exit, "an exit not known yet"))}
			}
		}
	}
	return nil
}

// look is one wait for health: it remembers which renewals of leases it has seen.
type look struct {
	s *System
	// renewed are the versions of the leaders' leases when the wait began, by component.
	renewed map[string]string
}

func (s *System) newLook() *look { return &look{s, map[string]string{}} }

// unwell tells what is not well now.
func (l *look) unwell(ctx context.Context) []problem {
	problems := l.s.processesUnwell(ctx)
	problems = append(problems, l.s.serversUnwell(ctx)...)
	problems = append(problems, l.leadersUnwell(ctx)...)
	return append(problems, l.s.nodesUnwell(ctx)...)
}

// processesUnwell tells which processes are stopped or gone.
func (s *System) processesUnwell(ctx context.Context) []problem {
	now := s.restarts(ctx)
	var problems []problem
	for _, n := range s.nodes {
		for _, p := range s.started() {
			st := now[n][p.name]
			switch {
			case now[n] == nil:
				problems = append(problems, problem{n, p.name, errors.New("the node does not tell its processes")})
			case st.Status == statusStopped:
				problems = append(problems, problem{n, p.name, errors.New("it is stopped (SIGSTOP)")})
			case st.Status != statusRunning:
				problems = append(problems, problem{n, p.name, fmt.Errorf("it is not running: %s", st.Exit)})
			}
		}
	}
	return problems
}

// serversUnwell tells which API servers are not ready.
func (s *System) serversUnwell(ctx context.Context) []problem {
	return s.gather(func(n *node) []problem {
		if err := s.readyz(ctx, n); err != nil {
			return []problem{{n, APIServer, err}}
		}
		return nil
	})
}

// gather asks for every node at once.
func (s *System) gather(f func(*node) []problem) []problem {
	found := make([][]problem, len(s.nodes))
	_ = s.each(func(n *node) error {
		found[n.number-1] = f(n)
		return nil
	})
	return slices.Concat(found...)
}

// readyz asks an API server whether it is ready. What it answers otherwise names what is not.
func (s *System) readyz(ctx context.Context, n *node) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	url := "https://" + net.JoinHostPort(n.Addr(), strconv.Itoa(apiPort)) + "/readyz"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := n.control.HTTP().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil || resp.StatusCode == http.StatusOK {
		return err
	}
	return fmt.Errorf("it is not ready (%s): %s", resp.Status, failing(string(text)))
}

// failing takes the checks that failed out of an answer of /readyz.
func failing(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "[-]"); ok {
			out = append(out, name)
		}
	}
	if len(out) == 0 {
		return strings.TrimSpace(text[:min(len(text), 300)])
	}
	return strings.Join(out, "; ")
}

// leadersUnwell tells which components have no leader, or one that has not renewed its lease since the wait began.
func (l *look) leadersUnwell(ctx context.Context) []problem {
	var problems []problem
	for _, c := range elected {
		if !l.s.runs(c) {
			continue
		}
		node, version, err := l.s.holder(ctx, c)
		if err == nil && (l.renewed[c] == "" || l.renewed[c] == version) {
			l.renewed[c] = version
			err = fmt.Errorf("its lease has not been renewed by %s yet", node.Name())
		}
		if err != nil {
			if node == nil {
				node = l.s.nodes[0]
			}
			problems = append(problems, problem{node, c, err})
		}
	}
	return problems
}

// nodesUnwell tells which nodes don't take pods.
func (s *System) nodesUnwell(ctx context.Context) []problem {
	if !s.runs(Kubelet) {
		return nil
	}
	list, err := ask(ctx, s, func(ctx context.Context, n *node) (*corev1.NodeList, error) {
		list := &corev1.NodeList{}
		return list, n.control.List(ctx, corev1.SchemeGroupVersion.WithResource("nodes"), "", list, metav1.ListOptions{})
	})
	if err != nil {
		return []problem{{s.nodes[0], APIServer, fmt.Errorf("list nodes: %w", err)}}
	}
	known := map[string]*corev1.Node{}
	for i := range list.Items {
		known[list.Items[i].Name] = &list.Items[i]
	}
	return s.gather(func(n *node) []problem {
		if err := nodeUnwell(known[n.Name()], s.runs(ControllerManager)); err != nil {
			return []problem{{n, Kubelet, err}}
		}
		return nil
	})
}

// nodeUnwell tells why a node does not take pods; nil if it does. Nodes begin with a taint, which the controller manager takes away:
// where none runs, it stays.
func nodeUnwell(n *corev1.Node, untainted bool) error {
	if n == nil {
		return errors.New("it has not registered its node")
	}
	for _, t := range n.Spec.Taints {
		if untainted && (t.Key == corev1.TaintNodeNotReady || t.Key == corev1.TaintNodeUnreachable) {
			return fmt.Errorf("its node still has the taint %s", t.Key)
		}
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			return nil
		} else if c.Type == corev1.NodeReady {
			return fmt.Errorf("its node is not Ready: %s (%s)", c.Reason, c.Message)
		}
	}
	return errors.New("its node has no condition Ready")
}
