// Package observe watches a Kubernetes control plane from beside: what each API server, a quorum read and etcd itself show of the objects
// of a run, and what of it does not match what is declared.
package observe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/kube/api"
)

// DefaultInterval is how often everything is looked at where nothing else is asked for.
const DefaultInterval = 1500 * time.Millisecond

// comparedEvery is how many rounds pass from one comparison with the store to the next while the run goes on. From AwaitConverged on
// every round compares.
const comparedEvery = 8

// Versions tells the versions of all objects below a prefix of the store's keys, at one of its revisions (0: the newest), by
// what follows the prefix in their keys: namespace/name. at is the revision.
type Versions func(ctx context.Context, prefix string, revision int64) (versions map[string]int64, at int64, err error)

// Options say what to look at.
type Options struct {
	Servers api.Servers
	// Nodes are the nodes whose API servers are asked, each a view of its own.
	Nodes []string
	// Kinds are what to list; see Kinds.
	Kinds []string
	// Namespaces limit objects that have one; nil: all there are.
	Namespaces []string
	// Store reads etcd; nil: nothing is compared with it.
	Store Versions
	// Interval is from one look to the next; 0: DefaultInterval.
	Interval time.Duration
}

// Observer is a harness.Observer and a harness.Converger. Both may be used at the same time.
type Observer struct {
	options Options
	rows    []*kind
	rules   history.Rules
	clock   func() time.Duration

	// looking is held for a round: one goes on at a time.
	looking  sync.Mutex
	rounds   int
	views    map[string]*view
	clients  map[string]*api.Client
	newest   map[string]int64 // of each kind, as a quorum list had it in the round before
	kubelets kubelets

	mu       sync.Mutex
	running  int  // Observe
	awaited  bool // AwaitConverged was called: from now on every round compares
	latest   state
	finished chan struct{} // closed at the end of each round, and replaced
}

// state is what a round found.
type state struct {
	// since is when all began to match that has matched ever since; matched tells whether it does.
	matched bool
	since   time.Duration
	found   []history.Mismatch
}

var (
	_ harness.Observer  = (*Observer)(nil)
	_ harness.Converger = (*Observer)(nil)
)

// New makes an observer. It refuses kinds that it does not know.
func New(o Options) (*Observer, error) {
	if o.Servers == nil || len(o.Nodes) == 0 || len(o.Kinds) == 0 {
		return nil, errors.New("nothing to observe: no servers, no nodes or no kinds")
	}
	rows, err := rowsOf(o.Kinds)
	if err != nil {
		return nil, err
	}
	if o.Interval == 0 {
		o.Interval = DefaultInterval
	}
	o.Nodes, o.Kinds, o.Namespaces = slices.Clone(o.Nodes), slices.Clone(o.Kinds), slices.Clone(o.Namespaces)
	return &Observer{
		options: o, rows: rows, rules: RulesOf(o.Kinds), clock: monotonic(),
		views: map[string]*view{}, clients: map[string]*api.Client{}, newest: map[string]int64{}, kubelets: kubelets{},
		finished: make(chan struct{}),
	}, nil
}

// Observe looks at everything at each interval and records what it saw, until ctx is done.
func (o *Observer) Observe(ctx context.Context, record func(*history.Op) error) error {
	o.begin()
	defer o.end()
	for {
		began := o.clock()
		if err := o.round(ctx, record); err != nil {
			return err
		}
		if harness.Pause(ctx, o.options.Interval-(o.clock()-began)) != nil {
			return nil
		}
	}
}

// begin forgets what was seen so far: the first sample of each view is whole.
func (o *Observer) begin() {
	o.looking.Lock()
	defer o.looking.Unlock()
	o.views = map[string]*view{}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.running++
}

// end wakes who waits for rounds, to look by itself.
func (o *Observer) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.running--
	o.wake()
}

// wake is called with mu held.
func (o *Observer) wake() {
	close(o.finished)
	o.finished = make(chan struct{})
}

// AwaitConverged returns when every view has matched for the time hold, in each round of it: no rule of any kind is broken, every server
// can be read, has what a quorum list had, and agrees with the store. Where Observe does not run, it looks by itself.
// When ctx is done it returns what did not match in the last round, and ctx's error.
func (o *Observer) AwaitConverged(ctx context.Context, hold time.Duration) ([]history.Mismatch, error) {
	o.mu.Lock()
	o.awaited = true
	began := o.clock()
	o.mu.Unlock()
	for {
		o.mu.Lock()
		finished, alone, latest := o.finished, o.running == 0, o.latest
		o.mu.Unlock()
		if latest.matched && o.clock()-max(latest.since, began) >= hold {
			return nil, nil
		}
		if err := o.next(ctx, finished, alone); err != nil {
			return latest.found, fmt.Errorf("not converged, %s: %w", summary(latest), err)
		}
	}
}

// next waits for the next round's end, or makes it.
func (o *Observer) next(ctx context.Context, finished <-chan struct{}, alone bool) error {
	if alone {
		if err := o.round(ctx, func(*history.Op) error { return nil }); err != nil {
			return err
		}
		return harness.Pause(ctx, o.options.Interval)
	}
	select {
	case <-finished:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// summary is what did not match, in a few words.
func summary(s state) string {
	switch n := len(s.found); {
	case s.matched:
		return "everything matches, but not for long enough yet"
	case n == 0:
		return "nothing was observed yet"
	case n == 1:
		return fmt.Sprintf("%s %s: %s", s.found[0].Kind, s.found[0].Name, s.found[0].Why)
	default:
		return fmt.Sprintf("%d mismatches, the first of %s %s: %s", n, s.found[0].Kind, s.found[0].Name, s.found[0].Why)
	}
}

// Close ends the observer's connections.
func (o *Observer) Close() error {
	o.looking.Lock()
	defer o.looking.Unlock()
	var all []error
	for _, c := range o.clients {
		all = append(all, c.Close())
	}
	return errors.Join(all...)
}
