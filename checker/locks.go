package checker

import (
	"context"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// TenureOptions say how certain Locks and Elections must be.
type TenureOptions struct {
	// ClockError is how much the system's clocks may err over the life of one lease; 0 is DefaultClockError.
	ClockError time.Duration
}

// Locks judges locks that are owned as long as a lease lives (f "lock", and "locked-add": history.LockRequest → history.Tenure; each Op.Key is a
// lock of its own):
//
//   - mutual-exclusion: two owned it at once, by the revisions of their keys, or at a time at which neither had begun to give it back and the leases of
//     both lived for certain, by renewals that were acknowledged.
//   - lease-expired-early: an owner's key was gone although its lease had been renewed.
//   - lock-overlap: two believed that they owned it, and the lease of the first may have run out. Such a lock does not promise that nobody does (Kleppmann,
//     "How to do distributed locking", 2016; Jepsen's report on etcd 3.4.3, 2020): it is allowed, and measured.
//
// A run in which nobody owned a lock is Unknown.
func Locks(o TenureOptions) Checker {
	if o.ClockError == 0 {
		o.ClockError = DefaultClockError
	}
	return locks{o.ClockError}
}

type locks struct{ clock time.Duration }

func (locks) Name() string { return "locks" }

func (l locks) Check(ctx context.Context, src history.Source, _ Budget) (Result, error) {
	var f findings
	all, err := f.tenuresOf(ctx, src, fLock, fLockedAdd)
	if err != nil {
		return Result{}, err
	}
	o := ownership{f: &f, d: TenuresDetail{Ends: map[string]int{}}, clock: l.clock, overlap: "lock-overlap", both: "mutual-exclusion"}
	for _, key := range sortedKeys(all) {
		o.judge(key, all[key])
	}
	if o.d.Tenures == 0 {
		f.unknown("nothing to check: nobody ever owned a lock")
	}
	return f.result(o.d.summary("lock", "locks"), o.d)
}
