package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// OwnerTTLMS is how long the lease of who owns a lock, or leads, lives without renewals, in milliseconds: the shortest that etcd grants with an
// election time-out of a second.
const OwnerTTLMS = 2000

// renewEvery is how often it is renewed.
const renewEvery = OwnerTTLMS / 3 * time.Millisecond

// lasting are the operations that last as long as they are asked to: each of their requests has a deadline of its own.
var lasting = map[string]bool{"lock": true, "locked-add": true, "campaign": true, "observe": true}

// ownersOf is the name of a lock or an election in etcd: its owners' keys are under it.
func ownersOf(key string) string { return "owners/" + key }

// owner is a process on its way to own a lock or an election, and back. What it owns goes with a lease, which a connection of its own renews.
type owner struct {
	c     *client
	key   string
	asked history.LockRequest
	// now is nanoseconds since the run began.
	now   func() int64
	lease int64
	// own is the key that it owns by.
	own string

	mu   sync.Mutex
	t    history.Tenure
	said int

	quiet func() // stops renewing
}

// newOwner has a lease granted and begins to renew it.
func newOwner(ctx context.Context, c *client, op history.Op) (*owner, error) {
	clock := stopwatch()
	w := &owner{c: c, key: op.Key, now: func() int64 { return int64(op.Time + clock()) }}
	if err := json.Unmarshal(op.Value, &w.asked); err != nil {
		return nil, badValue(op, err)
	}
	sent := w.now()
	granted, err := within(ctx, c, func(ctx context.Context) (*pb.LeaseGrantResponse, error) { return c.grantLease(ctx, 0, OwnerTTLMS) })
	if err != nil {
		return nil, err
	}
	w.lease = granted.ID
	w.t = history.Tenure{
		Owner: fmt.Sprintf("%x", w.lease), Element: w.asked.Element, Renewals: []history.Renewal{{SentNS: sent, TTLMS: granted.TTL * 1000}},
	}
	beat, err := dial(c.node, c.addr, c.tls, c.timeout)
	if err != nil {
		return nil, &halfDoneError{err}
	}
	beating, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = beat.close() }()
		w.keepAlive(beating, beat)
	}()
	w.quiet = sync.OnceFunc(func() {
		stop()
		<-done
	})
	return w, nil
}

// within makes one request of an operation that lasts.
func within[T any](ctx context.Context, c *client, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return f(ctx)
}

// keepAlive renews the lease until it has ended or ctx is done.
func (w *owner) keepAlive(ctx context.Context, beat *conn) {
	for harness.Pause(ctx, renewEvery) == nil {
		sent := w.now()
		resp, err := within(ctx, w.c, func(ctx context.Context) (*pb.LeaseKeepAliveResponse, error) { return beat.renew(ctx, w.lease) })
		switch {
		case err != nil:
		case resp.TTL <= 0:
			w.gone()
			return
		default:
			w.mu.Lock()
			w.t.Renewals = append(w.t.Renewals, history.Renewal{SentNS: sent, TTLMS: resp.TTL * 1000})
			w.mu.Unlock()
		}
	}
}

// gone notes that the key, or the lease, turned out to be no more.
func (w *owner) gone() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.t.GoneNS == 0 {
		w.t.GoneNS = w.now()
	}
}

func (w *owner) isGone() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.t.GoneNS > 0
}

// acquire waits for its turn by the given call of etcd, which returns the key to own by, and looks whether that is there.
func (w *owner) acquire(ctx context.Context, call func(context.Context) (key string, err error)) error {
	waiting, cancel := context.WithTimeout(ctx, time.Duration(w.asked.WaitMS)*time.Millisecond)
	defer cancel()
	key, err := call(waiting)
	if waiting.Err() != nil && ctx.Err() == nil && err != nil || isLeaseNotFound(err) {
		return errWaited
	}
	if err != nil {
		return fmt.Errorf("wait for the lock: %w", err)
	}
	w.own = key
	asked := w.now()
	seen, revision, err := w.look(ctx)
	if err != nil {
		return fmt.Errorf("look for the owner's key: %w", err)
	}
	if seen == 0 {
		return errWaited // its lease had ended before its turn came
	}
	w.t.Created, w.t.Seen = seen, []int64{revision}
	w.t.AskedNS, w.t.FromNS = asked, w.now()
	if w.asked.Silent {
		w.quiet()
	}
	return nil
}

// look reads the owner's key: the revision that created it, 0 if it is not there, as of a revision of the store.
func (w *owner) look(ctx context.Context) (created, revision int64, err error) {
	resp, err := within(ctx, w.c, func(ctx context.Context) (*pb.RangeResponse, error) {
		resp, _, err := call[*pb.RangeRequest, *pb.RangeResponse](ctx, w.c.conn, w.c.kv.Range, &pb.RangeRequest{Key: []byte(w.own)})
		return resp, err
	})
	if err != nil {
		return 0, 0, err
	}
	if len(resp.Kvs) > 0 {
		created = resp.Kvs[0].CreateRevision
	}
	return created, resp.GetHeader().GetRevision(), nil
}

// still looks whether it owns, and notes what it sees. An unanswered look shows nothing.
func (w *owner) still(ctx context.Context) {
	if w.isGone() {
		return
	}
	switch created, revision, err := w.look(ctx); {
	case err != nil:
	case created != w.t.Created:
		w.gone()
	default:
		w.t.Seen = append(w.t.Seen, revision)
	}
}

// halfTime lets half of the time pass for which it is to own, unless it learns that it does not.
func (w *owner) halfTime(ctx context.Context) error {
	const step = 50 * time.Millisecond
	for left := time.Duration(w.asked.ForMS) * time.Millisecond / 2; left > 0 && !w.isGone(); left -= step {
		if err := harness.Pause(ctx, min(left, step)); err != nil {
			return err
		}
	}
	return nil
}

// fence holds while the owner's key is the one it owns by.
func (w *owner) fence() *pb.Compare {
	return &pb.Compare{
		Key: []byte(w.own), Target: pb.Compare_CREATE, Result: pb.Compare_EQUAL,
		TargetUnion: &pb.Compare_CreateRevision{CreateRevision: w.t.Created},
	}
}

// release gives back what it owns: by etcd's own call, or (exact) by a transaction that tells whether it was still owned, and up to which revision.
func (w *owner) release(ctx context.Context, exact bool, method string, req message) {
	w.quiet()
	if w.isGone() {
		w.t.ToNS, w.t.End = w.t.GoneNS, history.TenureLost
		return
	}
	w.t.ToNS, w.t.End = w.now(), history.TenureUnknown
	if !exact {
		if _, err := within(ctx, w.c, func(ctx context.Context) (message, error) { return w.c.speak(ctx, method, req) }); err == nil {
			w.t.End = history.TenureReleased
		}
		return
	}
	resp, err := within(ctx, w.c, func(ctx context.Context) (*pb.TxnResponse, error) {
		resp, _, err := w.c.txn(ctx, &pb.TxnRequest{Compare: []*pb.Compare{w.fence()}, Success: []*pb.RequestOp{{
			Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte(w.own)}},
		}}})
		return resp, err
	})
	switch {
	case err != nil:
	case resp.Succeeded:
		w.t.Released, w.t.End = resp.GetHeader().GetRevision(), history.TenureReleased
	default:
		w.gone()
		w.t.End = history.TenureLost
	}
}

// leave stops renewing and gives the lease back, answered or not: what is left of it goes with it, sooner or later.
func (w *owner) leave(ctx context.Context) {
	w.quiet()
	_, _ = within(ctx, w.c, func(ctx context.Context) (*pb.LeaseRevokeResponse, error) { return w.c.revoke(ctx, w.lease) })
}

// waited is the completion of who never came to own: it observed that.
func (w *owner) waited(op history.Op, err error) (history.Op, error) {
	if !errors.Is(err, errWaited) {
		return op, &halfDoneError{err} // its key may be there until its lease ends
	}
	w.quiet()
	w.t.End = history.TenureWaited
	op.Value = jsonOf(w.t)
	return op, nil
}
