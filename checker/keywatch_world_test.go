package checker

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/faultline/faultline/harness/history"
)

// tinyKeys is a store of three keys, the changes that its clients made, and what views showed, truly or with one lie.
type tinyKeys struct {
	rand    *rand.Rand
	changes []tinyKeyChange
	streams []history.KeyStream
	ranges  []tinyRange
	// compacted are the revisions to which it was compacted.
	compacted []int64
	lied      bool
}

type tinyKeyChange struct {
	writes []history.KeyWrite
	// outcome is that of its operation; happened what became of it: the revision, 0 for none.
	outcome  history.Type
	happened int64
}

type tinyRange struct {
	revision int64
	states   []history.KeyState
}

// tinyLog is all events of a store by revision, the first of which is 2, and the states in between.
type tinyLog struct {
	events map[int64][]history.KeyEvent
	states map[int64]map[string]history.KeyState
	newest int64
}

// perform replays changes at their revisions. It is nil if that contradicts what was acknowledged.
func perform(at map[int64]*tinyKeyChange, newest int64) *tinyLog {
	l := &tinyLog{events: map[int64][]history.KeyEvent{}, states: map[int64]map[string]history.KeyState{1: {}}, newest: newest}
	for r := int64(2); r <= newest; r++ {
		state := map[string]history.KeyState{}
		for k, s := range l.states[r-1] {
			state[k] = s
		}
		ch := at[r]
		if ch != nil {
			for _, w := range ch.writes {
				was, there := state[w.Key]
				e := history.KeyEvent{KeyState: history.KeyState{Key: w.Key, Number: w.Number, Mod: r, Created: r, Version: 1}}
				if there {
					previous := was
					previous.Key = ""
					e.Previous = &previous
					e.Created, e.Version = was.Created, was.Version+1
				}
				switch {
				case w.Number == 0 && !there:
					if ch.outcome == history.OK && !w.Gone {
						return nil
					}
					continue
				case w.Number == 0:
					if w.Gone {
						return nil
					}
					e.Created, e.Version = 0, 0
					delete(state, w.Key)
				default:
					state[w.Key] = e.KeyState
				}
				l.events[r] = append(l.events[r], e)
			}
			if len(l.events[r]) == 0 {
				return nil // it would not have taken a revision
			}
		}
		l.states[r] = state
	}
	return l
}

// newTinyKeys draws a world: unknowns is the most changes of unknown outcome.
func newTinyKeys(seed uint64, unknowns int) *tinyKeys {
	w := &tinyKeys{rand: rand.New(rand.NewPCG(seed, 7))} // reproducible chance is the point
	revision, number := int64(1), int64(0)
	at := map[int64]*tinyKeyChange{}
	for range 1 + w.rand.IntN(6) {
		ch := tinyKeyChange{outcome: history.OK}
		for _, k := range w.rand.Perm(3)[:1+w.rand.IntN(2)] {
			write := history.KeyWrite{Key: string(rune('a' + k))}
			if w.rand.IntN(5) < 3 {
				number++
				write.Number = number
			}
			ch.writes = append(ch.writes, write)
		}
		happens := true
		switch draw := w.rand.IntN(8); {
		case draw == 0:
			ch.outcome, happens = history.Fail, false
		case draw < 4 && unknowns > 0:
			unknowns--
			ch.outcome, happens = history.Info, w.rand.IntN(3) > 0
		}
		if happens {
			w.happen(&ch, at, &revision)
		}
		w.changes = append(w.changes, ch)
	}
	log := perform(at, revision)
	if w.rand.IntN(3) == 0 {
		w.compacted = append(w.compacted, 2+w.rand.Int64N(revision))
	}
	for range 1 + w.rand.IntN(2) {
		w.streams = append(w.streams, w.watch(log))
	}
	if w.rand.IntN(3) == 0 {
		r := tinyRange{revision: revision}
		for _, k := range sortedKeys(log.states[revision]) {
			r.states = append(r.states, log.states[revision][k])
		}
		w.ranges = append(w.ranges, r)
	}
	if w.rand.IntN(3) > 0 {
		w.lie()
	}
	return w
}

// happen has a change take the next revision, if it changes anything.
func (w *tinyKeys) happen(ch *tinyKeyChange, at map[int64]*tinyKeyChange, revision *int64) {
	state := perform(at, *revision).states[*revision]
	effect := false
	for i, write := range ch.writes {
		_, there := state[write.Key]
		gone := write.Number == 0 && !there
		ch.writes[i].Gone = gone && ch.outcome == history.OK
		effect = effect || !gone
	}
	if effect {
		*revision++
		ch.happened = *revision
		kept := *ch
		at[*revision] = &kept
	}
}

// watch is a true stream.
func (w *tinyKeys) watch(l *tinyLog) history.KeyStream {
	s := history.KeyStream{CreatedAt: 1 + w.rand.Int64N(l.newest), Ended: history.KeyEndTime}
	s.From, s.ForMS, s.Start = history.WatchPast, 1, 1+w.rand.Int64N(l.newest+1)
	if w.rand.IntN(4) == 0 {
		s.From, s.Start = history.WatchNow, 0
	}
	switch w.rand.IntN(4) {
	case 0:
		s.Key = "a"
	case 1:
		s.Key, s.End = "b", "d"
	}
	s.NoPuts, s.NoDeletes, s.Previous = w.rand.IntN(6) == 0, w.rand.IntN(6) == 0, w.rand.IntN(2) == 0
	begin := s.Start
	if begin == 0 {
		begin = s.CreatedAt + 1 - w.rand.Int64N(2)
	}
	end := begin + w.rand.Int64N(l.newest+1)
	var open *history.KeyResponse
	for r := begin; r <= min(end, l.newest); r++ {
		var events []history.KeyEvent
		for _, e := range l.events[r] {
			if !s.Covers(e.Key) || s.NoPuts && e.Number != 0 || s.NoDeletes && e.Number == 0 {
				continue
			}
			if !s.Previous || e.Previous != nil && slices.ContainsFunc(w.compacted, func(c int64) bool { return c >= e.Mod }) && w.rand.IntN(2) == 0 {
				e.Previous = nil
			}
			events = append(events, e)
		}
		if len(events) > 0 && (open == nil || w.rand.IntN(2) == 0) {
			s.Responses = append(s.Responses, history.KeyResponse{Revision: l.newest})
			open = &s.Responses[len(s.Responses)-1]
		}
		if len(events) == 2 && w.rand.IntN(3) == 0 {
			open.Events, open.Fragment = append(open.Events, events[0]), true
			s.Responses = append(s.Responses, history.KeyResponse{Revision: l.newest})
			open, events = &s.Responses[len(s.Responses)-1], events[1:]
		}
		if len(events) > 0 {
			open.Events = append(open.Events, events...)
		}
		if w.rand.IntN(5) == 0 {
			s.Responses, open = append(s.Responses, history.KeyResponse{Revision: r, Progress: true}), nil
		}
	}
	if len(w.compacted) > 0 && w.rand.IntN(3) == 0 && end+1 < w.compacted[0] {
		s.Ended, s.Compacted = history.KeyEndCompacted, w.compacted[0]
	}
	return s
}

// lie changes one thing in one view.
func (w *tinyKeys) lie() {
	w.lied = true
	if len(w.ranges) > 0 && w.rand.IntN(4) == 0 {
		r := &w.ranges[0]
		switch n := len(r.states); {
		case n == 0 || w.rand.IntN(4) == 0:
			r.revision = max(1, r.revision+w.rand.Int64N(3)-1)
		case w.rand.IntN(3) == 0:
			r.states = slices.Delete(r.states, 0, 1)
		default:
			w.change(&r.states[w.rand.IntN(n)])
		}
		return
	}
	s := &w.streams[w.rand.IntN(len(w.streams))]
	if len(s.Responses) == 0 || w.rand.IntN(6) == 0 {
		switch w.rand.IntN(4) {
		case 0:
			s.Start = max(1, s.Start+w.rand.Int64N(3)-1)
		case 1:
			s.Ended, s.Compacted = history.KeyEndCompacted, 2+w.rand.Int64N(6)
		case 2:
			s.Ended = history.KeyEndClosed
		default:
			s.Responses = append(s.Responses, history.KeyResponse{Revision: 1 + w.rand.Int64N(7), Progress: true})
		}
		return
	}
	at := w.rand.IntN(len(s.Responses))
	r := &s.Responses[at]
	if r.Progress || len(r.Events) == 0 {
		r.Revision += w.rand.Int64N(3) - 1
		return
	}
	i := w.rand.IntN(len(r.Events))
	switch w.rand.IntN(6) {
	case 0:
		r.Events = slices.Delete(r.Events, i, i+1)
	case 1:
		r.Events = slices.Insert(r.Events, i, r.Events[i])
	case 2:
		k := w.rand.IntN(len(r.Events))
		r.Events[i], r.Events[k] = r.Events[k], r.Events[i]
	case 3:
		rest := history.KeyResponse{Revision: r.Revision, Events: slices.Clone(r.Events[i:])}
		r.Events = r.Events[:i]
		s.Responses = slices.Insert(s.Responses, at+1, rest)
	case 4:
		if p := r.Events[i].Previous; p != nil {
			w.change(p)
			return
		}
		fallthrough
	default:
		w.change(&r.Events[i].KeyState)
	}
}

func (w *tinyKeys) change(s *history.KeyState) {
	by := w.rand.Int64N(3) - 1
	switch w.rand.IntN(4) {
	case 0:
		s.Number = max(0, s.Number+by)
	case 1:
		s.Mod += by
	case 2:
		s.Created += by
	default:
		s.Version += by
	}
}

// history is the world as its clients recorded it.
func (w *tinyKeys) history() history.Slice {
	var h history.Slice
	text := func(v any) json.RawMessage {
		b, err := json.Marshal(v)
		if err != nil {
			panic(fmt.Sprint(err)) // plain structs
		}
		return b
	}
	record := func(p history.Process, t history.Type, f string, value any, revision int64) {
		op := history.Op{Index: int64(len(h)), Process: p, Type: t, F: f, Key: "w", Value: text(value), Revision: revision}
		if f == fChange {
			op.Version = revision
		}
		h = append(h, op)
	}
	for i, ch := range w.changes {
		p := history.Process(10 + i)
		record(p, history.Invoke, fChange, ch.writes, 0)
		if ch.outcome == history.OK {
			record(p, history.OK, fChange, ch.writes, ch.happened)
		} else {
			record(p, ch.outcome, fChange, ch.writes, 0)
		}
	}
	for _, c := range w.compacted {
		record(0, history.Invoke, fCompact, history.Compaction{Behind: 1}, 0)
		record(0, history.OK, fCompact, history.Compaction{Revision: c}, 0)
	}
	for i := range w.streams {
		record(1, history.Invoke, fWatch, w.streams[i].KeyWatch, 0)
		record(1, history.OK, fWatch, w.streams[i], 0)
	}
	for _, r := range w.ranges {
		record(1, history.Invoke, fRange, nil, 0)
		record(1, history.OK, fRange, r.states, r.revision)
	}
	return h
}
