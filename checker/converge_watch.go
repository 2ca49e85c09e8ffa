package checker

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// watching goes through the samples of a run.
type watching struct {
	o      ConvergeOptions
	q      *quietPoint
	budget int64
	views  map[string]*seenView
	tracks *tracks
	agree  *agreement
	lags   map[string]*lag
	// end is the last sample, firstJudged the first judgement of the quorum's view, judged how many there were, and quietJudged after
	// the quiet point.
	end, firstJudged    history.Moment
	judged, quietJudged int64
	objects             int64
	// matched is since when everything matches, in the quiet; stretches are the times for which it did.
	matched   *stretch
	stretches []stretch
	quorumAt  map[string]int64 // the index of the newest quorum list of each kind
	// storeErrors are why the store could not be read, by kind, the last time that it could not.
	storeErrors map[string]string
}

// stretch is a time for which everything matched.
type stretch struct{ from, to history.Moment }

// What one object, episode and track take in memory, about.
const (
	objectBytes  = 1500
	episodeBytes = 250
	trackBytes   = 600
)

func newWatching(o ConvergeOptions, q *quietPoint, b Budget) *watching {
	if b.MemoryBytes <= 0 {
		b.MemoryBytes = defaultMemoryBytes
	}
	return &watching{
		o: o, q: q, budget: b.MemoryBytes, views: map[string]*seenView{}, tracks: newTracks(q), lags: map[string]*lag{}, quorumAt: map[string]int64{},
		storeErrors: map[string]string{},
		agree:       &agreement{q: q, seen: map[conflictKey]*conflict{}, compared: map[viewOf]int64{}},
	}
}

// add takes in a sample; false: there is no memory left for more.
func (w *watching) add(op *history.Op, s *history.Sample) bool {
	v := w.views[s.View]
	if v == nil {
		v = newSeenView(s.View)
		w.views[s.View] = v
	}
	w.end = history.Moment{Known: true, Index: op.Index, Time: op.Time}
	v.detail.Samples++
	if s.Error != "" {
		w.unreadable(v, s)
		return true
	}
	if v.round[s.Kind] {
		w.close(v)
	}
	if len(v.round) == 0 {
		v.first = w.end
	}
	v.round[s.Kind], v.last = true, w.end
	k, before := v.apply(op, s)
	w.objects += int64(len(before))
	switch s.View {
	case history.ViewStore:
	case history.ViewQuorum:
		w.wrote(op, s.Kind, k, before)
	default:
		v.compareLag(w, s.Kind, k)
	}
	w.agree.compare(w.views, v, s.Kind)
	return w.memory() <= w.budget
}

func (w *watching) memory() int64 {
	n := int64(0)
	for _, v := range w.views {
		for _, k := range v.kinds {
			n += int64(len(k.objects))
		}
	}
	return n*objectBytes + int64(len(w.tracks.episodes))*episodeBytes + int64(len(w.tracks.byID))*trackBytes
}

// wrote notes what changed in the quorum's view.
func (w *watching) wrote(op *history.Op, kind string, k *kindView, before map[string]history.Object) {
	for _, name := range slices.Sorted(maps.Keys(before)) {
		now, exists := k.objects[name]
		w.tracks.write(op, before[name], now, exists)
	}
	l := w.lags[kind]
	if l == nil {
		l = &lag{}
		w.lags[kind] = l
	}
	l.show(k)
	w.quorumAt[kind] = op.Index
}

// compareLag notes for how long a server's view has been behind the quorum's.
func (v *seenView) compareLag(w *watching, kind string, k *kindView) {
	l := w.lags[kind]
	if l == nil {
		return
	}
	behind := l.behind(k, w.quorumAt[kind])
	v.detail.BehindMaxNS = max(v.detail.BehindMaxNS, behind)
	if behind > v.behind {
		v.behind, v.behindKind = behind, fmt.Sprintf("%s, of revision %d", kind, k.at)
	}
}

// unreadable notes that a view could not be read.
func (w *watching) unreadable(v *seenView, s *history.Sample) {
	v.detail.Unreadable++
	if v.name == history.ViewStore {
		w.storeErrors[s.Kind] = s.Error
		return
	}
	if v.broken == "" {
		v.brokenFrom = w.end.Time
	}
	v.broken, v.last, v.judgedAt = s.Error, w.end, w.end
	v.detail.at(w.end.Time, -1)
	clear(v.round)
	w.tracks.set(w.end, objectID{kindOfViews, v.name}, []history.Mismatch{w.wrong(v, "it can't be read: "+s.Error)})
	w.settle(w.end)
}

// wrong is a mismatch of a view itself.
func (w *watching) wrong(v *seenView, why string) history.Mismatch {
	return history.Mismatch{Kind: kindOfViews, Name: v.name, Rule: history.MismatchView, Component: w.server(v.name), Why: why}
}

// server is the component behind a view.
func (w *watching) server(view string) string {
	if view == history.ViewQuorum || view == history.ViewStore {
		return "the store"
	}
	return w.o.Server + " on " + view
}

// close judges a view by the samples since it was judged last.
func (w *watching) close(v *seenView) {
	clear(v.round)
	if v.name == history.ViewStore {
		return
	}
	if v.changed || !v.judgedAt.Known {
		v.mismatches, v.changed = w.o.Rules(v.all()), false
	}
	if v.broken != "" {
		v.detail.UnreadableNS += v.last.Time - v.brokenFrom
		v.broken = ""
	}
	v.judgedAt, v.judgedFrom = v.last, v.first
	v.detail.at(v.last.Time, int64(len(v.mismatches)))
	var itself []history.Mismatch
	if v.name == history.ViewQuorum {
		w.judged++
		if !w.firstJudged.Known {
			w.firstJudged = v.last
		}
		if w.q.over(v.first.Index) {
			w.quietJudged++
		}
		w.tracks.judged(v.last, v.mismatches)
	} else {
		itself = w.itself(v)
	}
	w.tracks.set(v.last, objectID{kindOfViews, v.name}, itself)
	v.behindAtEnd, v.behind, v.behindKind = v.behind, 0, ""
	w.settle(v.last)
}

// itself is what is wrong with a server's view as such: it is behind, or shows objects not to match that do.
func (w *watching) itself(v *seenView) []history.Mismatch {
	if v.behind > 0 {
		return []history.Mismatch{w.wrong(v, fmt.Sprintf("it shows %s, a quorum list had a newer one %s before", v.behindKind, seconds(v.behind)))}
	}
	for _, m := range v.mismatches {
		if k := w.tracks.byID[objectID{m.Kind, m.Name}]; k == nil || !k.bad {
			return []history.Mismatch{w.wrong(v, fmt.Sprintf("it shows of %s %s that %s, a quorum list does not", m.Kind, m.Name, m.Why))}
		}
	}
	return nil
}

// settle notes whether everything matches after the quiet point.
func (w *watching) settle(at history.Moment) {
	matched := w.tracks.bad == 0 && !w.tracks.moved
	for name, v := range w.views {
		if name != history.ViewStore && (!v.judgedFrom.Known || !w.q.over(v.judgedFrom.Index)) {
			matched = false
		}
	}
	w.tracks.moved = false
	switch {
	case !matched && w.matched != nil:
		w.stretches = append(w.stretches, *w.matched)
		w.matched = nil
	case matched && w.matched == nil:
		w.matched = &stretch{at, at}
	case matched:
		w.matched.to = at
	}
}

// finish judges what is left.
func (w *watching) finish() {
	left := slices.SortedFunc(maps.Values(w.views), func(a, b *seenView) int { return cmp.Compare(a.last.Index, b.last.Index) })
	for _, v := range left {
		if len(v.round) > 0 {
			w.close(v)
		}
		if v.broken != "" {
			v.detail.UnreadableNS += w.end.Time - v.brokenFrom
		}
	}
	if w.matched != nil {
		w.stretches = append(w.stretches, *w.matched)
	}
}

// interval is the mean time from one judgement of the quorum's view to the next.
func (w *watching) interval() time.Duration {
	v := w.views[history.ViewQuorum]
	if v == nil || w.judged < 2 {
		return 0
	}
	return (v.judgedAt.Time - w.firstJudged.Time) / time.Duration(w.judged-1)
}

// held is the first time for which everything matched as long as asked, after a moment; nil if there is none.
func (w *watching) held(after time.Duration) *stretch {
	for i := range w.stretches {
		if s := &w.stretches[i]; s.to.Index > s.from.Index && s.to.Time-max(s.from.Time, after)+w.interval() >= w.q.hold() {
			return s
		}
	}
	return nil
}

// seconds writes a duration for people.
func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
