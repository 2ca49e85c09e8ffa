package workloads

import (
	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/etcd"
)

// How long owners wait, and own, in milliseconds. Now and then one is silent: it renews nothing and goes on for longer than its lease lives, as a process
// that stood still would, because faults of the system under test stop no client. Of those who write a set, more are: only what they write shows
// that a fence is missing.
const (
	ownWaitMS       = 3000
	ownLeastMS      = 60
	ownMostMS       = 600
	ownSilentOnce   = 5
	writeSilentOnce = 3
	ownSilentMS     = etcd.OwnerTTLMS + 800
	ownSilentMoreMS = 2500
	ownLastWaitMS   = 12_000
)

// ownEnough is little: whoever wants to own something waits for the others.
var ownEnough = checker.Minimum{OK: 10, ContendedKeys: 1, ReadsAfter: 1}

func etcdLock() Workload {
	return Workload{
		Name: "etcd/lock", Doc: "locks of etcd's lock API, each owned while a lease lives; some owners go on after it; mutual exclusion by revisions and leases",
		Minimum: ownEnough, New: locked, Clients: etcd.NewLockClient, Defaults: Defaults{Rate: 20, Keys: 2, OpsPerKey: 2000},
	}
}

func etcdLockSet() Workload {
	return Workload{
		Name:   "etcd/lock-set",
		Doc:    "sets that are read and written whole under a lock; fenced by the revision of the owner's key, or (--model unfenced) by nothing, where losses that the lock can't prevent are told as allowed",
		Models: checker.LockSetModels(), Minimum: ownEnough, New: lockedSet, Clients: etcd.NewLockSetClient, Defaults: Defaults{Rate: 30, Keys: 2, OpsPerKey: 2000},
	}
}

// drawOwning is how one owner goes about it, one in so many silently.
func drawOwning(ctx *generator.Context, silentOnce int) history.LockRequest {
	v := history.LockRequest{WaitMS: ownWaitMS, ForMS: ownLeastMS + ctx.Rand.Int64N(ownMostMS-ownLeastMS)}
	if ctx.Rand.IntN(silentOnce) == 0 {
		v.Silent, v.ForMS = true, ownSilentMS+ctx.Rand.Int64N(ownSilentMoreMS)
	}
	return v
}

// locked is locks that everybody wants.
//
//	lock  history.LockRequest → history.Tenure
func locked(o Options) (Parts, error) {
	if err := o.check(); err != nil {
		return Parts{}, err
	}
	keys := stream(o, "k")
	used := newLedger(keys.Prefix, ownKey)
	draw := func(ctx *generator.Context, _ generator.Worker, n uint64) history.Op {
		return history.Op{F: "lock", Key: keys.Key(n, ctx.Rand), Value: jsonOf(drawOwning(ctx, ownSilentOnce))}
	}
	return Parts{
		Main:     &noted{used, mainPhase(o, "lock", draw)},
		Final:    finalReads(func() []history.Op { return lastOwners("lock", used.recent(1)) }),
		Checkers: []checker.Checker{checker.Locks(checker.TenureOptions{})},
	}, nil
}

// lastOwners own each key once more, for a moment.
func lastOwners(f string, keys []string) []history.Op {
	var ops []history.Op
	for _, k := range keys {
		ops = append(ops, history.Op{F: f, Key: k, Value: jsonOf(history.LockRequest{WaitMS: ownLastWaitMS, ForMS: ownLeastMS})})
	}
	return ops
}

// lockedSet is adds to sets under their locks, and reads of them, two to one.
//
//	locked-add  history.LockRequest → history.Tenure, of the lock
//	read        null → [4, 17, …]
func lockedSet(o Options) (Parts, error) {
	if err := o.check(); err != nil {
		return Parts{}, err
	}
	judge, err := checker.LockSet(o.Model)
	if err != nil {
		return Parts{}, err
	}
	keys := stream(o, "k")
	used := newLedger(keys.Prefix, ownKey)
	draw := func(ctx *generator.Context, w generator.Worker, n uint64) history.Op {
		op := history.Op{F: "read", Key: keys.Key(n, ctx.Rand)}
		if ctx.Rand.IntN(3) < 2 {
			v := drawOwning(ctx, writeSilentOnce)
			v.Element, v.Fenced = int64(number(o, w, n)), o.Model != checker.ModelUnfenced //nolint:gosec // counts operations
			op.F, op.Value = "locked-add", jsonOf(v)
		}
		return op
	}
	return Parts{
		Main:     &noted{used, mainPhase(o, "lock-set", draw)},
		Final:    finalReads(func() []history.Op { return reads(used.recent(finalKeysMax)) }),
		Checkers: []checker.Checker{judge, checker.Locks(checker.TenureOptions{})},
	}, nil
}
