package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/harness/history"
)

// eventually waits for a condition.
func eventually(t testing.TB, within time.Duration, what string, f func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	began := time.Now()
	for {
		err := f()
		if err == nil {
			t.Logf("%s: after %v", what, time.Since(began).Round(time.Millisecond))
			return
		}
		if harness.Pause(ctx, 100*time.Millisecond) != nil {
			t.Fatalf("%s: not within %v: %v", what, within, err)
		}
	}
}

func ready(ctx context.Context, n *node, name string) error {
	d := &appsv1.Deployment{}
	if err := n.control.Get(ctx, deployments, "default", name, d, metav1.GetOptions{}); err != nil {
		return err
	}
	if d.Status.ReadyReplicas != *d.Spec.Replicas || d.Status.ObservedGeneration != d.Generation {
		return fmt.Errorf("%+v", d.Status)
	}
	return nil
}

// TestRealLife is one control plane's life, since each takes long to start.
func TestRealLife(t *testing.T) {
	ctx := t.Context()
	o := realOptions(t, 3)
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	mib, cpu := s.footprint(t)
	t.Logf("started in %v, %d MiB, %v of processor time", time.Since(began), mib, cpu)

	leaders := map[string]string{}
	for _, c := range s.Electing() {
		if leaders[c], err = s.LeaderOf(ctx, c); err != nil {
			t.Error(err)
		}
	}
	t.Log(leaders)

	d := churnDeployment("web")
	*d.Spec.Replicas = 3
	writes := map[string]chan string{}
	for _, c := range s.Writers() {
		writes[c] = make(chan string, 1)
		go func() {
			what, err := s.AwaitWrite(ctx, c, 2)
			writes[c] <- fmt.Sprint(what, err)
		}()
	}
	time.Sleep(time.Second)
	if err := s.nodes[0].control.Create(ctx, deployments, "default", "", d, nil, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "three ready replicas", func() error { return ready(ctx, s.nodes[2], "web") })
	for c, w := range writes {
		select {
		case what := <-w:
			t.Log(c, what)
		case <-time.After(10 * time.Second):
			t.Errorf("no write of %s", c)
		}
	}

	what, err := s.Churn(ctx, 6)
	t.Log(what, err)
	if err != nil {
		t.Error(err)
	}

	for _, n := range s.nodes {
		lag, err := s.CacheLag(ctx, n.Name())
		t.Log(n.Name(), lag, err)
		if err != nil || lag.Cached == 0 || lag.Newest == 0 {
			t.Error(lag, err)
		}
	}

	for _, c := range s.Movable() {
		if err := s.Move(ctx, "n1", c, "n2"); err != nil {
			t.Error(err)
		}
		if line := strings.Join(s.Commands()["n1"][c], " "); !strings.Contains(line, c+"@n2.kubeconfig") {
			t.Error(line)
		}
	}
	health := time.Now()
	bound, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := s.AwaitHealthy(bound); err != nil {
		t.Error(err)
	}
	t.Logf("healthy after %v", time.Since(health))
	for _, c := range s.Movable() {
		if err := s.Move(ctx, "n1", c, "n1"); err != nil {
			t.Error(err)
		}
	}

	// The death of whoever leads.
	leader, err := s.LeaderOf(ctx, ControllerManager)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.node(leader).Signal(ctx, ControllerManager, control.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := s.AwaitHealthy(bound); err == nil || !strings.Contains(err.Error(), "it is not running: signal killed") || !strings.Contains(err.Error(), "end of ") {
		t.Errorf("with a dead controller manager: %v", err)
	}
	eventually(t, 20*time.Second, "another leader", func() error {
		now, err := s.LeaderOf(ctx, ControllerManager)
		if err == nil && now == leader {
			return errors.New("the same")
		}
		return err
	})
	if err := s.StartComponent(ctx, leader, ControllerManager); err != nil {
		t.Error(err)
	}
	eventually(t, 30*time.Second, "etcd's leader", func() error { _, err := s.Leader(ctx); return err })

	tryKubeconfig(t, s)

	ops, err := s.LogEvidence(ctx)
	if err != nil {
		t.Error(err)
	}
	for _, op := range ops {
		var l history.LogLine
		if err := json.Unmarshal(op.Value, &l); err != nil {
			t.Fatal(err)
		}
		t.Log(op.Node, l.Component, l.Pattern, l.Line)
		if l.Pattern != "" {
			t.Errorf("an alarm: %+v", l)
		}
	}
	logs, err := s.RuntimeLogs(ctx)
	if err != nil || len(logs) != 3 || !strings.Contains(string(logs["n1"])+string(logs["n2"])+string(logs["n3"]), `"event":"start"`) {
		t.Errorf("%d logs of runtimes, %v", len(logs), err)
	}
	dir := t.TempDir()
	if err := s.CollectLogs(ctx, dir, true); err != nil {
		t.Error(err)
	}
	for _, f := range []string{"n1/etcd.log", "n2/kube-apiserver.log", "n3/kubelet.log", "n1/runtime.events", "n1/etcd-data.tar.gz"} {
		if info, err := os.Stat(filepath.Join(dir, f)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v, %v", f, info, err)
		}
	}
	for range 2 {
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	}
	if err := s.Purge(ctx); err != nil {
		t.Error(err)
	}
	if out, err := s.nodes[0].Run(ctx, control.Cmd{Args: []string{"ls", s.o.Dir}}); err != nil || len(out.Stdout) > 0 {
		t.Errorf("left: %s, %v", out.Stdout, err)
	}
}

// tryKubeconfig uses the kubeconfig as kubectl does, by its own library, through each context.
func tryKubeconfig(t *testing.T, s *System) {
	t.Helper()
	all, err := clientcmd.Load(s.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range s.nodes {
		config, err := clientcmd.NewNonInteractiveClientConfig(*all, n.Name(), nil, nil).ClientConfig()
		if err != nil {
			t.Errorf("context %s: %v", n.Name(), err)
			continue
		}
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.AppsV1().Deployments("default").Get(t.Context(), "web", metav1.GetOptions{}); err != nil {
			t.Errorf("through %s: %v", n.Name(), err)
		}
	}
}

// What can't start says which component, on which node, why, and what to do.
func TestRealMistakes(t *testing.T) {
	o := realOptions(t, 1)
	o.StartTimeout = time.Minute
	for name, c := range map[string]struct {
		change func(*Options)
		want   []string
	}{
		"flag":        {func(o *Options) { o.Args = map[string][]string{APIServer: {"--no-such-flag=1"}} }, []string{"kube-apiserver on n1: ", "the flag --no-such-flag", "end of "}},
		"gate":        {func(o *Options) { o.FeatureGates = "NoSuchGate=true" }, []string{"kube-apiserver on n1: ", "the feature gate NoSuchGate"}},
		"manager":     {func(o *Options) { o.Args = map[string][]string{ControllerManager: {"--v=many"}} }, []string{"kube-controller-manager on n1: ", "does not take many"}},
		"kubelet":     {func(o *Options) { o.Args = map[string][]string{Kubelet: {"--no-such-flag"}} }, []string{"kubelet on n1: ", "the flag --no-such-flag"}},
		"certificate": {func(o *Options) { o.Args = map[string][]string{Scheduler: {"--kubeconfig=/nowhere"}} }, []string{"kube-scheduler on n1: ", "/nowhere"}},
	} {
		o := o
		o.Token = strings.ReplaceAll(name, " ", "-")
		c.change(&o)
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		err = s.Start(t.Context())
		t.Logf("%s, after %v: %v", name, time.Since(began), err)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: no %q in: %v", name, want, err)
			}
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
