package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// NewSetClient makes clients of sets: each key holds a JSON list of integers, and an element is added by reading
// the list and writing a longer one, guarded by the mod revision of what was read. Values of operations:
//
//	add   5     → 5
//	read  null  → [1, 5, …], the elements in the order in which they were added; [] where the key does not exist
//
// An add that loses the race tries again, until its deadline, because a refused guard certainly changed nothing. As soon as an
// attempt's outcome is unknown, so is the operation's, and no more are made.
func NewSetClient(sys harness.System, o harness.ClientOptions) (harness.OpenClient, error) {
	return newClients(map[string]perform{"add": addElement, "read": readSet})(sys, o)
}

// errConflict is a transaction whose guards were refused each time until its deadline: etcd evaluated the compare
// within the transaction and took the other branch, which only reads (etcd API reference, Txn: "success" or "failure" is
// performed, as "succeeded" tells).
var errConflict = fmt.Errorf("%w: lost the race for the key until the deadline", harness.ErrNotApplied)

func readSet(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	seen, revision, note, err := c.get(ctx, op.Key)
	if err != nil {
		return op, err
	}
	list, err := parseList(seen)
	if err != nil {
		return op, err // an unknown outcome, and an unexpected error: nobody wrote such a thing
	}
	op.Value = jsonOf(list)
	op.Version, op.Revision, op.Error = seen.modRevision, revision, note
	return op, nil
}

func addElement(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	var element int64
	if err := json.Unmarshal(op.Value, &element); err != nil {
		return op, badValue(op, err)
	}
	return c.replace(ctx, op, func(seen item) (string, error) {
		list, err := parseList(seen)
		return string(jsonOf(append(list, element))), err
	})
}

// parseList reads a key's list; a key that does not exist is an empty one.
func parseList(seen item) ([]int64, error) {
	list := []int64{}
	if seen.modRevision == 0 {
		return list, nil
	}
	if err := json.Unmarshal(seen.value, &list); err != nil {
		return nil, errors.Join(fmt.Errorf("the key holds %.100q, which is no list", seen.value), err)
	}
	return list, nil
}
