package api

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

// In what follows, an empty namespace is for resources that have none, and for lists and watches over all of them. into is where the answer goes:
// an object of the resource's type, or nil to drop it. sub are the parts of a subresource's path: "scale", "status", "eviction".

// Create makes an object. In a subresource's case name is the object's whose part it is; otherwise it is empty.
func (c *Client) Create(ctx context.Context, r schema.GroupVersionResource, namespace, name string, object, into runtime.Object, o metav1.CreateOptions, sub ...string) error {
	return c.send(ctx, r, "POST", namespace, into, func(q *rest.Request) *rest.Request {
		if name != "" {
			q = q.Name(name)
		}
		return q.SubResource(sub...).VersionedParams(&o, scheme.ParameterCodec).Body(object)
	})
}

// Get reads an object. Without a resourceVersion it reflects every write acknowledged before.
func (c *Client) Get(ctx context.Context, r schema.GroupVersionResource, namespace, name string, into runtime.Object, o metav1.GetOptions, sub ...string) error {
	return c.send(ctx, r, "GET", namespace, into, func(q *rest.Request) *rest.Request {
		return q.Name(name).SubResource(sub...).VersionedParams(&o, scheme.ParameterCodec)
	})
}

// Update replaces an object; with a resourceVersion in it, only that version. The server writes nothing where nothing
// would change, and answers with the version that there was.
func (c *Client) Update(ctx context.Context, r schema.GroupVersionResource, namespace, name string, object, into runtime.Object, o metav1.UpdateOptions, sub ...string) error {
	return c.send(ctx, r, "PUT", namespace, into, func(q *rest.Request) *rest.Request {
		return q.Name(name).SubResource(sub...).VersionedParams(&o, scheme.ParameterCodec).Body(object)
	})
}

// Patch changes an object. The server itself tries again when it loses a race (patchResource, up to five times), before it answers with a
// conflict.
func (c *Client) Patch(ctx context.Context, r schema.GroupVersionResource, namespace, name string, kind types.PatchType, patch []byte, into runtime.Object, o metav1.PatchOptions, sub ...string) error {
	return c.send(ctx, r, "PATCH", namespace, into, func(q *rest.Request) *rest.Request {
		return q.Name(name).SubResource(sub...).VersionedParams(&o, scheme.ParameterCodec).SetHeader("Content-Type", string(kind)).Body(patch)
	})
}

// Delete asks for an object to be deleted. The answer is the object, if it still has to wait for something, or a metav1.Status.
func (c *Client) Delete(ctx context.Context, r schema.GroupVersionResource, namespace, name string, into runtime.Object, o metav1.DeleteOptions) error {
	return c.send(ctx, r, "DELETE", namespace, into, func(q *rest.Request) *rest.Request {
		return q.Name(name).Body(&o)
	})
}

// List reads a page of a collection.
func (c *Client) List(ctx context.Context, r schema.GroupVersionResource, namespace string, into runtime.Object, o metav1.ListOptions) error {
	return c.send(ctx, r, "GET", namespace, into, func(q *rest.Request) *rest.Request {
		return q.VersionedParams(&o, scheme.ParameterCodec)
	})
}

// send sends one request.
func (c *Client) send(ctx context.Context, r schema.GroupVersionResource, verb, namespace string, into runtime.Object, shape func(*rest.Request) *rest.Request) error {
	client, err := c.REST(r.GroupVersion())
	if err != nil {
		return &neverSentError{err}
	}
	q := shape(client.Verb(verb).NamespaceIfScoped(namespace, namespace != "").Resource(r.Resource).MaxRetries(0))
	return c.call(ctx, func(ctx context.Context) error {
		answer := q.Do(ctx)
		if into == nil {
			return answer.Error()
		}
		return answer.Into(into)
	})
}
