package checker

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/faultline/faultline/harness/history"
)

// twinKV is a store as a list of keys in order, done anew for every order of the requests that real time allows, with every choice of which unknown
// ones happened, which leases ended when, and what was written elsewhere. It shares nothing with the checker.
type twinKV struct {
	ops []history.Pair
	max int64
}

type twinItem struct {
	key, value                  string
	create, mod, version, lease int64
}

type twinStore struct {
	items    []twinItem
	revision int64
}

func (s twinStore) find(key string) (twinItem, int) {
	for i, it := range s.items {
		if it.key == key {
			return it, i
		}
	}
	return twinItem{}, -1
}

func text(v json.RawMessage) string {
	var s string
	if json.Unmarshal(v, &s) != nil {
		return string(v)
	}
	return s
}

// request does one, and returns it as it would be recorded.
func (s twinStore) request(value json.RawMessage) (twinStore, string) {
	var w struct{ If, Then, Else [][]json.RawMessage }
	if err := json.Unmarshal(value, &w); err != nil {
		panic(err)
	}
	ok := true
	for _, c := range w.If {
		it, at := s.find(text(c[1]))
		have := map[string]int64{"create": it.create, "mod": it.mod, "version": it.version, "lease": it.lease}[text(c[0])]
		var want int64
		_ = json.Unmarshal(c[3], &want)
		if text(c[0]) == "value" {
			ok = ok && at >= 0 && (it.value == string(c[3])) == (text(c[2]) == "=")
			continue
		}
		ok = ok && map[string]bool{"=": have == want, "!=": have != want, "<": have < want, ">": have > want}[text(c[2])]
	}
	ops := w.Else
	if ok {
		ops = w.Then
	}
	s.items = slices.Clone(s.items)
	changed, results := false, ""
	for _, o := range ops {
		name, from, to := text(o[0]), text(o[1]), text(o[1])+"\x00"
		if (name == "range" || name == "delete") && len(o) == 3 {
			to = text(o[2])
		}
		var before, rest []twinItem
		for _, it := range s.items {
			if it.key >= from && it.key < to {
				before = append(before, it)
			} else {
				rest = append(rest, it)
			}
		}
		results += fmt.Sprintf("%d%v;", len(before), before)
		switch name {
		case "delete":
			s.items, changed = rest, changed || len(before) > 0
		case "put":
			it := twinItem{from, string(o[2]), s.revision + 1, s.revision + 1, 1, 0}
			if len(before) > 0 {
				it.create, it.version = before[0].create, before[0].version+1
			}
			if len(o) == 4 {
				_ = json.Unmarshal(o[3], &it.lease)
			}
			s.items, changed = append(rest, it), true
			slices.SortFunc(s.items, func(a, b twinItem) int {
				if a.key < b.key {
					return -1
				}
				return 1
			})
		}
	}
	if changed {
		s.revision++
	}
	return s, fmt.Sprintf("%v %s", ok, results)
}

// recorded is what a completion says, in the same words.
func recorded(value json.RawMessage) string {
	var w struct {
		Succeeded bool
		Results   []json.RawMessage
	}
	if err := json.Unmarshal(value, &w); err != nil {
		panic(err)
	}
	results := ""
	for _, r := range w.Results {
		var parts []json.RawMessage
		var items [][]json.RawMessage
		_, _ = json.Unmarshal(r, &parts), json.Unmarshal(parts[1], &items)
		var list []twinItem
		for _, f := range items {
			it := twinItem{key: text(f[0]), value: string(f[1])}
			for i, to := range []*int64{&it.create, &it.mod, &it.version, &it.lease} {
				_ = json.Unmarshal(f[2+i], to)
			}
			list = append(list, it)
		}
		results += fmt.Sprintf("%s%v;", parts[0], list)
	}
	return fmt.Sprintf("%v %s", w.Succeeded, results)
}

func (t *twinKV) from(s twinStore, done int) bool {
	bound, open := int64(never), false
	for i, p := range t.ops {
		if done>>i&1 == 0 && p.Outcome() == history.OK {
			bound, open = min(bound, p.Complete.Index), true
		}
	}
	if !open {
		return true
	}
	if s.revision < t.max {
		if elsewhere := (twinStore{s.items, s.revision + 1}); t.from(elsewhere, done) {
			return true
		}
		for _, lease := range []int64{1, 2, 3} {
			rest := slices.DeleteFunc(slices.Clone(s.items), func(it twinItem) bool { return it.lease == lease })
			if len(rest) < len(s.items) && t.from(twinStore{rest, s.revision + 1}, done) {
				return true
			}
		}
	}
	for i, p := range t.ops {
		if done>>i&1 == 1 || p.Outcome() == history.Fail || p.Invoke.Index > bound {
			continue
		}
		next, result := s.request(p.Invoke.Value)
		if next.revision > t.max {
			continue
		}
		if p.Outcome() == history.OK && (next.revision != p.Complete.Revision || result != recorded(p.Complete.Value)) {
			continue
		}
		if t.from(next, done|1<<i) {
			return true
		}
	}
	return false
}

// randomRequest is one on the keys a to c.
func randomRequest(r *rand.Rand) json.RawMessage {
	keys := []string{"a", "b", "c"}
	key := func() string { return keys[r.IntN(3)] }
	branch := func() string {
		out, used := "", map[string]bool{}
		for n := r.IntN(3); n >= 0; n-- {
			k := key()
			switch c := r.IntN(6); {
			case c == 0:
				out += fmt.Sprintf(`["range","a",%q],`, key())
			case c == 1 && !used[k]:
				out += fmt.Sprintf(`["delete",%q],`, k)
			case c < 4 && !used[k]:
				out += fmt.Sprintf(`["put",%q,%d%s],`, k, r.IntN(3), []string{"", ",1", ",2"}[r.IntN(3)])
			default:
				out += fmt.Sprintf(`["get",%q],`, k)
				continue
			}
			used[k] = true
		}
		return "[" + out[:max(0, len(out)-1)] + "]"
	}
	if r.IntN(2) == 0 {
		return []byte(`{"then":` + branch() + `}`)
	}
	target := []string{"value", "create", "mod", "version", "lease"}[r.IntN(5)]
	sign := []string{"=", "!=", "<", ">"}[r.IntN(4)]
	if target == "value" {
		sign = []string{"=", "!="}[r.IntN(2)]
	}
	return []byte(fmt.Sprintf(`{"if":[[%q,%q,%q,%d]],"then":%s,"else":%s}`, target, key(), sign, r.IntN(4), branch(), branch()))
}

// randomKV runs a few requests on a real store, and perhaps spoils what was recorded.
func randomKV(seed uint64, lies bool) history.Slice {
	r := rand.New(rand.NewPCG(seed, 7)) //nolint:gosec // reproducible chance is the point
	s := twinStore{revision: 1}
	var h history.Slice
	record := func(op history.Op) {
		op.Index = int64(len(h))
		h = append(h, op)
	}
	type open struct {
		op     history.Op
		done   bool
		result json.RawMessage
		at     int64
	}
	var opens []*open
	process, left := history.Process(0), 2+r.IntN(5)
	for left > 0 || len(opens) > 0 {
		switch c := r.IntN(6); {
		case c < 2 && left > 0 && len(opens) < 3:
			left--
			op := history.Op{Type: history.Invoke, Process: process, F: "request", Value: randomRequest(r)}
			process++
			record(op)
			opens = append(opens, &open{op: op})
		case c == 2 && r.IntN(6) == 0:
			s.revision++
		case c == 2 && r.IntN(3) == 0:
			lease := int64(1 + r.IntN(2))
			if rest := slices.DeleteFunc(slices.Clone(s.items), func(it twinItem) bool { return it.lease == lease }); len(rest) < len(s.items) {
				s = twinStore{rest, s.revision + 1}
			}
		case len(opens) > 0:
			i := r.IntN(len(opens))
			o := opens[i]
			if !o.done && r.IntN(8) > 0 {
				s, o.result = s.answer(o.op.Value)
				o.done, o.at = true, s.revision
				continue
			}
			opens = slices.Delete(opens, i, i+1)
			op := o.op
			op.Type = history.Info
			if o.done && r.IntN(4) > 0 {
				op.Type, op.Value, op.Revision = history.OK, o.result, o.at
				if lies && r.IntN(3) == 0 {
					spoilKV(r, &op)
				}
			}
			record(op)
		}
	}
	return h
}

// answer is a request's completion.
func (s twinStore) answer(value json.RawMessage) (twinStore, json.RawMessage) {
	var w map[string]json.RawMessage
	_ = json.Unmarshal(value, &w)
	probe := *s.copy()
	next, result := probe.request(value)
	w["succeeded"] = []byte(result[:4])
	if result[0] == 'f' {
		w["succeeded"] = []byte("false")
	}
	w["results"] = s.results(value, result[0] == 't')
	out, _ := json.Marshal(w)
	return next, out
}

func (s twinStore) copy() *twinStore { return &twinStore{slices.Clone(s.items), s.revision} }

// results does the operations of a branch one by one.
func (s twinStore) results(value json.RawMessage, ok bool) json.RawMessage {
	var w struct{ Then, Else [][]json.RawMessage }
	_ = json.Unmarshal(value, &w)
	ops := w.Else
	if ok {
		ops = w.Then
	}
	out := "["
	for i, o := range ops {
		to := text(o[1]) + "\x00"
		if name := text(o[0]); (name == "range" || name == "delete") && len(o) == 3 {
			to = text(o[2])
		}
		list, n := "", 0
		for _, it := range s.items {
			if it.key >= text(o[1]) && it.key < to {
				list += fmt.Sprintf("[%q,%s,%d,%d,%d,%d],", it.key, it.value, it.create, it.mod, it.version, it.lease)
				n++
			}
		}
		if i > 0 {
			out += ","
		}
		out += fmt.Sprintf("[%d,[%s]]", n, list[:max(0, len(list)-1)])
		one, _ := json.Marshal(map[string]any{"then": []any{o}})
		next, _ := s.request(one)
		next.revision = s.revision // all of one request is at one revision
		s = next
	}
	return []byte(out + "]")
}

// spoilKV changes something of what was recorded.
func spoilKV(r *rand.Rand, op *history.Op) {
	if r.IntN(4) == 0 {
		op.Revision = max(1, op.Revision+int64(r.IntN(3))-1)
		return
	}
	v := slices.Clone(op.Value)
	var digits []int
	for i, c := range v {
		if c >= '0' && c <= '9' && i > 0 && (v[i-1] == ',' || v[i-1] == '[') {
			digits = append(digits, i)
		}
	}
	if len(digits) > 0 {
		v[digits[r.IntN(len(digits))]] = '0' + byte(r.IntN(4))
	}
	op.Value = v
}

// compareKV holds the checker against its twin on one random history. ok is false where the history tells it nothing.
func compareKV(t testing.TB, seed uint64, lies bool) (invalid, ok bool) {
	h := randomKV(seed, lies)
	w := &twinKV{}
	for p, err := range history.ClientPairs(h) {
		if err != nil {
			t.Fatal(err)
		}
		if p.Outcome() == history.OK {
			// What was asked is part of what is recorded, and may be spoilt as well.
			p.Invoke.Value = p.Complete.Value
			w.max = max(w.max, p.Complete.Revision)
			ok = true
		}
		w.ops = append(w.ops, p)
	}
	if !ok || w.max > 9 {
		return false, false
	}
	v, names := verdictOf(t, must(t)(KV(KVOptions{})), h)
	twin := Invalid
	if w.from(twinStore{revision: 1}, 0) {
		twin = Valid
	}
	if v != twin {
		t.Fatalf("seed %d, lies %v: %v %v, its twin %v\n%s", seed, lies, v, names, twin, history.Format(h))
	}
	if !lies && v != Valid {
		t.Fatalf("seed %d: %v of a history without a lie", seed, v)
	}
	return v == Invalid, true
}

// TestKVTwin: requests are judged as by trying everything.
func TestKVTwin(t *testing.T) {
	rounds := uint64(*twinRounds) / 20 //nolint:gosec // counts up
	invalid, compared := 0, 0
	for seed := range rounds {
		bad, ok := compareKV(t, seed, seed%3 > 0)
		if ok {
			compared++
		}
		if bad {
			invalid++
		}
	}
	if invalid < compared/10 || compared < int(rounds)/2 { //nolint:gosec // small
		t.Errorf("only %d of %d histories were invalid, of %d", invalid, compared, rounds)
	}
	t.Logf("%d compared, %d invalid", compared, invalid)
}

func FuzzKV(f *testing.F) {
	f.Add(uint64(1), true)
	f.Add(uint64(2), false)
	f.Fuzz(func(t *testing.T, seed uint64, lies bool) { compareKV(t, seed, lies) })
}
