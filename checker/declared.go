package checker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/faultline/faultline/harness/history"
)

// DeclaredOptions say what of the declared state may change by itself.
type DeclaredOptions struct {
	// Vanishing are the kinds of object that the system may remove without being asked, as the pods of a node that is gone.
	Vanishing []string
}

// Declared judges whether the declared state is what was declared: operations create, scale, rollout, rollback, delete and read, with
// history.Declaration as value. Each Op.Key is an object of its own. Every write leaves its Change in the object; versions order
// the writes that were acknowledged. A write of unknown outcome may take effect at any time after its invocation, or never. Reads
// reflect every write acknowledged before them. Broken promises:
//
//   - lost: the object was acknowledged, or read once, and a later read does not find it, although neither it nor an owner of it may have
//     been deleted. A write that is refused because there is no such object is such a read, too.
//   - lost-update: at a version that is not older than an acknowledged write's, the object is as an older write left it.
//   - lost-delete: an object whose deletion was acknowledged is there again, the same one, and not being deleted.
//   - stale-read: a read has an older version than a write that was acknowledged before it began, or lacks an object that a later one has.
//   - garbage-read: the object is as nobody declared it: by its change, replicas, image or count. aborted-read: who declared that was told
//     that it failed. future-read: it was read before it was declared.
//   - incompatible-order: of two acknowledged writes the later one has the older version, or the same.
//
// That an object is gone that an owner's deletion takes with it is for convergence to judge, as is everything that follows from what is
// declared.
func Declared(o DeclaredOptions) Checker { return declared{slices.Clone(o.Vanishing)} }

type declared struct{ vanishing []string }

// DeclaredDetail is the Detail of Declared.
type DeclaredDetail struct {
	Objects int64 `json:"objects"`
	Reads   int64 `json:"reads"`
	// Acknowledged, Refused and Unknown are writes, deletes included; Recovered are those of unknown outcome that a read shows to have
	// taken effect.
	Acknowledged int64 `json:"acknowledged"`
	Refused      int64 `json:"refused"`
	Unknown      int64 `json:"unknown"`
	Recovered    int64 `json:"recovered"`
}

// Functions of declarations, beside create, delete and read.
const (
	fScale    = "scale"
	fRollout  = "rollout"
	fRollback = "rollback"
)

// refusedAbsent is why a declaration was refused that found no object; in the case of a create, no owner or quota of it.
const refusedAbsent = "absent"

// declaration is one operation on an object's declared state, with what was asked and what came back.
type declaration struct {
	f string
	// call and ret are the indexes of invocation and completion (or never); index names the operation.
	call, ret, index int64
	outcome          history.Type
	// version is the object's as written or read; 0 where there is none.
	version int64
	asked   history.Declaration
	// got is asked where the outcome is not ok.
	got  history.Declaration
	node string
}

// applied tells an acknowledged change, maybe one of unknown outcome.
func (d *declaration) applied() bool { return d.outcome == history.OK && d.got.Refused == "" }
func (d *declaration) maybe() bool   { return d.outcome == history.Info }

// object is all that happened to one object.
type object struct {
	key      string
	kind     string
	writes   []*declaration // but deletes, those that may have happened
	failed   []*declaration
	deletes  []*declaration // those that may have happened
	reads    []*declaration // that found it
	absent   []*declaration // that did not find it, refused writes included
	byChange map[int64]*declaration
	owners   map[string]bool
	lastRead int64
	// lastWrite is the last completion of a write.
	lastWrite int64
}

func (declared) Name() string { return "declared" }

func (c declared) Check(ctx context.Context, src history.Source, _ Budget) (Result, error) {
	var f findings
	j := declaredJudge{f: &f, objects: map[string]*object{}, finalFrom: never, complete: src.Complete(), vanishing: c.vanishing}
	err := f.nemesis(ctx, src, func(p history.Pair) error {
		if p.Invoke.F == history.FFinalReads {
			j.finalFrom = p.Invoke.Index
		}
		return nil
	})
	if err == nil {
		err = f.clients(ctx, src, j.take)
	}
	if err != nil {
		return Result{}, err
	}
	j.order()
	for _, key := range slices.Sorted(maps.Keys(j.objects)) {
		j.judge(j.objects[key])
	}
	if j.d.Acknowledged == 0 {
		f.unknown("nothing to check: no declaration was acknowledged")
	}
	if !src.Complete() {
		f.unknown("the history is incomplete: which declarations are lost shows in the final reads only")
	}
	d := j.d
	return f.result(fmt.Sprintf("%s, %s: %s acknowledged, %s refused, %s unknown (%s recovered)", count(d.Objects, "object", "objects"),
		count(d.Reads, "read", "reads"), thousands(d.Acknowledged), thousands(d.Refused), thousands(d.Unknown), thousands(d.Recovered)), d)
}

// take enters an operation under its object.
func (j *declaredJudge) take(p history.Pair) error {
	switch p.Invoke.F {
	case fCreate, fScale, fRollout, fRollback, fDelete, fRead:
	default:
		return nil
	}
	d, err := parseDeclaration(p)
	if err != nil {
		return err
	}
	o := j.objects[p.Invoke.Key]
	if o == nil {
		o = &object{key: p.Invoke.Key, byChange: map[int64]*declaration{}, owners: map[string]bool{}, lastRead: -1, lastWrite: -1}
		j.objects[o.key] = o
	}
	if o.kind == "" {
		o.kind = d.asked.Kind
	}
	j.count(d)
	if d.f != fRead && d.ret != never {
		o.lastWrite = max(o.lastWrite, d.ret)
	}
	o.enter(d)
	return nil
}

func parseDeclaration(p history.Pair) (*declaration, error) {
	d := &declaration{f: p.Invoke.F, call: p.Invoke.Index, ret: returned(p), index: indexOf(p), outcome: p.Outcome(), node: p.Invoke.Node}
	if err := readDeclaration(p.Invoke, &d.asked); err != nil {
		return nil, err
	}
	d.got = d.asked
	if d.outcome != history.OK {
		return d, nil
	}
	d.version = p.Complete.Version
	d.got = history.Declaration{}
	return d, readDeclaration(p.Complete, &d.got)
}

func readDeclaration(op history.Op, into *history.Declaration) error {
	if isNull(op.Value) {
		return nil
	}
	if err := json.Unmarshal(op.Value, into); err != nil {
		return fmt.Errorf("operation %d: a declaration: %w", op.Index, errors.Join(ErrMalformed, err))
	}
	return nil
}

// enter puts an operation where it belongs.
func (o *object) enter(d *declaration) {
	switch {
	case d.f == fRead && d.outcome != history.OK:
	case d.outcome == history.OK && d.got.Refused == refusedAbsent && d.f != fCreate:
		o.absent = append(o.absent, d)
		if d.f == fRead {
			o.lastRead = max(o.lastRead, d.call)
		}
	case d.f == fRead:
		o.reads = append(o.reads, d)
		o.lastRead = max(o.lastRead, d.call)
	case d.outcome == history.Fail:
		o.failed = append(o.failed, d)
	case !d.applied() && !d.maybe():
	case d.f == fDelete:
		o.deletes = append(o.deletes, d)
	default:
		o.writes = append(o.writes, d)
		if d.asked.Change != 0 {
			o.byChange[d.asked.Change] = d
		}
		if d.asked.Owner != "" {
			o.owners[d.asked.Owner] = true
		}
	}
}

func (j *declaredJudge) count(d *declaration) {
	switch {
	case d.f == fRead:
		if d.outcome == history.OK {
			j.d.Reads++
		}
	case d.applied():
		j.d.Acknowledged++
	case d.outcome == history.OK:
		j.d.Refused++
	case d.maybe():
		j.d.Unknown++
	}
}
