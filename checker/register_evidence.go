package checker

import (
	"context"
	"fmt"

	"github.com/faultline/faultline/harness/history"
)

// settledMax bounds the settled writes that a result lists.
const settledMax = 20

// SettledWrite is a version of a register that no acknowledged write made and that the store told of after the run (history.FCommitted): a
// write of unknown outcome happened.
type SettledWrite struct {
	Key     string `json:"key"`
	Version int64  `json:"version"`
	Value   string `json:"value"`
	// By are the operations that can have made it, each by its index to people: one where that is certain.
	By []int64 `json:"by"`
}

// testify adds to each register with operations of unknown outcome, or failed ones, the versions that the store told of and that no
// acknowledged write made, as reads that could have been made at any time. So each must have a writer, as what clients read must; that
// there is none of a version says nothing. It returns how many it added.
func (f *findings) testify(ctx context.Context, src history.Source, registers []*register) (added int, err error) {
	doubtful := map[string]*register{}
	owned := map[string]map[int64]bool{}
	for _, r := range registers {
		versions := r.ownedVersions()
		if len(r.failed) > 0 || r.unknowns() > 0 {
			doubtful[r.key], owned[r.key] = r, versions
		}
	}
	if len(doubtful) == 0 {
		return 0, nil
	}
	n := 0
	for op, err := range src.Ops() {
		if err != nil {
			return added, fmt.Errorf("read the history: %w", err)
		}
		if n++; n&1023 == 0 && ctx.Err() != nil {
			f.unknown("%s", errStopped)
			return added, nil
		}
		if op.Process != history.Evidence || op.F != history.FCommitted || doubtful[op.Key] == nil || owned[op.Key][op.Version] {
			continue
		}
		r := doubtful[op.Key]
		owned[op.Key][op.Version] = true // of a member that broke off, a version is told twice
		// The first, since operations are in the order of their invocations.
		r.told = append(r.told, regOp{call: beforeAll, ret: op.Index, kind: regRead, value: r.names.id(op.Value), version: op.Version, process: history.Evidence, node: op.Node})
		added++
	}
	for _, r := range doubtful {
		r.ops = append(r.told[:len(r.told):len(r.told)], r.ops...)
	}
	return added, nil
}

// beforeAll is the invocation of what could have been done at any time.
const beforeAll = -1

// dismiss takes out what testify added.
func (r *register) dismiss() {
	r.ops = r.ops[len(r.told):]
	r.told = nil
}

// ownedVersions are the versions of the ok writes.
func (r *register) ownedVersions() map[int64]bool {
	out := map[int64]bool{}
	for i := range r.ops {
		if o := &r.ops[i]; o.writes() && !o.unknown() && o.version > 0 {
			out[o.version] = true
		}
	}
	return out
}

// unknowns is how many operations have an unknown outcome.
func (r *register) unknowns() (n int) {
	for i := range r.ops {
		if r.ops[i].unknown() {
			n++
		}
	}
	return n
}

// settled are the versions that the store told of and that operations of unknown outcome can have made, at most limit of them.
func (r *register) settled(limit int) (list []SettledWrite, all int) {
	makers := map[int32][]int64{}
	for i := range r.ops {
		if o := &r.ops[i]; o.unknown() && o.writes() {
			makers[o.value] = append(makers[o.value], o.index())
		}
	}
	for i := range r.told {
		o := &r.told[i]
		by := makers[o.value]
		if len(by) == 0 {
			continue
		}
		if all++; len(list) < limit {
			list = append(list, SettledWrite{Key: r.key, Version: o.version, Value: r.names.text(o.value), By: by})
		}
	}
	return list, all
}
