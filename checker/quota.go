package checker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// QuotaOptions say what limits what.
type QuotaOptions struct {
	// Kind is the kind of object that limits how many others there may be in its namespace.
	Kind string
	// Counted are the kinds that it counts, by the names that it has for them (history.Object.Want): "pods" → "Pod".
	Counted map[string]string
	// Uncounted tells objects that exist and are not counted, as those that are on their way out; nil: all are counted.
	Uncounted func(o history.Object) bool
}

// Quota measures by how much limits were exceeded, for how long, and judges whether an excess stays. It sees objects in two ways, each of
// which can only see too few of them:
//
//   - by the operations create and delete (history.Declaration; Op.Key is NAMESPACE/NAME): an object is there for certain from the completion
//     of its create up to the invocation of the first delete that may have removed it. The limit is the Count of the
//     declaration of Kind in its namespace.
//   - by the samples (history.Sample) of the view history.ViewQuorum. The limit is what the object of Kind wants there.
//
// Both also show whether a limit did anything: a run in which nothing that is counted was created, or no create was refused for a quota and no
// limit was ever reached, is Unknown.
//
// An excess that was there before the wait for convergence (history.FAwaitConverged, else history.FFinalReads), or that the samples show after
// it, and that is there at the end breaks the promise: quota-exceeded. Any other is told as allowed.
func Quota(o QuotaOptions) Checker { return quota{o} }

type quota struct{ o QuotaOptions }

// QuotaDetail is the Detail of Quota.
type QuotaDetail struct {
	// Namespaces are those with a limit, Limits what they allow of each kind.
	Namespaces int `json:"namespaces"`
	// Created and Refused count the creates of what is counted: ok, and refused for a quota.
	Created int `json:"created"`
	Refused int `json:"refused"`
	Samples int `json:"samples"`
	// Reached: there were as many objects as some limit allows, or more.
	Reached bool `json:"reached"`
	// ExcessMax is the most by which a limit was exceeded, ExcessTime for how long in all, in nanoseconds: by the operations.
	ExcessMax  int64         `json:"excess_max"`
	ExcessTime time.Duration `json:"excess_ns"`
	// SampledMax is the most by which a sample shows a limit to be exceeded.
	SampledMax int64 `json:"sampled_max"`
}

// refusedQuota is why a declaration was refused that would have exceeded a limit.
const refusedQuota = "quota"

func (quota) Name() string { return "quota" }

func (q quota) Check(ctx context.Context, src history.Source, _ Budget) (Result, error) {
	j := &quotaJudge{o: q.o, limits: map[string]*limit{}, removals: map[string][]removal{}, views: map[string]*sampled{}}
	err := j.f.nemesis(ctx, src, func(p history.Pair) error {
		if p.Invoke.F == history.FAwaitConverged || p.Invoke.F == history.FFinalReads && !j.quiet.known {
			j.quiet = quietFrom{known: true, index: p.Invoke.Index}
		}
		return nil
	})
	if err == nil {
		err = j.f.clients(ctx, src, j.take)
	}
	if err != nil {
		return Result{}, err
	}
	end, err := j.sample(ctx, src)
	if err != nil {
		return Result{}, err
	}
	j.count(end)
	j.judgeSamples()
	j.exercised()
	switch {
	case j.d.Namespaces == 0 && j.d.Samples == 0:
		j.f.unknown("nothing to check: no limit was declared, and none was sampled")
	case !src.Complete():
		j.f.unknown("the history is incomplete: whether an excess stays shows at the end of a run only")
	case !j.quiet.known:
		j.f.unknown("there is no quiet phase: the nemesis marked none (%s, %s)", history.FAwaitConverged, history.FFinalReads)
	}
	return j.f.result(j.d.summary(), j.d)
}

// exercised gives the reasons why a run can't have exceeded a limit.
func (j *quotaJudge) exercised() {
	switch {
	case j.d.Namespaces == 0 && j.d.Samples == 0:
	case j.d.Created == 0 && !j.sampledAny:
		j.f.unknown("nothing to check: nothing was created that a limit counts")
	case j.d.Refused == 0 && !j.d.Reached:
		j.f.unknown("nothing to check: no limit was ever reached, and no create refused for one")
	}
}

func (d *QuotaDetail) summary() string {
	s := fmt.Sprintf("%s with a limit, %s created, %s refused", count(d.Namespaces, "namespace", "namespaces"), thousands(int64(d.Created)), thousands(int64(d.Refused)))
	if d.ExcessMax == 0 && d.SampledMax == 0 {
		return s + ", never exceeded"
	}
	return fmt.Sprintf("%s, exceeded by at most %s for %s in all", s, thousands(max(d.ExcessMax, d.SampledMax)), d.ExcessTime.Round(time.Millisecond))
}

// quietFrom is when the quiet phase began.
type quietFrom struct {
	known bool
	index int64
}

// limit is what one namespace allows.
type limit struct {
	allowed int64
	// from and to are where it was certainly in force.
	from, to int64
}

// liveObject is a counted object that certainly was there from one index to another.
type liveObject struct {
	key, uid, kind   string
	call, from, to   int64
	fromTime, toTime time.Duration
	index            int64
}

// quotaJudge judges the limits of one history.
type quotaJudge struct {
	f      findings
	d      QuotaDetail
	o      QuotaOptions
	quiet  quietFrom
	limits map[string]*limit
	live   []*liveObject
	// removals are the deletes that may have happened, by key.
	removals map[string][]removal
	views    map[string]*sampled
	// sampledAny: a sample showed an object of what is counted.
	sampledAny bool
}

func namespaceOf(key string) string {
	namespace, _, ok := strings.Cut(key, "/")
	if !ok {
		return ""
	}
	return namespace
}

// counted tells a kind that limits count.
func (j *quotaJudge) counted(kind string) bool {
	for _, k := range j.o.Counted {
		if k == kind {
			return true
		}
	}
	return false
}

// take reads one operation. They come in the order of their completions.
func (j *quotaJudge) take(p history.Pair) error {
	if p.Outcome() == history.Fail || p.Invoke.F != fCreate && p.Invoke.F != fDelete {
		return nil
	}
	said := p.Invoke
	if p.Outcome() == history.OK {
		said = p.Complete
	}
	d, err := declarationOf(said)
	if err != nil {
		return err
	}
	if d.Kind != j.o.Kind && !j.counted(d.Kind) {
		return nil
	}
	if d.Refused != "" {
		if d.Refused == refusedQuota && p.Invoke.F == fCreate {
			j.d.Refused++
		}
		return nil
	}
	switch {
	case p.Invoke.F == fDelete:
		j.takeDelete(p, d)
	case p.Outcome() != history.OK:
	case d.Kind == j.o.Kind:
		j.limits[namespaceOf(p.Invoke.Key)] = &limit{d.Count, p.Complete.Index, never}
		j.d.Namespaces = len(j.limits)
	default:
		j.d.Created++
		j.live = append(j.live, &liveObject{
			key: p.Invoke.Key, uid: d.UID, kind: d.Kind, call: p.Invoke.Index, from: p.Complete.Index, to: never,
			fromTime: p.Complete.Time, index: p.Complete.Index,
		})
	}
	return nil
}

// takeDelete notes a delete that may have happened.
func (j *quotaJudge) takeDelete(p history.Pair, d history.Declaration) {
	if l := j.limits[namespaceOf(p.Invoke.Key)]; l != nil && d.Kind == j.o.Kind {
		l.to = min(l.to, p.Invoke.Index)
	}
	r := removal{call: p.Invoke.Index, at: p.Invoke.Time, ret: never}
	if p.Outcome() == history.OK {
		r.ret, r.uid = p.Complete.Index, d.UID
	}
	j.removals[p.Invoke.Key] = append(j.removals[p.Invoke.Key], r)
}

// settle ends each object where the first delete was invoked that may have removed it.
func (j *quotaJudge) settle() {
	for _, o := range j.live {
		for _, r := range j.removals[o.key] {
			if r.mayRemove(o.uid, o.call) && r.call < o.to {
				o.to, o.toTime = r.call, r.at
			}
		}
	}
}

// step is a change of how many objects there certainly are.
type step struct {
	at    int64
	time  time.Duration
	by    int64
	index int64
}

// steps are those of each namespace and kind, in time.
func (j *quotaJudge) steps() map[[2]string][]step {
	steps := map[[2]string][]step{}
	for _, o := range j.live {
		if o.to <= o.from {
			continue // it may have been removed at once
		}
		k := [2]string{namespaceOf(o.key), o.kind}
		steps[k] = append(steps[k], step{o.from, o.fromTime, 1, o.index})
		if o.to != never {
			steps[k] = append(steps[k], step{o.to, o.toTime, -1, o.index})
		}
	}
	for _, list := range steps {
		slices.SortFunc(list, func(a, b step) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.index, b.index)) })
	}
	return steps
}

// count goes through the operations' objects in time.
func (j *quotaJudge) count(end time.Duration) {
	j.settle()
	steps := j.steps()
	for _, namespace := range sortedKeys(j.limits) {
		for _, kind := range slices.Compact(slices.Sorted(maps.Values(j.o.Counted))) {
			j.countOf(namespace, kind, steps[[2]string{namespace, kind}], end)
		}
	}
}

// countOf goes through those of one namespace and kind.
func (j *quotaJudge) countOf(namespace, kind string, list []step, end time.Duration) {
	var (
		l     = j.limits[namespace]
		now   int64
		over  excess
		began time.Duration
	)
	for _, s := range list {
		now += s.by
		inForce := s.at >= l.from && s.at < l.to
		j.d.Reached = j.d.Reached || inForce && now >= l.allowed
		switch above := inForce && now > l.allowed; {
		case above && !over.open:
			over = excess{open: true, since: s.at, by: now - l.allowed, index: s.index}
			began = s.time
		case above:
			over.by, over.index = max(over.by, now-l.allowed), s.index
		case over.open:
			j.d.ExcessTime += s.time - began
			j.exceeded(namespace, kind, l.allowed, over)
			over = excess{}
		}
		j.d.ExcessMax = max(j.d.ExcessMax, over.by)
	}
	if over.open {
		over.atEnd = l.to == never
		j.d.ExcessTime += max(0, end-began)
		j.exceeded(namespace, kind, l.allowed, over)
	}
}

// excess is a stretch in which a limit was exceeded.
type excess struct {
	open, atEnd  bool
	since, index int64
	by           int64
}

// exceeded adds the anomaly of an excess that the operations show.
func (j *quotaJudge) exceeded(namespace, kind string, allowed int64, e excess) {
	stays := e.atEnd && j.quiet.known && e.since < j.quiet.index
	why := fmt.Sprintf("%d objects of kind %s were in %s by %d, %d are allowed", allowed+e.by, kind, namespace, e.index, allowed)
	if stays {
		why += ", and they stayed"
	}
	j.f.add(Anomaly{Name: "quota-exceeded", Key: namespace, Ops: []int64{e.index}, Why: why, Allowed: !stays})
}

// sampled is what the samples of one kind show.
type sampled struct {
	objects map[string]history.Object
	index   int64
}

// sample reads the samples up to the end, and tells when that is.
func (j *quotaJudge) sample(ctx context.Context, src history.Source) (end time.Duration, err error) {
	n := 0
	for op, err := range src.Ops() {
		if err != nil {
			return 0, fmt.Errorf("read the history: %w", err)
		}
		if n++; n&1023 == 0 && ctx.Err() != nil {
			j.f.unknown("%s", errStopped)
			return end, nil
		}
		end = max(end, op.Time)
		if op.Process != history.Evidence || op.F != history.FSample {
			continue
		}
		var s history.Sample
		if err := json.Unmarshal(op.Value, &s); err != nil {
			return 0, fmt.Errorf("operation %d: a sample: %w: %w", op.Index, ErrMalformed, err)
		}
		if s.View != history.ViewQuorum || s.Error != "" || s.Kind != j.o.Kind && !j.counted(s.Kind) {
			continue
		}
		j.d.Samples++
		j.apply(op.Index, &s)
	}
	return end, nil
}

// apply brings what is known of a kind up to date.
func (j *quotaJudge) apply(index int64, s *history.Sample) {
	v := j.views[s.Kind]
	if v == nil || s.Whole {
		v = &sampled{objects: map[string]history.Object{}}
		j.views[s.Kind] = v
	}
	v.index = index
	for _, name := range s.Gone {
		delete(v.objects, name)
	}
	for _, o := range s.Changed {
		v.objects[o.Name] = o
	}
	j.sampledAny = j.sampledAny || s.Kind != j.o.Kind && len(s.Changed) > 0
	for _, n := range j.sampledCounts() {
		j.d.Reached = j.d.Reached || n.have > 0 && n.have >= n.want
		j.d.SampledMax = max(j.d.SampledMax, n.have-n.want)
	}
}

// sampledCount is how many objects of a kind the samples show now, and how many a quota wants at most.
type sampledCount struct {
	quota, kind string
	have, want  int64
	ops         []int64
}

// sampledCounts compares the newest samples.
func (j *quotaJudge) sampledCounts() (out []sampledCount) {
	limits := j.views[j.o.Kind]
	if limits == nil {
		return nil
	}
	for _, name := range sortedKeys(limits.objects) {
		o := limits.objects[name]
		for _, counted := range sortedKeys(j.o.Counted) {
			want, ok := o.Want[counted]
			v := j.views[j.o.Counted[counted]]
			if !ok || v == nil || o.Deleting {
				continue
			}
			have := int64(0)
			for at := range v.objects {
				if p := v.objects[at]; namespaceOf(at) == namespaceOf(name) && (j.o.Uncounted == nil || !j.o.Uncounted(p)) {
					have++
				}
			}
			out = append(out, sampledCount{name, j.o.Counted[counted], have, want, []int64{v.index, limits.index}})
		}
	}
	return out
}

// judgeSamples judges what the last samples show.
func (j *quotaJudge) judgeSamples() {
	for _, e := range j.sampledCounts() {
		if e.have <= e.want {
			continue
		}
		after := j.quiet.known && e.ops[0] > j.quiet.index && e.ops[1] > j.quiet.index
		j.f.add(Anomaly{
			Name: "quota-exceeded", Key: e.quota, Ops: e.ops, Allowed: !after,
			Why: fmt.Sprintf("at the end %d objects of kind %s are there, %s allows %d", e.have, e.kind, e.quota, e.want),
		})
	}
}
