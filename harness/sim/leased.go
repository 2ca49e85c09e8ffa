package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/harness/sim/replicated"
)

// long are the operations that take as long as they are asked to: each of their requests has a deadline of its own.
var long = map[string]bool{"lock": true, "locked-add": true, "campaign": true, "observe": true, "watch": true}

// leaseKey is where the key of a lease is.
func leaseKey(key string) string { return "lease/" + key }

// parseLeased tells how an operation on leases, locks and elections begins.
func (o *operation) parseLeased() (begin func(), err error) {
	switch o.op.F {
	case "grant", "renew", "revoke", "get":
		var v history.LeaseRequest
		err = json.Unmarshal(o.op.Value, &v)
		return func() { o.onLease(v) }, err
	case "lock", "locked-add", "campaign":
		var v history.LockRequest
		err = json.Unmarshal(o.op.Value, &v)
		return func() { o.own(v) }, err
	case "observe":
		var v history.ObserveRequest
		err = json.Unmarshal(o.op.Value, &v)
		return func() { o.observe(v) }, err
	}
	return nil, errors.New("the imagined clients know no such function")
}

// onLease performs an operation on one lease.
func (o *operation) onLease(v history.LeaseRequest) {
	answer := func(a history.LeaseAnswer, r replicated.Result, version int64) {
		a.ID, a.Term = v.ID, r.Term
		o.ok(encode(a), version, r.Revision)
	}
	switch o.op.F {
	case "grant":
		ttl := time.Duration(v.TTLMS) * time.Millisecond
		o.call(replicated.Command{Kind: replicated.GrantLease, Lease: v.ID, TTL: ttl}, func(granted replicated.Result) {
			o.call(replicated.Command{Kind: replicated.PutGuarded, Key: leaseKey(o.op.Key), Any: true, Lease: v.ID, Object: v.ID}, func(r replicated.Result) {
				if !r.OK {
					o.risky = true // the lease was granted
					o.fail(errNoLease)
					return
				}
				answer(history.LeaseAnswer{TTLMS: granted.TTL.Milliseconds()}, r, r.Revision)
			})
			o.risky = true
		})
	case "renew":
		o.call(replicated.Command{Kind: replicated.RenewLease, Lease: v.ID}, func(r replicated.Result) {
			answer(history.LeaseAnswer{TTLMS: r.TTL.Milliseconds()}, r, 0)
		})
	case "revoke":
		o.call(replicated.Command{Kind: replicated.RevokeLease, Lease: v.ID}, func(r replicated.Result) {
			answer(history.LeaseAnswer{Found: r.OK}, r, 0)
		})
	default:
		o.call(replicated.Command{Key: leaseKey(o.op.Key)}, func(r replicated.Result) {
			answer(history.LeaseAnswer{Found: r.Item.Version > 0}, r, r.Item.Version)
		})
	}
}

var errNoLease = errors.New("the lease is not found")

// ask sends a command with a deadline of its own; one of the two is called, once, unless the operation is over.
func (o *operation) ask(cmd replicated.Command, ok func(replicated.Result), bad func(error)) {
	settled := false
	settle := func(then func()) {
		if !settled && !o.over {
			settled = true
			then()
		}
	}
	o.s.store.Clock.After(o.s.timeout, func() { settle(func() { bad(errTimeout) }) })
	o.s.store.Call(&o.n.Outside, o.n, cmd, func(r replicated.Result, err error) {
		settle(func() {
			if err != nil {
				bad(err)
				return
			}
			ok(r)
		})
	})
}

// observe asks who leads, again and again.
func (o *operation) observe(v history.ObserveRequest) {
	seen := history.Observed{Leaders: []history.Sighting{}, End: "time"}
	answered := false
	o.s.store.Clock.After(time.Duration(v.ForMS)*time.Millisecond, func() {
		if !answered {
			o.risky = false
			o.fail(fmt.Errorf("%w: the observer never heard anything", errTimeout))
			return
		}
		o.ok(encode(seen), 0, 0)
	})
	var look func()
	again := func() { o.s.store.Clock.After(observeEvery, look) }
	look = func() {
		o.ask(replicated.Command{Kind: replicated.OldestOf, Key: ownersOf(o.op.Key)}, func(r replicated.Result) {
			answered = true
			n := len(seen.Leaders)
			if it := r.Item; it.Version > 0 && (n == 0 || seen.Leaders[n-1].Created != it.Created || seen.Leaders[n-1].Modified != it.Version) {
				words, _ := it.Object.(string)
				seen.Leaders = append(seen.Leaders, history.Sighting{Created: it.Created, Modified: it.Version, Revision: r.Revision, Value: words})
			}
			again()
		}, func(error) { again() })
	}
	look()
}

const observeEvery = 25 * time.Millisecond
