package replicated

import (
	"cmp"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Item is what a key holds: a register's one number, a list's elements, or an object. An item of version 0 does not
// exist. Elements and objects are never changed in place.
type Item struct {
	Elements []int64
	Object   any
	Version  int64
	// Created is the version that it had when it began to exist.
	Created int64
}

// store is a state of all keys.
type store struct {
	revision int64
	items    map[string]Item
	// hashes are those of the whole store at each revision from the first on: sums of its items' hashes.
	hashes []uint64
}

func newStore() *store {
	return &store{revision: firstRevision, items: map[string]Item{}, hashes: []uint64{0}}
}

func (s *store) clone() *store {
	return &store{s.revision, maps.Clone(s.items), slices.Clone(s.hashes)}
}

// Put is a key's new content.
type Put struct {
	Key      string
	Elements []int64
	Object   any
	// Gone: the key was deleted.
	Gone bool
	// Version is a version that it had before and has again; 0: it gets a new one, as it should.
	Version int64
}

// Entry is a committed change: what it wrote, at once. The first one of a log makes revision 2.
type Entry []Put

// firstRevision is that of an empty store.
const firstRevision = 1

// RevisionOf is the revision of a store that has applied so many entries of the log.
func RevisionOf(applied int) int64 { return int64(applied) + firstRevision }

// AppliedAt is how many entries of the log a store has applied at a revision.
func AppliedAt(revision int64) int { return int(revision - firstRevision) }

// apply makes a change. It gets the next revision.
func (s *store) apply(e Entry) {
	s.revision++
	hash := s.hashes[len(s.hashes)-1]
	for _, p := range e {
		if old, ok := s.items[p.Key]; ok {
			hash -= old.hash(p.Key)
		}
		if p.Gone {
			delete(s.items, p.Key)
			continue
		}
		version := cmp.Or(p.Version, s.revision)
		it := Item{p.Elements, p.Object, version, cmp.Or(s.items[p.Key].Created, version)}
		s.items[p.Key] = it
		hash += it.hash(p.Key)
	}
	s.hashes = append(s.hashes, hash)
}

// skip is apply as a member does it that leaves the change out.
func (s *store) skip() {
	s.revision++
	s.hashes = append(s.hashes, s.hashes[len(s.hashes)-1])
}

// hashAt is the hash of the store at a revision that it has reached.
func (s *store) hashAt(revision int64) uint64 { return s.hashes[revision-firstRevision] }

// hash tells whether two stores have the same of a key; objects by their versions.
func (it *Item) hash(key string) uint64 {
	h := fnv.New64a()
	line := append([]byte(key), '=')
	for _, e := range it.Elements {
		line = append(strconv.AppendInt(line, e, 10), ',')
	}
	h.Write(strconv.AppendInt(append(line, '@'), it.Version, 10))
	return h.Sum64()
}

// Command is one request to the store.
type Command struct {
	Kind Kind
	Key  string
	// Old and New are the numbers of a compare-and-set; New is a write's, too.
	Old, New int64
	// Guard is the version that a guarded write expects (0: the key must not exist), and List, Object or Gone what it writes.
	Guard  int64
	List   []int64
	Object any
	Gone   bool
	// Any: the guarded write takes whatever version there is. Fence, where not nil, guards it as well. Lease is what the key goes with, or what
	// is granted, renewed or revoked; TTL is what is granted.
	Any   bool
	Fence *Fence
	Lease int64
	TTL   time.Duration
	// Also are further guarded writes, done with the first one, or none of them.
	Also   []Guarded
	Micros []Micro
	// Puts are written at once; those that delete what does not exist are left out.
	Puts []Put
	// Evaluate tells what the state makes of a request: its answer, and what it writes, nil if nothing. It may be asked more than
	// once. ReadsOnly: it never writes.
	Evaluate  func(View) (answer any, e Entry)
	ReadsOnly bool
}

// View is a state of the store, to look at.
type View struct{ s *store }

// Revision is the state's.
func (v View) Revision() int64 { return v.s.revision }

// Item is what a key holds; of version 0 where it does not exist.
func (v View) Item(key string) Item { return v.s.items[key] }

// Keys are those that exist, in order.
func (v View) Keys() []string { return slices.Sorted(maps.Keys(v.s.items)) }

// Guarded is a write that is done if its key has a version.
type Guarded struct {
	Put
	Guard int64
}

// Kind is what a command does.
type Kind int

// The kinds of command.
const (
	ReadKey Kind = iota
	WriteKey
	SwapKey
	PutGuarded
	DeleteKey
	Transact
	OldestOf
	GrantLease
	RenewLease
	RevokeLease
	WriteAll
	Evaluate
)

// Reads tells whether a command changes nothing, whatever it finds.
func (c *Command) Reads() bool {
	switch c.Kind {
	case Transact:
	case Evaluate:
		return c.ReadsOnly
	default:
		return c.Kind == ReadKey || c.Kind == OldestOf
	}
	return !slices.ContainsFunc(c.Micros, func(m Micro) bool { return !m.Read })
}

// Result is what came of a command.
type Result struct {
	Item     Item   // as read, or as found by a compare
	Key      string // of the item, where a prefix was asked for
	TTL      time.Duration
	Term     uint64
	OK       bool // the compare found what it expected
	Revision int64
	Micros   []Micro
	Written  Entry // of WriteAll
	Answer   any   // of Evaluate
}

// evaluate tells what a command returns and what it would write, nil if nothing.
func (s *store) evaluate(c *Command, ignoreGuard, ownUnseen bool) (Result, Entry) {
	found := s.items[c.Key]
	r := Result{Item: found, OK: true, Revision: s.revision}
	switch c.Kind {
	case ReadKey:
		return r, nil
	case OldestOf:
		r.Key, r.Item = s.oldest(c.Key, 0)
		return r, nil
	case WriteKey:
		return r, Entry{{Key: c.Key, Elements: []int64{c.New}}}
	case SwapKey:
		if ignoreGuard || (found.Version != 0 && found.Elements[0] == c.Old) {
			return r, Entry{{Key: c.Key, Elements: []int64{c.New}}}
		}
	case DeleteKey:
		if found.Version != 0 {
			return r, Entry{{Key: c.Key, Gone: true}}
		}
	case PutGuarded:
		if ignoreGuard || s.guarded(c) {
			e := Entry{{Key: c.Key, Elements: c.List, Object: c.Object, Gone: c.Gone}}
			for _, g := range c.Also {
				e = append(e, g.Put)
			}
			return r, e
		}
	case WriteAll:
		e := s.effective(c.Puts)
		r.Written = e
		return r, e
	case Transact:
		var e Entry
		r.Micros, e = s.transact(c.Micros, ownUnseen)
		return r, e
	case GrantLease, RenewLease, RevokeLease: // performed before: they write nothing, or what their leases say
	case Evaluate:
		var e Entry
		r.Answer, e = c.Evaluate(View{s})
		return r, e
	}
	r.OK = false
	return r, nil
}

// effective are the puts that change something; nil: none does.
func (s *store) effective(puts []Put) Entry {
	var e Entry
	for _, p := range puts {
		if !p.Gone || s.items[p.Key].Version != 0 {
			e = append(e, p)
		}
	}
	return e
}

// guarded tells whether all keys that a command writes have the versions that it expects.
func (s *store) guarded(c *Command) bool {
	if c.Fence != nil && s.items[c.Fence.Key].Created != c.Fence.Created {
		return false
	}
	return (c.Any || s.items[c.Key].Version == c.Guard) &&
		!slices.ContainsFunc(c.Also, func(g Guarded) bool { return s.items[g.Key].Version != g.Guard })
}
