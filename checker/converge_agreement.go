package checker

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/faultline/faultline/harness/history"
)

// agreement compares views that show one kind at one revision.
type agreement struct {
	q    *quietPoint
	seen map[conflictKey]*conflict
	// list has the conflicts in the order in which they were first seen.
	list []*conflict
	// compared are the comparisons with the store after the quiet point.
	compared   map[viewOf]int64
	all, wrong int64
}

// viewOf is what a view shows of one kind.
type viewOf struct{ view, kind string }

type conflictKey struct{ a, b, kind, name string }

// conflict is an object that two views showed otherwise at one revision.
type conflict struct {
	conflictKey

	revision           int64
	versionA, versionB int64
	first, last        [2]int64 // the indexes of the samples
	times              int64
	// quiet are the times after the quiet point.
	quiet int64
}

// conflictsMax bounds how many objects that differ are kept.
const conflictsMax = 10_000

// compare compares a view with the others that are at the same revision of a kind.
func (a *agreement) compare(views map[string]*seenView, v *seenView, kind string) {
	k := v.kinds[kind]
	if k.at <= 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(views)) {
		o := views[name].kinds[kind]
		if name == v.name || o == nil || o.at != k.at {
			continue
		}
		a.all++
		if a.q.over(k.index) && a.q.over(o.index) && (name == history.ViewStore || v.name == history.ViewStore) {
			a.compared[viewOf{name, kind}]++
			a.compared[viewOf{v.name, kind}]++
		}
		if o.sum != k.sum {
			a.differ(v.name, name, kind, k, o)
		}
	}
}

// differ notes the objects in which two views differ.
func (a *agreement) differ(nameA, nameB, kind string, ka, kb *kindView) {
	if nameA > nameB {
		nameA, nameB, ka, kb = nameB, nameA, kb, ka
	}
	a.wrong++
	names := map[string]bool{}
	for name := range ka.objects {
		names[name] = ka.objects[name].Version != kb.objects[name].Version
	}
	for name := range kb.objects {
		names[name] = ka.objects[name].Version != kb.objects[name].Version
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !names[name] {
			continue
		}
		key := conflictKey{nameA, nameB, kind, name}
		c := a.seen[key]
		if c == nil && len(a.list) < conflictsMax {
			c = &conflict{conflictKey: key, first: [2]int64{ka.index, kb.index}, last: [2]int64{-1, -1}}
			a.seen[key] = c
			a.list = append(a.list, c)
		}
		// Only where both views were read anew is it another comparison.
		if c == nil || ka.index <= c.last[0] || kb.index <= c.last[1] {
			continue
		}
		c.revision, c.versionA, c.versionB = ka.at, ka.objects[name].Version, kb.objects[name].Version
		c.last = [2]int64{ka.index, kb.index}
		c.times++
		if a.q.over(ka.index) && a.q.over(kb.index) {
			c.quiet++
		}
	}
}

// agreement judges what views showed of one kind at one revision. Of each object one conflict is told.
func (j *convergeJudge) agreement(settled bool) {
	well := settled || j.complete && len(j.q.open) == 0 && (j.q.healthy == nil || j.q.healthy.Outcome() == history.OK)
	confirmed := map[objectID]bool{}
	for _, c := range j.w.agree.list {
		if id := (objectID{c.kind, c.name}); well && c.quiet >= 2 && !confirmed[id] {
			confirmed[id] = true
			j.f.add(j.conflict(c, fmt.Sprintf("and again in %s after %s", count(c.quiet-1, "more comparison", "more comparisons"), j.q.after)))
		}
	}
	for _, c := range j.w.agree.list {
		switch {
		case confirmed[objectID{c.kind, c.name}]:
		case well && c.quiet == 1:
			j.f.unknown("%s; no second comparison confirmed it", j.conflict(c, "").Why)
		case c.times >= 2:
			a := j.conflict(c, "while the run went on")
			a.Allowed = true
			j.f.add(a)
		}
	}
	if !settled || j.w.views[history.ViewStore] == nil {
		return
	}
	for _, name := range sortedViews(j.w.views) {
		if left := j.notCompared(name); name != history.ViewStore && len(left) > 0 {
			j.f.unknown("the view %s was not compared with the store at one revision after %s: %s", name, j.q.after, strings.Join(left, ", "))
		}
	}
}

// notCompared are the kinds that somebody was seen to show, and that a view was never compared in with the store after the quiet point. A kind
// of which there is no object is compared as well: neither may have one.
func (j *convergeJudge) notCompared(view string) (left []string) {
	kinds := map[string]bool{}
	for name, v := range j.w.views {
		for kind := range v.kinds {
			kinds[kind] = kinds[kind] || name != history.ViewStore
		}
	}
	for _, kind := range sortedKeys(kinds) {
		if !kinds[kind] || j.w.agree.compared[viewOf{view, kind}] > 0 {
			continue
		}
		if why := j.w.storeErrors[kind]; why != "" {
			kind += " (the store could not be read: " + why + ")"
		}
		left = append(left, kind)
	}
	return left
}

// conflict is the anomaly of two views that differ.
func (j *convergeJudge) conflict(c *conflict, when string) Anomaly {
	who := "which of the two is wrong is not known"
	switch wrong := c.wrong(); wrong {
	case "":
	case history.ViewQuorum:
		who = j.o.Server + " that answered the quorum list"
	default:
		who = j.w.server(wrong)
	}
	why := fmt.Sprintf("%s %s: at revision %d %s %s, %s %s", c.kind, c.name, c.revision, viewText(c.a), has(c.versionA), viewText(c.b), has(c.versionB))
	if when != "" {
		why += ", " + when
	}
	return Anomaly{Name: anomalyDivergent, Key: c.name, Ops: []int64{c.last[0], c.last[1], c.first[0], c.first[1]}, Why: why + ": " + who}
}

// wrong is the view that is not what it should be: the store is, then the quorum's.
func (c *conflict) wrong() string {
	for _, right := range []string{history.ViewStore, history.ViewQuorum} {
		switch right {
		case c.a:
			return c.b
		case c.b:
			return c.a
		}
	}
	return ""
}

func viewText(name string) string {
	switch name {
	case history.ViewStore:
		return "the store"
	case history.ViewQuorum:
		return "a quorum list"
	}
	return "the cache of " + name
}

func has(version int64) string {
	if version == 0 {
		return "does not have it"
	}
	return fmt.Sprintf("has its version %d", version)
}
