package nemesis

import (
	"context"

	"github.com/faultline/faultline/harness/history"
)

// Faults is the table of faults. Help texts and the README are made from it.
var Faults = []Fault{
	{
		Family: "partition",
		Doc:    "cut the TCP traffic between nodes, or between nodes and the clients",
		Words: []Word{
			{"one", target, "a random node is alone"},
			{"minority", target, "as many nodes as may fail are cut from the others"},
			{"majority", target, "the smallest majority is cut from the others"},
			{"leader", target, "the leader is alone"},
			{"all", target, "every node is alone"},
			{"NODE", target, "that node (n2) is alone"},
			{"halves", shape, "two halves; of an odd number, one is larger"},
			{"minority-third", shape, "fewer than a third of the nodes are cut from the others (4 nodes or more)"},
			{"bridge", shape, "two halves that share one node, which hears both (3 nodes or more)"},
			{"ring", shape, "every node hears a majority, no two the same one (4 nodes or more)"},
			{"one-way", shape, "a node hears nobody, or nobody hears it; the other direction stays"},
			{"drop", way, "packets vanish silently"},
			{"reset", way, "connections are answered with a TCP reset"},
			{"peer", link, "traffic between nodes (the default)"},
			{"client", link, "traffic of the clients to the nodes set apart"},
			{"both", link, "peer and client together"},
			{"LINK", link, "another link of the system; one inside of each node (apiserver-etcd) is cut on the nodes set apart"},
		},
		New: newPartition,
	},
	{
		Family: "kill",
		Doc:    "SIGKILL a component, start it again at the end",
		Words:  striking("that component; otherwise one is drawn"),
		New:    newKill,
	},
	{
		Family: "pause",
		Doc:    "SIGSTOP a component, SIGCONT it at the end",
		Words:  striking("that component; otherwise one is drawn"),
		New:    newPause,
	},
	{
		Family: "node",
		Doc:    "SIGKILL everything that the system runs on a node at once, start it again at the end",
		Words: []Word{
			{"one", target, "a random node"},
			{"minority", target, "as many nodes as may fail"},
			{"leader", target, "the leader's node"},
			{"NODE", target, "that node (n2)"},
		},
		New: newNode,
	},
	{
		Family: "stale-apiserver",
		Doc:    "cut an API server from its store, so that its cache ages while it still answers; then move a component onto it (Kubernetes)",
		Words: []Word{
			{"one", target, "a random node's"},
			{"leader", target, "that of the store's leader's node"},
			{"NODE", target, "that node's (n2)"},
			{"COMPONENT", component, "that component of another node uses it until the end (kubelet, kube-controller-manager); otherwise none does"},
		},
		New: newStale,
	},
	{
		Family: "crash-mid-reconcile",
		Doc:    "SIGKILL the leader of a component right after one of its next writes, start it again at the end (Kubernetes)",
		Words:  []Word{{"COMPONENT", component, "that component instead of kube-controller-manager"}},
		New:    newCrash,
	},
	{
		Family: "missed-events",
		Doc:    "SIGSTOP a component, create and delete objects that it would act on, SIGCONT it at the end (Kubernetes)",
		Words:  striking("that component; otherwise one is drawn, but for etcd"),
		New:    newMissed,
	},
}

// striking are the words of the faults that strike processes; which says what the component's word means.
func striking(which string) []Word {
	return []Word{
		{"one", target, "on a random node"},
		{"minority", target, "on as many nodes as may fail"},
		{"majority", target, "on the smallest majority"},
		{"leader", target, "on the node of the component's leader; of the system's, if it elects none"},
		{"all", target, "on every node"},
		{"NODE", target, "on that node (n2)"},
		{"COMPONENT", component, which},
	}
}

// The kinds of words.
const (
	target    = "target"
	shape     = "shape"
	way       = "way"
	link      = "link"
	component = "component"
)

// Fault is a row of the table of faults.
type Fault struct {
	Family string
	// Doc is one line for help texts and the README.
	Doc string
	// Words are what may stand behind "family:". A name in capitals stands for the names of the run:
	// NODE, LINK, COMPONENT.
	Words []Word
	// Voids are the promises that the fault breaks by its nature, with why; faults that void none take part in "all".
	Voids []string
	// New checks that the words can be done in the scope and prepares one fault. It has no effect on the nodes.
	New func(s Scope, words choice) (action, error)
}

// Word is one that a family understands.
type Word struct {
	Name string
	// Kind is target, shape, link, component or way; at most one word of a kind may be given.
	Kind string
	Doc  string
}

// choice is at most one word of each kind.
type choice map[string]string

// action is one fault. An action is started at most once, and stopped until stop says that it is undone.
type action interface {
	// draw decides what the words left open for the i-th fault of a request, and makes its random choices.
	// It is a pure function of the deck and i.
	draw(d deck, i int) (variant []string, c Draw)
	// start acts as f.Variant and f.Detail (a Draw) say. It fills in what was resolved (Nodes, Detail) and the
	// Proof. Its error is a moot one (nothing was done), an unproved one, or any other: it acted in part.
	start(ctx context.Context, f *field, fault *history.Fault) error
	// stop undoes what start did, however far that came, and completes the Proof. After nil or an unproved error all is
	// undone; after any other it may be called again.
	stop(ctx context.Context, f *field, fault *history.Fault) error
}

// Draw are the random choices of a fault: the Detail of its invocation.
type Draw struct {
	// Order is the nodes, shuffled: "one" is the first, a minority the first few.
	Order []string `json:"order"`
	// Deaf: in a one-way partition the victims do not hear the others; otherwise the others do not hear them.
	Deaf bool `json:"deaf,omitempty"`
	// N is how many writes, or objects.
	N int `json:"n,omitempty"`
}

func faultOf(family string) (Fault, bool) {
	for _, f := range Faults {
		if f.Family == family {
			return f, true
		}
	}
	return Fault{}, false
}
