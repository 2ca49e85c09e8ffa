package sim

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/harness/sim/replicated"
)

// How imagined owners go about it: the oldest key under a prefix is the owner's, as etcd's locks and elections have it.
const (
	ownerTTL  = 2 * time.Second
	turnEvery = 30 * time.Millisecond
)

// ownersOf is the prefix of the keys of those who own, or wait to own, a thing.
func ownersOf(key string) string { return "owners/" + key + "/" }

// owner is a process on its way to own something, and back.
type owner struct {
	*operation
	v     history.LockRequest
	t     history.Tenure
	lease int64
	key   string
	// waitUntil is when it gives up; silent: nothing is renewed.
	waitUntil time.Duration
	silent    bool
	said      int
	list      []int64 // of the set, with the new element
	version   int64
}

// own begins by having a lease granted and creating a key with it.
func (o *operation) own(v history.LockRequest) {
	o.s.owners++
	w := &owner{operation: o, v: v, lease: 1<<32 + o.s.owners, waitUntil: o.s.Now() + millis(v.WaitMS)}
	w.key = ownersOf(o.op.Key) + strconv.FormatInt(w.lease, 10)
	w.t = history.Tenure{Owner: strconv.FormatInt(w.lease, 16), Element: v.Element}
	sent := w.now()
	w.ask(replicated.Command{Kind: replicated.GrantLease, Lease: w.lease, TTL: ownerTTL}, func(r replicated.Result) {
		w.renewed(sent, r.TTL)
		w.ask(replicated.Command{Kind: replicated.PutGuarded, Key: w.key, Lease: w.lease, Object: w.words()}, func(r replicated.Result) {
			if !r.OK {
				w.giveUp(errNoLease)
				return
			}
			w.t.Created = r.Revision
			w.keepAlive()
			w.turn()
		}, w.giveUp)
	}, w.giveUp)
}

func millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

func (w *owner) now() int64 { return int64(w.s.Now()) }

func (w *owner) after(d time.Duration, do func()) {
	w.s.store.Clock.After(d, func() {
		if !w.over {
			do()
		}
	})
}

// giveUp ends an operation that never came to own anything: what it left goes with its lease.
func (w *owner) giveUp(err error) {
	w.risky = true
	w.fail(err)
}

func (w *owner) renewed(sent int64, ttl time.Duration) {
	w.t.Renewals = append(w.t.Renewals, history.Renewal{SentNS: sent, TTLMS: ttl.Milliseconds()})
}

// keepAlive renews the lease three times in its time.
func (w *owner) keepAlive() {
	w.after(ownerTTL/3, func() {
		if w.silent || w.t.ToNS > 0 {
			return
		}
		sent := w.now()
		w.ask(replicated.Command{Kind: replicated.RenewLease, Lease: w.lease}, func(r replicated.Result) {
			switch {
			case w.t.ToNS > 0:
			case r.TTL == 0:
				w.lost()
			default:
				w.renewed(sent, r.TTL)
			}
		}, func(error) {})
		w.keepAlive()
	})
}

// turn asks whose turn it is until it is its own.
func (w *owner) turn() {
	if w.s.Now() >= w.waitUntil {
		w.t.End = history.TenureWaited
		w.withdraw(func() { w.without(errWaited) })
		return
	}
	sent := w.now()
	again := func() { w.after(turnEvery, w.turn) }
	w.ask(replicated.Command{Kind: replicated.OldestOf, Key: ownersOf(w.op.Key)}, func(r replicated.Result) {
		if r.Key != w.key {
			again()
			return
		}
		w.t.AskedNS, w.t.FromNS = sent, w.now()
		w.t.Seen = append(w.t.Seen, r.Revision)
		w.silent = w.v.Silent
		w.work()
	}, func(error) { again() })
}

var errWaited = errors.New("the lock was not got in time")

// withdraw gives the lease back, answered or not.
func (w *owner) withdraw(then func()) {
	w.ask(replicated.Command{Kind: replicated.RevokeLease, Lease: w.lease}, func(replicated.Result) { then() }, func(error) { then() })
}

// work is what the owner does for as long as it was asked to.
func (w *owner) work() {
	half := millis(w.v.ForMS) / 2
	switch w.op.F {
	case "campaign":
		w.after(half, func() { w.proclaim(func() { w.after(half, w.release) }) })
	case "locked-add":
		w.ask(replicated.Command{Key: w.op.Key}, func(r replicated.Result) {
			w.t.Base = r.Item.Version
			w.list = append(slices.Clip(r.Item.Elements), w.v.Element)
			w.after(2*half, w.write)
		}, func(err error) {
			w.op.Error = err.Error()
			w.without(fmt.Errorf("the set was not read: %w", err))
		})
	default:
		w.after(half, func() { w.look(func() { w.after(half, w.release) }) })
	}
}

// words are what a leader says next.
func (w *owner) words() string {
	w.said++
	return w.t.Owner + "-" + strconv.Itoa(w.said)
}

// look sees whether the owner's key is there.
func (w *owner) look(then func()) {
	w.ask(replicated.Command{Key: w.key}, func(r replicated.Result) {
		if r.Item.Created != w.t.Created {
			w.lost()
			return
		}
		w.t.Seen = append(w.t.Seen, r.Revision)
		then()
	}, func(error) { then() })
}

func (w *owner) fence() *replicated.Fence { return &replicated.Fence{Key: w.key, Created: w.t.Created} }

// proclaim has a leader say something.
func (w *owner) proclaim(then func()) {
	p := history.Proclaim{Value: w.words()}
	w.ask(replicated.Command{Kind: replicated.PutGuarded, Key: w.key, Any: true, Fence: w.fence(), Object: p.Value}, func(r replicated.Result) {
		if r.OK {
			p.Revision = r.Revision
			w.t.Seen = append(w.t.Seen, r.Revision)
		}
		w.t.Proclaims = append(w.t.Proclaims, p)
		if !r.OK {
			w.lost()
			return
		}
		then()
	}, func(error) { then() })
}

// write writes the set with the new element, over whatever there is.
func (w *owner) write() {
	cmd := replicated.Command{Kind: replicated.PutGuarded, Key: w.op.Key, Any: true, List: w.list}
	if w.v.Fenced {
		cmd.Fence = w.fence()
	}
	w.ask(cmd, func(r replicated.Result) {
		if !r.OK {
			w.without(errLost)
			return
		}
		w.version = r.Revision
		if w.v.Fenced {
			w.t.Seen = append(w.t.Seen, r.Revision)
		}
		w.release()
	}, w.giveUp)
}

var errLost = errors.New("the lock was lost before the element was written")

// release gives back what is owned.
func (w *owner) release() {
	w.t.ToNS = w.now()
	w.ask(replicated.Command{Kind: replicated.PutGuarded, Key: w.key, Any: true, Fence: w.fence(), Gone: true}, func(r replicated.Result) {
		if !r.OK {
			w.gone()
			return
		}
		w.t.Released, w.t.End = r.Revision, history.TenureReleased
		w.withdraw(w.finish)
	}, func(error) {
		w.t.End = history.TenureUnknown
		w.finish()
	})
}

// lost ends a tenure that was found to be over.
func (w *owner) lost() {
	if w.t.FromNS == 0 {
		w.t.GoneNS, w.t.End = w.now(), history.TenureWaited
		w.without(errWaited)
		return
	}
	if w.op.F == "locked-add" {
		return // it does not look: the write tells
	}
	w.t.ToNS = w.now()
	w.gone()
}

func (w *owner) gone() {
	w.t.GoneNS, w.t.End = w.now(), history.TenureLost
	w.finish()
}

// without ends an operation that did nothing: an add fails, whoever only wanted to own tells how it was.
func (w *owner) without(err error) {
	if w.op.F == "locked-add" {
		w.risky = false
		w.fail(err)
		return
	}
	w.finish()
}

func (w *owner) finish() { w.ok(encode(w.t), w.version, 0) }
