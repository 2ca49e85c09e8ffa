package checker

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/faultline/faultline/harness/history"
)

// LinearizableOptions choose what is promised.
type LinearizableOptions struct {
	// Model is ModelLinearizable, ModelSerializable or ModelCached; empty takes it from Read.
	Model string
	// Read is the kind of read that the clients did. Those that ask for a revision (history.ReadAtLeast, history.ReadExact) ask for the
	// highest version or revision that their process has seen in what it completed before; one that has seen nothing asks for nothing.
	Read string
	// IgnoreVersions: the system's versions and revisions are no promise and are not looked at. Otherwise each write that has a
	// version must have a higher one than every write of its key before it, and reads return the version with the value;
	// and an operation that gives the store's revision must give at least that of every one before it, on any key.
	IgnoreVersions bool
}

// Linearizable judges registers: reads (f "read", null → value, null for absent), writes (f "write", the value) and compare-and-sets
// (f "cas", [old, new] → [old, new, succeeded] with the value seen as an optional fourth; [old, new] alone succeeded).
// Each Op.Key is a register of its own, absent at first.
//
// Every register is first put in the order of its versions where it has them, or judged by the times of its values where these are
// unique, which is exact for most histories and takes O(n log n). Only what stays ambiguous is searched (see sweep), the smallest registers
// first. A search keeps within its share of the budget's memory by counting the states that it keeps; past it, or past the time, the verdict is
// Unknown, after the checks that need no search had their chance to say Invalid. Of the smallest register that breaks its promise the longest
// prefix that linearizes and a least set of operations that contradict each other are in the detail.
//
//   - garbage-read: nobody ever wrote the value or version. aborted-read: the write failed. future-read: it was read before
//     it was invoked. duplicate-write: a version that no write made holds the value of an earlier one.
//   - stale-read: the value had been overwritten before the operation began, or the whole store had moved on.
//     lost-write: it had been overwritten, and nobody ever saw that write or a later one.
//   - cas-mismatch: a compare-and-set succeeded on another value than the expected one, or was refused on that.
//   - version-mismatch: a version stands for two values, or versions fall. non-monotonic-read: they fall for one process on
//     one member (ModelSerializable and ModelCached).
//   - older-than-asked, wrong-revision: a read asked for a revision, and got an older state, or that of another one. wrong-snapshot: it
//     is not the state at its revision (ModelCached only). time-travel: it is older than what another server had shown; allowed.
//   - nonlinearizable: none of these, and yet no order of the operations explains what was seen.
//
// What the store itself told after the run (history.FCommitted) counts as reads made at any time: a version that no acknowledged write made
// needs a write of unknown outcome, and so settles that one happened. The verdict without that is in the detail.
//
// The error is ErrUnknownModel.
func Linearizable(o LinearizableOptions) (Checker, error) {
	model, err := promise(o.Model, o.Read)
	if err != nil {
		return nil, err
	}
	return linearizable{model, o.Read, o.IgnoreVersions}, nil
}

type linearizable struct {
	model, read    string
	ignoreVersions bool
}

// LinearizableDetail is the Detail of Linearizable.
type LinearizableDetail struct {
	Model      string `json:"model"`
	Keys       int    `json:"keys"`
	Operations int    `json:"operations"`
	// Unknown are operations of unknown outcome.
	Unknown int `json:"unknown"`
	// ByVersions and BySearch are how many keys were found to linearize, and how.
	ByVersions int `json:"by_versions"`
	BySearch   int `json:"by_search"`
	// Failing are keys with a broken promise, the smallest first; Undecided those that the budget did not suffice for.
	Failing   []string `json:"failing,omitempty"`
	Undecided []string `json:"undecided,omitempty"`
	// Contradiction is of the smallest key that breaks its promise, as far as the budget sufficed. It is absent where only what other keys
	// show, or the versions, contradict it.
	Contradiction *Contradiction `json:"contradiction,omitempty"`
	// Unsearched are how many keys were left alone because a promise was broken already.
	Unsearched int `json:"unsearched,omitempty"`
	// Settled are writes of unknown outcome that happened, as the store told after the run (the first ones), SettledWrites how many there are;
	// WithoutEvidence is the verdict without what the store told, where it told of any.
	Settled         []SettledWrite `json:"settled,omitempty"`
	SettledWrites   int            `json:"settled_writes,omitempty"`
	WithoutEvidence *Verdict       `json:"without_evidence,omitempty"`
	// States are how many states the searches kept.
	States int64 `json:"states"`
	// Staleness and TimeTravel are of reads from caches: how far they were behind, and how many were older than what another server had
	// shown.
	Staleness  *Staleness `json:"staleness,omitempty"`
	TimeTravel int        `json:"time_travel,omitempty"`
}

// listedKeysMax bounds the keys that Failing, Undecided and the reasons list.
const listedKeysMax = 20

func (linearizable) Name() string { return "linearizable" }

func (l linearizable) Check(ctx context.Context, src history.Source, b Budget) (Result, error) {
	if b.MemoryBytes <= 0 {
		b.MemoryBytes = defaultMemoryBytes
	}
	if b.Time > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, b.Time)
		defer cancel()
	}
	var read findings
	registers, err := read.registersOf(ctx, src)
	if err != nil {
		return Result{}, err
	}
	told := 0
	if l.ignoreVersions {
		for _, r := range registers {
			r.dropVersions()
		}
	} else if told, err = read.testify(ctx, src, registers); err != nil {
		return Result{}, err
	}
	without := Unknown
	if told > 0 {
		if without, err = l.dismissing(ctx, src, registers, read, b); err != nil {
			return Result{}, err
		}
	}
	j := l.newJudge(read)
	j.settled(registers, told, without)
	return l.judge(ctx, j, src, registers, b)
}

// dismissing is the verdict without what the store told.
func (l linearizable) dismissing(ctx context.Context, src history.Source, registers []*register, read findings, b Budget) (Verdict, error) {
	plain := make([]*register, len(registers))
	for i, r := range registers {
		c := *r
		c.dismiss()
		plain[i] = &c
	}
	r, err := l.judge(ctx, l.newJudge(read), src, plain, b)
	return r.Verdict, err
}

func (l linearizable) newJudge(read findings) *linearizableJudge {
	read.reasons = slices.Clone(read.reasons)
	return &linearizableJudge{f: read, allowStale: l.model != ModelLinearizable, d: LinearizableDetail{Model: l.model}, blamed: map[int64]bool{}}
}

// judge judges the registers of a history.
func (l linearizable) judge(ctx context.Context, j *linearizableJudge, src history.Source, registers []*register, b Budget) (Result, error) {
	if len(registers) == 0 {
		j.f.unknown("nothing to check: no operation on a register")
	}
	if l.model == ModelSerializable {
		if err := j.monotone(ctx, src, registers); err != nil {
			return Result{}, err
		}
	}
	if l.model == ModelCached && !l.ignoreVersions {
		if err := j.views(ctx, src, registers, l.read); err != nil {
			return Result{}, err
		}
	}
	var open []*register
	for _, r := range registers {
		if !j.withoutSearch(r) {
			open = append(open, r)
		}
	}
	j.storeOrder(registers)
	broken := j.worst
	if broken == nil {
		broken = j.search(ctx, open, b.MemoryBytes/2)
	} else {
		j.d.Unsearched = len(open)
		j.contradiction(ctx, broken, true, b.MemoryBytes/2)
	}
	r, err := j.f.result(j.summary(), j.d)
	if err == nil && broken != nil {
		err = j.illustrate(ctx, &r, broken, src, b.MemoryBytes/2)
	}
	return r, err
}

// settled notes what the store told.
func (j *linearizableJudge) settled(registers []*register, told int, without Verdict) {
	if told == 0 {
		return
	}
	j.d.WithoutEvidence = &without
	for _, r := range registers {
		list, all := r.settled(settledMax - len(j.d.Settled))
		j.d.Settled = append(j.d.Settled, list...)
		j.d.SettledWrites += all
	}
}

// linearizableJudge judges the registers of one history.
type linearizableJudge struct {
	f          findings
	d          LinearizableDetail
	allowStale bool
	// worst is the smallest register that breaks its promise.
	worst *register
	// blamed are the completions of operations that an anomaly of their register blames.
	blamed map[int64]bool
}

// withoutSearch judges a register by what needs no search, and tells whether that settled it.
func (j *linearizableJudge) withoutSearch(r *register) bool {
	j.d.Keys++
	j.d.Operations += len(r.ops) - len(r.told) + len(r.failed)
	j.d.Unknown += r.unknowns()
	broken := j.f.broken
	s := newSoundJudge(&j.f, r, j.allowStale)
	s.judge()
	c, versioned := chainOf(r, j.allowStale)
	if versioned && j.f.broken == broken {
		c.certain(s)
	}
	for i := range s.flagged {
		j.blamed[r.ops[i].ret] = true
	}
	switch {
	case j.f.broken > broken:
		j.failing(r)
		return true
	case versioned && c.fit():
		j.d.ByVersions++
		return true
	}
	return false
}

func (j *linearizableJudge) failing(r *register) {
	if j.worst == nil || len(r.ops) < len(j.worst.ops) {
		j.worst = r
	}
	if len(j.d.Failing) < listedKeysMax && !slices.Contains(j.d.Failing, r.key) {
		j.d.Failing = append(j.d.Failing, r.key)
	}
}

// search decides the registers that are still open, the smallest first, and returns the first one that does not linearize. Larger ones are
// not searched then: the verdict would stay the same.
func (j *linearizableJudge) search(ctx context.Context, open []*register, memoryBytes int64) *register {
	var (
		workers  = min(runtime.GOMAXPROCS(0), max(1, len(open)))
		each     = memoryBytes / int64(workers)
		outcomes = make([]outcome, len(open))
		mu       sync.Mutex
		next     int
		found    = len(open)
		wg       sync.WaitGroup
	)
	take := func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		if next >= found {
			return 0, false
		}
		next++
		return next - 1, true
	}
	for range workers {
		wg.Go(func() {
			for i, ok := take(); ok; i, ok = take() {
				r := open[i]
				outcomes[i] = r.search(ctx, r.searchable(j.allowStale), each)
				if outcomes[i].verdict == Invalid {
					mu.Lock()
					found = min(found, i)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	for i, o := range outcomes[:min(found+1, len(open))] {
		j.d.States += o.states
		switch o.verdict {
		case Valid:
			j.d.BySearch++
		case Unknown:
			j.undecided(open[i], o)
		case Invalid:
			j.failing(open[i])
			j.contradiction(ctx, open[i], false, memoryBytes)
			j.d.Unsearched = len(open) - i - 1
			return open[i]
		}
	}
	return nil
}

func (j *linearizableJudge) undecided(r *register, o outcome) {
	if len(j.d.Undecided) == listedKeysMax {
		return
	}
	unknown := r.unknowns()
	j.d.Undecided = append(j.d.Undecided, r.key)
	j.f.unknown("whether %s linearizes was not decided: %s after %s (%s, %s of unknown outcome)", r.name(), o.spent,
		count(o.states, "state", "states"), count(len(r.ops), "operation", "operations"), thousands(int64(unknown)))
}

// contradiction looks for what contradicts each other in a register that breaks its promise, for the detail, and names the anomaly of
// one that has none yet.
func (j *linearizableJudge) contradiction(ctx context.Context, r *register, named bool, memoryBytes int64) {
	ops := r.searchable(j.allowStale)
	c, ok := r.contradiction(ctx, ops, memoryBytes)
	if ok {
		j.d.Contradiction = &c
	}
	switch {
	case named:
	case ok:
		j.f.add(c.unexplained(r))
	default:
		j.f.add(Anomaly{
			Name: "nonlinearizable", Key: r.key, Ops: []int64{},
			Why: fmt.Sprintf("no order of the %s on %s explains what they returned", count(len(ops), "operation", "operations"), r.name()),
		})
	}
}

func (j *linearizableJudge) summary() string {
	parts := []string{count(j.d.Keys, "key", "keys"), count(j.d.Operations, "operation", "operations")}
	if j.d.Unknown > 0 {
		parts = append(parts, thousands(int64(j.d.Unknown))+" of unknown outcome")
	}
	if j.d.WithoutEvidence != nil {
		parts = append(parts, fmt.Sprintf("%s of these settled by what the store has (without that: %s)", thousands(int64(j.d.SettledWrites)), *j.d.WithoutEvidence))
	}
	if j.d.BySearch > 0 {
		parts = append(parts, count(j.d.BySearch, "key", "keys")+" by search")
	}
	if s := j.d.Staleness; s != nil && s.Reads > 0 {
		parts = append(parts, "reads: "+s.String())
	}
	return strings.Join(parts, ", ")
}

// dropVersions forgets the versions.
func (r *register) dropVersions() {
	for i := range r.ops {
		r.ops[i].version, r.ops[i].revision = 0, 0
	}
}
