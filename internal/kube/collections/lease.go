package collections

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/kube/api"
)

// The lease of an election: client-go's usual proportions (15, 10 and 2 s), shorter, so that a run sees many terms.
const (
	leaseDuration = 3 * time.Second
	renewDeadline = 2 * time.Second
	retryPeriod   = 500 * time.Millisecond
)

// NewLeaseClient makes candidates of elections with client-go's leaderelection, each key an election over a Lease of its own:
//
//	lead  history.LeadRequest → history.Terms
//
// A candidate campaigns for the time of the operation, again after each term that it lost. A term begins when the write
// that takes the lease is answered. It ends when the operation does, when the candidate begins to release the lease, or when client-go says that
// it stopped leading, whichever is first. Candidates of odd processes do not release it when the operation ends, as if they had crashed.
//
// The requests are those of client-go's LeaseLock, over this client's connection; client-go repeats one that the server refused with a
// Retry-After, and a GET after a lost connection. Who heard nothing at all is a fail.
func NewLeaseClient(sys harness.System, o harness.ClientOptions) (harness.OpenClient, error) {
	return newClients(map[string]function{"lead": {do: lead, long: true}}, nil)(sys, o)
}

func lead(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	var asked history.LeadRequest
	if err := json.Unmarshal(op.Value, &asked); err != nil {
		return op, badValue(op, err)
	}
	if asked.ForMS <= 0 {
		return op, badValue(op, errors.New("for_ms must be above 0"))
	}
	clock := stopwatch()
	ctx, cancel := context.WithTimeout(klog.NewContext(ctx, klog.Logger{}), time.Duration(asked.ForMS)*time.Millisecond)
	defer cancel()
	if err := c.creator.ensure(ctx, c.Client, namespace); err != nil {
		return op, api.ReadError(err)
	}
	lock, err := c.newLock(op.Key, func() int64 { return int64(op.Time + clock()) })
	if err != nil {
		return op, api.ReadError(err)
	}
	stop := context.AfterFunc(ctx, func() { lock.stopped(endOver) })
	defer stop()
	for ctx.Err() == nil {
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: lock, LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
			ReleaseOnCancel: c.process%2 == 0, Name: op.Key,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(context.Context) {}, // the lock knows sooner
				OnStoppedLeading: func() {
					if ctx.Err() == nil {
						lock.stopped(endLost)
					}
				},
			},
		})
		if err != nil {
			return op, fmt.Errorf("make a candidate: %w", err)
		}
		elector.Run(ctx)
	}
	lock.stopped(endOver)
	terms := lock.terms()
	if len(terms.Terms) == 0 && len(terms.Observed) == 0 {
		return op, api.ReadError(fmt.Errorf("%w: the candidate never learned who leads", api.ErrNoAnswer))
	}
	op.Value = jsonOf(terms)
	return op, nil
}

// Ends of terms; see history.Term.
const (
	endReleased = "released"
	endLost     = "lost"
	endOver     = "over"
)

// lock is client-go's lock on a Lease, which records what its candidate learned from it.
type lock struct {
	resourcelock.Interface
	// now is nanoseconds since the run began.
	now func() int64

	mu      sync.Mutex
	leading bool
	leader  string
	out     history.Terms
}

func (c *client) newLock(key string, now func() int64) (*lock, error) {
	client, err := c.REST(schema.GroupVersion{Group: "coordination.k8s.io", Version: "v1"})
	if err != nil {
		return nil, err
	}
	return &lock{now: now, Interface: &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: namespace, Name: key},
		Client:     coordination.New(client),
		LockConfig: resourcelock.ResourceLockConfig{Identity: fmt.Sprintf("p%s-%s", c.process, c.Node())},
	}}, nil
}

// Get reads the lease, within a time-out of its own: client-go's has none while it campaigns.
func (l *lock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, renewDeadline)
	defer cancel()
	record, raw, err := l.Interface.Get(ctx)
	if err == nil {
		l.heard(record.HolderIdentity)
	}
	return record, raw, err
}

// Create makes the lease, and takes it.
func (l *lock) Create(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	ctx, cancel := context.WithTimeout(ctx, renewDeadline)
	defer cancel()
	err := l.Interface.Create(ctx, r)
	if err == nil {
		l.taken(r.HolderIdentity)
	}
	return err
}

// Update takes, renews or releases the lease.
func (l *lock) Update(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	ctx, cancel := context.WithTimeout(ctx, renewDeadline)
	defer cancel()
	if r.HolderIdentity != "" {
		err := l.Interface.Update(ctx, r)
		if err == nil {
			l.taken(r.HolderIdentity)
		}
		return err
	}
	l.stopped(endReleased)
	err := l.Interface.Update(ctx, r)
	if err == nil {
		l.released()
	}
	return err
}

// heard notes who leads.
func (l *lock) heard(leader string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if leader != "" && leader != l.leader {
		l.leader = leader
		l.out.Observed = append(l.out.Observed, leader)
	}
}

// taken begins a term, if none is under way.
func (l *lock) taken(identity string) {
	l.heard(identity)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.leading {
		l.leading = true
		l.out.Terms = append(l.out.Terms, history.Term{FromNS: l.now()})
	}
}

// stopped ends the term that is under way.
func (l *lock) stopped(how string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.leading {
		return
	}
	l.leading = false
	t := &l.out.Terms[len(l.out.Terms)-1]
	t.ToNS, t.End = l.now(), how
}

// released notes that the end of the last term was told to the others.
func (l *lock) released() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.out.Terms); n > 0 {
		l.out.Terms[n-1].End = endReleased
	}
}

// terms are what was recorded.
func (l *lock) terms() history.Terms {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.out.Terms == nil {
		l.out.Terms = []history.Term{}
	}
	return l.out
}
