package api

import (
	"context"
	"errors"
	"fmt"
	"io"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/streaming"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	restwatch "k8s.io/client-go/rest/watch"
)

// Stream is a watch that tells how it ended, and hides no error.
type Stream struct {
	decoder *restwatch.Decoder
	cancel  context.CancelCauseFunc
}

// Open begins a watch of a collection. It returns once the server has accepted it, within the client's time-out; the watch itself lasts until ctx
// is done, the server ends it, or Close is called. It sets o.Watch.
func (c *Client) Open(ctx context.Context, r schema.GroupVersionResource, namespace string, o metav1.ListOptions) (*Stream, error) {
	var body io.ReadCloser
	cancel, err := c.begin(ctx, r, namespace, o, func(ctx context.Context, q *rest.Request) (err error) {
		body, err = q.SetHeader("Accept", contentProtobuf).Stream(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	negotiator := runtime.NewClientNegotiator(scheme.Codecs.WithoutConversion(), r.GroupVersion())
	objects, events, framer, err := negotiator.StreamDecoder(contentProtobuf, nil)
	if err != nil {
		cancel(nil)
		return nil, errors.Join(fmt.Errorf("watch %s: %w", r.Resource, err), body.Close())
	}
	return &Stream{restwatch.NewDecoder(streaming.NewDecoder(framer.NewFrameReader(body), events), objects), cancel}, nil
}

// Next waits for the next event. The error is io.EOF where the server ended the stream, the context's where that is done, an
// *errors.StatusError where the server said why it ended (410: the revision is too old), and otherwise the connection's.
func (s *Stream) Next() (watch.EventType, runtime.Object, error) {
	kind, object, err := s.decoder.Decode()
	if err == nil && kind == watch.Error {
		err = apierrors.FromObject(object)
	}
	return kind, object, err
}

// Close ends the stream. It may be called while Next waits, and more than once.
func (s *Stream) Close() {
	s.cancel(nil)
	s.decoder.Close()
}

// Watch watches a collection as Open does, with client-go's interface. How it ended can't be told.
func (c *Client) Watch(ctx context.Context, r schema.GroupVersionResource, namespace string, o metav1.ListOptions) (watch.Interface, error) {
	var w watch.Interface
	cancel, err := c.begin(ctx, r, namespace, o, func(ctx context.Context, q *rest.Request) (err error) {
		w, err = q.Watch(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &watching{w, cancel}, nil
}

// watching frees what a watch holds when it is stopped.
type watching struct {
	watch.Interface
	cancel context.CancelCauseFunc
}

func (w *watching) Stop() {
	w.cancel(nil)
	w.Interface.Stop()
}

// begin sends the request of a watch, whose beginning has a time-out and whose rest has none. cancel ends what was begun.
func (c *Client) begin(ctx context.Context, r schema.GroupVersionResource, namespace string, o metav1.ListOptions,
	f func(context.Context, *rest.Request) error,
) (cancel context.CancelCauseFunc, err error) {
	client, err := c.REST(r.GroupVersion())
	if err != nil {
		return nil, &neverSentError{err}
	}
	o.Watch = true
	q := client.Get().NamespaceIfScoped(namespace, namespace != "").Resource(r.Resource).
		VersionedParams(&o, scheme.ParameterCodec).MaxRetries(0)
	ctx, cancel = context.WithCancelCause(ctx)
	var s sent
	stop := expire(cancel, c.timeout)
	err = f(s.traced(ctx), q)
	if !stop() {
		// Even if it came at the last moment, it is cancelled already.
		err = errors.Join(fmt.Errorf("watch %s: %w", r.Resource, context.DeadlineExceeded), err)
	}
	if err != nil {
		cancel(nil)
		return nil, c.classify(&s, err)
	}
	return cancel, nil
}
