package checker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// Models of LockSet: how the set that a lock protects is written.
const (
	// ModelFenced: an element is written only if the lock is owned at that very moment, by the revision of the owner's key.
	ModelFenced = "fenced"
	// ModelUnfenced: whoever believes that it owns the lock writes.
	ModelUnfenced = "unfenced"
)

// LockSetModels are the models, the default first.
func LockSetModels() []string { return []string{ModelFenced, ModelUnfenced} }

// LockSet judges sets that are read and written whole under a lock, without any guard but that (f "locked-add": history.LockRequest → history.Tenure, and
// f "read", null → a list), as SetWith judges sets. With ModelFenced (the default, "") nothing may be lost.
//
// With ModelUnfenced an element that was lost, or was missing for a while, is allowed where the lock can't have prevented it: somebody else read the set
// before the element was written and wrote it afterwards, and one of the two went on for longer than its lease lived for certain; or
// the outcome of an add is unknown, so that its write may have come at any time. That is unsafe by design, as Jepsen's report on etcd 3.4.3
// (2020) found. Where nothing explains it, it is not allowed.
func LockSet(model string) (Checker, error) {
	switch model {
	case "", ModelFenced, ModelUnfenced:
		return lockSet{model == ModelUnfenced}, nil
	}
	return nil, fmt.Errorf("%q: %w: a set under a lock has %s and %s", model, ErrUnknownModel, ModelFenced, ModelUnfenced)
}

type lockSet struct{ unfenced bool }

func (lockSet) Name() string { return "lock-set" }

func (l lockSet) Check(ctx context.Context, src history.Source, b Budget) (Result, error) {
	plain := set{model: ModelLinearizable}
	if l.unfenced {
		var f findings
		adds, err := f.lockedAdds(ctx, src)
		if err != nil {
			return Result{}, err
		}
		plain.excuse = adds.excuse
	}
	return plain.Check(ctx, unlocked{src}, b)
}

// unlocked shows a history's locked-adds as plain adds.
type unlocked struct{ history.Source }

func (u unlocked) Ops() func(yield func(history.Op, error) bool) {
	return func(yield func(history.Op, error) bool) {
		for op, err := range u.Source.Ops() {
			if err == nil && op.F == fLockedAdd && op.Process.IsClient() {
				var v struct {
					Element int64 `json:"element"`
				}
				if err = json.Unmarshal(op.Value, &v); err != nil {
					err = fmt.Errorf("operation %d: %w: %w", op.Index, ErrMalformed, err)
				}
				op.F, op.Value = fAdd, strconv.AppendInt(nil, v.Element, 10)
			}
			if !yield(op, err) {
				return
			}
		}
	}
}

// lockedAdd is one add: what it wrote over what, and for how long it believed that it owned the lock.
type lockedAdd struct {
	tenure
	call, ret int64
	version   int64 // 0: unknown
}

// late tells whether it went on for longer than its lease lived for certain.
func (a *lockedAdd) late() bool {
	return a.ToNS > a.AliveUntilNS()-int64(DefaultClockError)
}

// lockedAdds are the adds to each set, in the order of their versions, the unknown ones first.
type lockedAdds map[string][]lockedAdd

func (f *findings) lockedAdds(ctx context.Context, src history.Source) (lockedAdds, error) {
	out := lockedAdds{}
	err := f.clients(ctx, src, func(p history.Pair) error {
		if p.Invoke.F != fLockedAdd || p.Outcome() == history.Fail {
			return nil
		}
		a := lockedAdd{call: p.Invoke.Index, ret: returned(p)}
		a.index, a.process, a.node = indexOf(p), p.Invoke.Process, p.Invoke.Node
		value := p.Invoke.Value
		if p.Outcome() == history.OK {
			value, a.version = p.Complete.Value, p.Complete.Version
		}
		if err := json.Unmarshal(value, &a.Tenure); err != nil {
			return fmt.Errorf("operation %d: an add under a lock: %w: %w", a.index, ErrMalformed, err)
		}
		out[p.Invoke.Key] = append(out[p.Invoke.Key], a)
		return nil
	})
	for _, list := range out {
		slices.SortFunc(list, func(a, b lockedAdd) int {
			return cmp.Or(cmp.Compare(a.version, b.version), cmp.Compare(a.index, b.index))
		})
	}
	return out, err
}

// excuse explains why an element may be missing.
func (l lockedAdds) excuse(key, element string) string {
	list := l[key]
	at := slices.IndexFunc(list, func(a lockedAdd) bool { return strconv.FormatInt(a.Element, 10) == element })
	if at < 0 {
		return ""
	}
	a := &list[at]
	if a.version == 0 {
		return fmt.Sprintf("the outcome of its add %d is unknown, so that it may have been written when its lease had ended", a.index)
	}
	for i := range list {
		b := &list[i]
		switch {
		case b.version == 0 && b.call < a.ret:
			return fmt.Sprintf("the outcome of add %d is unknown: it may have read the set before and written it afterwards, when its lease had ended", b.index)
		case b.version > a.version && b.Base < a.version && (a.late() || b.late()):
			return fmt.Sprintf("add %d had read the set before, at version %d, and wrote it afterwards, at %d; its lease was certain until %s and it went on until %s, that of add %d until %s and it went on until %s: unsafe by design",
				b.index, b.Base, b.version, time.Duration(b.AliveUntilNS()), time.Duration(b.ToNS), a.index, time.Duration(a.AliveUntilNS()), time.Duration(a.ToNS))
		}
	}
	return ""
}
