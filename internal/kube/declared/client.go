// Package declared has the clients of workloads that declare state and expect reality to follow: they create, change and delete objects of the
// API server and read them back. It also reads the container runtimes' logs, which say what reality was, and holds misbehaviour that can be
// planted, to see the checkers fail.
package declared

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/kube/api"
)

// Namespace is where objects are whose key names no namespace of its own. It exists as soon as an API server is ready.
const Namespace = "default"

// Reads are the kinds of read: what is declared is read by reads that reflect every acknowledged write.
func Reads() []string { return []string{history.ReadQuorum} }

// client is a harness.Client of one API server.
type client struct {
	server *api.Client
	o      harness.ClientOptions
}

// NewClient makes clients of declared state. The operations' values are history.Declaration; their Key is the object's name, or
// NAMESPACE/NAME for an object in another namespace than Namespace.
//
//	create    makes an object of the Kind with what the value says. With an Owner that is a dependent of that one; a NAMESPACE is one with a
//	          quota, and made only once that is in force.
//	scale     sets Replicas
//	rollout   sets Image
//	rollback  sets the image of the revision before the current one; the completion has it
//	delete    deletes the object in the way How; the UID is that of what was deleted
//	read      the declared state: replicas, image, count, what was given, who owns it
//
// Each is at most one attempt to write; a delete, a rollback and a create that needs an owner or a quota read first. What was refused because of the state
// that was found (Refused) is an ok operation.
func NewClient(sys harness.System, o harness.ClientOptions) (harness.OpenClient, error) {
	servers, ok := sys.(api.Servers)
	if !ok {
		return nil, fmt.Errorf("system %s has no API servers", sys.Name())
	}
	if o.Read != "" && o.Read != history.ReadQuorum {
		return nil, fmt.Errorf("unknown kind of read %q for declared state (want %s)", o.Read, strings.Join(Reads(), " or "))
	}
	if o.Timeout == 0 {
		o.Timeout = api.DefaultTimeout
	}
	return func(_ context.Context, _ history.Process, node string) (harness.Client, error) {
		s, err := servers.Server(node, false)
		if err != nil {
			return nil, err
		}
		c, err := api.Connect(s, api.Options{Timeout: o.Timeout})
		if err != nil {
			return nil, err
		}
		return &client{server: c, o: o}, nil
	}, nil
}

// call is one operation on its way.
type call struct {
	server *api.Client
	kind   *kind
	// namespace and name are the object's.
	namespace, name string
	// d is what was asked and becomes what was done.
	d history.Declaration
	// version is the object's as written or read.
	version int64
}

// functions are what a client can do.
var functions = map[string]func(context.Context, *call) error{
	"create": create, "scale": scale, "rollout": rollout, "rollback": rollback, "delete": remove, "read": read,
}

// Invoke performs an operation within the client's time-out.
func (c *client) Invoke(ctx context.Context, op history.Op) history.Op {
	f, ok := functions[op.F]
	if !ok {
		op.Type, op.Error = history.Fail, api.Text(fmt.Errorf("no such function: %q", op.F))
		return op
	}
	todo := call{server: c.server}
	if err := todo.parse(op); err != nil {
		op.Type, op.Error = history.Fail, api.Text(err)
		return op
	}
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	err := f(ctx, &todo)
	op.Type = harness.Outcome(err)
	if err != nil {
		// What was asked stays in the record, rather than what is not known to have been done.
		op.Error = api.Text(err)
		return op
	}
	if op.Value, err = json.Marshal(todo.d); err != nil {
		op.Type, op.Error = history.Info, api.Text(err)
		return op
	}
	op.Version = todo.version
	return op
}

// Close ends the connection.
func (c *client) Close() error { return c.server.Close() }

// parse takes an operation's key and value apart.
func (c *call) parse(op history.Op) error {
	if err := json.Unmarshal(op.Value, &c.d); err != nil {
		return fmt.Errorf("value %s of %s: %w", op.Value, op.F, err)
	}
	row, ok := kinds[c.d.Kind]
	if !ok {
		return fmt.Errorf("value of %s: unknown kind %q", op.F, c.d.Kind)
	}
	c.kind = &row
	c.namespace, c.name = place(op.Key)
	if c.name == "" {
		return fmt.Errorf("%s of an object without a name: key %q", op.F, op.Key)
	}
	return nil
}

// place is where the object of a key is.
func place(key string) (namespace, name string) {
	namespace, name, there := strings.Cut(key, "/")
	if !there {
		return Namespace, key
	}
	return namespace, name
}

// get reads the object into one of its type.
func (c *call) get(ctx context.Context) (object, error) {
	o := c.kind.fresh()
	err := c.server.Get(ctx, c.kind.resource, c.namespace, c.name, o, metav1.GetOptions{})
	return o, err
}

// done takes over what a written object has.
func (c *call) done(o object) error {
	version, err := strconv.ParseInt(o.GetResourceVersion(), 10, 64)
	if err != nil {
		return fmt.Errorf("the resourceVersion %q is no number", o.GetResourceVersion())
	}
	c.version = version
	return nil
}

// object is one of the API's typed objects.
type object interface {
	runtime.Object
	metav1.Object
}
