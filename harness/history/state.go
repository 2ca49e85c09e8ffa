package history

// FSample is the function of an evidence operation that says what one view of the system showed of one kind of object,
// taken while the run went on; value: Sample; its Revision is the view's.
const FSample = "sample"

// FRuntime is the function of an evidence operation that says how long one container ran, by the runtime's own log;
// value: RuntimeSpan.
const FRuntime = "runtime"

// FAwaitConverged is the function of the nemesis operation that waits until what is observed matches what is declared, and
// stays so; value: Convergence.
const FAwaitConverged = "await-converged"

// The views that a Sample may have beside those of the servers, which are named by their nodes.
const (
	// ViewStore is the store itself (etcd): objects have their names and versions only.
	ViewStore = "store"
	// ViewQuorum is a read that reflects every write acknowledged before it.
	ViewQuorum = "quorum"
)

// The rules of a Mismatch that mean the same for every system; the others are the system's own words.
const (
	// MismatchOwner: an object that should have gone with its owner is still there.
	MismatchOwner = "owner"
	// MismatchFinalizer: an object's deletion waits for somebody to do something first.
	MismatchFinalizer = "finalizer"
	// MismatchDuplicated: there are more of a thing than its owner wants.
	MismatchDuplicated = "duplicated"
	// MismatchView: a server's view can't be read, is behind, or is not what the store has at its revision.
	MismatchView = "view"
)

// Sample is what a view showed of the objects of one kind at the operation's Revision.
type Sample struct {
	View string `json:"view"`
	// Kind is the objects': Deployment, Pod, …
	Kind string `json:"kind"`
	// Whole: Changed are all the objects there are. Otherwise they are those that changed since the sample of the same view
	// and kind before, and Gone the names of those that are no more.
	Whole   bool     `json:"whole,omitempty"`
	Changed []Object `json:"changed,omitempty"`
	Gone    []string `json:"gone,omitempty"`
	// Error is why the view could not be read; the rest means nothing then.
	Error string `json:"error,omitempty"`
}

// Object is what the checkers need of one object. Name and Version are always there, the rest where the view can tell.
type Object struct {
	Kind string `json:"kind"`
	// Name is namespace/name, or the name alone where there are no namespaces.
	Name    string `json:"name"`
	UID     string `json:"uid,omitempty"`
	Version int64  `json:"version"`
	// Generation counts changes of the declared state, Observed is the one that its controller saw last.
	Generation int64 `json:"generation,omitempty"`
	Observed   int64 `json:"observed,omitempty"`
	// Owners are the objects that this one belongs to and goes with.
	Owners     []Owner  `json:"owners,omitempty"`
	Finalizers []string `json:"finalizers,omitempty"`
	// Deleting: its deletion was asked for and is not done.
	Deleting bool `json:"deleting,omitempty"`
	// Want are declared numbers, Have observed ones, by name: replicas, ready, …
	Want map[string]int64 `json:"want,omitempty"`
	Have map[string]int64 `json:"have,omitempty"`
	// Attr are words that rules need: phase, node, ip, image, …
	Attr map[string]string `json:"attr,omitempty"`
}

// Owner is an object that another one belongs to.
type Owner struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	UID  string `json:"uid"`
	// Controller: it is the one that manages the object.
	Controller bool `json:"controller,omitempty"`
}

// Mismatch is one way in which what is observed is not what is declared.
type Mismatch struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Rule is the name of what should hold: replicas, observed-generation, owner, finalizer, …
	Rule string `json:"rule"`
	// Component is the one whose work it is to make it hold.
	Component string `json:"component"`
	// Why is one sentence: "3 of 5 replicas are ready".
	Why string `json:"why"`
}

// Rules tell from all the objects of one view what does not match. They are pure, and order what they find.
type Rules func(objects []Object) []Mismatch

// Convergence is the value of an await-converged operation.
type Convergence struct {
	// BoundMS is how long to wait at most, HoldMS how long what is observed must match without a break, in milliseconds.
	BoundMS int64 `json:"bound_ms"`
	HoldMS  int64 `json:"hold_ms"`
	// Stated: the bound is the user's; past it not to have converged is a violation. Otherwise it is only not known.
	Stated bool `json:"stated,omitempty"`
	// RetryMS is the longest time after which the system as configured tries again by itself (retries, resyncs, evictions), in
	// milliseconds; 0: not known. Past a bound that exceeds it, not to have converged is a violation too.
	RetryMS int64 `json:"retry_ms,omitempty"`
	// Converged is in the completion.
	Converged bool `json:"converged,omitempty"`
	// Mismatches are in the completion: what did not match at the end, some of it.
	Mismatches []Mismatch `json:"mismatches,omitempty"`
}

// RuntimeSpan is the life of one container as the container runtime of its node logged it. Times are nanoseconds since the run
// began, as Op.Time; negative before it.
type RuntimeSpan struct {
	// Pod is namespace/name, UID the pod's.
	Pod       string `json:"pod"`
	UID       string `json:"uid"`
	Container string `json:"container"`
	FromNS    int64  `json:"from_ns"`
	// ToNS is when it stopped; 0: it was running when the log was read.
	ToNS int64 `json:"to_ns,omitempty"`
	// Exit is its exit code, where it stopped by itself.
	Exit *int32 `json:"exit,omitempty"`
	// End is how it ended: exited, stopped (by the kubelet), lost (the runtime ended).
	End string `json:"end,omitempty"`
}
