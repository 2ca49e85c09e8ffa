package collections

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/kube/api"
)

// changes are the functions that change collections.
var changes = map[string]function{"create": {do: changeObject}, "update": {do: changeObject}, "delete": {do: changeObject}}

// NewListClient makes clients of collections that are changed and listed, one to a key:
//
//	create, update, delete   history.ObjectChange
//	list                     history.ListRequest → history.Listing
//
// A change is one request: POST, PUT or DELETE. A list is one request for each of its pages. The kind of read comes with the operation.
func NewListClient(sys harness.System, o harness.ClientOptions) (harness.OpenClient, error) {
	o.Read = "" // it is in the operations
	functions := maps.Clone(changes)
	functions["list"] = function{do: listCollection}
	return newClients(functions, nil)(sys, o)
}

// Reasons of refusals; see history.ObjectChange.
const (
	refusedExists   = "exists"
	refusedAbsent   = "absent"
	refusedConflict = "conflict"
)

func changeObject(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	var change history.ObjectChange
	if err := json.Unmarshal(op.Value, &change); err != nil {
		return op, badValue(op, err)
	}
	if change.Object == "" {
		return op, badValue(op, fmt.Errorf("it names no object"))
	}
	if change.Expect == history.ExpectSeen {
		change.Expect = c.seen.Versions[op.Key][change.Object]
	}
	version, err := c.change(ctx, op.F, op.Key, change)
	switch {
	case err == nil:
		c.seen.Object(op.Key, change.Object, version)
	case op.F == "create" && apierrors.IsAlreadyExists(err):
		change.Refused = refusedExists
	case op.F != "create" && apierrors.IsNotFound(err):
		change.Refused = refusedAbsent
		c.seen.Object(op.Key, change.Object, 0)
	case op.F != "create" && change.Expect > 0 && apierrors.IsConflict(err):
		change.Refused = refusedConflict
	default:
		return op, err
	}
	op.Version, op.Revision = version, version
	op.Value = jsonOf(change)
	return op, nil
}

// change makes the one request of a change.
func (c *client) change(ctx context.Context, f, key string, change history.ObjectChange) (version int64, err error) {
	space, _ := collectionOf(key)
	switch f {
	case "create":
		return c.create(ctx, c.content(space, change.Object, key, strconv.FormatInt(change.Number, 10)))
	case "update":
		return c.update(ctx, c.content(space, change.Object, key, strconv.FormatInt(change.Number, 10)), change.Expect)
	}
	var o metav1.DeleteOptions
	if change.Expect > 0 {
		version := strconv.FormatInt(change.Expect, 10)
		o.Preconditions = &metav1.Preconditions{ResourceVersion: &version}
	}
	return 0, c.Delete(ctx, configMaps, space, change.Object, nil, o)
}

func listCollection(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	var asked history.ListRequest
	if err := json.Unmarshal(op.Value, &asked); err != nil {
		return op, badValue(op, err)
	}
	listing, err := c.list(ctx, op.Key, asked)
	if err != nil {
		if tooOld(err) {
			c.seen.Forget(op.Key)
		}
		return op, api.ReadError(err)
	}
	c.seen.All(op.Key, listing.Pages...)
	op.Value, op.Revision = jsonOf(listing), listing.Pages[0].Revision
	return op, nil
}

// list reads a collection, page by page.
func (c *client) list(ctx context.Context, key string, asked history.ListRequest) (history.Listing, error) {
	out := history.Listing{Limit: asked.Limit}
	space, selector := collectionOf(key)
	var o metav1.ListOptions
	o, out.Read, out.Asked = listOptions(asked.Read, c.seen.Last[key])
	o.LabelSelector, o.Limit = selector, int64(asked.Limit)
	for {
		var page corev1.ConfigMapList
		if err := c.List(ctx, configMaps, space, &page, o); err != nil {
			return out, err
		}
		revision, err := versionOf(page.ResourceVersion)
		if err != nil {
			return out, err
		}
		members, err := membersOf(page.Items)
		if err != nil {
			return out, err
		}
		out.Pages = append(out.Pages, history.Page{Revision: revision, Objects: members})
		if page.Continue == "" {
			return out, nil
		}
		// The token has the revision in it; naming it again is refused.
		o = metav1.ListOptions{LabelSelector: selector, Limit: o.Limit, Continue: page.Continue}
	}
}

func membersOf(items []corev1.ConfigMap) ([]history.Member, error) {
	members := make([]history.Member, len(items))
	for i := range items {
		var err error
		if members[i], err = memberOf(&items[i]); err != nil {
			return nil, err
		}
	}
	return members, nil
}

func memberOf(o *corev1.ConfigMap) (history.Member, error) {
	version, err := versionOf(o.ResourceVersion)
	if err != nil {
		return history.Member{}, fmt.Errorf("object %s: %w", o.Name, err)
	}
	number, err := strconv.ParseInt(o.Data["value"], 10, 64)
	if err != nil {
		return history.Member{}, fmt.Errorf("object %s holds %.40q, which nobody wrote", o.Name, o.Data["value"])
	}
	return history.Member{Object: o.Name, Version: version, Number: number}, nil
}

// tooOld tells that the server no longer has a revision.
func tooOld(err error) bool { return apierrors.IsResourceExpired(err) || apierrors.IsGone(err) }
