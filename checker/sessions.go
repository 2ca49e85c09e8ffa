package checker

import (
	"context"
	"fmt"

	"github.com/faultline/faultline/harness/history"
)

// SessionOptions choose what reads promise.
type SessionOptions struct {
	// Model is ModelLinearizable or ModelSerializable; empty takes it from Read.
	Model string
	// Read is the kind of read that the clients did.
	Read string
}

// Sessions judges what each process saw of its own, by the four guarantees of Terry et al. (Session Guarantees for Weakly Consistent
// Replicated Data, 1994), from the versions of keys and the revisions of the store. A process is a session, and stays on its node.
//
//   - read-your-writes: a read shows a state older than the process's own acknowledged write.
//   - monotonic-reads: a read shows a state older than what the process had read.
//   - monotonic-writes: a write was ordered before the process's own earlier one.
//   - writes-follow-reads: a write was ordered before what the process had read.
//
// Where operations give the store's revision, all keys count together; else each counts by its own versions. With ModelSerializable a
// member may answer from what it has: it need not show the process's writes, and may go back where it may have been restarted in between;
// those are listed as allowed. Functions are those of registers, sets and transactions; what gave neither is not judged, and if nothing did the verdict is
// Unknown. The error is ErrUnknownModel.
func Sessions(o SessionOptions) (Checker, error) {
	model, err := promise(o.Model, o.Read)
	if err == nil && model == ModelCached {
		err = fmt.Errorf("%q: sessions are not promised by caches: %w", model, ErrUnknownModel)
	}
	if err != nil {
		return nil, err
	}
	return sessions{model}, nil
}

type sessions struct{ model string }

// SessionDetail is the Detail of Sessions.
type SessionDetail struct {
	Model    string `json:"model"`
	Sessions int    `json:"sessions"`
	Reads    int64  `json:"reads"`
	Writes   int64  `json:"writes"`
	// Unversioned are reads and writes that could not be judged.
	Unversioned int64 `json:"unversioned,omitempty"`
}

// session is what one process did last, in the whole store and by key.
type session struct {
	read, wrote   touch
	reads, writes map[string]touch
}

func (sessions) Name() string { return "sessions" }

func (s sessions) Check(ctx context.Context, src history.Source, _ Budget) (Result, error) {
	j := sessionJudge{model: s.model, d: SessionDetail{Model: s.model}, byProcess: map[history.Process]*session{}}
	all, err := j.f.faultsOf(ctx, src)
	if err != nil {
		return Result{}, err
	}
	j.restarts = all.restarts()
	if err := j.f.touches(ctx, src, j.take); err != nil {
		return Result{}, err
	}
	j.d.Sessions = len(j.byProcess)
	if j.d.Reads+j.d.Writes == 0 {
		j.f.unknown("nothing to check: no read and no write gave a version or a revision")
	}
	return j.f.result(fmt.Sprintf("%s, %s, %s", count(j.d.Sessions, "session", "sessions"),
		count(j.d.Reads, "read", "reads"), count(j.d.Writes, "write", "writes")), j.d)
}

type sessionJudge struct {
	f         findings
	d         SessionDetail
	model     string
	restarts  spanList
	byProcess map[history.Process]*session
}

// take judges one read or write against what its process did before.
func (j *sessionJudge) take(t touch) {
	if t.ret == never {
		return
	}
	s := j.byProcess[t.process]
	if s == nil {
		s = &session{reads: map[string]touch{}, writes: map[string]touch{}}
		j.byProcess[t.process] = s
	}
	switch {
	case t.reads():
		j.d.Reads++
		j.older(t, "read-your-writes", "had written", s.wrote, s.writes[t.key])
		j.older(t, "monotonic-reads", "had read", s.read, s.reads[t.key])
		keepNewest(&s.read, s.reads, t)
	case t.kind == touchWrite || t.kind == touchDelete:
		j.d.Writes++
		j.older(t, "monotonic-writes", "had written before", s.wrote, s.writes[t.key])
		j.older(t, "writes-follow-reads", "had read before", s.read, s.reads[t.key])
		keepNewest(&s.wrote, s.writes, t)
	default:
		j.d.Unversioned++
	}
}

// keepNewest remembers a touch where it is the newest.
func keepNewest(whole *touch, byKey map[string]touch, t touch) {
	if t.revision > whole.revision {
		*whole = t
	}
	if t.version > byKey[t.key].version {
		byKey[t.key] = t
	}
}

// older judges whether a touch is older than one before it of the same process: by the store's revision where both have one, else by
// the key's version.
func (j *sessionJudge) older(t touch, name, did string, whole, key touch) {
	writes := t.kind != touchRead
	before, as := key, "version"
	switch {
	case t.revision > 0 && whole.revision > 0 && (t.revision < whole.revision || writes && t.revision == whole.revision && t.index != whole.index):
		before, as = whole, "revision"
	case t.version > 0 && key.version > 0 && (t.version < key.version || writes && t.version == key.version && t.index != key.index):
	default:
		return
	}
	number := before.version
	if as == "revision" {
		number = before.revision
	}
	j.f.add(Anomaly{
		Name: name, Key: t.key, Ops: []int64{t.index, before.index}, Allowed: j.allowed(&t, name, &before),
		Why: fmt.Sprintf("%s, but the process %s %s of %s %d (%d)", t.describe(), did, before.key, as, number, before.index),
	})
}

// allowed tells whether a serializable read may be that old.
func (j *sessionJudge) allowed(t *touch, name string, before *touch) bool {
	if j.model == ModelLinearizable || t.kind != touchRead {
		return false
	}
	return name == "read-your-writes" || j.restarts.overlaps(before.call, t.ret)
}
