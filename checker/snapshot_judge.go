package checker

import (
	"fmt"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// snapshotJudge judges the lists of one history.
type snapshotJudge struct {
	f        findings
	d        SnapshotDetail
	cs       *collections
	model    string
	renewals renewals
}

// fresh tells a list that must reflect whatever was acknowledged before.
func (j *snapshotJudge) fresh(s *snapshot) bool {
	return j.model == ModelLinearizable || kindOf(s) == history.ReadQuorum
}

func kindOf(s *snapshot) string {
	if s.read == "" {
		return history.ReadQuorum
	}
	return s.read
}

// judge adds what is wrong with one list.
func (j *snapshotJudge) judge(c *collection, s *snapshot) {
	kind := kindOf(s)
	j.d.Lists[kind]++
	j.d.Objects += int64(len(s.members))
	if len(s.pages) > 1 {
		j.d.Paged++
	}
	j.age(c, s)
	j.asked(c, s)
	for i, r := range s.pages {
		if r != s.revision {
			j.add(c, s, "torn-list", fmt.Sprintf("page %d of %s is of revision %d, but the first one is of %d", i+1, s.what, r, s.revision))
			return
		}
	}
	if wrong := c.compare(s); wrong != nil {
		j.f.add(Anomaly{Name: wrong.name, Key: c.key, Ops: append([]int64{s.ret}, wrong.ops...), Why: wrong.why})
		return
	}
	j.deleted(c, s)
}

func (j *snapshotJudge) add(c *collection, s *snapshot, name, why string, ops ...int64) {
	j.f.add(Anomaly{Name: name, Key: c.key, Ops: append([]int64{s.ret}, ops...), Why: why})
}

// age judges, and measures, how old a list's revision was when it was invoked.
func (j *snapshotJudge) age(c *collection, s *snapshot) {
	stale := j.d.Staleness[kindOf(s)]
	if stale == nil {
		stale = &Staleness{}
		j.d.Staleness[kindOf(s)] = stale
	}
	w, _ := j.cs.writes.before(s.call)
	stale.add(s.revision, w.version, j.cs.writes.since(s.revision, s.call, s.callAt))
	v, _ := j.cs.views.before(s.call)
	switch {
	case w.version > s.revision:
		j.f.add(Anomaly{
			Name: "stale-read", Key: c.key, Ops: []int64{s.ret, w.ret}, Allowed: !j.fresh(s),
			Why: fmt.Sprintf("%s shows revision %d, but %d had completed at version %d before it began", s.what, s.revision, w.ret, w.version),
		})
	case v.version > s.revision && j.fresh(s):
		j.add(c, s, "stale-read", fmt.Sprintf("%s shows revision %d, but %d%s had shown %d before it began", s.what, s.revision, v.ret, on(v.node), v.version), v.ret)
	}
	if v.version > s.revision && v.node != s.node && !j.fresh(s) {
		j.f.add(Anomaly{
			Name: "time-travel", Key: c.key, Ops: []int64{s.ret, v.ret}, Allowed: true,
			Why: fmt.Sprintf("%s shows revision %d, but %d%s had shown %d before it began", s.what, s.revision, v.ret, on(v.node), v.version),
		})
	}
}

// asked judges whether a list is of the revision that it asked for.
func (j *snapshotJudge) asked(c *collection, s *snapshot) {
	switch {
	case s.asked == 0:
	case s.read == history.ReadExact && s.revision != s.asked:
		j.add(c, s, "wrong-revision", fmt.Sprintf("%s asked for revision %d, and got %d", s.what, s.asked, s.revision))
	case s.revision < s.asked:
		j.add(c, s, "older-than-asked", fmt.Sprintf("%s asked for revision %d or newer, and got %d", s.what, s.asked, s.revision))
	}
}

// deleted finds an object that had been deleted before the list began, though the version of the deletion is not known.
func (j *snapshotJudge) deleted(c *collection, s *snapshot) {
	for _, m := range s.members {
		if d := c.items[m.object].goneBefore(m.version, s.call); d != nil {
			j.f.add(Anomaly{
				Name: "stale-read", Key: c.key, Ops: []int64{s.ret, d.index}, Allowed: !j.fresh(s),
				Why: fmt.Sprintf("%s shows %s at version %d, but %s had completed before it began", s.what, m.object, m.version, d),
			})
			return
		}
	}
}

// monotone finds lists from one server's cache that go back for one process.
func (j *snapshotJudge) monotone(c *collection) {
	type reader struct {
		process history.Process
		node    string
	}
	last := map[reader]*snapshot{}
	for _, s := range c.snapshots {
		if kindOf(s) != history.ReadCached && kindOf(s) != history.ReadAtLeast {
			continue
		}
		who := reader{s.process, s.node}
		if b := last[who]; b != nil && b.revision > s.revision {
			e := j.renewals.excuse(&b.viewer, s.ret, func(at time.Duration) time.Duration {
				return max(j.cs.writes.since(s.revision, never, at), j.cs.views.since(s.revision, never, at))
			})
			j.renewals.judge(&j.f, Anomaly{
				Name: "non-monotonic-read", Key: c.key, Ops: []int64{s.ret, b.ret},
				Why: fmt.Sprintf("%s shows revision %d, but the same process had been shown %d there before (%d)", s.what, s.revision, b.revision, b.ret),
			}, e)
		}
		last[who] = s
	}
}

// compare tells the first thing in which a view is not the state at its revision.
func (c *collection) compare(s *snapshot) *wrong {
	name := "wrong-snapshot"
	if len(s.pages) > 1 {
		name = "torn-list"
	}
	seen := make(map[string]bool, len(s.members))
	for _, m := range s.members {
		if seen[m.object] {
			return &wrong{"duplicate-elements", fmt.Sprintf("%s has %s twice", s.what, m.object), nil}
		}
		seen[m.object] = true
		shows := fmt.Sprintf("%s shows %s as %d at version %d", s.what, m.object, m.number, m.version)
		if bad := c.origin(m.object, m.version, m.number, s.ret); bad != nil {
			return &wrong{bad.name, shows + ", but " + bad.why, bad.ops}
		}
		if m.version > s.revision {
			return &wrong{name, fmt.Sprintf("%s, which is newer than its revision %d", shows, s.revision), nil}
		}
		o := c.items[m.object]
		if newest := o.at(s.revision); newest.version != m.version {
			return &wrong{name, fmt.Sprintf("%s, but at its revision %d there was %s", shows, s.revision, newest), []int64{newest.proof()}}
		}
		if d := o.mustBeGone(m.version, s.revision); d != nil {
			return &wrong{name, fmt.Sprintf("%s, but at its revision %d it was gone by %s", shows, s.revision, d), []int64{d.proof()}}
		}
	}
	for _, object := range c.names {
		if seen[object] {
			continue
		}
		o := c.items[object]
		newest := o.at(s.revision)
		if newest == nil || newest.deletes() || o.mayBeGone(newest.version, s.revision, s.ret) {
			continue
		}
		return &wrong{
			name, fmt.Sprintf("%s lacks %s, but at its revision %d there was %s", s.what, object, s.revision, newest),
			[]int64{newest.proof()},
		}
	}
	return nil
}
