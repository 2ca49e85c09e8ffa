// Package collections has the clients of workloads on small objects that nothing but the workload changes: registers, sets, lists, watches and
// leases. They are about what an API server promises of reads, writes and streams; objects are ConfigMaps, elections are over Leases.
package collections

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/kube/api"
)

// RegisterReads are the kinds of read of registers, the default first. history.ReadList is answered from the server's cache once that is known to be recent
// enough (KEP-2340).
func RegisterReads() []string { return append(SetReads(), history.ReadList) }

// SetReads are the kinds of read of sets, the default first.
func SetReads() []string {
	return []string{history.ReadQuorum, history.ReadCached, history.ReadAtLeast, history.ReadExact}
}

var (
	configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
)

const (
	// namespace is where single objects live; each collection has one of its own, so that a list reads no other.
	namespace = "faultline"
	// keyLabel tells the objects of a collection from those that controllers put into each namespace.
	keyLabel = "faultline/key"
	// fieldManager owns the fields that the clients write.
	fieldManager = "faultline"
)

// perform does one operation. The completion it returns is op with what the system said; err says whether and why it is not an ok
// one.
type perform func(ctx context.Context, c *client, op history.Op) (history.Op, error)

// function is what a client can do.
type function struct {
	do perform
	// long: the operation says itself how long it lasts.
	long bool
}

// client is a harness.Client over one connection to one server.
type client struct {
	*api.Client
	process history.Process
	options harness.ClientOptions
	// functions are what it can do.
	functions map[string]function
	creator   *namespaceCreator
	seen      *history.Seen
	// writes counts the contents that it wrote.
	writes int
}

// newClients makes the column of a workload: clients that know the given functions and kinds of read.
func newClients(functions map[string]function, reads []string) harness.NewClients {
	return func(sys harness.System, o harness.ClientOptions) (harness.OpenClient, error) {
		servers, ok := sys.(api.Servers)
		if !ok {
			return nil, fmt.Errorf("system %s has no API servers", sys.Name())
		}
		if o.Read == "" && len(reads) > 0 {
			o.Read = reads[0]
		}
		if o.Timeout == 0 {
			o.Timeout = api.DefaultTimeout
		}
		if len(reads) > 0 && !slices.Contains(reads, o.Read) {
			return nil, fmt.Errorf("unknown kind of read %q for an API server (want %s)", o.Read, strings.Join(reads, ", "))
		}
		creator := &namespaceCreator{created: map[string]bool{}}
		return func(_ context.Context, p history.Process, node string) (harness.Client, error) {
			s, err := servers.Server(node, false)
			if err != nil {
				return nil, err
			}
			c, err := api.Connect(s, api.Options{Timeout: o.Timeout})
			if err != nil {
				return nil, err
			}
			return &client{Client: c, process: p, options: o, functions: functions, creator: creator, seen: history.NewSeen()}, nil
		}, nil
	}
}

// Invoke performs an operation within the client's time-out, or for as long as the operation says.
func (c *client) Invoke(ctx context.Context, op history.Op) history.Op {
	f, ok := c.functions[op.F]
	if !ok {
		op.Type, op.Error = history.Fail, api.Text(fmt.Errorf("no such function: %q", op.F))
		return op
	}
	if !f.long {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.options.Timeout)
		defer cancel()
	}
	done, err := f.do(ctx, c, op)
	done.Type = harness.Outcome(err)
	if err != nil {
		// What was asked stays in the record, rather than what is not known to have been seen.
		done.Value, done.Version, done.Revision = op.Value, 0, 0
		done.Error = api.Text(err)
		return done
	}
	c.seen.Completed(done)
	return done
}

// badValue is an operation that the client can't understand: nothing was sent.
func badValue(op history.Op, err error) error {
	return fmt.Errorf("%w: value %s of %s: %w", harness.ErrNotApplied, op.Value, op.F, err)
}

// content makes an object. Each one that this client writes differs from every other one: the server writes nothing where nothing would change,
// and answers with the version that there was.
func (c *client) content(space, name, key, value string) *corev1.ConfigMap {
	c.writes++
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: space, Name: name, Labels: map[string]string{keyLabel: key}},
		Data:       map[string]string{"value": value, "write": fmt.Sprintf("%s-%d", c.process, c.writes)},
	}
}

// create posts an object, in a namespace that it makes if there is none.
func (c *client) create(ctx context.Context, o *corev1.ConfigMap) (version int64, err error) {
	if err := c.creator.ensure(ctx, c.Client, o.Namespace); err != nil {
		return 0, err
	}
	var made corev1.ConfigMap
	if err := c.Create(ctx, configMaps, o.Namespace, "", o, &made, metav1.CreateOptions{FieldManager: fieldManager}); err != nil {
		return 0, err
	}
	return versionOf(made.ResourceVersion)
}

// update puts an object in the place of one of a version; 0: of any.
func (c *client) update(ctx context.Context, o *corev1.ConfigMap, expect int64) (version int64, err error) {
	if expect > 0 {
		o.ResourceVersion = strconv.FormatInt(expect, 10)
	}
	var written corev1.ConfigMap
	if err := c.Update(ctx, configMaps, o.Namespace, o.Name, o, &written, metav1.UpdateOptions{FieldManager: fieldManager}); err != nil {
		return 0, err
	}
	return versionOf(written.ResourceVersion)
}

// versionOf reads a resourceVersion. For the API server's clients it is opaque but for equality, and by KEP-5504 also ordered; it is the revision of
// etcd at which the object was written.
func versionOf(resourceVersion string) (int64, error) {
	v, err := strconv.ParseInt(resourceVersion, 10, 64)
	if err != nil || v <= 0 {
		return 0, fmt.Errorf("the server answered with the resourceVersion %q, which is no number above 0", resourceVersion)
	}
	return v, nil
}

// listOptions are those of a kind of list, and the kind and revision that it then is of: a process that has seen nothing yet asks for
// no revision.
func listOptions(read string, seen int64) (o metav1.ListOptions, kind string, asked int64) {
	at := strconv.FormatInt(seen, 10)
	switch {
	case read == history.ReadCached:
		return metav1.ListOptions{ResourceVersion: "0"}, read, 0
	case read == history.ReadAtLeast:
		return metav1.ListOptions{ResourceVersion: at, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan}, read, seen
	case read == history.ReadExact && seen > 0:
		return metav1.ListOptions{ResourceVersion: at, ResourceVersionMatch: metav1.ResourceVersionMatchExact}, read, seen
	}
	return metav1.ListOptions{}, history.ReadQuorum, 0
}

// collectionOf is the namespace of a collection, and the selector of its objects.
func collectionOf(key string) (space, selector string) {
	return namespace + "-" + key, keyLabel + "=" + key
}

// jsonOf encodes what can't fail to be encoded.
func jsonOf(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return text
}
