package controlplane

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/harness/sim/replicated"
)

// Observer samples what each server, a quorum read and the store itself show of some kinds of object, and knows whether it is as it is to be.
type Observer struct {
	p      *Plane
	kinds  []string
	rules  history.Rules
	record func(history.Op)
	// before are the objects of the sample before, by view, kind and name.
	before map[[2]string]map[string]history.Object
	// since is when everything began to match; -1: it does not. found is what did not.
	since time.Duration
	found []history.Mismatch
}

// observeEvery is the time between samples.
const observeEvery = 500 * time.Millisecond

// Observe begins to sample. record records an operation; rules tell what does not match.
func (p *Plane) Observe(kinds []string, rules history.Rules, record func(history.Op)) *Observer {
	o := &Observer{
		p: p, kinds: kinds, rules: rules, record: record, before: map[[2]string]map[string]history.Object{}, since: -1,
	}
	p.run()
	p.store.Clock.After(observeEvery, o.look)
	return o
}

// look takes a sample of everything, and plans the next.
func (o *Observer) look() {
	p := o.p
	p.learn()
	var found []history.Mismatch
	newest := replicated.RevisionOf(len(p.store.Log()))
	if p.store.Leader() == nil {
		o.fail(history.ViewQuorum, "", "the store has no leader")
		found = append(found, history.Mismatch{Name: history.ViewQuorum, Rule: history.MismatchView, Why: "it can't be read"})
	} else {
		found = append(found, o.view(history.ViewQuorum, "", newest, nil)...)
	}
	revisions := []int64{newest}
	for _, s := range p.servers {
		if !s.up || s.paused || s.cold {
			o.fail(s.Name(), s.Name(), "no answer")
			found = append(found, history.Mismatch{Name: s.Name(), Rule: history.MismatchView, Why: "it can't be read"})
			continue
		}
		found = append(found, o.view(s.Name(), s.Name(), s.revision(), s.missing)...)
		revisions = append(revisions, s.revision())
		if s.Behind() > 0 {
			found = append(found, history.Mismatch{Name: s.Name(), Rule: history.MismatchView, Why: "it is behind"})
		}
	}
	slices.Sort(revisions)
	for _, revision := range slices.Compact(revisions) {
		o.store(revision)
	}
	o.conclude(found)
	p.store.Clock.After(observeEvery, o.look)
}

// conclude keeps what was found.
func (o *Observer) conclude(found []history.Mismatch) {
	o.found = found
	switch {
	case len(found) > 0:
		o.since = -1
	case o.since < 0:
		o.since = o.p.store.Clock.Now()
	}
}

// view samples one view and tells what of it does not match.
func (o *Observer) view(view, node string, revision int64, missing map[int64]bool) []history.Mismatch {
	var all []history.Object
	s := &Server{p: o.p, missing: missing}
	for _, kind := range o.kinds {
		var objects []history.Object
		s.each(kind, revision, func(c *change) {
			if t, ok := c.content.(*thing); ok {
				object := t.state
				object.Version = c.revision
				objects = append(objects, object)
			}
		})
		all = append(all, objects...)
		o.take(view, node, kind, revision, objects)
	}
	if o.rules == nil {
		return nil
	}
	slices.SortStableFunc(all, func(a, b history.Object) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return o.rules(all)
}

// store samples the store: names and versions only.
func (o *Observer) store(revision int64) {
	s := &Server{p: o.p}
	for _, kind := range o.kinds {
		var objects []history.Object
		s.each(kind, revision, func(c *change) {
			objects = append(objects, history.Object{Kind: kind, Name: c.name, Version: c.revision})
		})
		o.take(history.ViewStore, "", kind, revision, objects)
	}
}

// take records what changed of a view since the sample before.
func (o *Observer) take(view, node, kind string, revision int64, objects []history.Object) {
	key := [2]string{view, kind}
	before, seen := o.before[key]
	sample := history.Sample{View: view, Kind: kind, Whole: !seen}
	now := make(map[string]history.Object, len(objects))
	for _, object := range objects {
		now[object.Name] = object
		if old, ok := before[object.Name]; !ok || old.Version != object.Version || !reflect.DeepEqual(old, object) {
			sample.Changed = append(sample.Changed, object)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, ok := now[name]; !ok {
			sample.Gone = append(sample.Gone, name)
		}
	}
	o.before[key] = now
	o.sample(sample, node, revision)
}

// fail records that a view could not be read.
func (o *Observer) fail(view, node, why string) {
	o.sample(history.Sample{View: view, Kind: o.kinds[0], Error: why}, node, 0)
}

func (o *Observer) sample(s history.Sample, node string, revision int64) {
	o.record(history.Op{
		Process: history.Evidence, Type: history.Info, F: history.FSample, Value: encode(s), Revision: revision, Node: node,
	})
}

// Await completes a wait for convergence: when, from now on, all has matched in samples of as long as is asked, or the bound is over.
func (o *Observer) Await(c history.Convergence, then func(history.Convergence)) {
	now := o.p.store.Clock.Now()
	o.await(c, now, now+millis(c.BoundMS), then)
}

func (o *Observer) await(c history.Convergence, begun, end time.Duration, then func(history.Convergence)) {
	now := o.p.store.Clock.Now()
	switch {
	case o.since >= 0 && now-max(o.since, begun) >= millis(c.HoldMS)+2*observeEvery:
		c.Converged = true
		then(c)
	case now >= end:
		c.Mismatches = o.found[:min(len(o.found), mismatchesMax)]
		then(c)
	default:
		o.p.store.Clock.After(observeEvery, func() { o.await(c, begun, end, then) })
	}
}

// mismatchesMax bounds the mismatches that a completion has.
const mismatchesMax = 20
