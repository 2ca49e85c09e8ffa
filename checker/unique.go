package checker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// Unique judges whether what the system gave to objects (history.Declaration.Given: an address, a port) was given to one at a time.
// Operations are create, delete and read, with history.Declaration as value; each Op.Key is an object of its own, what is given is
// unique over all of them.
//
//   - duplicate-allocation: two objects that certainly were there at the same time had been given the same. An object is there for certain
//     from the completion of its create, or of a read that found it, up to the invocation of the first delete that may have removed it.
//   - changed-allocation: one object, by its UID, had two different things given at two times.
func Unique() Checker { return unique{} }

type unique struct{}

// UniqueDetail is the Detail of Unique.
type UniqueDetail struct {
	// Objects are those known to have been given something.
	Objects int `json:"objects"`
	// Given counts what was given by its name, Reused those of them that were given again later.
	Given  map[string]int `json:"given"`
	Reused map[string]int `json:"reused"`
}

// holder is an object that something was given to.
type holder struct {
	key, uid string
	given    map[string]string
	// from and to are where it certainly was there; index says so.
	from, to, index int64
	// seenFrom is the invocation of what showed it.
	seenFrom int64
}

// removal is a delete that may have happened.
type removal struct {
	call, ret int64
	at        time.Duration // of the invocation
	uid       string        // what was removed; empty where that is not known
}

// mayRemove tells whether it may have removed an object, by its UID, that was there at some time after an index.
func (r *removal) mayRemove(uid string, since int64) bool {
	return r.ret > since && (r.uid == "" || uid == "" || r.uid == uid)
}

func (unique) Name() string { return "unique" }

func (unique) Check(ctx context.Context, src history.Source, _ Budget) (Result, error) {
	var (
		f        findings
		holders  = map[string][]*holder{}
		removals = map[string][]removal{}
	)
	err := f.clients(ctx, src, func(p history.Pair) error {
		if p.Outcome() == history.Fail {
			return nil
		}
		switch p.Invoke.F {
		case fCreate, fRead:
			return takeHolder(holders, p)
		case fDelete:
			return takeRemoval(removals, p)
		}
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	j := uniqueJudge{f: &f, d: UniqueDetail{Given: map[string]int{}, Reused: map[string]int{}}, by: map[[2]string][]*holder{}}
	for _, key := range sortedKeys(holders) {
		j.settle(holders[key], removals[key])
	}
	j.judge()
	if j.d.Objects == 0 {
		f.unknown("nothing to check: no object is known to have been given anything")
	}
	return f.result(j.d.summary(), j.d)
}

func (d *UniqueDetail) summary() string {
	s := count(d.Objects, "object", "objects")
	for _, name := range sortedKeys(d.Given) {
		s += fmt.Sprintf(", %s different %ss (%s given again)", thousands(int64(d.Given[name])), name, thousands(int64(d.Reused[name])))
	}
	return s
}

func declarationOf(op history.Op) (d history.Declaration, err error) {
	if isNull(op.Value) {
		return d, nil
	}
	if err := json.Unmarshal(op.Value, &d); err != nil {
		return d, fmt.Errorf("operation %d: a declaration: %w: %w", op.Index, ErrMalformed, err)
	}
	return d, nil
}

// takeHolder reads a create or read that tells what an object was given.
func takeHolder(holders map[string][]*holder, p history.Pair) error {
	if p.Outcome() != history.OK {
		return nil
	}
	d, err := declarationOf(p.Complete)
	if err != nil || d.Refused != "" || len(d.Given) == 0 {
		return err
	}
	for _, h := range holders[p.Invoke.Key] {
		if h.uid == d.UID && d.UID != "" && maps.Equal(h.given, d.Given) {
			return nil // what was completed first says most
		}
	}
	holders[p.Invoke.Key] = append(holders[p.Invoke.Key], &holder{
		key: p.Invoke.Key, uid: d.UID, given: d.Given, from: p.Complete.Index, to: never, index: p.Complete.Index, seenFrom: p.Invoke.Index,
	})
	return nil
}

// takeRemoval reads a delete that may have happened.
func takeRemoval(removals map[string][]removal, p history.Pair) error {
	r := removal{call: p.Invoke.Index, ret: never}
	if p.Outcome() == history.OK {
		d, err := declarationOf(p.Complete)
		if err != nil {
			return err
		}
		if d.Refused != "" {
			return nil
		}
		r.ret, r.uid = p.Complete.Index, d.UID
	}
	removals[p.Invoke.Key] = append(removals[p.Invoke.Key], r)
	return nil
}

// uniqueJudge finds what was given twice.
type uniqueJudge struct {
	f *findings
	d UniqueDetail
	// by are the holders of each thing, by its name and value.
	by map[[2]string][]*holder
}

// settle finds until when the objects of one key were there.
func (j *uniqueJudge) settle(list []*holder, removals []removal) {
	uids := map[string]*holder{}
	for _, h := range list {
		for _, r := range removals {
			if r.mayRemove(h.uid, h.seenFrom) {
				h.to = min(h.to, r.call)
			}
		}
		// Without a UID, another object of that name ends this one.
		if first := uids[h.uid]; first == nil || h.uid == "" {
			uids[h.uid] = h
			j.d.Objects++
		} else {
			j.changed(first, h)
		}
		for name, value := range h.given {
			if value != "" && value != noAddress {
				j.by[[2]string{name, value}] = append(j.by[[2]string{name, value}], h)
			}
		}
	}
}

// noAddress is what objects are given that want nothing.
const noAddress = "None"

// changed finds what one object was given twice differently.
func (j *uniqueJudge) changed(a, b *holder) {
	for _, name := range sortedKeys(a.given) {
		if v, ok := b.given[name]; ok && v != a.given[name] {
			j.f.add(Anomaly{
				Name: "changed-allocation", Key: a.key, Ops: []int64{b.index, a.index},
				Why: fmt.Sprintf("%s had the %s %s (%d), and then %s (%d), as one and the same object", a.key, name, a.given[name], a.index, v, b.index),
			})
			return
		}
	}
}

// judge finds holders of one thing whose times overlap.
func (j *uniqueJudge) judge() {
	things := slices.SortedFunc(maps.Keys(j.by), func(a, b [2]string) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	for _, thing := range things {
		list := j.by[thing]
		slices.SortFunc(list, func(a, b *holder) int { return cmp.Compare(a.from, b.from) })
		j.d.Given[thing[0]]++
		if len(list) > 1 {
			j.d.Reused[thing[0]]++
		}
		var last *holder
		for _, h := range list {
			if h.to <= h.from {
				continue // it may have been removed at once
			}
			if last != nil && h.from < last.to && h.key != last.key {
				j.f.add(Anomaly{
					Name: "duplicate-allocation", Key: h.key, Ops: []int64{h.index, last.index},
					Why: fmt.Sprintf("%s had the %s %s (%d) while %s had it (%d), which no delete had been invoked for", h.key, thing[0], thing[1], h.index, last.key, last.index),
				})
			}
			if last == nil || h.to > last.to {
				last = h
			}
		}
	}
}
