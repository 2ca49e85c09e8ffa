package kube

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Writers are the components whose writes can be told.
func (s *System) Writers() []string { return s.runningClients() }

// AwaitWrite returns after the n-th write that a component makes after somebody who is no component declared something: made, changed or deleted
// an object that nothing else owns. Who wrote is told by the field managers that the API server keeps in each object, by who alone
// binds pods to nodes, and by who alone deletes what has an owner. Writes are counted in the order of their versions, as watches through
// the control connection show them.
func (s *System) AwaitWrite(ctx context.Context, component string, n int) (string, error) {
	if !s.runs(component) {
		return "", fmt.Errorf("kube: writes of %s can't be told", component)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changes := make(chan change)
	for _, k := range watched {
		go s.follow(ctx, k, changes)
	}
	var count writeCount
	for {
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("%s: %s: %w", component, count.soFar(), ctx.Err())
		case c := <-changes:
			if what := count.see(c, component, n); what != "" {
				return what, nil
			}
		}
	}
}

// change is what became of an object. One of old and now may be nil.
type change struct {
	kind     string
	old, now metav1.Object
	version  int64
}

func (c change) object() metav1.Object {
	if c.now != nil {
		return c.now
	}
	return c.old
}

// String is what was done: "create ReplicaSet default/web-5d4".
func (c change) String() string {
	verb := "update"
	switch {
	case c.now == nil:
		verb = "delete"
	case c.old == nil:
		verb = "create"
	case c.deletes():
		verb = "mark for deletion"
	}
	name := c.object().GetName()
	if space := c.object().GetNamespace(); space != "" {
		name = space + "/" + name
	}
	return fmt.Sprintf("%s %s %s (version %d)", verb, c.kind, name, c.version)
}

// deletes tells whether the object's deletion was asked for with this change.
func (c change) deletes() bool {
	return c.old != nil && c.old.GetDeletionTimestamp() == nil && (c.now == nil || c.now.GetDeletionTimestamp() != nil)
}

// bound tells whether the change put a pod on a node.
func (c change) bound() bool {
	now, ok := c.now.(*corev1.Pod)
	if !ok || now.Spec.NodeName == "" {
		return false
	}
	old, ok := c.old.(*corev1.Pod)
	return ok && old.Spec.NodeName == ""
}

// writer is the component that made the change; empty where it was none, or can't be told.
func (c change) writer() string {
	owned := metav1.GetControllerOf(c.object()) != nil
	switch {
	case c.bound():
		return Scheduler
	case c.deletes() && owned:
		return ControllerManager
	case c.deletes():
		return ""
	case c.now == nil:
		if p, ok := c.old.(*corev1.Pod); ok && p.Spec.NodeName != "" {
			return Kubelet
		}
		return ""
	}
	return componentOf(latestManager(c.old, c.now))
}

// latestManager is the field manager that wrote last: the API server dates a manager's entry with each write that changes anything
// (apimachinery, pkg/util/managedfields/internal/managedfieldsupdater.go). Dates are in seconds: among entries of one second the one that changed
// with this write is it.
func latestManager(old, now metav1.Object) string {
	before := map[string]string{}
	if old != nil {
		for _, f := range old.GetManagedFields() {
			before[entryKey(f)] = entryText(f)
		}
	}
	var latest metav1.ManagedFieldsEntry
	changed := false
	for _, f := range now.GetManagedFields() {
		if f.Time == nil {
			continue
		}
		differs := before[entryKey(f)] != entryText(f)
		newer := latest.Time == nil || f.Time.After(latest.Time.Time)
		if newer || f.Time.Equal(latest.Time) && differs && !changed {
			latest, changed = f, differs
		}
	}
	return latest.Manager
}

func entryKey(f metav1.ManagedFieldsEntry) string {
	return f.Manager + "\x00" + string(f.Operation) + "\x00" + f.Subresource
}

func entryText(f metav1.ManagedFieldsEntry) string {
	text := f.Time.UTC().String()
	if f.FieldsV1 != nil {
		text += string(f.FieldsV1.GetRawBytes())
	}
	return text
}

// componentOf is the component that a field manager is; empty for others.
func componentOf(manager string) string {
	for _, c := range Components() {
		if strings.HasPrefix(manager, c) {
			return c
		}
	}
	return ""
}

// declares tells whether somebody who is no component made, changed or deleted something that nothing else owns.
func (c change) declares() bool {
	if metav1.GetControllerOf(c.object()) != nil || c.writer() != "" {
		return false
	}
	if c.old == nil || c.deletes() {
		return true
	}
	// Kinds without a generation have no status either.
	return c.now != nil && (c.now.GetGeneration() != c.old.GetGeneration() || c.now.GetGeneration() == 0)
}

// writeCount counts a component's writes after the first declaration. Changes of different kinds come over streams of their own: one
// that is of a later version than the declaration may arrive before it, and is remembered until then.
type writeCount struct {
	early    []change
	declared *change
	seen     int
}

// earlyMax bounds what is remembered.
const earlyMax = 64

// see takes a change into account, and says what was written if that was the n-th write.
func (w *writeCount) see(c change, component string, n int) string {
	if w.declared != nil {
		return w.count(c, component, n)
	}
	if !c.declares() {
		w.early = append(w.early[max(0, len(w.early)+1-earlyMax):], c)
		return ""
	}
	w.declared = &c
	for _, e := range w.early {
		if what := w.count(e, component, n); what != "" {
			return what
		}
	}
	return ""
}

func (w *writeCount) count(c change, component string, n int) string {
	if c.version <= w.declared.version || c.writer() != component {
		return ""
	}
	if w.seen++; w.seen < n {
		return ""
	}
	return fmt.Sprintf("%s, after %s", c, w.declared)
}

func (w *writeCount) soFar() string {
	if w.declared == nil {
		return "nothing was declared"
	}
	return fmt.Sprintf("%d writes after %s", w.seen, w.declared)
}
