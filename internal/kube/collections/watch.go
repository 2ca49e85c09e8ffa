package collections

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/kube/api"
)

// NewWatchClient makes clients of collections that are changed, listed and watched, one to a key:
//
//	create, update, delete   history.ObjectChange
//	list                     history.ListRequest → history.Listing
//	watch                    history.WatchRequest → history.Stream
//
// A watch lasts until its time is over, or the server ends it; it is ok then with what arrived. It is a fail only if it could not
// begin. A process that has seen nothing of a collection lists it before it resumes, and resumes where it has no older revision.
func NewWatchClient(sys harness.System, o harness.ClientOptions) (harness.OpenClient, error) {
	o.Read = "" // it is in the operations
	functions := maps.Clone(changes)
	functions["list"] = function{do: listCollection}
	functions["watch"] = function{do: watchCollection, long: true}
	return newClients(functions, nil)(sys, o)
}

// Ends of streams; see history.Stream.
const (
	endTime   = "time"
	endClosed = "closed"
	endGone   = "gone"
	endError  = "error: "
	// endUnexpected is of what the server sent and should not have: something for the checker.
	endUnexpected = endError + api.Unexpected
)

func watchCollection(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	var asked history.WatchRequest
	if err := json.Unmarshal(op.Value, &asked); err != nil {
		return op, badValue(op, err)
	}
	if asked.ForMS <= 0 {
		return op, badValue(op, errors.New("for_ms must be above 0"))
	}
	lasts := time.Duration(asked.ForMS) * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, lasts)
	defer cancel()
	var (
		s   *stream
		err error
	)
	if asked.From == history.WatchInform {
		s, err = c.inform(ctx, op.Key)
	} else {
		s, err = c.watch(ctx, op.Key, asked)
	}
	if err != nil {
		return op, api.ReadError(err)
	}
	c.remember(op.Key, s)
	op.Value, op.Revision = jsonOf(s.Stream), s.newest()
	if s.End == endGone {
		c.seen.Forget(op.Key)
		if len(s.Events) == 0 {
			op.Revision = 0 // it learned nothing but that this one is gone, and must not resume there again
		}
	}
	return op, nil
}

// stream records a watch.
type stream struct {
	history.Stream
	// at are the places of the objects in Initial.
	at map[string]int
	// starting: what arrives still belongs to the initial state.
	starting bool
}

// newest is the last revision that the stream learned of.
func (s *stream) newest() int64 {
	newest := max(s.After, s.InitialAt, s.FinalAt)
	for _, m := range s.Initial {
		newest = max(newest, m.Version)
	}
	for _, e := range s.Events {
		newest = max(newest, e.Version)
	}
	return newest
}

// remember notes the objects' versions.
func (c *client) remember(key string, s *stream) {
	for _, m := range s.Initial {
		c.seen.Object(key, m.Object, m.Version)
	}
	for _, e := range s.Events {
		switch e.Type {
		case history.EventAdded, history.EventModified:
			c.seen.Object(key, e.Object, e.Version)
		case history.EventDeleted:
			c.seen.Object(key, e.Object, 0)
		}
	}
}

// watch records a stream from where it is asked to begin. ctx ends it.
func (c *client) watch(ctx context.Context, key string, asked history.WatchRequest) (*stream, error) {
	s := &stream{Stream: history.Stream{From: asked.From, Bookmarks: asked.Bookmarks}, at: map[string]int{}}
	o, err := c.beginning(ctx, key, s)
	if err != nil {
		return nil, err
	}
	space, selector := collectionOf(key)
	o.LabelSelector, o.AllowWatchBookmarks = selector, s.Bookmarks
	// The server sends a bookmark some two seconds before its own time-out is over, and ends the stream after the client.
	seconds := (asked.ForMS+999)/1000 + 1
	o.TimeoutSeconds = &seconds
	events, err := c.Open(ctx, configMaps, space, o)
	switch {
	case tooOld(err):
		s.End = endGone
		return s, nil
	case err != nil && ctx.Err() == nil:
		return nil, err
	case err != nil:
		s.End = endTime
		return s, nil
	}
	defer events.Close()
	defer s.dropGone()
	for {
		kind, object, err := events.Next()
		if err != nil {
			s.End = endOf(ctx, err)
			return s, nil
		}
		if err := s.take(kind, object); err != nil {
			s.End = endUnexpected + err.Error()
			return s, nil
		}
	}
}

// beginning is where a stream begins; it may change From to what it comes to.
func (c *client) beginning(ctx context.Context, key string, s *stream) (o metav1.ListOptions, err error) {
	past := c.seen.Past[key]
	if s.From == history.WatchPast && len(past) == 0 {
		s.From = history.WatchResume
	}
	switch s.From {
	case history.WatchNow:
		s.starting = true
		return metav1.ListOptions{ResourceVersion: "0"}, nil
	case history.WatchList:
		initial := true
		s.starting, s.Bookmarks = true, true
		return metav1.ListOptions{SendInitialEvents: &initial, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan}, nil
	case history.WatchPast:
		s.After = past[0]
	case history.WatchResume:
		if s.After = c.seen.Last[key]; s.After == 0 {
			err = c.listFirst(ctx, key, s)
		}
	default:
		return o, fmt.Errorf("%w: no such beginning of a watch: %q", harness.ErrNotApplied, s.From)
	}
	return metav1.ListOptions{ResourceVersion: strconv.FormatInt(s.After, 10)}, err
}

// listFirst begins a stream with a list.
func (c *client) listFirst(ctx context.Context, key string, s *stream) error {
	listing, err := c.list(ctx, key, history.ListRequest{Read: history.ReadQuorum})
	if err != nil {
		return err
	}
	s.Initial, s.InitialAt, s.InitialDone = listing.Pages[0].Objects, listing.Pages[0].Revision, true
	s.After = s.InitialAt
	return nil
}

// endOf is why a stream ended.
func endOf(ctx context.Context, err error) string {
	switch {
	case ctx.Err() != nil:
		return endTime
	case errors.Is(err, io.EOF):
		return endClosed
	case tooOld(err):
		return endGone
	}
	return endError + api.Text(err)
}

var eventTypes = map[watch.EventType]string{
	watch.Added: history.EventAdded, watch.Modified: history.EventModified,
	watch.Deleted: history.EventDeleted, watch.Bookmark: history.EventBookmark,
}

// take records what arrived.
func (s *stream) take(kind watch.EventType, object any) error {
	o, ok := object.(*corev1.ConfigMap)
	if !ok {
		return fmt.Errorf("an event %s of a %T", kind, object)
	}
	if kind == watch.Bookmark {
		return s.takeBookmark(o)
	}
	m, err := memberOf(o)
	if err != nil {
		return err
	}
	switch {
	case s.starting && s.From == history.WatchList:
		// What changes before the state is complete comes as events of the same stream, and is part of it.
		s.start(kind, m)
		return nil
	case s.starting && kind == watch.Added:
		s.start(kind, m)
		return nil
	}
	// Nothing says where the initial state ends that comes unasked for. Objects that were added later are counted to it, up to the first
	// event of another type.
	s.starting = false
	s.Events = append(s.Events, history.Event{Type: eventTypes[kind], Object: m.Object, Version: m.Version, Number: m.Number})
	return nil
}

func (s *stream) takeBookmark(o *corev1.ConfigMap) error {
	version, err := versionOf(o.ResourceVersion)
	if err != nil {
		return fmt.Errorf("a bookmark: %w", err)
	}
	if s.From == history.WatchList && s.starting {
		if o.Annotations[metav1.InitialEventsAnnotationKey] == "true" {
			s.starting, s.InitialAt, s.InitialDone = false, version, true
		}
		return nil
	}
	s.starting = false
	s.Events = append(s.Events, history.Event{Type: history.EventBookmark, Version: version})
	return nil
}

// start takes an event into the initial state.
func (s *stream) start(kind watch.EventType, m history.Member) {
	i, known := s.at[m.Object]
	switch {
	case !known && kind != watch.Deleted:
		s.at[m.Object] = len(s.Initial)
		s.Initial = append(s.Initial, m)
	case known && kind != watch.Deleted:
		s.Initial[i] = m
	case known:
		delete(s.at, m.Object)
		s.Initial[i].Object = "" // dropped at the end, see dropGone
	}
}

// dropGone leaves out the objects that were deleted while the initial state arrived.
func (s *stream) dropGone() {
	kept := s.Initial[:0]
	for _, m := range s.Initial {
		if m.Object != "" {
			kept = append(kept, m)
		}
	}
	s.Initial = kept
}
