package workloads

import (
	"strconv"
	"time"

	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/etcd"
)

func etcdLease() Workload {
	return Workload{
		Name:    "etcd/lease",
		Doc:     "keys with leases that are kept alive, left alone or revoked: there while renewed, gone in time, never back",
		Minimum: leaseEnough, New: leasedKeys, Clients: etcd.NewLeaseClient, Defaults: Defaults{Rate: 150},
	}
}

// leaseEnough does not ask for reads during each kind of fault: where faults overlap there may be none for which a majority is at work, and
// what counts is that leases end afterwards.
var leaseEnough = checker.Minimum{OK: 100, ContendedKeys: 1, ReadsAfter: 5}

const (
	// leaseTTLMS is what is asked for. etcd grants whole seconds, and 2 s at least with an election time-out of one.
	leaseTTLMS = 2000
	// leasePhaseSeconds is for how long each worker's lease is the youngest of its own, and renewed. It is left alone for the next
	// two of such times, which are longer than the bound of checker.Leases, and asked for once more in the last.
	leasePhaseSeconds = 4
	leasePhases       = 4
	// leaseRevokedOnce: one lease in so many is revoked instead of being left alone.
	leaseRevokedOnce = 3
	// leaseCalm is how long the last leases are looked at after the faults: for two elections more than the bound of checker.Leases.
	leaseCalm      = 9 * time.Second
	leaseLookEvery = 200 * time.Millisecond
	// leaseFastest stands for the rate of workers that go as fast as they can.
	leaseFastest = 1000
)

// leasedKeys has each worker grant a lease from time to time, each with a number and a key of its own, and everybody renew, look at and revoke the last ones of
// everybody. Which lease an operation is about follows from the worker's own count.
//
//	grant, renew, revoke, get  history.LeaseRequest → history.LeaseAnswer
func leasedKeys(o Options) (Parts, error) {
	if err := o.check(); err != nil {
		return Parts{}, err
	}
	used := newLedger("l", ownKey)
	rate := o.Rate
	if rate == 0 {
		rate = leaseFastest
	}
	phase := uint64(max(leasePhases, leasePhaseSeconds*rate/float64(o.Concurrency)))
	draw := func(ctx *generator.Context, w generator.Worker, n uint64) history.Op {
		if n%phase == 0 {
			return onLease(o, "grant", n/phase, w, leaseTTLMS)
		}
		age := min(uint64(ctx.Rand.IntN(leasePhases)), n/phase) //nolint:gosec // counts from 0
		v := generator.Worker(ctx.Rand.IntN(o.Concurrency))
		generation := n/phase - age
		revoked := number(o, v, generation)%leaseRevokedOnce == 0
		return onLease(o, weighted(ctx, leaseMix(age, revoked)), generation, v, 0)
	}
	last := func() []history.Op {
		var ops []history.Op
		for _, k := range used.recent(leasePhases * o.Concurrency) {
			id, err := strconv.ParseInt(k[len(used.prefix):], 10, 64)
			if err == nil && id > 0 {
				ops = append(ops, history.Op{F: "get", Key: k, Value: jsonOf(history.LeaseRequest{ID: id})})
			}
		}
		return ops
	}
	return Parts{
		Main: &noted{used, mainPhase(o, "lease", draw)},
		// In the end nobody renews anything, while no fault hides who is late.
		Final:    generator.Seq(generator.TimeLimit(leaseCalm, lookedAfter(last)), finalReads(last)),
		Checkers: []checker.Checker{checker.Leases(checker.LeasesOptions{})},
	}, nil
}

// lookedAfter has every worker look at one key after another, again and again.
func lookedAfter(ops func() []history.Op) generator.Generator {
	return generator.EachWorker(func(w generator.Worker) generator.Generator {
		todo := ops()
		if len(todo) == 0 {
			return generator.Seq()
		}
		return generator.Delay(leaseLookEvery, &drawn{f: func(_ *generator.Context, n uint64) history.Op {
			return todo[(n+uint64(w))%uint64(len(todo))] //nolint:gosec // client workers count from 0
		}})
	})
}

// leaseMix is what is done with a lease of an age, in phases.
func leaseMix(age uint64, revoked bool) []weight {
	switch {
	case age == 0:
		return []weight{{"renew", 11}, {"get", 9}}
	case revoked:
		return []weight{{"revoke", 1}, {"renew", 4}, {"get", 15}}
	case age < leasePhases-1:
		return []weight{{"get", 1}}
	}
	return []weight{{"renew", 1}, {"get", 1}}
}

// onLease is an operation on the lease of a worker's generation.
func onLease(o Options, f string, generation uint64, w generator.Worker, ttl int64) history.Op {
	id := number(o, w, generation)
	return history.Op{F: f, Key: "l" + strconv.FormatUint(id, 10), Value: jsonOf(history.LeaseRequest{ID: int64(id), TTLMS: ttl})} //nolint:gosec // counts operations
}
