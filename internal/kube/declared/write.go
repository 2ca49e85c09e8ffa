package declared

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/kube/api"
)

// Why a declaration was refused.
const (
	refusedExists   = "exists"
	refusedAbsent   = "absent"
	refusedConflict = "conflict"
	refusedQuota    = "quota"
	refusedNone     = "none"
)

// refuse turns an answer that tells of the state that was found into an ok operation's. Other errors stay. The quota's words are
// k8s.io/apiserver/pkg/admission/plugin/resourcequota/controller.go, checkRequest; they are given before the store is called.
func (c *call) refuse(err error) error {
	if !api.Definite(err) {
		return err
	}
	switch {
	case apierrors.IsAlreadyExists(err):
		c.d.Refused = refusedExists
	case apierrors.IsNotFound(err):
		c.d.Refused = refusedAbsent
	case apierrors.IsConflict(err):
		c.d.Refused = refusedConflict
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota"):
		c.d.Refused = refusedQuota
	default:
		return err
	}
	return nil
}

func create(ctx context.Context, c *call) error {
	o := c.kind.fresh()
	o.SetName(c.name)
	o.SetNamespace(c.namespace)
	if c.d.Change != 0 {
		o.SetAnnotations(map[string]string{annotationChange: strconv.FormatInt(c.d.Change, 10)})
	}
	if err := c.prepare(ctx, o); err != nil || c.d.Refused != "" {
		return err
	}
	c.kind.fill(o, &c.d)
	made := c.kind.fresh()
	if err := c.server.Create(ctx, c.kind.resource, c.namespace, "", o, made, metav1.CreateOptions{}); err != nil {
		return c.refuse(err)
	}
	c.d.UID = string(made.GetUID())
	if s, ok := made.(*corev1.Service); ok {
		c.d.Given = given(&s.Spec)
	}
	return c.done(made)
}

// prepare sees to what a new object needs: its owner, its namespace, a quota in force.
func (c *call) prepare(ctx context.Context, o object) error {
	switch {
	case c.d.Owner != "":
		return c.own(ctx, o)
	case c.namespace == Namespace:
		return nil
	case c.d.Kind == KindResourceQuota:
		return c.makeNamespace(ctx)
	}
	return c.awaitsQuota(ctx)
}

// own reads an object's owner and refers to it. Owners are ConfigMaps.
func (c *call) own(ctx context.Context, o object) error {
	owner := &corev1.ConfigMap{}
	row := kinds[KindConfigMap]
	namespace, name := place(c.d.Owner)
	if err := c.server.Get(ctx, row.resource, namespace, name, owner, metav1.GetOptions{}); err != nil {
		return c.refuse(api.ReadError(err))
	}
	o.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: "v1", Kind: KindConfigMap, Name: owner.Name, UID: owner.UID, BlockOwnerDeletion: &c.d.Blocks,
	}})
	return nil
}

// makeNamespace makes the namespace of a quota, which says nothing by itself: that it is there already is no error. The quota
// was not written, whatever became of it.
func (c *call) makeNamespace(ctx context.Context) error {
	n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.namespace}}
	err := c.server.Create(ctx, corev1.SchemeGroupVersion.WithResource("namespaces"), "", "", n, nil, metav1.CreateOptions{})
	if err == nil || apierrors.IsAlreadyExists(err) {
		return nil
	}
	return fmt.Errorf("%w: the namespace of the quota: %w", harness.ErrNotApplied, err)
}

// awaitsQuota refuses an object while its namespace has no quota in force: only then is every object counted before it is made.
func (c *call) awaitsQuota(ctx context.Context) error {
	list := &corev1.ResourceQuotaList{}
	if err := c.server.List(ctx, kinds[KindResourceQuota].resource, c.namespace, list, metav1.ListOptions{}); err != nil {
		return api.ReadError(err)
	}
	for i := range list.Items {
		if len(list.Items[i].Status.Hard) > 0 {
			return nil
		}
	}
	c.d.Refused = refusedAbsent
	return nil
}

func scale(ctx context.Context, c *call) error {
	if c.d.Replicas == nil {
		return fmt.Errorf("%w: a scale without replicas", harness.ErrNotApplied)
	}
	return c.patch(ctx, map[string]any{"replicas": *c.d.Replicas})
}

func rollout(ctx context.Context, c *call) error {
	if c.d.Image == "" {
		return fmt.Errorf("%w: a rollout without an image", harness.ErrNotApplied)
	}
	return c.patch(ctx, templateWith(c.d.Image))
}

// templateWith is the part of a spec that sets the image of its pods.
func templateWith(image string) map[string]any {
	containers := []map[string]any{{"name": containerName, "image": image}}
	return map[string]any{"template": map[string]any{"spec": map[string]any{"containers": containers}}}
}

// patch changes an object's spec and leaves the declaration's number in it, so that the server has something to write even where the spec
// is like that already.
func (c *call) patch(ctx context.Context, spec map[string]any) error {
	change := map[string]string{annotationChange: strconv.FormatInt(c.d.Change, 10)}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": change}, "spec": spec})
	if err != nil {
		return fmt.Errorf("%w: %w", harness.ErrNotApplied, err)
	}
	o := c.kind.fresh()
	err = c.server.Patch(ctx, c.kind.resource, c.namespace, c.name, types.StrategicMergePatchType, body, o, metav1.PatchOptions{})
	if err != nil {
		return c.refuse(err)
	}
	c.d.UID = string(o.GetUID())
	return c.done(o)
}

// remove deletes the object that it finds, and no other of the same name.
func remove(ctx context.Context, c *call) error {
	how, ok := propagation[c.d.How]
	if !ok {
		return fmt.Errorf("%w: unknown way of a delete: %q", harness.ErrNotApplied, c.d.How)
	}
	o, err := c.get(ctx)
	if err != nil {
		return c.refuse(api.ReadError(err))
	}
	uid := o.GetUID()
	err = c.server.Delete(ctx, c.kind.resource, c.namespace, c.name, nil, metav1.DeleteOptions{
		PropagationPolicy: &how, Preconditions: &metav1.Preconditions{UID: &uid},
	})
	if err != nil {
		return c.refuse(err)
	}
	c.d.UID = string(uid)
	return nil
}

// The ways of a delete, in history.Declaration.How.
const (
	HowForeground = "foreground"
	HowBackground = "background"
	HowOrphan     = "orphan"
)

var propagation = map[string]metav1.DeletionPropagation{
	HowForeground: metav1.DeletePropagationForeground,
	HowBackground: metav1.DeletePropagationBackground,
	HowOrphan:     metav1.DeletePropagationOrphan,
}

func read(ctx context.Context, c *call) error {
	kind := c.d.Kind
	o, err := c.get(ctx)
	if apierrors.IsNotFound(err) {
		c.d = history.Declaration{Kind: kind, Refused: refusedAbsent}
		return nil
	}
	if err != nil {
		return api.ReadError(err)
	}
	c.d = history.Declaration{Kind: kind, UID: string(o.GetUID()), Deleting: o.GetDeletionTimestamp() != nil}
	if owners := o.GetOwnerReferences(); len(owners) > 0 {
		c.d.Owner = owners[0].Name
	}
	if text, ok := o.GetAnnotations()[annotationChange]; ok {
		// What is no number nobody declared: it stays 0, which nobody declared either.
		c.d.Change, _ = strconv.ParseInt(text, 10, 64)
	}
	c.kind.tell(o, &c.d)
	return api.ReadError(c.done(o))
}
