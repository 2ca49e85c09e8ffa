package checker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/faultline/faultline/harness/history"
)

// kvItem is a key as a store with revisions has it. One of version 0 does not exist.
type kvItem struct {
	key, value                   string // the value is its JSON text
	create, mod, version, leased int64
}

// kvOpKind is what one operation of a request does.
type kvOpKind uint8

const (
	kvRange kvOpKind = iota
	kvPut
	kvDelete
)

// kvOp is one operation of a request, on a key, or on those from key to before end where end is not empty.
type kvOp struct {
	kind     kvOpKind
	key, end string
	value    string
	lease    int64
}

// covers tells whether a key is among those of the operation.
func (o *kvOp) covers(key string) bool {
	if o.end == "" {
		return key == o.key
	}
	return key >= o.key && key < o.end
}

// kvSeen is what an operation of a request returned: how many keys, and what they were (before, where it changed them).
type kvSeen struct {
	count int64
	items []kvItem
}

// kvCompare is a condition of a request.
type kvCompare struct {
	target, key, sign string
	number            int64
	text              string
}

// kvRequest is a client's operation that says something.
type kvRequest struct {
	f         string
	call, ret int64
	index     int64
	process   history.Process
	node      string
	outcome   history.Type

	compares        []kvCompare
	then, otherwise []kvOp

	// Of an ok one: which branch was done, what it returned, the store's revision; or why it was refused.
	succeeded bool
	seen      []kvSeen
	revision  int64
	refused   string
	// at is the past state that was asked for, or up to where was compacted; 0: the newest.
	at int64
	// lease is what was granted or revoked.
	lease int64
	// floor is the request that was over before this one began with the highest revision; nil: none.
	floor *kvRequest
}

// branch is what was done.
func (r *kvRequest) branch() []kvOp {
	if r.succeeded {
		return r.then
	}
	return r.otherwise
}

// writes tells whether it can change the store, whichever branch is done.
func (r *kvRequest) writes() bool {
	for _, branch := range [][]kvOp{r.then, r.otherwise} {
		for i := range branch {
			if branch[i].kind != kvRange {
				return true
			}
		}
	}
	return false
}

// changed tells whether an ok one changed the store, as it was told: it has a revision of its own then.
func (r *kvRequest) changed() bool {
	for i, o := range r.branch() {
		if o.kind == kvPut || o.kind == kvDelete && r.seen[i].count > 0 {
			return true
		}
	}
	return false
}

// describe is "request 12 by process 3 on n1 at revision 57".
func (r *kvRequest) describe() string {
	s := fmt.Sprintf("%s %d by process %s%s", r.f, r.index, r.process, on(r.node))
	switch {
	case r.at > 0 && r.f == fRequest:
		s += fmt.Sprintf(" of revision %d", r.at)
	case r.revision > 0:
		s += fmt.Sprintf(" at revision %d", r.revision)
	}
	return s
}

// kvWire is a request's value.
type kvWire struct {
	If        [][]json.RawMessage `json:"if"`
	Then      [][]json.RawMessage `json:"then"`
	Else      [][]json.RawMessage `json:"else"`
	At        int64               `json:"at"`
	Refused   string              `json:"refused"`
	Succeeded *bool               `json:"succeeded"`
	Results   []json.RawMessage   `json:"results"`
}

// Why a request was refused, and nothing of it done.
const (
	refusedCompacted = "compacted"
	refusedFuture    = "future"
)

// kvRequests reads the requests of a history.
func (f *findings) kvRequests(ctx context.Context, src history.Source) (out []*kvRequest, err error) {
	err = f.clients(ctx, src, func(p history.Pair) error {
		r := &kvRequest{
			f: p.Invoke.F, call: p.Invoke.Index, ret: never, index: indexOf(p), process: p.Invoke.Process, node: p.Invoke.Node, outcome: p.Outcome(),
		}
		value := p.Invoke.Value
		if r.outcome != history.Info {
			r.ret = p.Complete.Index
		}
		if r.outcome == history.OK {
			r.revision, value = p.Complete.Revision, p.Complete.Value
		}
		var err error
		switch r.f {
		case fRequest:
			err = r.request(value)
		case fGrantLease, fRevokeLease:
			err = r.ofLease(value)
		case fCompactStore:
			if r.outcome == history.Info && p.HasComplete {
				value = p.Complete.Value // up to where it would be compacted is known only then
			}
			var w kvWire
			err = json.Unmarshal(value, &w)
			r.at, r.refused = w.At, w.Refused
		default:
			return nil
		}
		if err != nil {
			return fmt.Errorf("operation %d: %w: a %s: %w", r.index, ErrMalformed, r.f, err)
		}
		out = append(out, r)
		return nil
	})
	return out, err
}

// ofLease reads a grant or a revocation: the lease's number, or in a completion [number, done].
func (r *kvRequest) ofLease(value json.RawMessage) error {
	if json.Unmarshal(value, &r.lease) == nil {
		r.succeeded = true
		return nil
	}
	parts, err := elements(value)
	if err != nil || len(parts) != 2 {
		return fmt.Errorf("%.60q is not [lease, done]", value)
	}
	r.succeeded = string(parts[1]) == "true"
	return json.Unmarshal(parts[0], &r.lease)
}

func (r *kvRequest) request(value json.RawMessage) error {
	var w kvWire
	if err := json.Unmarshal(value, &w); err != nil {
		return err
	}
	var err error
	if r.then, err = kvOps(w.Then); err != nil {
		return err
	}
	if r.otherwise, err = kvOps(w.Else); err != nil {
		return err
	}
	for _, c := range w.If {
		compare, err := kvCompareOf(c)
		if err != nil {
			return err
		}
		r.compares = append(r.compares, compare)
	}
	r.at, r.refused = w.At, w.Refused
	if r.at != 0 && (len(r.compares) > 0 || r.writes()) {
		return fmt.Errorf("a request of a past revision (at) can only read")
	}
	if r.outcome != history.OK || r.refused != "" {
		return nil
	}
	r.succeeded = w.Succeeded == nil || *w.Succeeded
	if r.revision <= 0 {
		return fmt.Errorf("an ok request without the store's revision")
	}
	if len(w.Results) != len(r.branch()) {
		return fmt.Errorf("%d results of %d operations", len(w.Results), len(r.branch()))
	}
	for _, text := range w.Results {
		s, err := kvSeenOf(text)
		if err != nil {
			return err
		}
		r.seen = append(r.seen, s)
	}
	return nil
}

// kvOps reads operations: ["put", key, value], with a lease ["put", key, value, lease]; ["get", key], ["range", from, to];
// ["delete", key], ["delete", from, to].
func kvOps(list [][]json.RawMessage) (out []kvOp, err error) {
	for _, parts := range list {
		if len(parts) < 2 {
			return nil, fmt.Errorf("an operation of %d parts", len(parts))
		}
		o := kvOp{key: kvText(parts[1])}
		name := kvText(parts[0])
		switch {
		case name == "put" && (len(parts) == 3 || len(parts) == 4):
			o.kind, o.value = kvPut, string(parts[2])
			if len(parts) == 4 {
				err = json.Unmarshal(parts[3], &o.lease)
			}
		case name == "get" && len(parts) == 2:
		case name == "range" && len(parts) == 3:
			o.end = kvText(parts[2])
		case name == "delete" && len(parts) <= 3:
			o.kind = kvDelete
			if len(parts) == 3 {
				o.end = kvText(parts[2])
			}
		default:
			err = fmt.Errorf("%q with %d parts is no operation (want put, get, range or delete)", name, len(parts))
		}
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// kvCompareOf reads [target, key, sign, number], and of values [ "value", key, sign, value].
func kvCompareOf(parts []json.RawMessage) (c kvCompare, err error) {
	if len(parts) != 4 {
		return c, fmt.Errorf("a compare of %d parts, not [target, key, sign, with]", len(parts))
	}
	c = kvCompare{target: kvText(parts[0]), key: kvText(parts[1]), sign: kvText(parts[2]), text: string(parts[3])}
	switch c.target {
	case "value":
		if c.sign != "=" && c.sign != "!=" {
			return c, fmt.Errorf("values are compared by = and !=, not %q", c.sign)
		}
		return c, nil
	case "create", "mod", "version", "lease":
	default:
		return c, fmt.Errorf("unknown target %q of a compare", c.target)
	}
	switch c.sign {
	case "=", "!=", "<", ">":
	default:
		return c, fmt.Errorf("unknown sign %q of a compare", c.sign)
	}
	return c, json.Unmarshal(parts[3], &c.number)
}

// kvSeenOf reads [count, [[key, value, create, mod, version, lease], …]].
func kvSeenOf(text json.RawMessage) (s kvSeen, err error) {
	parts, err := elements(text)
	if err != nil || len(parts) != 2 {
		return s, fmt.Errorf("the result %.60q is not [count, items]", text)
	}
	if err := json.Unmarshal(parts[0], &s.count); err != nil {
		return s, err
	}
	items, err := elements(parts[1])
	if err != nil {
		return s, err
	}
	for _, item := range items {
		fields, err := elements(item)
		if err != nil || len(fields) != 6 {
			return s, fmt.Errorf("the item %.60q is not [key, value, create, mod, version, lease]", item)
		}
		it := kvItem{key: kvText(fields[0]), value: string(fields[1])}
		for i, to := range []*int64{&it.create, &it.mod, &it.version, &it.leased} {
			if err := json.Unmarshal(fields[i+2], to); err != nil {
				return s, err
			}
		}
		s.items = append(s.items, it)
	}
	return s, nil
}

// kvText is a JSON string's content, and any other value's text.
func kvText(v []byte) string {
	var s string
	if bytes.IndexByte(v, '\\') >= 0 && json.Unmarshal(v, &s) == nil {
		return s
	}
	return unquote(v)
}
