package controlplane

import (
	"github.com/faultline/faultline/harness/sim/replicated"
)

// How an object is changed.
const (
	howCreate = "create"
	howUpdate = "update"
	howDelete = "delete"
)

// Why a change is refused, as history.ObjectChange and history.Declaration have it.
const (
	refusedExists   = "exists"
	refusedAbsent   = "absent"
	refusedConflict = "conflict"
	refusedQuota    = "quota"
	refusedNone     = "none"
)

// write is a change that a server is asked for.
type write struct {
	*record
	how string
	// expect is the version that the object must have; 0: any.
	expect int64
	// alter, where not nil, makes the new thing of an update from the old one, or says why not. The old one itself: there is nothing to
	// change; nil: the object is removed.
	alter func(old *thing) (changed *thing, refused string)
	// also, where not nil, tells what else is to be written with a thing that comes (old is nil) or goes (changed is nil), or why not.
	also func(r *request, old, changed *thing, then func(also []replicated.Guarded, refused string))
}

// written is what came of a write.
type written struct {
	version int64
	refused string
	// content is what the object held then; of a removed one, what it held before.
	content any
}

// write makes a change as an API server does: read, then write if it is as it was read, again and again where the client expects no version.
func (r *request) write(w write, then func(written)) {
	if w.how == howCreate {
		r.put(w, replicated.Item{}, w.record, then)
		return
	}
	r.call(replicated.Command{Key: w.key()}, func(found replicated.Result) {
		old, ok := found.Item.Object.(*record)
		switch {
		case !ok:
			then(written{refused: refusedAbsent})
		case w.expect != 0 && found.Item.Version != w.expect:
			then(written{refused: refusedConflict})
		case w.alter != nil:
			r.alter(w, found.Item, old, then)
		case w.how == howDelete:
			r.put(w, found.Item, nil, then)
		default:
			r.put(w, found.Item, w.record, then)
		}
	})
}

// alter makes the new content from the old one, and puts it.
func (r *request) alter(w write, found replicated.Item, old *record, then func(written)) {
	before, _ := old.content.(*thing)
	changed, refused := w.alter(before)
	switch {
	case refused != "":
		then(written{refused: refused})
	case changed == before:
		then(written{version: found.Version, content: before})
	case changed == nil:
		r.put(w, found, nil, then)
	default:
		r.put(w, found, &record{collection: w.collection, name: w.name, content: changed}, then)
	}
}

// put writes a record in the place of what was found; nil: removes that.
func (r *request) put(w write, found replicated.Item, next *record, then func(written)) {
	cmd := replicated.Command{Kind: replicated.PutGuarded, Key: w.key(), Guard: found.Version, Gone: next == nil}
	old, _ := found.Object.(*record)
	kept := next
	if next == nil {
		kept = old
	}
	cmd.Object = kept
	r.besides(w, old, next, func(also []replicated.Guarded, refused string) {
		if refused != "" {
			then(written{refused: refused})
			return
		}
		cmd.Also = also
		r.call(cmd, func(got replicated.Result) {
			switch {
			case got.OK:
				then(written{version: got.Revision, content: kept.content})
			case w.how == howCreate && got.Item.Version != 0:
				then(written{refused: refusedExists})
			default: // somebody was faster
				r.write(w, then)
			}
		})
	})
}

// besides tells what else is to be written.
func (r *request) besides(w write, old, next *record, then func(also []replicated.Guarded, refused string)) {
	if w.also == nil || (old != nil && next != nil) {
		then(nil, "")
		return
	}
	var before, after *thing
	if old != nil {
		before, _ = old.content.(*thing)
	}
	if next != nil {
		after, _ = next.content.(*thing)
	}
	w.also(r, before, after, then)
}
