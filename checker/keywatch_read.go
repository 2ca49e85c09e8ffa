package checker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/faultline/faultline/harness/history"
)

// keyHistory is what was done to ranges of keys, and what views showed of it.
type keyHistory struct {
	collections map[string]*keyCollection
	changes     []*keyChange
	// byNumber are the changes by what they put, those that failed included.
	byNumber map[int64]*keyChange
	// owner is the change that made a revision. See keyHistory.claim.
	owner map[int64]*keyChange
	// unowned are the deletions at revisions of which the owner is not known.
	unowned     map[int64][]*keyItem
	streams     []*keyStream
	ranges      []*keyRange
	committed   []committedWrite
	compactions []compaction
	// unknownCompaction: the revision of some compaction is not known.
	unknownCompaction bool
	// made are the acknowledged revisions.
	made floor
	// collided are pairs of acknowledged changes of one revision.
	collided [][2]*keyChange

	bytes, bytesMax int64
	left            int
}

// keyChange is a change of several keys at once, that happened, may have happened, or failed.
type keyChange struct {
	collection string
	writes     []history.KeyWrite
	// revision is 0 where it is not known, or nothing was changed.
	revision         int64
	call, ret, index int64
	failed           bool
	// seenBy is the view that settled one of unknown outcome.
	seenBy int64
}

func (c *keyChange) String() string { return fmt.Sprintf("change %d", c.index) }

// open tells a change of which nothing is known.
func (c *keyChange) open() bool { return !c.failed && c.ret == never && c.revision == 0 }

// write is what the change does to a key.
func (c *keyChange) write(key string) *history.KeyWrite {
	for i := range c.writes {
		if c.writes[i].Key == key {
			return &c.writes[i]
		}
	}
	return nil
}

// keyCollection is one range of keys.
type keyCollection struct {
	name  string
	lines map[string]*keyLine
	// items are those of all lines, by revision; see settle. loose are the deletions
	// of which only bounds are known, by the put before and the key.
	items []*keyItem
	loose map[keyPlace]looseDeletion
}

// keyStream and keyRange are what was seen of a collection.
type keyStream struct {
	history.KeyStream
	collection string
	call, ret  int64
}

type keyRange struct {
	states     []history.KeyState
	revision   int64
	collection string
	call, ret  int64
}

// committedWrite is a write that the store told of after the run.
type committedWrite struct {
	collection, key  string
	number, revision int64
	index            int64
}

type compaction struct{ revision, call int64 }

// A rough size in memory of what is kept of an event.
const keyEventBytes = 260

// keyHistoryOf reads a history.
func (f *findings) keyHistoryOf(ctx context.Context, src history.Source, b Budget) (*keyHistory, error) {
	h := &keyHistory{
		collections: map[string]*keyCollection{}, byNumber: map[int64]*keyChange{}, owner: map[int64]*keyChange{},
		unowned: map[int64][]*keyItem{}, bytesMax: cmp.Or(max(b.MemoryBytes, 0), defaultMemoryBytes),
	}
	err := f.clients(ctx, src, func(p history.Pair) error {
		if err := h.take(p); err != nil {
			return fmt.Errorf("operation %d: a %s: %w: %w", indexOf(p), p.Invoke.F, ErrMalformed, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := h.takeCommitted(src); err != nil {
		return nil, err
	}
	if h.left > 0 {
		f.unknown("out of memory: %s left out of the check", count(h.left, "range or watch was", "ranges and watches were"))
	}
	return h, nil
}

// take reads one operation.
func (h *keyHistory) take(p history.Pair) error {
	switch p.Invoke.F {
	case fChange:
		return h.takeChange(p)
	case fCompact:
		return h.takeCompaction(p)
	case fWatch, fRange:
		if p.Outcome() == history.OK {
			return h.takeView(p)
		}
	}
	return nil
}

func (h *keyHistory) of(name string) *keyCollection {
	c := h.collections[name]
	if c == nil {
		c = &keyCollection{name: name, lines: map[string]*keyLine{}, loose: map[keyPlace]looseDeletion{}}
		h.collections[name] = c
	}
	return c
}

func (h *keyHistory) takeChange(p history.Pair) error {
	ch := &keyChange{
		collection: p.Invoke.Key, call: p.Invoke.Index, ret: never, index: indexOf(p), failed: p.Outcome() == history.Fail,
	}
	value := p.Invoke.Value
	if p.Outcome() == history.OK {
		value, ch.ret, ch.revision = p.Complete.Value, p.Complete.Index, p.Complete.Version
	}
	if err := json.Unmarshal(value, &ch.writes); err != nil {
		return err
	}
	c := h.of(ch.collection)
	effect := false
	for _, w := range ch.writes {
		if w.Number != 0 {
			if h.byNumber[w.Number] != nil {
				return fmt.Errorf("number %d is put twice", w.Number)
			}
			h.byNumber[w.Number] = ch
		}
		effect = effect || !w.Gone
		if ch.open() {
			c.line(w.Key).open = append(c.line(w.Key).open, ch)
		}
	}
	if ch.ret != never && effect == (ch.revision == 0) {
		return errors.New("an ok change has a version exactly if it changed something")
	}
	h.changes = append(h.changes, ch)
	if ch.revision == 0 {
		return nil
	}
	if other := h.owner[ch.revision]; other != nil {
		h.collided = append(h.collided, [2]*keyChange{ch, other})
		return nil
	}
	h.own(ch, ch.revision, ch.index)
	h.made.add(moment{ch.ret, p.Complete.Time, ch.revision, p.Invoke.Node})
	return nil
}

func (h *keyHistory) takeCompaction(p history.Pair) error {
	var v history.Compaction
	if p.HasComplete {
		if err := json.Unmarshal(p.Complete.Value, &v); err != nil {
			return err
		}
	}
	switch {
	case v.Revision > 0:
		h.compactions = append(h.compactions, compaction{v.Revision, p.Invoke.Index})
	case p.Outcome() == history.Info:
		h.unknownCompaction = true
	}
	return nil
}

func (h *keyHistory) takeView(p history.Pair) error {
	if h.bytes += int64(len(p.Complete.Value)) / 60 * keyEventBytes; h.bytes > h.bytesMax {
		h.left++
		return nil
	}
	if p.Invoke.F == fRange {
		r := &keyRange{collection: p.Invoke.Key, call: p.Invoke.Index, ret: p.Complete.Index, revision: p.Complete.Revision}
		h.ranges = append(h.ranges, r)
		return json.Unmarshal(p.Complete.Value, &r.states)
	}
	s := &keyStream{collection: p.Invoke.Key, call: p.Invoke.Index, ret: p.Complete.Index}
	if err := json.Unmarshal(p.Complete.Value, &s.KeyStream); err != nil {
		return err
	}
	if s.ForMS == 0 && s.Ended == "" {
		return errors.New("no stream of keys")
	}
	h.of(s.collection)
	h.streams = append(h.streams, s)
	return nil
}

// takeCommitted reads what the store told after the run.
func (h *keyHistory) takeCommitted(src history.Source) error {
	for op, err := range src.Ops() {
		if err != nil {
			return fmt.Errorf("read the history: %w", err)
		}
		if op.Process != history.Evidence || op.F != history.FCommitted {
			continue
		}
		at := strings.LastIndexByte(op.Key, '/')
		if at < 0 || h.collections[op.Key[:at]] == nil {
			continue // of another kind of workload
		}
		w := committedWrite{collection: op.Key[:at], key: op.Key[at+1:], revision: op.Version, index: op.Index}
		if !isNull(op.Value) {
			if err := json.Unmarshal(op.Value, &w.number); err != nil {
				return fmt.Errorf("operation %d: %w: %w", op.Index, ErrMalformed, err)
			}
		}
		h.committed = append(h.committed, w)
	}
	return nil
}

// compacted finds a compaction to a revision or above it that was asked for before a moment.
func (h *keyHistory) compacted(revision, before int64) bool {
	return h.unknownCompaction || slices.ContainsFunc(h.compactions, func(c compaction) bool { return c.revision >= revision && c.call < before })
}
