package checker

import "slices"

// gap follows each world on over a revision that no ok request claims. Something that is known of it must come out; otherwise it may have
// been a write elsewhere as well.
func (p *kvReplay) gap(next int) {
	g := p.revision
	facts := p.facts[g]
	delete(p.facts, g)
	ahead := p.lookAhead(next, g)
	bound := p.seenBy(g)
	var out []*kvWorld
	for _, w := range p.worlds {
		if len(facts) == 0 {
			out = append(out, w)
		}
		for _, r := range p.open {
			if r.call >= bound || r.floor != nil && r.floor.revision >= g || w.hasUsed(int(r.call)) {
				continue
			}
			if c := w.with(r, g, facts, ahead); c != nil {
				out = append(out, c)
			}
		}
		for _, lease := range w.leases() {
			c := w.clone()
			if touched := c.expire(lease); ahead.allowsDeletes(touched) && c.shows(w, facts) {
				out = append(out, c)
			}
		}
	}
	if len(out) == 0 {
		p.unexplained(facts)
		out = p.worlds[:1]
		for _, f := range facts {
			out[0].set(f.item)
		}
	} else if len(facts) > 0 {
		p.d.Explained++
	}
	if len(out) > 1 {
		out = kvDistinct(out)
	}
	p.worlds = out
	p.settle()
}

// with is the world after a request of unknown outcome was done; nil if it can't have been: it changes nothing, or what is known contradicts it.
func (w *kvWorld) with(r *kvRequest, revision int64, facts []kvFact, ahead kvAhead) *kvWorld {
	branch := r.otherwise
	if w.holds(r.compares) {
		branch = r.then
	}
	changes := false
	for i := range branch {
		o := &branch[i]
		switch {
		case o.kind == kvPut && !ahead.allowsPut(o.key):
			return nil
		case o.kind == kvDelete:
			for _, it := range w.of(o) {
				changes = true
				if ahead.unchanged[it.key] {
					return nil
				}
			}
		}
		changes = changes || o.kind == kvPut
	}
	if !changes {
		return nil
	}
	for i := range facts {
		if it := &facts[i].item; !slices.ContainsFunc(branch, func(o kvOp) bool {
			return o.kind == kvPut && it.version > 0 && o.key == it.key && o.value == it.value || o.kind == kvDelete && it.version == 0 && o.covers(it.key)
		}) {
			return nil
		}
	}
	c := w.clone()
	if c.do(branch, revision); !c.shows(w, facts) {
		return nil
	}
	c.use(int(r.call))
	return c
}

// shows tells whether what is known of the revision that led from a world to this one came out.
func (w *kvWorld) shows(before *kvWorld, facts []kvFact) bool {
	for i := range facts {
		f := &facts[i]
		it, exists := w.items[f.item.key]
		_, existed := before.items[f.item.key]
		switch {
		case f.item.version == 0:
			if exists || !existed {
				return false
			}
		case !exists || f.whole && it != f.item || it.value != f.item.value || it.mod != f.item.mod:
			return false
		}
	}
	return true
}

// kvAhead is what the next requests that saw a key tell of what can't have happened to it: anything, or that it was put.
type kvAhead struct {
	unchanged, absent map[string]bool
}

func (a kvAhead) allowsPut(key string) bool { return !a.unchanged[key] && !a.absent[key] }

func (a kvAhead) allowsDeletes(keys []string) bool {
	return !slices.ContainsFunc(keys, func(k string) bool { return a.unchanged[k] })
}

// kvAheadMax is how many requests it looks ahead.
const kvAheadMax = 256

// lookAhead looks at the requests after a revision that nobody claims, for the first that saw each key: with an older version, it was not changed
// there; absent, and nothing in between that can have deleted it, it was not put there. This only saves following worlds that would end there.
func (p *kvReplay) lookAhead(next int, g int64) kvAhead {
	a := kvAhead{map[string]bool{}, map[string]bool{}}
	keys := map[string]bool{} // that might be put, and were not seen yet
	for _, r := range p.open {
		for _, branch := range [][]kvOp{r.then, r.otherwise} {
			for i := range branch {
				if branch[i].kind == kvPut {
					keys[branch[i].key] = true
				}
			}
		}
	}
	decided := map[string]bool{}
	last, unclaimed := g, false
	for i := next; i < len(p.events) && i < next+kvAheadMax; i++ {
		e := &p.events[i]
		unclaimed = unclaimed || e.at > last+1 || !e.write && e.at > last
		last = e.at
		branch := e.branch()
		for n := range e.seen {
			for _, it := range e.seen[n].items {
				if !decided[it.key] {
					decided[it.key] = true
					a.unchanged[it.key] = it.mod < g
					delete(keys, it.key)
				}
			}
			for k := range keys {
				if branch[n].covers(k) {
					decided[k] = true
					a.absent[k] = !unclaimed
					delete(keys, k)
				}
			}
		}
	}
	return a
}
