package checker

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/faultline/faultline/harness/history"
)

// keyLine is what is known of one key: its changes by revision, and those of which it is not known whether or when they happened.
type keyLine struct {
	items []*keyItem
	// at are the items by revision.
	at map[int64]*keyItem
	// deletions is how many of the items before each are deletions; see settle.
	deletions []int
	open      []*keyChange
}

// keyItem is one change of one key that certainly happened.
type keyItem struct {
	revision int64
	key      string
	// number is what was put; 0: the key was deleted.
	number int64
	// by is the operation that proves it.
	by int64
	// created is what a view said of the revision at which the key was created; 0: none did.
	created int64
}

func (i *keyItem) String() string {
	if i.number == 0 {
		return fmt.Sprintf("the deletion of %s at revision %d (operation %d)", i.key, i.revision, i.by)
	}
	return fmt.Sprintf("%d put in %s at revision %d (operation %d)", i.number, i.key, i.revision, i.by)
}

// looseDeletion is one that no view showed, after low and up to high.
type looseDeletion struct {
	key       string
	low, high int64
	// by are the operations that show that the key was there, and not any more.
	by [2]int64
}

// disproof is why a view can't be right.
type disproof struct {
	name, why string
	ops       []int64
}

func (c *keyCollection) line(key string) *keyLine {
	l := c.lines[key]
	if l == nil {
		l = &keyLine{at: map[int64]*keyItem{}}
		c.lines[key] = l
	}
	return l
}

func (c *keyCollection) add(i *keyItem) *keyItem {
	l := c.line(i.key)
	l.items = append(l.items, i)
	l.at[i.revision] = i
	c.items = append(c.items, i)
	return i
}

// own makes a change the one of a revision: then all of its puts happened there, and where it was acknowledged its deletions.
func (h *keyHistory) own(ch *keyChange, revision, by int64) {
	h.owner[revision] = ch
	c := h.of(ch.collection)
	for _, w := range ch.writes {
		if (w.Number != 0 || ch.ret != never && !w.Gone) && c.line(w.Key).at[revision] == nil {
			c.add(&keyItem{revision: revision, key: w.Key, number: w.Number, by: by})
		}
	}
}

// claim takes in what a view shows: that a key was put (number) or deleted (0) at a revision. The item is nil if that can't be.
func (h *keyHistory) claim(collection string, s history.KeyState, ret, by int64) (*keyItem, *disproof) {
	c := h.of(collection)
	if have := c.line(s.Key).at[s.Mod]; have != nil {
		if have.number != s.Number {
			return nil, &disproof{"divergent-event", fmt.Sprintf("there was %s", have), []int64{have.by}}
		}
		have.created = cmp.Or(have.created, s.Created)
		return have, nil
	}
	ch, bad := h.author(collection, s, ret)
	if bad != nil {
		return nil, bad
	}
	if ch != nil && ch.revision == 0 {
		ch.revision, ch.seenBy = s.Mod, by
		h.own(ch, s.Mod, by)
	}
	item := c.line(s.Key).at[s.Mod]
	if item == nil {
		item = c.add(&keyItem{revision: s.Mod, key: s.Key, number: s.Number, by: by})
		if ch == nil {
			h.unowned[s.Mod] = append(h.unowned[s.Mod], item)
		}
	}
	item.created = s.Created
	return item, nil
}

// author finds who made a change that a view shows; nil is somebody of unknown outcome, of several.
func (h *keyHistory) author(collection string, s history.KeyState, ret int64) (*keyChange, *disproof) {
	does := func(ch *keyChange) bool {
		w := ch.write(s.Key)
		return ch.collection == collection && w != nil && w.Number == s.Number && !w.Gone
	}
	if ch := h.owner[s.Mod]; ch != nil {
		if !does(ch) {
			return nil, &disproof{"divergent-event", fmt.Sprintf("%s made that revision, and did not do that", ch), []int64{ch.index}}
		}
		return ch, nil
	}
	if s.Number == 0 {
		for _, ch := range h.of(collection).line(s.Key).open {
			if ch.revision == 0 && ch.call < ret && does(ch) {
				return nil, nil
			}
		}
		return nil, &disproof{name: "phantom-event", why: "nobody can have deleted it then"}
	}
	ch := h.byNumber[s.Number]
	switch {
	case ch == nil:
		return nil, &disproof{name: "phantom-event", why: "nobody put that"}
	case !does(ch):
		return nil, &disproof{"phantom-event", fmt.Sprintf("%s put that elsewhere", ch), []int64{ch.index}}
	case ch.failed:
		return nil, &disproof{"phantom-event", fmt.Sprintf("%s of that failed", ch), []int64{ch.index}}
	case ch.call > ret:
		return nil, &disproof{"phantom-event", fmt.Sprintf("%s of that was not even invoked then", ch), []int64{ch.index}}
	case ch.revision != 0:
		return nil, &disproof{"divergent-event", fmt.Sprintf("%s of that was at revision %d", ch, ch.revision), []int64{cmp.Or(ch.seenBy, ch.index)}}
	}
	for _, i := range h.unowned[s.Mod] {
		if w := ch.write(i.key); w == nil || w.Number != 0 {
			return nil, &disproof{"divergent-event", fmt.Sprintf("%s put that, but there was %s", ch, i), []int64{ch.index, i.by}}
		}
	}
	return ch, nil
}

// settle puts everything in order, once all views were taken in.
func (h *keyHistory) settle() {
	byRevision := func(a, b *keyItem) int { return cmp.Or(cmp.Compare(a.revision, b.revision), cmp.Compare(a.key, b.key)) }
	for _, c := range h.collections {
		slices.SortFunc(c.items, byRevision)
		for key, l := range c.lines {
			slices.SortFunc(l.items, byRevision)
			l.settle()
			_, deletions := l.mayBe(key, never)
			for i := 1; i < len(l.items) && deletions > 0; i++ {
				if was, is := l.items[i-1], l.items[i]; was.number != 0 && is.created > was.revision {
					c.gone(looseDeletion{key, was.revision, is.created - 1, [2]int64{was.by, is.by}})
				}
			}
		}
	}
}

// settle counts the deletions.
func (l *keyLine) settle() {
	l.deletions = make([]int, len(l.items)+1)
	for i, item := range l.items {
		l.deletions[i+1] = l.deletions[i]
		if item.number == 0 {
			l.deletions[i+1]++
		}
	}
}

// gone notes a deletion that no view showed. Of several bounds after the same put the closest ones stay.
func (c *keyCollection) gone(d looseDeletion) {
	have, ok := c.loose[keyPlace{d.low, d.key}]
	if !ok || d.high < have.high {
		c.loose[keyPlace{d.low, d.key}] = d
	}
}

// place is how many items are of revisions below one.
func (l *keyLine) place(revision int64) int {
	n, _ := slices.BinarySearchFunc(l.items, revision, func(i *keyItem, r int64) int { return cmp.Compare(i.revision, r) })
	return n
}

// before is the last item of a revision below one; nil: there is none.
func (l *keyLine) before(revision int64) *keyItem {
	if n := l.place(revision); n > 0 {
		return l.items[n-1]
	}
	return nil
}

// mayBe counts what changes of unknown outcome that were invoked before a moment may have done to the key though no view showed it: puts
// and deletions. Of a change that happened, a deletion is not shown where there was nothing to delete.
func (l *keyLine) mayBe(key string, before int64) (puts, deletions int) {
	for _, ch := range l.open {
		put := ch.write(key).Number != 0
		switch {
		case ch.call >= before:
		case ch.revision != 0 && (put || l.at[ch.revision] != nil): // the line has it
		case put:
			puts++
		default:
			deletions++
		}
	}
	return puts, deletions
}
