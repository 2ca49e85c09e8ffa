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

// Why a change is refused, as history.ObjectChange has it.
const (
	refusedExists   = "exists"
	refusedAbsent   = "absent"
	refusedConflict = "conflict"
)

// write is a change that a server is asked for.
type write struct {
	*record
	how string
	// expect is the version that the object must have; 0: any.
	expect int64
	// alter, where not nil, makes the new content of an update from the old one; nil: the object is removed.
	alter func(old any) any
}

// written is what came of a write.
type written struct {
	version int64
	refused string
	// old is the object as it was.
	old replicated.Item
}

// write makes a change as an API server does: read, then write if it is as it was read, again and again where the client expects no version.
func (r *request) write(w write, then func(written)) {
	cmd := replicated.Command{Kind: replicated.PutGuarded, Key: w.key(), Object: w.record}
	if w.how == howCreate {
		r.call(cmd, func(got replicated.Result) {
			if !got.OK {
				then(written{refused: refusedExists, old: got.Item})
				return
			}
			then(written{version: got.Revision})
		})
		return
	}
	r.call(replicated.Command{Key: w.key()}, func(found replicated.Result) {
		switch {
		case found.Item.Version == 0:
			then(written{refused: refusedAbsent})
			return
		case w.expect != 0 && found.Item.Version != w.expect:
			then(written{refused: refusedConflict, old: found.Item})
			return
		}
		cmd.Guard, cmd.Gone = found.Item.Version, w.how == howDelete
		old, _ := found.Item.Object.(*record)
		changed := *w.record
		if cmd.Gone {
			changed.number, changed.content = old.number, old.content
		}
		if w.alter != nil {
			changed.number, changed.content = old.number, w.alter(old.content)
			cmd.Gone = changed.content == nil
		}
		cmd.Object = &changed
		r.call(cmd, func(got replicated.Result) {
			if !got.OK {
				r.write(w, then)
				return
			}
			then(written{version: got.Revision, old: found.Item})
		})
	})
}
