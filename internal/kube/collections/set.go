package collections

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/kube/api"
)

// NewSetClient makes clients of sets: each element is an object of its own. Values of operations:
//
//	add   5     → 5
//	read  null  → [1, 5, …], in the order in which the server listed them
//
// An add is one POST, a read one LIST (SetReads). Elements are added once, so an add that is refused because the
// element exists is of unknown outcome: somebody added it, and that can only have been this add.
//
// Version is the resourceVersion of the element that was added, Revision that of the list, or of the add.
func NewSetClient(sys harness.System, o harness.ClientOptions) (harness.OpenClient, error) {
	return newClients(map[string]function{"add": {do: addElement}, "read": {do: readSet}}, SetReads())(sys, o)
}

func addElement(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	var element int64
	if err := json.Unmarshal(op.Value, &element); err != nil {
		return op, badValue(op, err)
	}
	space, _ := collectionOf(op.Key)
	text := strconv.FormatInt(element, 10)
	version, err := c.create(ctx, c.content(space, op.Key+"-"+text, op.Key, text))
	if apierrors.IsAlreadyExists(err) {
		return op, fmt.Errorf("the element was there before it was added: %v", err) //nolint:errorlint // what it wraps would make it definite
	}
	op.Version, op.Revision = version, version
	return op, err
}

func readSet(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	space, selector := collectionOf(op.Key)
	o, _, _ := listOptions(c.options.Read, c.seen.Newest)
	o.LabelSelector = selector
	var list corev1.ConfigMapList
	err := c.List(ctx, configMaps, space, &list, o)
	if err != nil {
		return op, api.ReadError(err)
	}
	if op.Revision, err = versionOf(list.ResourceVersion); err != nil {
		return op, err
	}
	elements := make([]json.RawMessage, len(list.Items))
	for i := range list.Items {
		seen, err := itemOf(&list.Items[i])
		if err != nil {
			return op, err
		}
		elements[i] = seen.value
	}
	op.Value = jsonOf(elements)
	return op, nil
}
