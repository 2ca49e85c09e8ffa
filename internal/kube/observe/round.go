package observe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/kube/api"
)

const (
	// listTimeout bounds one list. A server that is frozen costs a round this much, once.
	listTimeout = 1500 * time.Millisecond
	// leaseNamespace has a lease for each kubelet.
	leaseNamespace = "kube-node-lease"
)

// seen is a sample on its way to the history.
type seen struct {
	node     string
	revision int64
	sample   history.Sample
}

// round looks at every view once and records what it saw. The quorum list comes first: a server that is not behind has in its
// cache what that had.
func (o *Observer) round(ctx context.Context, record func(*history.Op) error) error {
	o.looking.Lock()
	defer o.looking.Unlock()
	before := maps.Clone(o.newest)
	samples := o.lookQuorum(ctx)
	samples = append(samples, o.lookServers(ctx)...)
	if ctx.Err() != nil {
		return nil
	}
	if o.compares() {
		samples = append(samples, o.lookStore(ctx)...)
	}
	for i := range samples {
		op, err := samples[i].op()
		if err != nil {
			return err
		}
		if err := record(op); err != nil {
			return err
		}
	}
	o.rounds++
	o.conclude(o.judge(before))
	return nil
}

func (s *seen) op() (*history.Op, error) {
	value, err := json.Marshal(s.sample)
	if err != nil {
		return nil, fmt.Errorf("record what %s shows of %s: %w", s.sample.View, s.sample.Kind, err)
	}
	return &history.Op{
		Process: history.Evidence, Type: history.Info, F: history.FSample, Value: value, Revision: s.revision, Node: s.node,
	}, nil
}

// compares tells whether this round compares with the store.
func (o *Observer) compares() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.options.Store != nil && (o.awaited || o.rounds%comparedEvery == 0)
}

func (o *Observer) view(name string) *view {
	v := o.views[name]
	if v == nil {
		v = newView(name)
		o.views[name] = v
	}
	return v
}

// client is a node's, made when it is first asked for.
func (o *Observer) client(node string) (*api.Client, error) {
	if c := o.clients[node]; c != nil {
		return c, nil
	}
	s, err := o.options.Servers.Server(node, true)
	if err != nil {
		return nil, fmt.Errorf("the API server on %s: %w", node, err)
	}
	c, err := api.Connect(s, api.Options{Timeout: listTimeout})
	if err != nil {
		return nil, err
	}
	o.clients[node] = c
	return c, nil
}

// lookQuorum lists everything with a quorum read, through the first server that answers, each round beginning with another one.
func (o *Observer) lookQuorum(ctx context.Context) []seen {
	var (
		v   = o.view(history.ViewQuorum)
		out []seen
		all []error
	)
	for i := range o.options.Nodes {
		node := o.options.Nodes[(o.rounds+i)%len(o.options.Nodes)]
		samples, err := o.lookQuorumAt(ctx, v, node)
		out = append(out, samples...)
		if err == nil {
			o.note(v)
			return out
		}
		if all = append(all, err); ctx.Err() != nil {
			break
		}
	}
	o.kubelets.blind(int64(o.clock()))
	return append(out, v.fail(o.rows[0].name, "", errors.Join(all...)))
}

// lookQuorumAt does it through one server, and sees which kubelets are alive.
func (o *Observer) lookQuorumAt(ctx context.Context, v *view, node string) ([]seen, error) {
	client, err := o.client(node)
	if err != nil {
		return nil, err
	}
	if slices.Contains(o.options.Kinds, KindNode) {
		leases, _, err := o.list(ctx, client, leaseRow(), []string{leaseNamespace}, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		o.kubelets.see(leases, int64(o.clock()), int64(2*o.options.Interval))
	}
	return o.look(ctx, v, client, metav1.ListOptions{})
}

// note keeps the newest version of each kind.
func (o *Observer) note(v *view) {
	for kind, objects := range v.kinds {
		newest := int64(0)
		for name := range objects {
			newest = max(newest, objects[name].Version)
		}
		o.newest[kind] = newest
	}
}

// lookServers lists everything that each server has in its cache.
func (o *Observer) lookServers(ctx context.Context) []seen {
	out := make([][]seen, len(o.options.Nodes))
	var wg sync.WaitGroup
	for i, node := range o.options.Nodes {
		v := o.view(node)
		client, err := o.client(node)
		if err != nil {
			out[i] = []seen{v.fail(o.rows[0].name, node, err)}
			continue
		}
		wg.Go(func() {
			samples, err := o.look(ctx, v, client, metav1.ListOptions{ResourceVersion: "0"})
			if err != nil {
				samples = append(samples, v.fail(o.rows[min(len(samples), len(o.rows)-1)].name, node, err))
			}
			out[i] = samples
		})
	}
	wg.Wait()
	return slices.Concat(out...)
}

// look lists everything through one server. At the first error it stops, and returns what it has.
func (o *Observer) look(ctx context.Context, v *view, client *api.Client, how metav1.ListOptions) ([]seen, error) {
	var out []seen
	v.moved = nil
	for _, row := range o.rows {
		objects, revision, err := o.list(ctx, client, row, o.options.Namespaces, how)
		if err != nil {
			return out, err
		}
		if row.name == KindNode {
			o.kubelets.mark(objects, int64(o.clock()))
		}
		out = append(out, seen{client.Node(), revision, v.take(row.name, objects, revision)})
	}
	v.broken = ""
	return out, nil
}

// fail notes that a view could not be read.
func (v *view) fail(kind, node string, err error) seen {
	v.broken = err.Error()
	return seen{node, 0, history.Sample{View: v.name, Kind: kind, Error: v.broken}}
}

// list lists the objects of one kind.
func (o *Observer) list(ctx context.Context, client *api.Client, row *kind, namespaces []string, how metav1.ListOptions) ([]history.Object, int64, error) {
	one := ""
	if row.namespaced && len(namespaces) == 1 {
		one = namespaces[0]
	}
	list := row.list()
	if err := client.List(ctx, row.resource, one, list, how); err != nil {
		return nil, 0, fmt.Errorf("list %s: %w", row.resource.Resource, err)
	}
	objects, revision := row.reduce(list)
	if row.namespaced && len(namespaces) > 1 {
		objects = slices.DeleteFunc(objects, func(o history.Object) bool { return !slices.Contains(namespaces, namespaceOfName(o.Name)) })
	}
	return objects, number(revision), nil
}
