package sim

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/harness/sim/replicated"
)

// leaseTTL is how long an imagined lease lives; nobody renews it.
const leaseTTL = 2 * time.Second

// How often the flaws of requests strike: once in so many chances.
const (
	newerOnce     = 4
	uncomparedAll = 1
	miscountOnce  = 4
)

// requests is what the workload kv needs beside the store: leases, up to where it is compacted, and what each process has seen.
type requests struct {
	leases    map[int64]bool
	compacted int64
	newest    map[history.Process]int64
}

func newRequests() *requests {
	return &requests{leases: map[int64]bool{}, newest: map[history.Process]int64{}}
}

func (r *requests) sees(p history.Process, revision int64) { r.newest[p] = max(r.newest[p], revision) }

// kept is what a key holds; its mod revision is the item's version.
type kept struct {
	value                   json.RawMessage
	create, version, leased int64
}

// requested is a request's value.
type requested struct {
	If   [][]json.RawMessage `json:"if"`
	Then [][]json.RawMessage `json:"then"`
	Else [][]json.RawMessage `json:"else"`
	Back *int64              `json:"back"`
}

// Why nothing of a request was done.
const (
	refusedCompacted = "compacted"
	refusedFuture    = "future"
	noSuchLease      = "requested lease not found"
)

// answered is what came of a request.
type answered struct {
	refused string
	ok      bool
	results []any
}

// request tells how a request, or what has to do with leases or compactions, begins.
func (o *operation) request() (begin func(), err error) {
	if o.op.F == "grant-lease" || o.op.F == "revoke-lease" {
		var lease int64
		err := json.Unmarshal(o.op.Value, &lease)
		return func() { o.ofLease(lease) }, err
	}
	var w requested
	if err := json.Unmarshal(o.op.Value, &w); err != nil {
		return nil, err
	}
	at := int64(0)
	if newest := o.s.requests.newest[o.op.Process]; w.Back != nil && newest > 0 {
		at = max(1, newest-*w.Back)
	}
	if o.op.F == "compact-store" {
		return func() { o.compactStore(at) }, nil
	}
	cmd := replicated.Command{Kind: replicated.Evaluate, ReadsOnly: readsOnly(w.Then) && readsOnly(w.Else)}
	cmd.Evaluate = func(v replicated.View) (any, replicated.Entry) { return o.s.evaluate(&w, at, v) }
	return func() { o.call(cmd, func(r replicated.Result) { o.requested(at, r) }) }, nil
}

func readsOnly(branch [][]json.RawMessage) bool {
	return !slices.ContainsFunc(branch, func(op []json.RawMessage) bool { return word(op[0]) == "put" || word(op[0]) == "delete" })
}

// requested completes a request.
func (o *operation) requested(at int64, r replicated.Result) {
	a, _ := r.Answer.(answered)
	if a.refused == noSuchLease {
		o.op.Type, o.op.Value, o.op.Error = history.Fail, o.asked, noSuchLease
		o.complete()
		return
	}
	fields := map[string]any{}
	if at > 0 {
		fields["at"] = at
	}
	if a.refused != "" {
		fields["refused"] = a.refused
		o.ok(o.with(fields), 0, 0)
		return
	}
	fields["succeeded"], fields["results"] = a.ok, a.results
	if a.results == nil {
		fields["results"] = []any{}
	}
	o.ok(o.with(fields), 0, r.Revision)
}

// with is what was asked, with more fields.
func (o *operation) with(fields map[string]any) json.RawMessage {
	all := map[string]any{}
	if err := json.Unmarshal(o.asked, &all); err != nil {
		panic(fmt.Sprintf("%s: %v", o.asked, err)) // it was read before
	}
	delete(all, "back")
	maps.Copy(all, fields)
	return encode(all)
}

// compactStore forgets the states before a revision.
func (o *operation) compactStore(at int64) {
	if at == 0 {
		o.op.Type, o.op.Value, o.op.Error = history.Fail, o.asked, "nothing was seen yet"
		o.complete()
		return
	}
	o.op.Value = o.with(map[string]any{"at": at}) // also while it is not known whether it was done
	cmd := replicated.Command{Kind: replicated.Evaluate, Evaluate: func(v replicated.View) (any, replicated.Entry) {
		switch {
		case at <= o.s.requests.compacted:
			return answered{refused: refusedCompacted}, nil
		case at > v.Revision():
			return answered{refused: refusedFuture}, nil
		}
		o.s.requests.compacted = at
		return answered{}, nil
	}}
	o.call(cmd, func(r replicated.Result) {
		if a, _ := r.Answer.(answered); a.refused != "" {
			o.ok(o.with(map[string]any{"at": at, "refused": a.refused}), 0, 0)
			return
		}
		o.ok(o.op.Value, 0, r.Revision)
	})
}

// ofLease grants a lease, or ends it.
func (o *operation) ofLease(lease int64) {
	s := o.s
	cmd := replicated.Command{Kind: replicated.Evaluate, Evaluate: func(v replicated.View) (any, replicated.Entry) {
		if o.op.F == "grant-lease" {
			s.requests.leases[lease] = true
			s.store.Clock.After(leaseTTL, func() { s.expire(lease) })
			return answered{ok: true}, nil
		}
		known := s.requests.leases[lease]
		delete(s.requests.leases, lease)
		return answered{ok: known}, attached(v, lease)
	}}
	o.call(cmd, func(r replicated.Result) {
		a, _ := r.Answer.(answered)
		o.ok(encode([]any{lease, a.ok}), 0, r.Revision)
	})
}

// expire ends a lease when there is somebody to do it.
func (s *System) expire(lease int64) {
	if !s.requests.leases[lease] {
		return
	}
	if !s.store.Change(func(v replicated.View) replicated.Entry { return attached(v, lease) }) {
		s.store.Clock.After(leaseTTL/10, func() { s.expire(lease) })
		return
	}
	delete(s.requests.leases, lease)
}

// attached deletes what is attached to a lease.
func attached(v replicated.View, lease int64) (e replicated.Entry) {
	for _, k := range v.Keys() {
		if held, ok := v.Item(k).Object.(kept); ok && held.leased == lease {
			e = append(e, replicated.Put{Key: k, Gone: true})
		}
	}
	return e
}
