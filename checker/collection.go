package checker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// collection is the history of the objects under one key: what was changed, and what views showed of it. Its changes are put in the order
// of their versions, which the views tell, too. Only of changes of unknown outcome, and of deletions whose version
// nobody told, it is not known where in that order they stand, or whether.
type collection struct {
	key   string
	items map[string]*item
	// names are those of all items, in order; see settle.
	names []string
	// byNumber are the creates and updates that happened or may have, by what they write; failed those that certainly did not happen.
	byNumber, failed map[int64]*change
	changes          []*change
	snapshots        []*snapshot
	streams          []*stream
	refusals         []*refusal
	// exact are the changes of which the version is known, by version; see settle.
	exact []*change
	// loose are the deletions of which it is not.
	loose []*change
}

// item is one object of a collection.
type item struct {
	name string
	// exact are its changes of which the version is known, by version.
	exact []*change
	// writes and deletes are the changes that clients asked for, and that were not refused.
	writes, deletes []*change
	// loose are its deletions of which the version is not known.
	loose []*change
}

// change is a create, update or delete of one object that happened or may have happened.
type change struct {
	f      string
	object string
	// number is the content that a create or update writes; expect the version that an update or delete asked for, 0: any, or not known.
	number, expect int64
	// version is the one that the change made; 0 where it is not known. Then it is above low and, where high is not 0, below high.
	version, low, high int64
	// call and ret are indexes of the history; ret is never for an unknown outcome.
	call, ret, index int64
	// seenBy is the view that told of it, where the client did not: its index and what it is.
	seenBy int64
	seen   string
}

// sure tells a change that certainly happened.
func (c *change) sure() bool { return c.ret != never || c.seen != "" }

// deletes tells a change after which the object is no more.
func (c *change) deletes() bool { return c.f == fDelete }

// proof is the index of the operation that shows that the change happened.
func (c *change) proof() int64 {
	if c.seen != "" && c.ret == never {
		return c.seenBy
	}
	return c.index
}

func (c *change) String() string {
	what := fmt.Sprintf("%s %d of %s", c.f, c.index, c.object)
	if c.index < 0 {
		what = "the deletion of " + c.object
	}
	if !c.deletes() {
		what += fmt.Sprintf(" as %d", c.number)
	}
	switch {
	case c.version > 0:
		what += fmt.Sprintf(" (version %d)", c.version)
	case c.high > 0:
		what += fmt.Sprintf(" (a version from %d to %d)", c.low+1, c.high-1)
	}
	if c.seen != "" {
		what += ", as shown by " + c.seen
	}
	return what
}

// refusal is a change that was refused for what the object was.
type refusal struct {
	change
	why string
}

// member is one object in a view.
type member struct {
	object          string
	version, number int64
	// page counts from 0.
	page int
}

// viewer is who looked: a client's operation.
type viewer struct {
	call, ret     int64
	callAt, retAt time.Duration
	process       history.Process
	node          string
}

// snapshot is what a view showed of a whole collection at one revision.
type snapshot struct {
	viewer
	what string
	// read is the kind of list; empty for what is no list.
	read            string
	asked, revision int64
	members         []member
	// pages are the revisions of the pages.
	pages []int64
}

// stream is what a watch showed.
type stream struct {
	viewer
	history.Stream
}

func (s *stream) String() string {
	return fmt.Sprintf("watch %d (%s) by process %s%s", s.ret, s.From, s.process, on(s.node))
}

// collections are the collections of a history, with what is common to all of them: one order of versions.
type collections struct {
	all map[string]*collection
	// writes and views tell which versions had been made, or seen, before a moment.
	writes, views floor
	// acks are the acknowledged changes, by call; see settle.
	acks ceiling
	// bytes is about how much memory what was read takes, bytesMax how much it may take.
	bytes, bytesMax int64
	// left are operations that were not read for want of memory.
	left int
}

// inOrder visits the collections by their keys.
func (cs *collections) inOrder(visit func(*collection)) {
	for _, key := range slices.Sorted(maps.Keys(cs.all)) {
		visit(cs.all[key])
	}
}

// collectionsOf reads the collections of a history. Past the memory it leaves out views, and says so as a reason to be Unknown.
func (f *findings) collectionsOf(ctx context.Context, src history.Source, b Budget) (*collections, error) {
	if b.MemoryBytes <= 0 {
		b.MemoryBytes = defaultMemoryBytes
	}
	cs := &collections{all: map[string]*collection{}, bytesMax: b.MemoryBytes}
	err := f.clients(ctx, src, cs.take)
	if err != nil {
		return nil, err
	}
	if cs.left > 0 {
		f.unknown("out of memory: %s left out of the check", count(cs.left, "list or watch was", "lists and watches were"))
	}
	cs.settle()
	return cs, nil
}

// take reads one operation. They come in the order of their completions.
func (cs *collections) take(p history.Pair) (err error) {
	switch p.Invoke.F {
	case fCreate, fUpdate, fDelete:
		err = cs.takeChange(p)
	case fList:
		err = cs.takeList(p)
	case fWatch:
		err = cs.takeWatch(p)
	}
	if err != nil {
		return fmt.Errorf("operation %d: a %s: %w: %w", indexOf(p), p.Invoke.F, ErrMalformed, err)
	}
	return nil
}

func (cs *collections) of(key string) *collection {
	c := cs.all[key]
	if c == nil {
		c = &collection{key: key, items: map[string]*item{}, byNumber: map[int64]*change{}, failed: map[int64]*change{}}
		cs.all[key] = c
	}
	return c
}

func (c *collection) item(name string) *item {
	o := c.items[name]
	if o == nil {
		o = &item{name: name}
		c.items[name] = o
	}
	return o
}

func (cs *collections) takeChange(p history.Pair) error {
	var v history.ObjectChange
	if err := json.Unmarshal(p.Invoke.Value, &v); err != nil {
		return err
	}
	if v.Object == "" {
		return nil // of another kind of workload
	}
	ch := &change{
		f: p.Invoke.F, object: v.Object, number: v.Number, call: p.Invoke.Index, ret: never,
		index: indexOf(p),
	}
	ch.low, _ = cs.floorBefore(ch.call)
	c := cs.of(p.Invoke.Key)
	cs.bytes += changeBytes
	switch p.Outcome() {
	case history.Fail:
		if !ch.deletes() {
			c.failed[ch.number] = ch
		}
		return nil
	case history.OK:
		if len(p.Complete.Value) > 0 {
			if err := json.Unmarshal(p.Complete.Value, &v); err != nil {
				return err
			}
		}
		ch.ret, ch.expect = p.Complete.Index, max(0, v.Expect)
		if v.Refused != "" {
			c.refusals = append(c.refusals, &refusal{*ch, v.Refused})
			return nil
		}
		if ch.version = p.Complete.Version; ch.version > 0 {
			cs.writes.add(moment{ch.ret, p.Complete.Time, ch.version, p.Invoke.Node})
		}
	default:
	}
	o := c.item(ch.object)
	c.changes = append(c.changes, ch)
	if ch.deletes() {
		o.deletes = append(o.deletes, ch)
	} else {
		o.writes = append(o.writes, ch)
		c.byNumber[ch.number] = ch
	}
	return nil
}

func viewerOf(p history.Pair) viewer {
	return viewer{
		call: p.Invoke.Index, ret: p.Complete.Index, callAt: p.Invoke.Time, retAt: p.Complete.Time,
		process: p.Invoke.Process, node: p.Invoke.Node,
	}
}

func (cs *collections) takeList(p history.Pair) error {
	if p.Outcome() != history.OK {
		return nil
	}
	if cs.bytes > cs.bytesMax {
		cs.left++
		return nil
	}
	var v history.Listing
	if err := json.Unmarshal(p.Complete.Value, &v); err != nil {
		return err
	}
	s := &snapshot{viewer: viewerOf(p), read: v.Read, asked: v.Asked, revision: p.Complete.Revision}
	s.what = fmt.Sprintf("list %d (%s) by process %s%s", s.ret, cmp.Or(v.Read, history.ReadQuorum), s.process, on(s.node))
	for i, page := range v.Pages {
		if i == 0 && s.revision == 0 {
			s.revision = page.Revision
		}
		s.pages = append(s.pages, page.Revision)
		s.members = append(s.members, membersOf(page.Objects, i)...)
	}
	cs.views.add(moment{s.ret, s.retAt, s.revision, s.node})
	c := cs.of(p.Invoke.Key)
	c.snapshots = append(c.snapshots, s)
	cs.bytes += int64(len(s.members))*memberBytes + viewBytes
	return nil
}

func membersOf(list []history.Member, page int) []member {
	out := make([]member, len(list))
	for i, m := range list {
		out[i] = member{m.Object, m.Version, m.Number, page}
	}
	return out
}

func (cs *collections) takeWatch(p history.Pair) error {
	if p.Outcome() != history.OK {
		return nil
	}
	if cs.bytes > cs.bytesMax {
		cs.left++
		return nil
	}
	s := &stream{viewer: viewerOf(p)}
	if err := json.Unmarshal(p.Complete.Value, &s.Stream); err != nil {
		return err
	}
	newest := max(s.InitialAt, s.FinalAt)
	for _, e := range s.Events {
		newest = max(newest, e.Version)
	}
	if newest > 0 {
		cs.views.add(moment{s.ret, s.retAt, newest, s.node})
	}
	c := cs.of(p.Invoke.Key)
	c.streams = append(c.streams, s)
	cs.bytes += int64(len(s.Initial)+len(s.Final)+len(s.Events))*eventBytes + viewBytes
	return nil
}

// About what is kept of each thing, in bytes.
const (
	changeBytes = 256
	viewBytes   = 256
	memberBytes = 64
	eventBytes  = 80
)

// deletes tells an event that is a deletion, and has its version. An informer that lists again may tell of one by what the object was.
func (s *stream) deletes(e history.Event) bool {
	return e.Type == history.EventDeleted && s.From != history.WatchInform
}
