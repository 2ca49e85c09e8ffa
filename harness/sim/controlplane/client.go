package controlplane

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/harness/sim/replicated"
)

var errTimeout = errors.New("deadline exceeded")

// session is what a process remembers: the revisions that it has seen of each collection.
type session struct {
	last map[string]int64
	past map[string][]int64
}

// pastMax bounds the revisions that a process remembers of a collection.
const pastMax = 16

func (p *Plane) session(process history.Process) *session {
	s := p.sessions[process]
	if s == nil {
		s = &session{map[string]int64{}, map[string][]int64{}}
		p.sessions[process] = s
	}
	return s
}

// saw notes a revision of a collection. The last one only rises.
func (s *session) saw(collection string, revision int64) {
	if revision <= s.last[collection] {
		return
	}
	s.last[collection] = revision
	past := append(s.past[collection], revision)
	s.past[collection] = past[max(0, len(past)-pastMax):]
}

// operation is a client's operation on its way.
type operation struct {
	p       *Plane
	s       *Server
	session *session
	op      history.Op
	done    func(history.Op)
	over    bool
	// risky: something that may write was sent and not answered.
	risky bool
}

// Invoke performs a client's operation on a node's server. done is called once, with the completion, at the imagined time at which the
// client knows it. An error is an operation that the clients don't know.
func (p *Plane) Invoke(op history.Op, node string, done func(history.Op)) error {
	o := &operation{p: p, op: op, done: done, session: p.session(op.Process)}
	for _, s := range p.servers {
		if s.Name() == node {
			o.s = s
		}
	}
	if o.s == nil {
		return fmt.Errorf("the imagined system has no node %q", node)
	}
	begin, err := o.parse()
	if err != nil {
		return fmt.Errorf("%s %s on %q: %w", op.F, op.Value, op.Key, err)
	}
	begin()
	return nil
}

// parse tells how an operation begins.
func (o *operation) parse() (begin func(), err error) {
	switch o.op.F {
	case "create", "update", "delete":
		var v history.ObjectChange
		err = json.Unmarshal(o.op.Value, &v)
		return func() { o.deadline(); o.change(v) }, err
	case "list":
		var v history.ListRequest
		err = json.Unmarshal(o.op.Value, &v)
		return func() { o.deadline(); o.list(v) }, err
	case "watch":
		var v history.WatchRequest
		err = json.Unmarshal(o.op.Value, &v)
		return func() { o.watch(v) }, err
	}
	return nil, errors.New("the imagined clients of an API server know create, update, delete, list and watch")
}

// deadline ends the operation when the client's patience does.
func (o *operation) deadline() {
	o.p.store.Clock.After(o.p.timeout, func() { o.fail(errTimeout) })
}

// ask sends a request to the server; then gets what the server passed to answer.
func (o *operation) ask(act func(r *request), then func(error)) {
	o.s.ask(func(err error) {
		if !o.over {
			then(err)
		}
	}, act)
}

// fail completes the operation with an error: as failed if nothing that may write can have got through, else as unknown.
func (o *operation) fail(err error) {
	if o.over {
		return
	}
	o.op.Type, o.op.Error = history.Info, err.Error()
	if !o.risky || errors.Is(err, replicated.ErrRefused) {
		o.op.Type = history.Fail
	}
	o.complete()
}

func (o *operation) ok(value any, version, revision int64) {
	o.op.Type, o.op.Value, o.op.Version, o.op.Revision = history.OK, encode(value), version, revision
	o.complete()
}

func (o *operation) complete() {
	if !o.over {
		o.over = true
		o.done(o.op)
	}
}

// change performs a create, update or delete.
func (o *operation) change(v history.ObjectChange) {
	w := write{record: &record{collection: o.op.Key, name: v.Object, number: v.Number}, expect: v.Expect, how: o.op.F}
	var done written
	o.risky = true
	o.ask(func(r *request) {
		r.write(w, func(got written) {
			done = got
			r.answer(nil)
		})
	}, func(err error) {
		if err != nil {
			o.fail(err)
			return
		}
		v.Refused = done.refused
		if v.Refused == "" {
			o.session.saw(o.op.Key, done.version)
		}
		o.ok(v, done.version, done.version)
	})
}

// list performs a list, page after page.
func (o *operation) list(v history.ListRequest) {
	l := listing{collection: o.op.Key, read: v.Read, limit: v.Limit}
	switch v.Read {
	case history.ReadAtLeast, history.ReadExact:
		l.at = o.session.last[o.op.Key]
		if l.at == 0 { // it has seen nothing to ask for
			l.read = history.ReadQuorum
		}
	}
	out := history.Listing{Read: l.read, Limit: v.Limit, Asked: l.at}
	o.pages(l, &out)
}

// pages asks for a page and the ones after it.
func (o *operation) pages(l listing, out *history.Listing) {
	var got page
	o.ask(func(r *request) {
		r.list(l, func(p page) {
			got = p
			r.answer(nil)
		})
	}, func(err error) {
		if err != nil {
			o.fail(err)
			return
		}
		out.Pages = append(out.Pages, got.Page)
		if got.more {
			l.after = got.Objects[len(got.Objects)-1].Object
			l.read, l.at = history.ReadExact, got.Revision
			o.pages(l, out)
			return
		}
		first := out.Pages[0].Revision
		o.session.saw(o.op.Key, first)
		o.ok(out, 0, first)
	})
}

// encode is the JSON of what can always be encoded.
func encode(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return text
}

// millis is a time in milliseconds as operations have it.
func millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
