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

// operation is a client's operation on its way.
type operation struct {
	p       *Plane
	s       *Server
	session *history.Seen
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
	if d, ok := declares(o.op); ok {
		return o.declare(d)
	}
	switch o.op.F {
	case "read":
		return o.read, nil
	case "write", "add":
		var value int64
		err = json.Unmarshal(o.op.Value, &value)
		if o.op.F == "add" {
			return func() { o.add(value) }, err
		}
		return func() { o.write(value) }, err
	case "cas":
		old, value, err := parseSwap(o.op.Value)
		return func() { o.swap(old, value) }, err
	case howCreate, howUpdate, howDelete:
		var v history.ObjectChange
		err = json.Unmarshal(o.op.Value, &v)
		return func() { o.change(v) }, err
	case "list":
		var v history.ListRequest
		err = json.Unmarshal(o.op.Value, &v)
		return func() { o.list(v) }, err
	case "watch":
		var v history.WatchRequest
		err = json.Unmarshal(o.op.Value, &v)
		return func() { o.watch(v) }, err
	case "lead":
		var v history.LeadRequest
		err = json.Unmarshal(o.op.Value, &v)
		return func() { o.lead(v) }, err
	}
	return nil, errors.New("the imagined clients of an API server know no such function")
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
		if o.op.Type == history.OK {
			o.session.Completed(o.op)
		}
		o.done(o.op)
	}
}

// change performs a create, update or delete of an object.
func (o *operation) change(v history.ObjectChange) {
	o.deadline()
	if v.Expect == history.ExpectSeen {
		v.Expect = o.session.Versions[o.op.Key][v.Object]
	}
	w := write{record: &record{collection: o.op.Key, name: v.Object, number: v.Number}, expect: v.Expect, how: o.op.F}
	o.send(w, func(done written) {
		if v.Refused = done.refused; v.Refused == "" {
			if o.op.F == howDelete {
				done.version = 0 // which one a deletion has made nobody tells
			}
			o.session.Object(o.op.Key, v.Object, done.version)
		}
		if v.Refused == refusedAbsent {
			o.session.Object(o.op.Key, v.Object, 0)
		}
		o.ok(v, done.version, done.version)
	})
}

// send has the server make a change, refused or not.
func (o *operation) send(w write, then func(written)) {
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
		o.risky = false
		then(done)
	})
}

// list performs a list, page after page.
func (o *operation) list(v history.ListRequest) {
	o.deadline()
	l := listingOf(o.op.Key, v.Read, o.session.Last[o.op.Key])
	l.limit = v.Limit
	o.pages(l, &history.Listing{Read: l.read, Limit: v.Limit, Asked: l.at})
}

// listingOf is a list of a kind, where that asks for what was seen at least or exactly: a process that has seen nothing asks for no revision.
func listingOf(collection, read string, seen int64) listing {
	l := listing{collection: collection, read: read}
	switch {
	case read == history.ReadAtLeast:
		l.at = seen
	case read == history.ReadExact && seen > 0:
		l.at = seen
	case read == history.ReadExact:
		l.read = history.ReadQuorum
	}
	return l
}

// pages asks for a page and the ones after it.
func (o *operation) pages(l listing, out *history.Listing) {
	o.page(l, func(got page) {
		out.Pages = append(out.Pages, got.Page)
		if !got.more {
			o.session.All(o.op.Key, out.Pages...)
			o.ok(out, 0, out.Pages[0].Revision)
			return
		}
		l.after = got.Objects[len(got.Objects)-1].Object
		l.read, l.at = history.ReadExact, got.Revision
		o.pages(l, out)
	})
}

// page asks for one page.
func (o *operation) page(l listing, then func(page)) {
	var got page
	o.ask(func(r *request) {
		r.list(l, func(p page) {
			got = p
			r.answer(nil)
		})
	}, func(err error) {
		if err != nil {
			if errors.Is(err, errGone) {
				o.session.Forget(o.op.Key)
			}
			o.fail(err)
			return
		}
		then(got)
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
