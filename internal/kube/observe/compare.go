package observe

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/faultline/faultline/harness/history"
)

// lookStore reads the store's versions of each kind at every revision that a list of this round had.
func (o *Observer) lookStore(ctx context.Context) []seen {
	v := o.view(history.ViewStore)
	var out []seen
	for _, row := range o.rows {
		for _, revision := range o.revisions(row.name) {
			versions, at, err := o.options.Store(ctx, row.prefix, revision)
			if err != nil {
				out = append(out, v.fail(row.name, "", err))
				continue
			}
			var objects []history.Object
			for _, name := range slices.Sorted(maps.Keys(versions)) {
				if o.wanted(row, name) {
					objects = append(objects, history.Object{Kind: row.name, Name: name, Version: versions[name]})
				}
			}
			v.broken = ""
			out = append(out, seen{"", at, v.take(row.name, objects, at)})
			o.disagree(row.name, v)
		}
	}
	return out
}

// wanted tells whether an object of this name is observed.
func (o *Observer) wanted(row *kind, name string) bool {
	return !row.namespaced || len(o.options.Namespaces) == 0 || slices.Contains(o.options.Namespaces, namespaceOfName(name))
}

// revisions are the distinct ones at which the views that could be read have a kind.
func (o *Observer) revisions(kind string) []int64 {
	var out []int64
	for name, v := range o.views {
		if at := v.at[kind]; name != history.ViewStore && v.broken == "" && at > 0 {
			out = append(out, at)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// disagree notes in each view that is at the store's revision of a kind what the two have otherwise.
func (o *Observer) disagree(kind string, store *view) {
	for name, v := range o.views {
		if name == history.ViewStore || v.broken != "" || v.at[kind] != store.at[kind] {
			continue
		}
		v.wrong[kind] = differences(v.kinds[kind], store.kinds[kind])
	}
}

// differences are the names of objects whose versions differ, or that only one of the two has.
func differences(a, b map[string]history.Object) []string {
	var out []string
	for name := range a {
		if a[name].Version != b[name].Version {
			out = append(out, name)
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// judge tells what does not match in any view, the quorum's first, each mismatch once.
func (o *Observer) judge(newestBefore map[string]int64) []history.Mismatch {
	var out []history.Mismatch
	known := map[history.Mismatch]bool{}
	for _, name := range append([]string{history.ViewQuorum}, o.options.Nodes...) {
		v := o.views[name]
		for _, m := range append(v.itself(o.rows, newestBefore), o.rules(v.objects())...) {
			if !known[m] {
				known[m] = true
				out = append(out, m)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b history.Mismatch) int { return cmp.Compare(severity(a), severity(b)) })
	return out
}

// severity puts what is wrong with a view behind what is wrong with objects.
func severity(m history.Mismatch) int {
	if m.Rule == history.MismatchView {
		return 1
	}
	return 0
}

// conclude keeps what a round found and wakes who waits for it.
func (o *Observer) conclude(found []history.Mismatch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	matched := len(found) == 0
	if matched && !o.latest.matched {
		o.latest.since = o.clock()
	}
	o.latest.matched, o.latest.found = matched, found
	o.wake()
}
