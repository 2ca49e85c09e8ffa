package collections

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/kube/api"
)

// NewRegisterClient makes clients of registers: integers, one to a key, each in a ConfigMap of its own. Values of operations:
//
//	read   null              → the integer, or null where the object does not exist
//	write  5                 → 5
//	cas    [old, new]        → [old, new, true], or [old, new, false, seen] where the register was not old; old may be null
//
// A read is a GET, or a LIST of the one object (RegisterReads). A write is one POST, or one PUT on any version once the process knows that
// the object exists; one that was refused because it did, or did not, is a fail. A compare-and-set is a quorum GET
// and, if that saw old, a PUT on that very version, or a POST. Losing the race there is a fail, because the register may be old again.
//
// Version is the resourceVersion of what was read or written. Revision is a list's, or the write's; a GET has none.
func NewRegisterClient(sys harness.System, o harness.ClientOptions) (harness.OpenClient, error) {
	return newClients(map[string]function{
		"read": {do: readRegister}, "write": {do: writeRegister}, "cas": {do: casRegister},
	}, RegisterReads())(sys, o)
}

// item is a register as it was seen; version 0: absent.
type item struct {
	value   json.RawMessage
	version int64
}

func itemOf(o *corev1.ConfigMap) (seen item, err error) {
	seen.version, err = versionOf(o.ResourceVersion)
	text := o.Data["value"]
	if v, notInt := strconv.ParseInt(text, 10, 64); notInt == nil {
		seen.value = jsonOf(v)
	} else {
		// Content that no client of ours wrote is still an observation: it is kept as a string, for the checker to wonder at.
		seen.value = jsonOf(text)
	}
	return seen, err
}

func absent() item { return item{value: json.RawMessage("null")} }

func readRegister(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	var (
		seen     item
		revision int64
		err      error
	)
	if c.options.Read == history.ReadQuorum {
		seen, err = c.getRegister(ctx, op.Key)
	} else {
		seen, revision, err = c.listRegister(ctx, op.Key)
	}
	if err != nil {
		return op, api.ReadError(err)
	}
	c.seen.Exists[op.Key] = c.seen.Exists[op.Key] || seen.version > 0
	op.Value, op.Version, op.Revision = seen.value, seen.version, revision
	return op, nil
}

// getRegister reads what is current.
func (c *client) getRegister(ctx context.Context, key string) (item, error) {
	var o corev1.ConfigMap
	err := c.Get(ctx, configMaps, namespace, key, &o, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return absent(), nil
	}
	if err != nil {
		return item{}, err
	}
	return itemOf(&o)
}

// listRegister reads in the client's way.
func (c *client) listRegister(ctx context.Context, key string) (seen item, revision int64, err error) {
	o, _, _ := listOptions(c.options.Read, c.seen.Newest)
	o.FieldSelector = "metadata.name=" + key
	var list corev1.ConfigMapList
	if err := c.List(ctx, configMaps, namespace, &list, o); err != nil {
		return item{}, 0, err
	}
	if revision, err = versionOf(list.ResourceVersion); err != nil {
		return item{}, 0, err
	}
	switch len(list.Items) {
	case 0:
		return absent(), revision, nil
	case 1:
		seen, err = itemOf(&list.Items[0])
		return seen, revision, err
	}
	return item{}, 0, fmt.Errorf("a list of the one object %s has %d", key, len(list.Items))
}

func writeRegister(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	var value int64
	if err := json.Unmarshal(op.Value, &value); err != nil {
		return op, badValue(op, err)
	}
	return c.writeRegister(ctx, op, value, c.seen.Exists[op.Key], 0)
}

// writeRegister makes the one attempt to write a register.
func (c *client) writeRegister(ctx context.Context, op history.Op, value int64, exists bool, expect int64) (history.Op, error) {
	o := c.content(namespace, op.Key, op.Key, strconv.FormatInt(value, 10))
	var err error
	if exists {
		op.Version, err = c.update(ctx, o, expect)
	} else {
		op.Version, err = c.create(ctx, o)
	}
	switch {
	case err == nil || apierrors.IsAlreadyExists(err):
		c.seen.Exists[op.Key] = true
	case apierrors.IsNotFound(err):
		c.seen.Exists[op.Key] = false
	}
	op.Revision = op.Version
	return op, err
}

func casRegister(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	var values []*int64
	if err := json.Unmarshal(op.Value, &values); err != nil {
		return op, badValue(op, err)
	}
	if len(values) != 2 || values[1] == nil {
		return op, badValue(op, errors.New("want [old, new]"))
	}
	seen, err := c.getRegister(ctx, op.Key)
	if err != nil {
		return op, api.ReadError(err)
	}
	c.seen.Exists[op.Key] = seen.version > 0
	if want := jsonOf(values[0]); string(want) != string(seen.value) {
		op.Value, op.Version = jsonOf([]any{values[0], values[1], false, seen.value}), seen.version
		return op, nil
	}
	op, err = c.writeRegister(ctx, op, *values[1], seen.version > 0, seen.version)
	op.Value = jsonOf([]any{values[0], values[1], true})
	return op, err
}
