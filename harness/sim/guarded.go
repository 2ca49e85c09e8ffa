package sim

import (
	"encoding/json"
	"slices"

	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/harness/sim/replicated"
)

// attempts bounds how often a client tries to change a key that others are changing.
const attempts = 50

// replace reads a key and writes what follows from it, guarded by the version of what was read; a refused guard changed nothing, so the
// client tries again. next may complete the operation instead, and return false.
func (o *operation) replace(next func(replicated.Result) (elements []int64, goOn bool), done func(replicated.Result)) {
	o.tries++
	if o.tries > attempts {
		o.op.Type, o.op.Value, o.op.Error = history.Fail, o.asked, errConflict.Error()
		o.complete()
		return
	}
	o.call(replicated.Command{Key: o.op.Key}, func(r replicated.Result) {
		elements, goOn := next(r)
		if !goOn {
			return
		}
		cmd := replicated.Command{Kind: replicated.PutGuarded, Key: o.op.Key, Guard: r.Item.Version, List: elements}
		o.call(cmd, func(r replicated.Result) {
			if !r.OK {
				o.replace(next, done)
				return
			}
			done(r)
		})
	})
}

// add puts an element at the end of a list.
func (o *operation) add(element int64) {
	o.replace(func(r replicated.Result) ([]int64, bool) {
		return append(slices.Clip(r.Item.Elements), element), true
	}, o.written)
}

// dequeue takes the first element of a list. While it is not known whether it did, the operation's value is that element.
func (o *operation) dequeue() {
	o.replace(func(r replicated.Result) ([]int64, bool) {
		if len(r.Item.Elements) == 0 {
			o.ok(nil, 0, r.Revision)
			return nil, false
		}
		o.op.Value = encode(r.Item.Elements[0])
		return r.Item.Elements[1:], true
	}, o.written)
}

// raise adds to a number.
func (o *operation) raise(by int64) {
	o.replace(func(r replicated.Result) ([]int64, bool) {
		return []int64{numberOf(r.Item) + by}, true
	}, o.written)
}

// generate raises a number by one and tells it.
func (o *operation) generate() {
	var id json.RawMessage
	o.replace(func(r replicated.Result) ([]int64, bool) {
		n := numberOf(r.Item) + 1
		id = encode(n)
		return []int64{n}, true
	}, func(r replicated.Result) { o.ok(id, r.Revision, r.Revision) })
}

func numberOf(it replicated.Item) int64 {
	if len(it.Elements) == 0 {
		return 0
	}
	return it.Elements[0]
}

// deleted completes a deletion, which may have found nothing to delete.
func (o *operation) deleted(r replicated.Result) {
	if !r.OK {
		o.ok(json.RawMessage("false"), 0, r.Revision)
		return
	}
	o.ok(json.RawMessage("true"), r.Revision, r.Revision)
}
