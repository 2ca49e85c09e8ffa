package declared

import (
	"context"
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/internal/kube/api"
)

// Plant is misbehaviour that can be planted in a real cluster beside its components, so that users see what the checkers find. It acts in
// Namespace only.
type Plant struct {
	Name string
	// Doc says what it does, and what is found then.
	Doc string
	// Run misbehaves until ctx is done, and returns nil then. It reaches the servers of nodes through the control connection, so that faults
	// don't keep it from its work; what a server refuses, it tries again. The seed chooses whom it strikes. The error says what keeps it from
	// beginning.
	Run func(ctx context.Context, servers api.Servers, nodes []string, seed uint64) error
}

// Plants are all there are.
var Plants = []Plant{
	{"quarrel", "two copies of a controller scale each Deployment, each to another number: oscillating", quarrel},
	{"finalizer", "half of the new objects get a finalizer that nobody removes, so that they are never gone once deleted: orphaned", finalizer},
	{"lost-dependent", "some objects that belong to an owner that lives are deleted: lost", lostDependent},
	{"undo", "some Deployments and StatefulSets are put back to what was declared for them before: lost-update", undo},
	{"force", "pods of StatefulSets are deleted by force, so that their successors start before they have ended: duplicate-identity", force},
}

// rounds is how long a plant waits between two looks.
const (
	roundPause = 300 * time.Millisecond
	// forcePause is the same for plants that must let things settle in between.
	forcePause = 3 * time.Second
)

// rogue is one planted controller.
type rogue struct {
	server *api.Client
	seed   uint64
}

// enter makes a rogue at a node's server.
func enter(servers api.Servers, node string, seed uint64) (*rogue, error) {
	s, err := servers.Server(node, true)
	if err != nil {
		return nil, err
	}
	c, err := api.Connect(s, api.Options{})
	if err != nil {
		return nil, err
	}
	return &rogue{c, seed}, nil
}

// chosen tells one in so many objects, by their UIDs.
func (r *rogue) chosen(o metav1.Object, oneIn uint64) bool {
	h := fnv.New64a()
	_, _ = h.Write([]byte(o.GetUID())) // never fails
	return rand.New(rand.NewPCG(r.seed, h.Sum64())).Uint64N(oneIn) == 0
}

// objects lists what there is of a kind. What can't be listed now is not there.
func (r *rogue) objects(ctx context.Context, k string) []object {
	list := kinds[k].list()
	if r.server.List(ctx, kinds[k].resource, Namespace, list, metav1.ListOptions{}) != nil {
		return nil
	}
	var out []object
	_ = meta.EachListItem(list, func(o runtime.Object) error { // never fails: it is a list
		out = append(out, o.(object))
		return nil
	})
	return out
}

// patch changes an object. Whether that went well shows in the next round.
func (r *rogue) patch(ctx context.Context, k, name, body string) {
	_ = r.server.Patch(ctx, kinds[k].resource, Namespace, name, types.StrategicMergePatchType, []byte(body), nil, metav1.PatchOptions{})
}

// rounds calls f again and again until ctx is done.
func (r *rogue) rounds(ctx context.Context, wait time.Duration, f func()) {
	for harness.Pause(ctx, wait) == nil {
		f()
	}
	_ = r.server.Close() // nothing depends on it any more
}

// alone runs one rogue at the first node.
func alone(ctx context.Context, servers api.Servers, nodes []string, seed uint64, wait time.Duration, f func(*rogue)) error {
	r, err := enter(servers, nodes[0], seed)
	if err != nil {
		return err
	}
	r.rounds(ctx, wait, func() { f(r) })
	return nil
}

// numberOf is the change that an object carries; 0: none.
func numberOf(o metav1.Object) int64 {
	n, err := strconv.ParseInt(o.GetAnnotations()[annotationChange], 10, 64)
	if err != nil {
		return 0
	}
	return n
}
