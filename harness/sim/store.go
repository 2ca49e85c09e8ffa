package sim

import (
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
)

// item is what a key holds: a register's one number, or a list's elements. An item of version 0 does not exist.
// Elements are never changed in place.
type item struct {
	elements []int64
	version  int64
}

// store is a state of all keys.
type store struct {
	revision int64
	items    map[string]item
}

func newStore() *store { return &store{revision: 1, items: map[string]item{}} }

func (s *store) clone() *store { return &store{s.revision, maps.Clone(s.items)} }

// put is a key's new content.
type put struct {
	key      string
	elements []int64
}

// entry is a committed change: what it wrote, at once.
type entry []put

// apply makes a change. It gets the next revision.
func (s *store) apply(e entry) {
	s.revision++
	for _, p := range e {
		s.items[p.key] = item{p.elements, s.revision}
	}
}

// hash tells whether two stores hold the same.
func (s *store) hash() uint64 {
	h := fnv.New64a()
	for _, k := range slices.Sorted(maps.Keys(s.items)) {
		line := append([]byte(k), '=')
		for _, e := range s.items[k].elements {
			line = append(strconv.AppendInt(line, e, 10), ',')
		}
		line = strconv.AppendInt(append(line, '@'), s.items[k].version, 10)
		h.Write(append(line, '\n'))
	}
	return h.Sum64()
}

// command is one request to the store.
type command struct {
	kind kind
	key  string
	// old and new are the numbers of a compare-and-set; new is a write's, too.
	old, new int64
	// list and guard are the content and the version of a guarded write.
	list   []int64
	guard  int64
	micros []micro
}

type kind int

const (
	readKey kind = iota
	writeKey
	casKey
	putGuarded
	transact
)

// micro is a micro-operation of a transaction, and what it read.
type micro struct {
	read    bool
	key     string
	element int64
	seen    []int64
}

// reads tells whether a command changes nothing, whatever it finds.
func (c *command) reads() bool {
	if c.kind != transact {
		return c.kind == readKey
	}
	return !slices.ContainsFunc(c.micros, func(m micro) bool { return !m.read })
}

// result is what came of a command.
type result struct {
	item     item // as read, or as found by a compare
	ok       bool // the compare found what it expected
	revision int64
	micros   []micro
}

// evaluate tells what a command returns and what it would write, nil if nothing.
func (s *store) evaluate(c *command, ignoreGuard, ownUnseen bool) (result, entry) {
	found := s.items[c.key]
	r := result{item: found, ok: true, revision: s.revision}
	switch c.kind {
	case readKey:
		return r, nil
	case writeKey:
		return r, entry{{c.key, []int64{c.new}}}
	case casKey:
		if ignoreGuard || (found.version != 0 && found.elements[0] == c.old) {
			return r, entry{{c.key, []int64{c.new}}}
		}
	case putGuarded:
		if ignoreGuard || found.version == c.guard {
			return r, entry{{c.key, c.list}}
		}
	case transact:
		var e entry
		r.micros, e = s.transact(c.micros, ownUnseen)
		return r, e
	}
	r.ok = false
	return r, nil
}

// transact evaluates the micro-operations in their order, each seeing the ones before.
func (s *store) transact(micros []micro, ownUnseen bool) ([]micro, entry) {
	var e entry
	out := slices.Clone(micros)
	for i, m := range micros {
		at := slices.IndexFunc(e, func(p put) bool { return p.key == m.key })
		elements := s.items[m.key].elements
		if at >= 0 && (!m.read || !ownUnseen) {
			elements = e[at].elements
		}
		switch {
		case m.read:
			out[i].seen = elements
		case at >= 0:
			e[at].elements = append(slices.Clip(elements), m.element)
		default:
			e = append(e, put{m.key, append(slices.Clip(elements), m.element)})
		}
	}
	return out, e
}
