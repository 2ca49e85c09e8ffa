package checker

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// convergeJudge turns what the samples showed into a verdict.
type convergeJudge struct {
	f        *findings
	w        *watching
	q        *quietPoint
	o        ConvergeOptions
	d        *ConvergeDetail
	complete bool
	episodes []*episode
	// latest is the last episode of each object.
	latest     map[objectID]*episode
	dependents map[string][]*track
	// late are those that have not converged.
	late map[objectID]bool
	// held is a time for which everything matched as long as asked, kept one that did so within the wait, from which the bound runs; nil: there
	// was none.
	held, kept *stretch
}

func (j *convergeJudge) judge() {
	j.describe()
	settled := j.preconditions()
	j.agreement(settled)
	if !settled {
		return
	}
	j.held, j.kept = j.w.held(0), j.w.held(j.q.await.Invoke.Time)
	if j.held != nil {
		j.d.Converged, j.d.ConvergedNS = true, max(0, j.held.from.Time-j.q.at.Time)
	}
	j.objects()
}

// describe fills in what needs no judgement.
func (j *convergeJudge) describe() {
	w, q, d := j.w, j.q, j.d
	j.episodes = w.merged()
	j.latest = map[objectID]*episode{}
	for _, e := range j.episodes {
		j.latest[e.objectID] = e
	}
	j.dependents = w.tracks.dependents()
	d.QuietNS, d.After, d.BoundNS, d.HoldNS, d.Stated = q.at.Time, q.after, q.bound(), q.hold(), q.asked.Stated
	d.EndNS, d.IntervalNS = w.end.Time, w.interval()
	if q.await != nil {
		d.AwaitNS = q.await.Invoke.Time
	}
	d.Views = map[string]*ConvergeView{}
	for name, v := range w.views {
		for kind := range v.kinds {
			v.detail.Compared += w.agree.compared[viewOf{name, kind}]
		}
		d.Views[name] = v.detail
	}
	if v := d.Views[history.ViewQuorum]; v != nil {
		d.Trend = [3]int64{v.when(q.at.Time), v.when(q.at.Time + (w.end.Time-q.at.Time)/2), v.when(w.end.Time)}
	}
	d.Compared, d.Disagreed = w.agree.all, w.agree.wrong
	d.faults(q, j.episodes)
	d.episodes(q, j.episodes, w.end.Time)
}

// preconditions gives the reasons why convergence can't be judged; true: it can.
func (j *convergeJudge) preconditions() bool {
	q, w := j.q, j.w
	before := len(j.f.reasons)
	if !j.complete {
		j.f.unknown("the history is incomplete: whether the system converged shows at the end of a run only")
	}
	for _, id := range q.open {
		j.f.unknown("%s was not proved to have ended: nothing has to converge while a fault is in force", id)
	}
	if q.healthy != nil && q.healthy.Outcome() != history.OK {
		j.f.unknown("the system did not get well again, so it need not converge: %s", q.healthy.Complete.Error)
	}
	switch {
	case q.await == nil:
		j.f.unknown("the run did not wait for the system to converge (no operation %s)", history.FAwaitConverged)
	case q.await.Outcome() == history.Fail, !q.await.HasComplete:
		j.f.unknown("the run could not wait for the system to converge: %s", cmp.Or(q.await.Complete.Error, "the wait did not end"))
	}
	if q.declared == 0 {
		j.f.unknown("nothing was declared: no client operation changed what the system has to converge to")
	}
	switch {
	case w.judged == 0:
		j.f.unknown("nothing was observed: no sample of the view %q", history.ViewQuorum)
	case w.objects == 0:
		j.f.unknown("nothing was observed: the samples show no object")
	case w.quietJudged < 2:
		j.f.unknown("the quorum's view was looked at %s after %s: too few to tell whether it converged", count(w.quietJudged, "time", "times"), q.after)
	}
	return len(j.f.reasons) == before
}

// objects judges those that have not converged.
func (j *convergeJudge) objects() {
	late := j.notConverged()
	over := j.overdue()
	for _, k := range late {
		j.object(k, over)
	}
	wait := j.q.await.Outcome() == history.OK
	switch {
	case len(late) > 0 && j.held != nil:
		j.f.unknown("everything matched for %s, but at the end %s does not any more", seconds(j.held.to.Time-j.held.from.Time), late[0].text())
	case len(late) > 0 && over && !j.q.binds():
		j.f.unknown("not converged within %s, which nobody stated as a bound and the system may exceed by itself: %s", j.q.bound(), j.d.trend())
	case len(late) > 0 && !over:
		j.f.unknown("not converged, but the samples end before the bound of %s is over: %s", j.q.bound(), j.d.trend())
	case len(late) == 0 && j.held == nil && wait:
		j.f.unknown("the wait saw everything match for %s, the samples show that for less", j.q.hold())
	case len(late) == 0 && j.held == nil:
		j.f.unknown("everything matched at the end, but not yet for %s: %s", j.q.hold(), j.d.trend())
	}
	if len(late) > 0 && len(j.f.anomalies) == 0 && len(j.f.reasons) == 0 {
		j.f.unknown("%s does not match at the end, for too short a time to judge", late[0].text())
	}
}

// overdue tells whether the samples reach to the end of the bound, to within an interval between two of them. The bound runs from
// the wait's invocation, when the system was well.
func (j *convergeJudge) overdue() bool {
	end := j.q.await.Invoke.Time + j.q.bound()
	slack := time.Duration(0)
	if j.q.await.Outcome() != history.OK {
		slack = j.w.interval()
	}
	return j.q.bound() > 0 && j.w.end.Time+slack >= end
}

// notConverged are the objects and views that do not match at the end, or whose states come again and again; what others
// belong to comes first.
func (j *convergeJudge) notConverged() []*track {
	var out []*track
	for _, id := range sortedIDs(j.w.tracks.byID) {
		if k := j.w.tracks.byID[id]; k.bad || j.oscillates(k) {
			out = append(out, k)
		}
	}
	slices.SortStableFunc(out, func(a, b *track) int { return cmp.Compare(len(a.owners), len(b.owners)) })
	j.late = map[objectID]bool{}
	for _, k := range out {
		j.late[k.objectID] = true
	}
	return out
}

// recent tells whether something was late enough in the quiet to go on still: in the last third of it, or in the time for
// which things had to hold.
func (j *convergeJudge) recent(t time.Duration) bool {
	quiet := j.w.end.Time - j.q.at.Time
	return t >= j.w.end.Time-max(quiet/3, j.q.hold())
}

// oscillates: states come again, all of them after everything had converged, if it had. Of an object that has matched for as long as asked
// only what is declared counts: numbers that are observed may go up and down.
func (j *convergeJudge) oscillates(k *track) bool {
	if j.wavers(k) {
		return true
	}
	if e := j.latest[k.objectID]; !k.bad && (e == nil || j.w.end.Time-e.to.Time >= j.q.hold()) {
		return false
	}
	return j.again(&k.states)
}

// wavers: what is declared of an object goes back and forth.
func (j *convergeJudge) wavers(k *track) bool { return j.again(&k.wants) }

// again tells whether states come again, recently enough.
func (j *convergeJudge) again(s *states) bool {
	after := time.Duration(0)
	if j.kept != nil {
		after = j.kept.to.Time
	}
	last, ok := s.repeat(after)
	return ok && j.recent(last)
}

// object judges one that has not converged.
func (j *convergeJudge) object(k *track, over bool) {
	m := k.worst()
	if j.wavers(k) || len(k.mismatches) == 0 {
		m = k.undecided()
	}
	written, changed := j.w.tracks.lastChange(k, j.dependents, ownersMax)
	changed = max(changed, k.declared)
	o := ObjectConvergence{
		Kind: k.kind, Name: k.name, Verdict: j.verdict(k, m, changed), Rule: m.Rule, Component: m.Component, Why: m.Why, WrittenNS: written, Writes: k.writes,
	}
	if e := j.latest[k.objectID]; e != nil {
		o.SinceNS = e.from.Time
	}
	if len(j.d.Objects) < objectsMax {
		j.d.Objects = append(j.d.Objects, o)
	}
	c := j.d.component(m.Component)
	if c.Verdict == "converged" || c.Verdict == Unknown.String() {
		c.Verdict = o.Verdict
	}
	if !over || o.Verdict == Unknown.String() || j.follows(k) || !j.since(k) {
		if o.Verdict == Unknown.String() && (len(j.f.anomalies) == 0 || j.w.views[k.name].broken != "") {
			j.f.unknown("%s: %s", k.text(), m.Why)
		}
		return
	}
	j.f.add(Anomaly{Name: o.Verdict, Key: k.name, Ops: j.proof(k), Why: j.why(k, o, changed), Allowed: !j.q.binds()})
}

// ownersMax bounds how many levels of owners are followed.
const ownersMax = 8

// objectsMax bounds how many objects are listed in the detail.
const objectsMax = 100

// worst is the mismatch that says most: what has a name of its own comes first.
func (k *track) worst() history.Mismatch {
	for _, rule := range []string{history.MismatchOwner, history.MismatchFinalizer, history.MismatchDuplicated} {
		for _, m := range k.mismatches {
			if m.Rule == rule {
				return m
			}
		}
	}
	if len(k.mismatches) > 0 {
		return k.mismatches[0]
	}
	return k.undecided()
}

// undecided is the mismatch of an object of which now this is declared, now that.
func (k *track) undecided() history.Mismatch {
	return history.Mismatch{Kind: k.kind, Name: k.name, Rule: "declared", Component: "whoever declares it", Why: "what is declared of it goes back and forth"}
}

func (k *track) text() string { return k.kind + " " + k.name }

// verdict names what is wrong with an object at the end.
func (j *convergeJudge) verdict(k *track, m history.Mismatch, changed time.Duration) string {
	switch {
	case k.kind == kindOfViews:
		// Not one that can't be read; nor one that is now a little newer or older than the quorum's, while all goes on changing.
		if v := j.w.views[k.name]; v == nil || v.broken != "" || v.behindAtEnd < j.q.bound()/2 {
			return Unknown.String()
		}
		return anomalyDivergent
	case j.oscillates(k):
		return anomalyOscillating
	case m.Rule == history.MismatchOwner || m.Rule == history.MismatchFinalizer:
		return anomalyOrphaned
	case m.Rule == history.MismatchDuplicated:
		return anomalyDuplicated
	case j.w.end.Time-max(changed, j.q.at.Time) >= j.q.bound()/2:
		return anomalyStalled
	}
	return anomalySlow
}

// follows tells whether the object's trouble is only that of an owner which has not converged either.
func (j *convergeJudge) follows(k *track) bool {
	switch k.worst().Rule {
	case history.MismatchOwner, history.MismatchFinalizer, history.MismatchDuplicated:
		return false
	}
	for _, o := range k.owners {
		for _, id := range []objectID{{o.Kind, o.Name}, {o.Kind, namespace(k.name) + o.Name}} {
			if j.late[id] {
				return true
			}
		}
	}
	return false
}

// namespace is what stands before the last slash of a name, with it.
func namespace(name string) string {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '/' {
			return name[:i+1]
		}
	}
	return ""
}

// since tells whether the object has been without a match for long enough: two looks at least, as long as a match must hold, and, where
// a change of unknown outcome came to it late, or everything had converged before, the bound from then on.
func (j *convergeJudge) since(k *track) bool {
	e := j.latest[k.objectID]
	if j.kept != nil && e != nil && !j.wavers(k) && j.w.end.Time-j.began(k) < j.q.bound() {
		return false
	}
	if e == nil || !k.bad {
		return j.oscillates(k)
	}
	if j.q.unknown > 0 && k.declared > j.q.at.Time && !j.oscillates(k) && j.w.end.Time-k.declared < j.q.bound() {
		return false
	}
	return e.last.Index > e.from.Index && e.last.Time-e.from.Time >= min(j.q.hold(), j.q.bound())
}

// began is when an object ceased to match that had matched with all the others: for the last time or, if it oscillates, for the first.
func (j *convergeJudge) began(k *track) time.Duration {
	if j.oscillates(k) {
		for _, e := range j.w.tracks.episodes {
			if e.objectID == k.objectID && e.from.Index > j.kept.from.Index {
				return e.from.Time
			}
		}
	}
	return k.episode.from.Time
}

func (j *convergeJudge) proof(k *track) []int64 {
	var ops []int64
	if e := j.latest[k.objectID]; e != nil {
		ops = append(ops, e.last.Index, e.from.Index)
	}
	return append(ops, j.q.at.Index)
}

// why is the sentence of an anomaly.
func (j *convergeJudge) why(k *track, o ObjectConvergence, changed time.Duration) string {
	bound := fmt.Sprintf("%s after %s (bound %s)", seconds(j.w.end.Time-j.q.at.Time), j.q.after, j.q.bound())
	idle := seconds(j.w.end.Time - max(changed, j.q.at.Time))
	switch o.Verdict {
	case anomalyOscillating:
		changes := max(len(k.states.list), len(k.wants.list)) - 1
		return fmt.Sprintf("%s: %s, %s; it has changed %s since, to what it was before: %s", k.text(), o.Why, bound, count(changes, "time", "times"), o.Component)
	case anomalyStalled:
		if o.WrittenNS > changed && o.WrittenNS > j.q.at.Time {
			return fmt.Sprintf("%s: %s, %s; what was written since changed nothing for %s: %s", k.text(), o.Why, bound, idle, o.Component)
		}
		return fmt.Sprintf("%s: %s, %s; nothing was written for %s: %s", k.text(), o.Why, bound, idle, o.Component)
	case anomalySlow:
		return fmt.Sprintf("%s: %s, %s; the last change was %s before: %s", k.text(), o.Why, bound, idle, o.Component)
	}
	return fmt.Sprintf("%s: %s, %s: %s", k.text(), o.Why, bound, o.Component)
}

func (j *convergeJudge) summary() string { return j.d.summary() }
