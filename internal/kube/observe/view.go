package observe

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/faultline/faultline/harness/history"
)

// view is what was last seen through one server, a quorum read, or of the store.
type view struct {
	name string
	// kinds are the objects by kind and name, at are the revisions that they are of; both only of what could be read.
	kinds map[string]map[string]history.Object
	at    map[string]int64
	// wrong are the objects of a kind that the store had otherwise at the view's revision, when the two were last compared.
	wrong map[string][]string
	// moved are objects of which something else is declared than at the look before.
	moved []history.Object
	// broken is why the last look failed; empty if it did not.
	broken string
}

func newView(name string) *view {
	return &view{name: name, kinds: map[string]map[string]history.Object{}, at: map[string]int64{}, wrong: map[string][]string{}}
}

// take makes objects the view's state and returns what changed, as a sample.
func (v *view) take(kind string, objects []history.Object, revision int64) history.Sample {
	s := history.Sample{View: v.name, Kind: kind}
	before, seen := v.kinds[kind]
	now := make(map[string]history.Object, len(objects))
	for i := range objects {
		now[objects[i].Name] = objects[i]
		old, ok := before[objects[i].Name]
		if !ok || !reflect.DeepEqual(old, objects[i]) {
			s.Changed = append(s.Changed, objects[i])
		}
		if ok && old.UID == objects[i].UID && !maps.Equal(old.Want, objects[i].Want) {
			v.moved = append(v.moved, objects[i])
		}
	}
	s.Whole = !seen
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, ok := now[name]; !ok {
			s.Gone = append(s.Gone, name)
		}
	}
	v.kinds[kind], v.at[kind] = now, revision
	return s
}

// objects are all objects of the view, ordered by kind and name.
func (v *view) objects() []history.Object {
	var out []history.Object
	for _, kind := range slices.Sorted(maps.Keys(v.kinds)) {
		for _, name := range slices.Sorted(maps.Keys(v.kinds[kind])) {
			out = append(out, v.kinds[kind][name])
		}
	}
	return out
}

// kubelets are what was seen of the nodes' leases.
type kubelets map[string]*beat

// beat is when a kubelet was seen to be alive, in monotonic nanoseconds.
type beat struct {
	version      int64
	seen, window int64
}

// see notes the leases, listed at a time. A lease whose version changed was renewed since the look before.
func (k kubelets) see(leases []history.Object, at, slack int64) {
	for i := range leases {
		name := baseName(leases[i].Name)
		b := k[name]
		if b == nil {
			b = &beat{}
			k[name] = b
		}
		if b.version != leases[i].Version {
			b.version, b.seen = leases[i].Version, at
		}
		b.window = leases[i].Want[numSeconds]*1e9 + slack
	}
}

// blind notes that the leases could not be listed: nobody is held to be dead for that.
func (k kubelets) blind(at int64) {
	for _, b := range k {
		b.seen = at
	}
}

// mark writes into Nodes whether their kubelets are alive.
func (k kubelets) mark(nodes []history.Object, at int64) {
	for i := range nodes {
		if b := k[nodes[i].Name]; b != nil {
			nodes[i].Attr[attrAlive] = wordTrue
			if at-b.seen > b.window {
				nodes[i].Attr[attrAlive] = "false"
			}
		}
	}
}

// itself tells what is wrong with the view as such: it can't be read, it is behind, it is not what the store has. Of the quorum's it
// tells what is declared anew, too: nothing has held meanwhile.
func (v *view) itself(rows []*kind, newest map[string]int64) []history.Mismatch {
	say := func(kind, format string, args ...any) history.Mismatch {
		return history.Mismatch{
			Kind: kind, Name: v.name, Rule: history.MismatchView, Component: apiserver, Why: fmt.Sprintf(format, args...),
		}
	}
	if v.broken != "" {
		return []history.Mismatch{say("", "it can't be read: %s", v.broken)}
	}
	var out []history.Mismatch
	for i := range v.moved {
		if v.name == history.ViewQuorum {
			out = append(out, history.Mismatch{
				Kind: v.moved[i].Kind, Name: v.moved[i].Name, Rule: ruleDeclared, Component: "whoever declares it",
				Why: "what is declared of it is another than at the look before",
			})
		}
	}
	for _, row := range rows {
		if at := v.at[row.name]; at < newest[row.name] {
			out = append(out, say(row.name, "its list is of revision %d, a quorum list before had %d", at, newest[row.name]))
		}
		if wrong := v.wrong[row.name]; len(wrong) > 0 {
			out = append(out, say(row.name, "at revision %d it has %d objects otherwise than the store, %s the first of them", v.at[row.name], len(wrong), wrong[0]))
		}
	}
	return out
}
