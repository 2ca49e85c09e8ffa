package checker

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"

	"github.com/faultline/faultline/harness/history"
)

// kvEvent is an ok request at the revision that it made, or whose state it saw.
type kvEvent struct {
	*kvRequest
	at    int64
	write bool
}

// kvFact is what is known of a revision that no ok request claims: what a key was given there. Of evidence only the value is known, or that it was deleted.
type kvFact struct {
	revision int64
	item     kvItem // of version 0: deleted
	whole    bool
	by       int64 // index of the operation that saw it
}

// kvReplay plays back the states of a store.
type kvReplay struct {
	ctx    context.Context
	j      *kvJudge
	d      *KVDetail
	events []kvEvent
	// open are the requests of unknown outcome that can still explain a revision.
	open    []*kvRequest
	facts   map[int64][]kvFact
	writers map[int64]*kvRequest
	// puts are the requests that put a value to a key, by both; lastSeen is the last revision at which each key's version was seen.
	puts map[[2]string][]*kvRequest
	seen map[kvMark]bool
	// headers are the revisions of all ok requests, in order, and soonest the first completion of those from there on.
	headers []int64
	soonest []int64

	worlds    []*kvWorld
	worldsMax int
	revision  int64
}

// kvMark is one version of a key.
type kvMark struct {
	key string
	mod int64
}

// kvFirstRevision is that of an empty store.
const kvFirstRevision = 1

// Bounds of the states that are followed side by side. kvItemBytes is what an item of one takes.
const (
	kvWorldsMax = 4096
	kvItemBytes = 256
)

func newKVReplay(ctx context.Context, j *kvJudge, d *KVDetail, told []kvFact, memoryBytes int64) *kvReplay {
	p := &kvReplay{
		ctx: ctx, j: j, d: d, facts: map[int64][]kvFact{}, writers: map[int64]*kvRequest{}, puts: map[[2]string][]*kvRequest{},
		seen: map[kvMark]bool{}, revision: kvFirstRevision,
	}
	var ok []*kvRequest
	for _, r := range j.requests {
		if r.f == fRequest {
			d.Requests++
		}
		p.takeIn(r)
		if r.outcome == history.OK && r.revision > 0 {
			ok = append(ok, r)
		}
	}
	keys := map[string]bool{}
	for at := range p.puts {
		keys[at[0]] = true
	}
	for _, r := range ok {
		p.learn(r, keys)
	}
	for _, f := range told {
		p.d.Told += p.know(f, keys)
	}
	slices.SortStableFunc(p.events, func(a, b kvEvent) int {
		return cmp.Or(cmp.Compare(a.at, b.at), order(b.write, a.write), cmp.Compare(a.index, b.index))
	})
	slices.SortFunc(ok, func(a, b *kvRequest) int { return cmp.Compare(a.revision, b.revision) })
	p.headers, p.soonest = make([]int64, len(ok)), make([]int64, len(ok)+1)
	p.soonest[len(ok)] = never
	for i := len(ok) - 1; i >= 0; i-- {
		p.headers[i], p.soonest[i] = ok[i].revision, min(ok[i].ret, p.soonest[i+1])
	}
	all := sortedKeys(keys)
	p.worlds = []*kvWorld{{items: map[string]kvItem{}, keys: all}}
	p.worldsMax = int(min(kvWorldsMax, max(2, memoryBytes/2/kvItemBytes/int64(len(all)+1))))
	return p
}

// order compares false before true.
func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// takeIn files a request: what it puts, and when it was, or that it may have been.
func (p *kvReplay) takeIn(r *kvRequest) {
	for _, branch := range [][]kvOp{r.then, r.otherwise} {
		for _, o := range branch {
			if o.kind == kvPut {
				at := [2]string{o.key, o.value}
				p.puts[at] = append(p.puts[at], r)
			}
		}
	}
	switch {
	case r.f == fRequest && r.outcome == history.Info:
		if r.writes() {
			p.open = append(p.open, r)
			p.d.Unknown++
		}
	case r.outcome != history.OK || r.revision == 0 || r.refused != "":
	case r.f == fRevokeLease && r.succeeded:
		p.events = append(p.events, kvEvent{r, r.revision, false})
	case r.f != fRequest:
	case r.at != 0:
		p.events = append(p.events, kvEvent{r, r.at, false})
	case !r.changed():
		p.events = append(p.events, kvEvent{r, r.revision, false})
	case p.writers[r.revision] != nil:
		other := p.writers[r.revision]
		p.j.f.add(Anomaly{
			Name: "duplicate-revision", Ops: []int64{r.index, other.index},
			Why: fmt.Sprintf("%s and %s both wrote, and each write has a revision of its own", r.describe(), other.describe()),
		})
	case r.revision <= kvFirstRevision:
		p.j.f.add(Anomaly{Name: "revision-backwards", Ops: []int64{r.index}, Why: r.describe() + " wrote, at the revision of the empty store"})
	default:
		p.writers[r.revision] = r
		p.events = append(p.events, kvEvent{r, r.revision, true})
	}
}

// learn notes what an ok request saw.
func (p *kvReplay) learn(r *kvRequest, keys map[string]bool) {
	for _, s := range r.seen {
		for _, it := range s.items {
			mark := kvMark{it.key, it.mod}
			if !p.seen[mark] {
				p.seen[mark] = true
				p.know(kvFact{it.mod, it, true, r.index}, keys)
			}
		}
	}
}

// know notes what a revision gave a key, where that is news. It returns how much news it is.
func (p *kvReplay) know(f kvFact, keys map[string]bool) int {
	same := func(g kvFact) bool { return g.item.key == f.item.key }
	if f.revision <= kvFirstRevision || p.writers[f.revision] != nil || !keys[f.item.key] || slices.ContainsFunc(p.facts[f.revision], same) {
		return 0
	}
	p.facts[f.revision] = append(p.facts[f.revision], f)
	return 1
}

// kvTold is what the store told after the run.
func kvTold(src history.Source) (out []kvFact, err error) {
	for op, err := range src.Ops() {
		if err != nil {
			return nil, fmt.Errorf("read the history: %w", err)
		}
		if op.Process != history.Evidence || op.F != history.FCommitted {
			continue
		}
		f := kvFact{revision: op.Version, item: kvItem{key: op.Key, mod: op.Version}, by: op.Index}
		if !isNull(op.Value) {
			f.item.value, f.item.version = string(op.Value), 1
		}
		out = append(out, f)
	}
	return out, nil
}

// seenBy is the first completion that shows that a revision had been made.
func (p *kvReplay) seenBy(revision int64) int64 {
	return p.soonest[sort.Search(len(p.headers), func(i int) bool { return p.headers[i] >= revision })]
}

// run goes through the revisions.
func (p *kvReplay) run() {
	for i := range p.events {
		e := &p.events[i]
		last := e.at
		if e.write {
			last--
		}
		if !p.fill(i, last) {
			return
		}
		if i&255 == 0 && p.ctx.Err() != nil {
			p.j.f.unknown("out of time at revision %d", p.revision)
			return
		}
		p.revision = max(p.revision, e.at)
		p.step(e)
	}
	p.d.Revision = p.revision
	for _, w := range p.worlds[:1] {
		p.d.Settled += len(w.used)
	}
}

// fill goes through the revisions up to last, which no ok request claims; false: it was given up.
func (p *kvReplay) fill(next int, last int64) bool {
	for p.revision < last {
		idle := len(p.open) == 0 && len(p.facts) == 0 && !slices.ContainsFunc(p.worlds, func(w *kvWorld) bool { return len(w.leases()) > 0 })
		if idle {
			p.d.Unclaimed += last - p.revision
			p.revision = last
			return true
		}
		p.revision++
		p.d.Unclaimed++
		p.gap(next)
		p.d.Worlds = max(p.d.Worlds, len(p.worlds))
		switch {
		case p.ctx.Err() != nil:
			p.j.f.unknown("out of time at revision %d", p.revision)
			return false
		case len(p.worlds) > p.worldsMax:
			p.j.f.unknown("at revision %d there are more than %s ways to explain which of %s happened", p.revision,
				thousands(int64(p.worldsMax)), count(len(p.open), "request of unknown outcome", "requests of unknown outcome"))
			return false
		}
	}
	return true
}

// step keeps the worlds that agree with an ok request. Where none does, a promise is broken, and what was told goes on to be believed.
func (p *kvReplay) step(e *kvEvent) {
	var fit []*kvWorld
	var first *kvMismatch
	for _, w := range p.worlds {
		m := e.against(w)
		if m == nil {
			fit = append(fit, w)
		} else if first == nil {
			first = m
		}
	}
	if len(fit) > 0 {
		p.worlds = fit
		p.settle()
		return
	}
	p.explain(e, first, len(p.worlds))
	p.worlds = p.worlds[:1]
	if !e.write {
		p.believe(first)
	}
}

// settle takes note of what must have happened: what the only world that is left needs.
func (p *kvReplay) settle() {
	if len(p.worlds) != 1 || len(p.worlds[0].used) == 0 {
		return
	}
	w := p.worlds[0]
	p.d.Settled += len(w.used)
	p.open = slices.DeleteFunc(p.open, func(r *kvRequest) bool { return w.hasUsed(int(r.call)) })
	w.used = nil
}

// believe puts a world right by a read that saw a later version than it has.
func (p *kvReplay) believe(m *kvMismatch) {
	if m.got.version > 0 && m.got.mod > m.want.mod && m.got.mod <= p.revision && p.writers[m.got.mod] == nil {
		p.worlds[0].set(m.got)
	}
}

// against does a request in a world, as it was done, and tells what does not agree; nil: nothing.
func (e *kvEvent) against(w *kvWorld) *kvMismatch {
	if e.f == fRevokeLease {
		for _, it := range w.items {
			if it.leased == e.lease {
				return &kvMismatch{kind: kvStillLeased, key: it.key, want: it}
			}
		}
		return nil
	}
	failing := slices.IndexFunc(e.compares, func(c kvCompare) bool { return !w.fits(&c) })
	var found kvItem
	if failing >= 0 {
		found = w.items[e.compares[failing].key]
	}
	on := w
	if !e.write && e.writes() {
		on = w.clone() // it deleted nothing, as it was told
	}
	seen, _ := on.do(e.branch(), e.revision)
	switch {
	case e.succeeded && failing >= 0:
		return &kvMismatch{kind: kvCompared, key: e.compares[failing].key, want: found, compare: &e.compares[failing]}
	case !e.succeeded && failing < 0:
		return &kvMismatch{kind: kvCompared}
	}
	for i := range seen {
		if m := mismatch(seen[i], e.seen[i]); m != nil {
			return m
		}
	}
	return nil
}
