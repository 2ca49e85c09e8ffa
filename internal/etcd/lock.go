package etcd

import (
	"context"
	"errors"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// NewLockClient makes clients of etcd's lock API (v3lock), each key a lock of its own:
//
//	lock  history.LockRequest → history.Tenure
//
// An owner has a lease granted, asks for the lock with it, and renews the lease until it gives the lock back, unless it is to be silent. A tenure begins with
// an answer that shows that its key is there. Odd processes give the lock back by a transaction that tells whether it was still theirs, the
// others by the API, which does not. Who waited in vain is ok: it observed that.
func NewLockClient(sys harness.System, o harness.ClientOptions) (harness.OpenClient, error) {
	return newClients(map[string]perform{"lock": ownLock})(sys, o)
}

// NewLockSetClient makes clients of sets as NewSetClient has them, but written whole under a lock, of the same key:
//
//	locked-add  history.LockRequest → history.Tenure, with the element and the version of the set that it was added to
//	read        null → [1, 5, …]
//
// An add reads the set, lets its time pass, and writes a longer one; fenced, by a transaction that requires the owner's key to be there. Version is that of
// the set as it was written. An add that did not get its lock, or lost it before it wrote, is a fail: the set was not written.
func NewLockSetClient(sys harness.System, o harness.ClientOptions) (harness.OpenClient, error) {
	return newClients(map[string]perform{"locked-add": addLocked, "read": readSet})(sys, o)
}

func ownLock(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	w, err := newOwner(ctx, c, op)
	if err != nil {
		return op, err
	}
	defer w.leave(ctx)
	if err := w.acquire(ctx, w.lock); err != nil {
		return w.waited(op, err)
	}
	if err := w.halfTime(ctx); err != nil {
		return op, err
	}
	w.still(ctx)
	if err := w.halfTime(ctx); err != nil {
		return op, err
	}
	w.unlock(ctx, op.Process%2 == 1)
	op.Value = jsonOf(w.t)
	return op, nil
}

// lock asks etcd for the lock.
func (w *owner) lock(ctx context.Context) (string, error) {
	resp, err := w.c.speak(ctx, methodLock, message{}.bytes(1, []byte(ownersOf(w.key))).number(2, w.lease))
	if err != nil {
		return "", err
	}
	_, texts, err := resp.fields()
	return string(texts[2]), err
}

func (w *owner) unlock(ctx context.Context, exact bool) {
	w.release(ctx, exact, methodUnlock, message{}.bytes(1, []byte(w.own)))
}

func addLocked(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	w, err := newOwner(ctx, c, op)
	if err != nil {
		return op, neverWritten(err)
	}
	defer w.leave(ctx)
	if err := w.acquire(ctx, w.lock); err != nil {
		return op, neverWritten(err)
	}
	type found struct {
		item
		list []int64
	}
	seen, err := within(ctx, c, func(ctx context.Context) (f found, err error) {
		if f.item, _, _, err = c.get(ctx, op.Key); err == nil {
			f.list, err = parseList(f.item)
		}
		return f, err
	})
	if err != nil {
		return op, neverWritten(err)
	}
	w.t.Base = seen.modRevision
	if err := errors.Join(w.halfTime(ctx), w.halfTime(ctx)); err != nil {
		return op, neverWritten(err)
	}
	if w.isGone() {
		return op, errLost
	}
	version, err := w.writeSet(ctx, op.Key, append(seen.list, w.asked.Element))
	if err != nil {
		return op, err
	}
	w.unlock(ctx, op.Process%2 == 1)
	op.Value, op.Version, op.Revision = jsonOf(w.t), version, version
	return op, nil
}

// neverWritten is the end of an add before it wrote.
func neverWritten(err error) error {
	if err == nil || errors.Is(err, harness.ErrNotApplied) {
		return err
	}
	return fmt.Errorf("%w: the set was not written: %w", harness.ErrNotApplied, err)
}

// writeSet writes the set, whatever it is by now.
func (w *owner) writeSet(ctx context.Context, key string, list []int64) (version int64, err error) {
	r := &pb.TxnRequest{Success: []*pb.RequestOp{putOp(key, jsonOf(list))}}
	if w.asked.Fenced {
		r.Compare = []*pb.Compare{w.fence()}
	}
	resp, err := within(ctx, w.c, func(ctx context.Context) (*pb.TxnResponse, error) {
		resp, _, err := w.c.txn(ctx, r)
		return resp, err
	})
	switch {
	case err != nil:
		return 0, err
	case !resp.Succeeded:
		return 0, errLost
	}
	version = resp.GetHeader().GetRevision()
	if w.asked.Fenced {
		w.t.Seen = append(w.t.Seen, version)
	}
	return version, nil
}
