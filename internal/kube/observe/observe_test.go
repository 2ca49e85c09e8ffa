package observe

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/kube/api"
)

// store is what API servers have in common: ConfigMaps by name, and the store's revision.
type store struct {
	mu       sync.Mutex
	revision int64
	objects  map[string]*corev1.ConfigMap
}

func (s *store) put(name string, finalizers ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision++
	c := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, ResourceVersion: strconv.FormatInt(s.revision, 10)}}
	if len(finalizers) > 0 {
		deleting(&c.ObjectMeta, finalizers...)
		c.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	}
	s.objects[name] = c
}

func (s *store) drop(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision++
	delete(s.objects, name)
}

func (s *store) list() *corev1.ConfigMapList {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &corev1.ConfigMapList{TypeMeta: metav1.TypeMeta{Kind: "ConfigMapList", APIVersion: "v1"}}
	l.ResourceVersion = strconv.FormatInt(s.revision, 10)
	for _, c := range s.objects {
		l.Items = append(l.Items, *c)
	}
	return l
}

func (s *store) versions(_ context.Context, prefix string, revision int64) (map[string]int64, int64, error) {
	if prefix != "/registry/configmaps/" {
		return nil, 0, fmt.Errorf("unexpected prefix %s", prefix)
	}
	out := map[string]int64{}
	for _, c := range s.list().Items {
		out["default/"+c.Name] = number(c.ResourceVersion)
	}
	return out, revision, nil
}

// servers are API servers over one store, each with a cache that may be frozen, or broken.
type servers struct {
	*store

	at     map[string]*httptest.Server
	frozen map[string]*corev1.ConfigMapList
	ghost  map[string]string // an object that a server shows and the store does not have
	down   map[string]bool
}

func newServers(t *testing.T, nodes ...string) *servers {
	t.Helper()
	s := &servers{
		store: &store{revision: 10, objects: map[string]*corev1.ConfigMap{}},
		at:    map[string]*httptest.Server{}, frozen: map[string]*corev1.ConfigMapList{}, ghost: map[string]string{}, down: map[string]bool{},
	}
	for _, n := range nodes {
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(n, w, r) }))
		srv.EnableHTTP2 = true
		srv.StartTLS()
		t.Cleanup(srv.Close)
		s.at[n] = srv
	}
	return s
}

func (s *servers) serve(node string, w http.ResponseWriter, r *http.Request) {
	list := s.list()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down[node] {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	if r.URL.Query().Get("resourceVersion") == "0" {
		if old := s.frozen[node]; old != nil {
			list = old
		}
		if name := s.ghost[node]; name != "" {
			list.Items = append(slices.Clone(list.Items), corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, ResourceVersion: "3"}})
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(list)
}

// change sets what a server does wrong.
func (s *servers) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *servers) Server(node string, control bool) (api.Server, error) {
	if !control {
		return api.Server{}, errors.New("observers reach servers through the control connection")
	}
	srv := s.at[node]
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	return api.Server{Node: node, Addr: strings.TrimPrefix(srv.URL, "https://"), CA: ca}, nil
}

// watched is an observer of ConfigMaps that keeps what it recorded.
type watched struct {
	*Observer

	mu  sync.Mutex
	ops []history.Op
}

func watch(t *testing.T, s *servers) *watched {
	t.Helper()
	o, err := New(Options{Servers: s, Nodes: []string{"n1", "n2"}, Kinds: []string{KindConfigMap}, Store: s.versions, Interval: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close() })
	return &watched{Observer: o}
}

func (w *watched) record(op *history.Op) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ops = append(w.ops, *op)
	return nil
}

// look makes a round and tells what it recorded, a line for each sample.
func (w *watched) look(t *testing.T) string {
	t.Helper()
	w.ops = nil
	if err := w.round(t.Context(), w.record); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, op := range w.ops {
		var s history.Sample
		if err := json.Unmarshal(op.Value, &s); err != nil {
			t.Fatal(err)
		}
		line := fmt.Sprintf("%s r=%d", s.View, op.Revision)
		if s.Whole {
			line += " whole"
		}
		for _, o := range s.Changed {
			line += fmt.Sprintf(" %s@%d", strings.TrimPrefix(o.Name, "default/"), o.Version)
		}
		for _, name := range s.Gone {
			line += " -" + strings.TrimPrefix(name, "default/")
		}
		if s.Error != "" {
			line = s.View + " error"
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

func TestSamplesTellWhatChanged(t *testing.T) {
	s := newServers(t, "n1", "n2")
	w := watch(t, s)
	s.put("a")
	for _, step := range []struct {
		name string
		do   func()
		want string
	}{
		{"the first is whole", func() {}, "quorum r=11 whole a@11\nn1 r=11 whole a@11\nn2 r=11 whole a@11\nstore r=11 whole a@11"},
		{"nothing changed", func() {}, "quorum r=11\nn1 r=11\nn2 r=11"},
		{"added", func() { s.put("b") }, "quorum r=12 b@12\nn1 r=12 b@12\nn2 r=12 b@12"},
		{"frozen", func() { frozen := s.list(); s.change(func() { s.frozen["n2"] = frozen }); s.drop("a") }, "quorum r=13 -a\nn1 r=13 -a\nn2 r=12"},
		{"down", func() { s.change(func() { s.down["n1"] = true }) }, "quorum r=13\nn1 error\nn2 r=12"},
		{"no one answers", func() { s.change(func() { s.down["n2"] = true }) }, "quorum error\nn1 error\nn2 error"},
		{"back", func() { s.change(func() { clear(s.down); clear(s.frozen) }); s.put("b") }, "quorum r=14 b@14\nn1 r=14 b@14\nn2 r=14 b@14 -a"},
	} {
		step.do()
		if got := w.look(t); got != step.want {
			t.Fatalf("%s: got\n%s\nwant\n%s", step.name, got, step.want)
		}
	}
}

// await runs AwaitConverged beside Observe.
func await(t *testing.T, w *watched, patience time.Duration) ([]history.Mismatch, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	observing, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Observe(observing, w.record) }()
	found, err := w.AwaitConverged(ctx, 50*time.Millisecond)
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return found, err
}

func TestAwaitConverged(t *testing.T) {
	const short, long = 500 * time.Millisecond, 20 * time.Second
	for _, c := range []struct {
		name     string
		breaking func(s *servers)
		want     string // empty: it converges
	}{
		{"all is well", func(*servers) {}, ""},
		{"a finalizer", func(s *servers) { s.put("b", "faultline.example/hold") }, "ConfigMap b finalizer"},
		{"a server is down", func(s *servers) { s.down["n2"] = true }, " n2 view kube-apiserver: it can't be read"},
		{"a cache is behind", func(s *servers) { frozen := s.list(); s.frozen["n2"] = frozen; s.put("b") }, "ConfigMap n2 view kube-apiserver: its list is of revision 11, a quorum list before had 12"},
		{"a cache is wrong", func(s *servers) { s.ghost["n1"] = "ghost" }, "ConfigMap n1 view kube-apiserver: at revision 11 it has 1 objects otherwise than the store, default/ghost the first of them"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServers(t, "n1", "n2")
			s.put("a")
			c.breaking(s)
			patience := long
			if c.want != "" {
				patience = short
			}
			found, err := await(t, watch(t, s), patience)
			if got := lines(found); (err == nil) != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("got %v\n%s\nwant %s", err, got, c.want)
			}
		})
	}
}

// TestAwaitConvergedAlone: without Observe it looks by itself, and what repairs itself meanwhile converges.
func TestAwaitConvergedAlone(t *testing.T) {
	s := newServers(t, "n1", "n2")
	s.put("a", "faultline.example/hold")
	w := watch(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	go func() {
		for w.rounded() < 3 && ctx.Err() == nil {
			_ = harness.Pause(ctx, time.Millisecond)
		}
		s.drop("a")
	}()
	if found, err := w.AwaitConverged(ctx, 30*time.Millisecond); err != nil || len(found) > 0 {
		t.Errorf("%v %v", err, found)
	}
	if w.rounded() < 4 {
		t.Error("it converged before the object was gone")
	}
}

func (w *watched) rounded() int {
	w.looking.Lock()
	defer w.looking.Unlock()
	return w.rounds
}

func TestKubeletsAlive(t *testing.T) {
	k := kubelets{}
	lease := func(version int64) []history.Object {
		return []history.Object{{Kind: KindLease, Name: "kube-node-lease/n1", Version: version, Want: map[string]int64{numSeconds: 8}}}
	}
	alive := func(at int64) string {
		nodes := []history.Object{{Kind: KindNode, Name: "n1", Attr: map[string]string{}}, {Kind: KindNode, Name: "n2", Attr: map[string]string{}}}
		k.mark(nodes, at)
		return nodes[0].Attr[attrAlive] + nodes[1].Attr[attrAlive]
	}
	const second = int64(time.Second)
	var got []string
	k.see(lease(1), 0, 3*second)
	got = append(got, alive(1*second))
	k.see(lease(2), 10*second, 3*second)
	got = append(got, alive(20*second), alive(22*second))
	k.see(lease(2), 22*second, 3*second)
	got = append(got, alive(22*second))
	k.blind(23 * second)
	got = append(got, alive(24*second))
	if want := []string{"true", "true", "false", "false", "true"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestNewRefuses(t *testing.T) {
	s := newServers(t, "n1")
	for _, o := range []Options{{}, {Servers: s, Nodes: []string{"n1"}}, {Servers: s, Nodes: []string{"n1"}, Kinds: []string{"Pods"}}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}
