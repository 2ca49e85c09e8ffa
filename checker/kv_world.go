package checker

import (
	"cmp"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
)

// kvWorld is a state that the store can have at a revision.
type kvWorld struct {
	items map[string]kvItem
	// keys are all that the history names, in order, shared by all worlds.
	keys []string
	// sum hashes the items, whatever their order.
	sum uint64
	// used are the requests of unknown outcome that were done to come here, by place, in order.
	used []int
}

func (w *kvWorld) clone() *kvWorld {
	return &kvWorld{maps.Clone(w.items), w.keys, w.sum, slices.Clone(w.used)}
}

// set gives a key another content; version 0: none.
func (w *kvWorld) set(it kvItem) {
	if old, ok := w.items[it.key]; ok {
		w.sum ^= old.hash()
		delete(w.items, it.key)
	}
	if it.version > 0 {
		w.items[it.key] = it
		w.sum ^= it.hash()
	}
}

func (it *kvItem) hash() uint64 {
	h := fnv.New64a()
	b := append([]byte(it.key), 0)
	b = append(append(b, it.value...), 0)
	for _, n := range []int64{it.create, it.mod, it.version, it.leased} {
		b = append(strconv.AppendInt(b, n, 36), 0)
	}
	h.Write(b)
	return h.Sum64()
}

// of are the items that an operation is about, by key.
func (w *kvWorld) of(o *kvOp) (out []kvItem) {
	if o.end == "" {
		if it, ok := w.items[o.key]; ok {
			out = append(out, it)
		}
		return out
	}
	from, _ := slices.BinarySearch(w.keys, o.key)
	for _, k := range w.keys[from:] {
		if k >= o.end {
			break
		}
		if it, ok := w.items[k]; ok {
			out = append(out, it)
		}
	}
	return out
}

// holds tells whether all compares do.
func (w *kvWorld) holds(compares []kvCompare) bool {
	for i := range compares {
		if !w.fits(&compares[i]) {
			return false
		}
	}
	return true
}

// fits tells whether one compare holds. A key that does not exist has only zeros, and no value: each compare of its value fails, as etcd
// documents it.
func (w *kvWorld) fits(c *kvCompare) bool {
	it, exists := w.items[c.key]
	order := 0
	switch c.target {
	case "value":
		if !exists {
			return false
		}
		order = cmp.Compare(it.value, c.text)
	case "create":
		order = cmp.Compare(it.create, c.number)
	case "mod":
		order = cmp.Compare(it.mod, c.number)
	case "version":
		order = cmp.Compare(it.version, c.number)
	case "lease":
		order = cmp.Compare(it.leased, c.number)
	}
	switch c.sign {
	case "=":
		return order == 0
	case "!=":
		return order != 0
	case "<":
		return order < 0
	}
	return order > 0
}

// do does the operations of a branch, at a revision, one after the other, and returns what each of them sees, and the keys that were changed.
func (w *kvWorld) do(branch []kvOp, revision int64) (seen []kvSeen, touched []string) {
	for i := range branch {
		o := &branch[i]
		items := w.of(o)
		seen = append(seen, kvSeen{int64(len(items)), items})
		switch o.kind {
		case kvRange:
		case kvDelete:
			for _, it := range items {
				w.set(kvItem{key: it.key})
				touched = append(touched, it.key)
			}
		case kvPut:
			it := kvItem{key: o.key, value: o.value, create: revision, mod: revision, version: 1, leased: o.lease}
			if len(items) > 0 {
				it.create, it.version = items[0].create, items[0].version+1
			}
			w.set(it)
			touched = append(touched, o.key)
		}
	}
	return seen, touched
}

// expire deletes what is attached to a lease.
func (w *kvWorld) expire(lease int64) (touched []string) {
	for k, it := range w.items {
		if it.leased == lease {
			touched = append(touched, k)
		}
	}
	for _, k := range touched {
		w.set(kvItem{key: k})
	}
	return touched
}

// leases are those that keys are attached to, in order.
func (w *kvWorld) leases() []int64 {
	of := map[int64]bool{}
	for _, it := range w.items {
		if it.leased != 0 {
			of[it.leased] = true
		}
	}
	return slices.Sorted(maps.Keys(of))
}

// use notes that a request of unknown outcome was done.
func (w *kvWorld) use(place int) {
	at, _ := slices.BinarySearch(w.used, place)
	w.used = slices.Insert(w.used, at, place)
}

func (w *kvWorld) hasUsed(place int) bool {
	_, found := slices.BinarySearch(w.used, place)
	return found
}

// kvDistinct leaves out worlds that allow no more than another one: with the same items, and all that the other one has used.
func kvDistinct(worlds []*kvWorld) []*kvWorld {
	slices.SortStableFunc(worlds, func(a, b *kvWorld) int {
		return cmp.Or(cmp.Compare(a.sum, b.sum), cmp.Compare(len(a.used), len(b.used)))
	})
	var out []*kvWorld
	first := 0 // of out, with the sum of the last one
	for _, w := range worlds {
		if len(out) > 0 && out[len(out)-1].sum != w.sum {
			first = len(out)
		}
		covered := slices.ContainsFunc(out[first:], func(o *kvWorld) bool { return subset(o.used, w.used) && maps.Equal(o.items, w.items) })
		if !covered {
			out = append(out, w)
		}
	}
	return out
}

// subset tells whether b, in order, has all of a, in order.
func subset(a, b []int) bool {
	i := 0
	for _, n := range b {
		if i < len(a) && a[i] == n {
			i++
		}
	}
	return i == len(a)
}
