package checker

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/faultline/faultline/harness/history"
)

// storeOrder finds operations that took effect at, or looked at, a state of the whole store older than one that another
// operation, on any key, had reached before they began. Each register by itself may hide that: nobody wrote that key in between.
func (j *linearizableJudge) storeOrder(registers []*register) {
	type placed struct {
		r *register
		o *regOp
	}
	var all []placed
	for _, r := range registers {
		for i := range r.ops {
			if o := &r.ops[i]; o.revision > 0 && !o.unknown() {
				all = append(all, placed{r, o})
			}
		}
	}
	done := slices.Clone(all)
	slices.SortFunc(all, func(a, b placed) int { return cmp.Compare(a.o.call, b.o.call) })
	slices.SortFunc(done, func(a, b placed) int { return cmp.Compare(a.o.ret, b.o.ret) })
	var (
		top  placed
		next int
	)
	for _, p := range all {
		for ; next < len(done) && done[next].o.ret < p.o.call; next++ {
			if top.o == nil || done[next].o.revision > top.o.revision {
				top = done[next]
			}
		}
		if top.o == nil || p.o.revision >= top.o.revision || j.blamed[p.o.ret] {
			continue
		}
		a := Anomaly{
			Name: "stale-read", Key: p.r.key, Ops: []int64{p.o.index(), top.o.index()},
			Why: fmt.Sprintf("%s at revision %d of the store, but %s had completed at revision %d before it began",
				p.r.describe(p.o), p.o.revision, top.r.describeWithKey(top.o), top.o.revision),
			Allowed: j.allowStale && p.o.kind == regRead,
		}
		if p.o.writes() {
			a.Name, a.Why = "version-mismatch", a.Why+": revisions must rise"
		}
		j.f.add(a)
		if !a.Allowed {
			j.failing(p.r)
		}
	}
}

// describeWithKey is describe with the key, also for what has it from its context otherwise.
func (r *register) describeWithKey(o *regOp) string {
	if o.writes() {
		return r.describe(o) + " on " + r.name()
	}
	return r.describe(o)
}

// steadyFaults are the families that leave a member's process, and so its view, as it was.
var steadyFaults = []string{"partition", "pause"}

// monotone finds reads that went back in versions for one process on one member. A member may do so when it was restarted, so that any other
// fault than the ones known to be steady, in force between the two, allows it.
func (j *linearizableJudge) monotone(ctx context.Context, src history.Source, registers []*register) error {
	all, err := j.f.faultsOf(ctx, src)
	if err != nil {
		return err
	}
	restarts := all.restarts()
	type reader struct {
		process history.Process
		node    string
	}
	for _, r := range registers {
		last := map[reader]*regOp{}
		for i := range r.ops {
			o := &r.ops[i]
			if o.kind != regRead || o.version == 0 && o.value != 0 || o.process == history.Evidence {
				continue
			}
			who := reader{o.process, o.node}
			if b := last[who]; b != nil && b.version > o.version {
				j.f.add(Anomaly{
					Name: "non-monotonic-read", Key: r.key, Ops: []int64{o.index(), b.index()},
					Why:     fmt.Sprintf("%s, but the same process had read version %d before (%d)", r.describe(o), b.version, b.index()),
					Allowed: restarts.overlaps(b.call, o.ret),
				})
				if !restarts.overlaps(b.call, o.ret) {
					j.failing(r)
				}
			}
			last[who] = o
		}
	}
	return nil
}
