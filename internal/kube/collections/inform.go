package collections

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/faultline/faultline/harness/history"
)

// informBackoff is shorter than an informer's own, which would outlast the operation after one failure.
var informBackoff = wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Jitter: 0.1, Steps: 5, Cap: time.Second}

// inform runs an informer until ctx is done: client-go's reflector, with its own rules of when to list, to watch, and to try again, over
// this client's server and connection. Its store is a mirror, so that what it holds at the end and the revision that the
// reflector says that it is of belong together, which they don't where a queue lies in between.
func (c *client) inform(ctx context.Context, key string) (*stream, error) {
	space, selector := collectionOf(key)
	source := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = selector
			var list corev1.ConfigMapList
			err := c.List(ctx, configMaps, space, &list, o)
			return &list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = selector
			return c.Watch(ctx, configMaps, space, o)
		},
	}
	m := &mirror{stream: &stream{Stream: history.Stream{From: history.WatchInform, End: endTime}}, objects: map[string]history.Member{}}
	quiet := klog.Logger{}
	backoff := informBackoff
	r := cache.NewReflectorWithOptions(source, &corev1.ConfigMap{}, m, cache.ReflectorOptions{Logger: &quiet, Name: fieldManager, Backoff: &backoff})
	r.RunWithContext(klog.NewContext(ctx, quiet))
	if m.err != nil {
		return nil, m.err
	}
	if !m.synced {
		return m.stream, nil
	}
	var err error
	if m.FinalAt, err = versionOf(r.LastSyncResourceVersion()); err != nil {
		return nil, fmt.Errorf("an informer that has synced: %w", err)
	}
	m.Final = m.sorted()
	return m.stream, nil
}

// mirror is the store of a reflector, which calls it from one goroutine. What it can't read it reports as an error, which the reflector only
// logs; so it is kept.
type mirror struct {
	*stream
	objects map[string]history.Member
	synced  bool
	err     error
}

// Add takes an added event.
func (m *mirror) Add(object any) error { return m.put(history.EventAdded, object) }

// Update takes a modified event.
func (m *mirror) Update(object any) error { return m.put(history.EventModified, object) }

// Delete takes a deleted event: its object has the version of the deletion.
func (m *mirror) Delete(object any) error {
	o, err := m.member(object)
	if err == nil {
		delete(m.objects, o.Object)
		m.event(history.EventDeleted, o)
	}
	return err
}

// Replace takes the state as it was listed: at first the initial one, later what was missed in between, told as the difference. A deletion among
// that has no version.
func (m *mirror) Replace(list []any, resourceVersion string) error {
	listed := make(map[string]history.Member, len(list))
	for _, object := range list {
		o, err := m.member(object)
		if err != nil {
			return err
		}
		listed[o.Object] = o
	}
	before := m.objects
	m.objects = listed
	if m.synced {
		m.difference(before)
		return nil
	}
	at, err := versionOf(resourceVersion)
	if err != nil {
		m.err = err
		return err
	}
	m.synced, m.Initial, m.InitialAt, m.InitialDone = true, m.sorted(), at, true
	return nil
}

// Resync does nothing: this store has nothing to tell anyone again.
func (m *mirror) Resync() error { return nil }

// difference tells what a list shows that the events before it did not.
func (m *mirror) difference(before map[string]history.Member) {
	for _, o := range m.sorted() {
		old, known := before[o.Object]
		switch {
		case !known:
			m.event(history.EventAdded, o)
		case old.Version != o.Version:
			m.event(history.EventModified, o)
		}
		delete(before, o.Object)
	}
	for _, o := range sortedMembers(before) {
		o.Version = 0
		m.event(history.EventDeleted, o)
	}
}

func (m *mirror) put(kind string, object any) error {
	o, err := m.member(object)
	if err == nil {
		m.objects[o.Object] = o
		m.event(kind, o)
	}
	return err
}

func (m *mirror) event(kind string, o history.Member) {
	m.Events = append(m.Events, history.Event{Type: kind, Object: o.Object, Version: o.Version, Number: o.Number})
}

func (m *mirror) member(object any) (history.Member, error) {
	o, ok := object.(*corev1.ConfigMap)
	if !ok {
		m.err = fmt.Errorf("an informer was given a %T", object)
		return history.Member{}, m.err
	}
	member, err := memberOf(o)
	if err != nil {
		m.err = err
	}
	return member, err
}

func (m *mirror) sorted() []history.Member { return sortedMembers(m.objects) }

func sortedMembers(of map[string]history.Member) []history.Member {
	out := make([]history.Member, 0, len(of))
	for _, o := range of {
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b history.Member) int { return strings.Compare(a.Object, b.Object) })
	return out
}
