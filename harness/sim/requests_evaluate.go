package sim

import (
	"encoding/json"
	"slices"

	"github.com/faultline/faultline/harness/sim/replicated"
)

// word is a JSON string's content.
func word(v json.RawMessage) (s string) {
	_ = json.Unmarshal(v, &s)
	return s
}

func number(v json.RawMessage) (n int64) {
	_ = json.Unmarshal(v, &n)
	return n
}

// evaluate does a request on a state.
func (s *System) evaluate(w *requested, at int64, v replicated.View) (any, replicated.Entry) {
	switch {
	case at > v.Revision():
		return answered{refused: refusedFuture}, nil
	case at > 0 && at < s.requests.compacted:
		return answered{refused: refusedCompacted}, nil
	case at > 0 && !s.store.Strikes(replicated.NewerThanAsked, newerOnce):
		v = s.store.At(at)
	}
	ok := !slices.ContainsFunc(w.If, func(c []json.RawMessage) bool { return !s.compare(c, v) })
	branch := w.Else
	if ok {
		branch = w.Then
	}
	d := doing{v: v, changed: map[string]*replicated.Put{}, revision: v.Revision() + 1}
	a := answered{ok: ok}
	for _, op := range branch {
		if len(op) == 4 && !s.requests.leases[number(op[3])] {
			return answered{refused: noSuchLease}, nil
		}
	}
	for _, op := range branch {
		found := d.found(op)
		count := len(found)
		switch word(op[0]) {
		case "put":
			d.put(op)
		case "delete":
			d.delete(op)
			if count > 1 && s.store.Strikes(replicated.DeletesMiscounted, miscountOnce) {
				count--
			}
		}
		a.results = append(a.results, []any{count, found})
	}
	return a, d.entry
}

func (s *System) compare(c []json.RawMessage, v replicated.View) bool {
	key, sign := word(c[1]), word(c[2])
	it := v.Item(key)
	held, exists := it.Object.(kept)
	var have int64
	switch word(c[0]) {
	case "value":
		return exists && (string(held.value) == string(c[3])) == (sign == "=")
	case "lease":
		have = held.leased
		if s.store.Strikes(replicated.LeaseUncompared, uncomparedAll) {
			return true
		}
	case "mod":
		have = it.Version
	case "create":
		have = held.create
	case "version":
		have = held.version
	}
	want := number(c[3])
	switch sign {
	case "=":
		return have == want
	case "!=":
		return have != want
	case "<":
		return have < want
	}
	return have > want
}

// doing is a branch under way.
type doing struct {
	v        replicated.View
	entry    replicated.Entry
	changed  map[string]*replicated.Put
	revision int64
}

// keys are those that an operation is about, in order.
func (d *doing) keys(op []json.RawMessage) (out []string) {
	from := word(op[1])
	if name := word(op[0]); len(op) != 3 || name == "put" {
		return []string{from}
	}
	to := word(op[2])
	all := d.v.Keys()
	for k := range d.changed {
		all = append(all, k)
	}
	slices.Sort(all)
	for _, k := range slices.Compact(all) {
		if k >= from && k < to {
			out = append(out, k)
		}
	}
	return out
}

// item is a key as the operations before have left it.
func (d *doing) item(key string) (held kept, mod int64, exists bool) {
	if p := d.changed[key]; p != nil {
		held, exists = p.Object.(kept)
		return held, d.revision, exists && !p.Gone
	}
	it := d.v.Item(key)
	held, exists = it.Object.(kept)
	return held, it.Version, exists
}

// found is what an operation is about, as it is told.
func (d *doing) found(op []json.RawMessage) []any {
	out := []any{}
	for _, k := range d.keys(op) {
		if held, mod, exists := d.item(k); exists {
			out = append(out, []any{k, held.value, held.create, mod, held.version, held.leased})
		}
	}
	return out
}

func (d *doing) put(op []json.RawMessage) {
	key := word(op[1])
	held, _, exists := d.item(key)
	next := kept{value: op[2], create: d.revision, version: 1}
	if exists {
		next.create, next.version = held.create, held.version+1
	}
	if len(op) == 4 {
		next.leased = number(op[3])
	}
	d.write(replicated.Put{Key: key, Object: next})
}

func (d *doing) delete(op []json.RawMessage) {
	for _, k := range d.keys(op) {
		if _, _, exists := d.item(k); exists {
			d.write(replicated.Put{Key: k, Gone: true})
		}
	}
}

func (d *doing) write(p replicated.Put) {
	d.entry = append(d.entry, p)
	d.changed[p.Key] = &p
}
