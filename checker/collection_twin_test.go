package checker

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/faultline/faultline/harness/history"
)

var collectionRounds = flag.Int("collection.rounds", 3_000, "how many random histories of collections are judged")

// judged is what the checkers of collections say together.
func judged(t testing.TB, h history.Slice) (v Verdict, names []string) {
	t.Helper()
	v = Valid
	for _, c := range []Checker{Changes(), Watches(), must(t)(Snapshots(SnapshotOptions{}))} {
		r, err := c.Check(context.Background(), h, Budget{Time: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict == Invalid {
			v = Invalid
		}
		for _, a := range r.Anomalies {
			if !a.Allowed {
				names = append(names, a.Name+": "+a.Why)
			}
		}
	}
	return v, names
}

// A correct store is never Invalid, whatever the interleaving.
func TestCollectionsOfACorrectStore(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for round := range *collectionRounds {
		h := newWorld(r, 1+r.IntN(5), 1+r.IntN(6), true).run(5 + r.IntN(60))
		if v, names := judged(t, h); v == Invalid {
			t.Fatalf("round %d: %s\n%s", round, strings.Join(names, "\n"), history.Format(h))
		}
	}
}

func FuzzCollectionsOfACorrectStore(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) {
		r := rand.New(rand.NewPCG(a, b))
		h := newWorld(r, 1+r.IntN(5), 1+r.IntN(6), true).run(5 + r.IntN(60))
		if v, names := judged(t, h); v == Invalid {
			t.Fatalf("%s\n%s", strings.Join(names, "\n"), history.Format(h))
		}
	})
}

// worlds decides by trying everything whether some order of versions explains what the views show: every change of unknown outcome made
// or not, and each version that nobody told at every place.
type worlds struct {
	changes []*change
	c       *collection
	// top is the highest version that anybody knows of, beyond how many there may be above it.
	top, beyond int64
	used        map[int64]bool
}

// possible tells whether there is such an order.
func possible(t testing.TB, h history.Slice) bool {
	t.Helper()
	var f findings
	cs, err := f.collectionsOf(t.Context(), h, Budget{})
	if err != nil {
		t.Fatal(err)
	}
	if len(cs.all) == 0 {
		return true
	}
	c := cs.all["c"]
	w := &worlds{c: c, used: map[int64]bool{}}
	// What was learned is forgotten: here it is only what clients were told.
	for _, ch := range c.changes {
		if ch.index < 0 {
			continue
		}
		own := *ch
		if own.seen != "" {
			own.version, own.seen = 0, ""
		}
		w.changes = append(w.changes, &own)
		w.top = max(w.top, own.version)
		w.used[own.version] = own.version > 0
		if own.version == 0 {
			w.beyond++
		}
	}
	for _, s := range c.snapshots {
		w.top = max(w.top, s.revision)
		w.upTo(s.members)
	}
	for _, s := range c.streams {
		for _, e := range s.Events {
			w.top = max(w.top, e.Version)
		}
		w.top = max(w.top, s.InitialAt, s.FinalAt)
		w.upTo(membersOf(s.Initial, 0))
		w.upTo(membersOf(s.Final, 0))
	}
	slices.SortFunc(w.changes, func(a, b *change) int { return int(a.call - b.call) })
	return w.place(0)
}

func (w *worlds) upTo(members []member) {
	for _, m := range members {
		w.top = max(w.top, m.version)
	}
}

// place tries every version of the change at i and the ones after it.
func (w *worlds) place(i int) bool {
	if i == len(w.changes) {
		return w.explains()
	}
	ch := w.changes[i]
	if ch.version > 0 {
		return w.place(i + 1)
	}
	for v := int64(1); v <= w.top+w.beyond; v++ {
		if w.used[v] {
			continue
		}
		ch.version, w.used[v] = v, true
		if w.ordered(ch) && w.place(i+1) {
			return true
		}
		ch.version, w.used[v] = 0, false
	}
	// Never made, or after everything that anybody saw: so may a change of unknown outcome be.
	return ch.ret == never && w.place(i+1)
}

// ordered tells whether a change's version fits those of the changes before and after it in time, and what was seen before and after it.
func (w *worlds) ordered(ch *change) bool {
	for _, o := range w.changes {
		if o != ch && o.version > 0 && (o.ret < ch.call && o.version >= ch.version || ch.ret < o.call && ch.version >= o.version) {
			return false
		}
	}
	after := func(call, ret, revision int64) bool { return ret < ch.call && revision >= ch.version }
	for _, s := range w.c.snapshots {
		if after(s.call, s.ret, s.revision) {
			return false
		}
	}
	for _, s := range w.c.streams {
		newest := max(s.InitialAt, s.FinalAt)
		for _, e := range s.Events {
			newest = max(newest, e.Version)
		}
		if after(s.call, s.ret, newest) {
			return false
		}
	}
	return true
}

// explains tells whether the views are those of the changes as they are placed.
func (w *worlds) explains() bool {
	var made []*change
	for _, ch := range w.changes {
		if ch.version > 0 {
			made = append(made, ch)
		}
		if ch.version > 0 && !w.ordered(ch) {
			return false
		}
	}
	slices.SortFunc(made, func(a, b *change) int { return int(a.version - b.version) })
	for i := 1; i < len(made); i++ {
		if made[i].version == made[i-1].version {
			return false
		}
	}
	state := map[string]*change{}
	for _, ch := range made {
		before, there := state[ch.object]
		if (ch.f == fCreate) == there || ch.ret != never && ch.expect > 0 && before.version != ch.expect {
			return false
		}
		if state[ch.object] = ch; ch.deletes() {
			delete(state, ch.object)
		}
	}
	for _, s := range w.c.snapshots {
		if !w.shows(made, s) {
			return false
		}
	}
	for _, s := range w.c.streams {
		if !w.streams(made, s) {
			return false
		}
	}
	return true
}

// stateAt is what was there at a revision, as text.
func stateAt(made []*change, revision int64) (state map[string]*change, text string) {
	state = map[string]*change{}
	for _, ch := range made {
		if ch.version > revision {
			break
		}
		if state[ch.object] = ch; ch.deletes() {
			delete(state, ch.object)
		}
	}
	for _, name := range sortedKeys(state) {
		text += fmt.Sprintf("%s=%d@%d ", name, state[name].number, state[name].version)
	}
	return state, text
}

func textOf(members []member) string {
	members = slices.Clone(members)
	slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.object, b.object) })
	text := ""
	for _, m := range members {
		text += fmt.Sprintf("%s=%d@%d ", m.object, m.number, m.version)
	}
	return text
}

// shows judges a list.
func (w *worlds) shows(made []*change, s *snapshot) bool {
	for _, p := range s.pages {
		if p != s.revision {
			return false
		}
	}
	if _, text := stateAt(made, s.revision); text != textOf(s.members) {
		return false
	}
	for _, ch := range made {
		if ch.version <= s.revision && ch.call > s.ret {
			return false
		}
		if kindOf(s) == history.ReadQuorum && ch.ret < s.call && ch.version > s.revision {
			return false
		}
	}
	return true
}

// streams judges a watch.
func (w *worlds) streams(made []*change, s *stream) bool {
	if s.From == history.WatchInform {
		_, text := stateAt(made, s.FinalAt)
		return s.FinalAt == 0 || text == textOf(membersOf(s.Final, 0))
	}
	begin := max(s.After, s.InitialAt)
	if begin > 0 || s.After > 0 {
		return w.streamsFrom(made, s, begin)
	}
	for begin = 0; begin <= w.top+w.beyond; begin++ {
		if w.streamsFrom(made, s, begin) {
			return true
		}
	}
	return false
}

func (w *worlds) streamsFrom(made []*change, s *stream, begin int64) bool {
	if s.InitialDone {
		if _, text := stateAt(made, begin); text != textOf(membersOf(s.Initial, 0)) {
			return false
		}
	}
	end := begin
	for _, e := range s.Events {
		end = max(end, e.Version)
	}
	var want []history.Event
	for _, ch := range made {
		if ch.version <= begin || ch.version > end {
			continue
		}
		if ch.call > s.ret {
			return false
		}
		e := history.Event{Type: eventOf[ch.f], Object: ch.object, Version: ch.version, Number: ch.number}
		if ch.deletes() {
			before, _ := stateAt(made, ch.version-1)
			e.Number = before[ch.object].number
		}
		want = append(want, e)
	}
	at := 0
	for _, e := range s.Events {
		if e.Type != history.EventBookmark {
			if at == len(want) || want[at] != e {
				return false
			}
			at++
			continue
		}
		if at < len(want) && want[at].Version <= e.Version {
			return false
		}
	}
	return at == len(want)
}

// The checkers never find fault with what some order explains; and where nothing does, they mostly find it.
func TestCollectionsAgreeWithTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	var impossible, found, explained int
	for round := range *collectionRounds {
		h := newWorld(r, 2, 2, true).run(3 + r.IntN(6))
		if !possible(t, h) {
			t.Fatalf("round %d: the twin finds no order for a correct store\n%s", round, history.Format(h))
		}
		for tries, spoiled := 0, 1+r.IntN(2); tries < 20 && spoiled > 0; tries++ {
			d := defects[r.IntN(len(defects))]
			if i := r.IntN(len(h)); h[i].Type == history.OK && h[i].F == d.f && d.spoil(r, &h[i]) {
				spoiled--
			}
		}
		v, names := judged(t, h)
		if possible(t, h) {
			explained++
			if v == Invalid {
				t.Fatalf("round %d: an order explains it, but: %s\n%s", round, strings.Join(names, "\n"), history.Format(h))
			}
			continue
		}
		impossible++
		if v == Invalid {
			found++
		} else if testing.Verbose() && impossible-found <= 3 {
			t.Logf("missed:\n%s", history.Format(h))
		}
	}
	t.Logf("%d explained, %d impossible, of which %d were found", explained, impossible, found)
	if impossible < *collectionRounds/20 || found*100 < impossible*90 {
		t.Errorf("%d of %d found", found, impossible)
	}
}
