package checker

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// world is a correct store of one collection, with a server on each of two nodes whose caches lag. It records what clients do in random
// interleavings, with outcomes that nobody gets to know.
type world struct {
	r       *rand.Rand
	h       history.Slice
	log     []logged
	state   map[string]logged
	rev     int64
	caches  [2]int64
	objects int
	number  int64
	// next is the next process of each worker; open what it does.
	next []history.Process
	open []*doing
	// late are changes that nobody waits for any more, and that will be made all the same.
	late []*doing
	// seen is what a process has seen.
	seen map[history.Process]int64
	// watches: there are watches, too.
	watches bool
}

// logged is a change as the store made it.
type logged struct {
	version int64
	object  string
	f       string
	number  int64
}

// doing is an operation under way.
type doing struct {
	worker  int
	op      history.Op
	applied bool
	done    history.Op
	// begun is the revision that a watch began at.
	begun int64
}

func newWorld(r *rand.Rand, workers, objects int, watches bool) *world {
	w := &world{r: r, state: map[string]logged{}, objects: objects, watches: watches, seen: map[history.Process]int64{}}
	for i := range workers {
		w.next = append(w.next, history.Process(i))
		w.open = append(w.open, nil)
	}
	return w
}

func encoded(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

func (w *world) record(op history.Op) {
	op.Index = int64(len(w.h))
	op.Time = time.Duration(op.Index) * time.Millisecond
	w.h = append(w.h, op)
}

// run has clients do some operations.
func (w *world) run(operations int) history.Slice {
	for operations > 0 || slices.ContainsFunc(w.open, func(d *doing) bool { return d != nil }) {
		for i := range w.caches {
			if w.r.IntN(3) == 0 {
				w.caches[i] += w.r.Int64N(w.rev - w.caches[i] + 1)
			}
		}
		if len(w.late) > 0 && w.r.IntN(8) == 0 {
			w.apply(w.late[0])
			w.late = w.late[1:]
		}
		worker := w.r.IntN(len(w.open))
		switch d := w.open[worker]; {
		case d == nil && operations > 0:
			operations--
			w.invoke(worker)
		case d == nil:
		case !d.applied && w.r.IntN(12) == 0 && d.op.F != fList && d.op.F != fWatch:
			w.forget(d)
		case !d.applied:
			w.apply(d)
		default:
			w.complete(d)
		}
	}
	return w.h
}

func (w *world) name() string { return string(rune('a' + w.r.IntN(w.objects))) }

func (w *world) invoke(worker int) {
	p := w.next[worker]
	op := history.Op{Type: history.Invoke, Process: p, Key: "c", Node: fmt.Sprintf("n%d", worker%2+1)}
	change := history.ObjectChange{Object: w.name()}
	switch n := w.r.IntN(10); {
	case n < 3:
		op.F = fCreate
	case n < 5:
		op.F = fUpdate
		if it, ok := w.state[change.Object]; ok && w.r.IntN(2) == 0 {
			change.Expect = it.version
		}
	case n < 6:
		op.F = fDelete
	case n < 8 || !w.watches:
		op.F = fList
		read := []string{history.ReadQuorum, history.ReadCached, history.ReadAtLeast, history.ReadExact}[w.r.IntN(4)]
		op.Value = encoded(history.ListRequest{Read: read, Limit: w.r.IntN(3)})
	default:
		op.F = fWatch
		from := []string{history.WatchNow, history.WatchResume, history.WatchPast, history.WatchList, history.WatchInform}[w.r.IntN(5)]
		op.Value = encoded(history.WatchRequest{From: from, Bookmarks: w.r.IntN(2) == 0})
	}
	if op.Value == nil {
		if op.F != fDelete {
			w.number++
			change.Number = w.number
		}
		op.Value = encoded(change)
	}
	w.record(op)
	w.open[worker] = &doing{worker: worker, op: op}
}

// forget leaves the outcome of a change unknown. It may have been made, or be made later, or never.
func (w *world) forget(d *doing) {
	if w.r.IntN(2) == 0 {
		w.apply(d)
	}
	if w.r.IntN(2) == 0 {
		op := d.op
		op.Type, op.Error = history.Info, "timeout"
		w.record(op)
	}
	w.next[d.worker] += history.Process(len(w.open))
	w.open[d.worker] = nil
	if !d.applied && w.r.IntN(2) == 0 {
		w.late = append(w.late, d)
	}
}

func (w *world) apply(d *doing) {
	d.applied, d.done = true, d.op
	d.done.Type = history.OK
	switch d.op.F {
	case fList:
		w.list(d)
	case fWatch:
		d.begun = w.caches[d.worker%2]
		from := w.request(d).From
		if resumed := from == history.WatchResume || from == history.WatchPast; from == history.WatchList || resumed && w.seen[d.op.Process] == 0 {
			d.begun = w.rev
			w.caches[d.worker%2] = w.rev
		}
	default:
		w.change(d)
	}
}

func (w *world) request(d *doing) (v history.WatchRequest) {
	if err := json.Unmarshal(d.op.Value, &v); err != nil {
		panic(err)
	}
	return v
}

func (w *world) change(d *doing) {
	var v history.ObjectChange
	if err := json.Unmarshal(d.op.Value, &v); err != nil {
		panic(err)
	}
	it, there := w.state[v.Object]
	switch {
	case d.op.F == fCreate && there:
		v.Refused = refusedExists
	case d.op.F != fCreate && !there:
		v.Refused = refusedAbsent
	case v.Expect > 0 && v.Expect != it.version:
		v.Refused = refusedConflict
	default:
		w.rev += 1 + w.r.Int64N(2)
		l := logged{w.rev, v.Object, d.op.F, v.Number}
		if d.op.F == fDelete {
			l.number = it.number
			delete(w.state, v.Object)
		} else {
			w.state[v.Object] = l
			d.done.Version = w.rev
		}
		w.log = append(w.log, l)
	}
	d.done.Value = encoded(v)
}

// at is the state at a revision.
func (w *world) at(revision int64) map[string]logged {
	state := map[string]logged{}
	for _, l := range w.log {
		if l.version > revision {
			break
		}
		if l.f == fDelete {
			delete(state, l.object)
		} else {
			state[l.object] = l
		}
	}
	return state
}

func membersAt(state map[string]logged) []history.Member {
	out := []history.Member{}
	for _, l := range slices.SortedFunc(maps.Values(state), func(a, b logged) int { return cmp.Compare(a.object, b.object) }) {
		out = append(out, history.Member{Object: l.object, Version: l.version, Number: l.number})
	}
	return out
}

func (w *world) list(d *doing) {
	var v history.ListRequest
	if err := json.Unmarshal(d.op.Value, &v); err != nil {
		panic(err)
	}
	cache := &w.caches[d.worker%2]
	out := history.Listing{Read: v.Read, Limit: v.Limit}
	revision := *cache
	seen := w.seen[d.op.Process]
	switch {
	case v.Read == history.ReadCached:
	case v.Read == history.ReadAtLeast:
		out.Asked = seen
		*cache = max(*cache, seen)
		revision = *cache
	case v.Read == history.ReadExact && seen > 0:
		out.Asked, revision = seen, seen
	default:
		out.Read, revision = history.ReadQuorum, w.rev
	}
	members := membersAt(w.at(revision))
	if v.Limit == 0 {
		v.Limit = len(members) + 1
	}
	for chunk := range slices.Chunk(members, v.Limit) {
		out.Pages = append(out.Pages, history.Page{Revision: revision, Objects: chunk})
	}
	if len(out.Pages) == 0 {
		out.Pages = []history.Page{{Revision: revision}}
	}
	d.done.Value, d.done.Revision = encoded(out), revision
}

var eventOf = map[string]string{fCreate: history.EventAdded, fUpdate: history.EventModified, fDelete: history.EventDeleted}

// stream is what a watch showed by its end.
func (w *world) stream(d *doing) {
	v := w.request(d)
	node := d.worker % 2
	s := history.Stream{From: v.From, Bookmarks: v.Bookmarks, End: "time"}
	after := d.begun
	end := after + w.r.Int64N(w.caches[node]-after+1)
	seen := w.seen[d.op.Process]
	switch {
	case v.From == history.WatchInform:
		s.Final, s.FinalAt = membersAt(w.at(end)), end
	case v.From == history.WatchNow || v.From == history.WatchList || seen == 0:
		if seen == 0 && v.From == history.WatchPast {
			s.From = history.WatchResume
		}
		s.Initial, s.InitialDone = membersAt(w.at(after)), true
		if v.From != history.WatchNow {
			s.InitialAt = after
		}
	default:
		after = seen
		if v.From == history.WatchPast {
			after = 1 + w.r.Int64N(seen)
		}
		s.After = after
		end = max(end, after)
	}
	bookmark := func(version int64) {
		if v.Bookmarks && w.r.IntN(3) == 0 {
			s.Events = append(s.Events, history.Event{Type: history.EventBookmark, Version: version})
		}
	}
	for _, l := range w.log {
		if l.version > after && l.version <= end {
			bookmark(l.version - 1)
			s.Events = append(s.Events, history.Event{Type: eventOf[l.f], Object: l.object, Version: l.version, Number: l.number})
			d.done.Revision = l.version
		}
	}
	bookmark(end)
	d.done.Value = encoded(s)
}

func (w *world) complete(d *doing) {
	if d.op.F == fWatch {
		w.stream(d)
	}
	w.open[d.worker] = nil
	w.record(d.done)
	w.seen[d.op.Process] = max(w.seen[d.op.Process], d.done.Version, d.done.Revision)
}
