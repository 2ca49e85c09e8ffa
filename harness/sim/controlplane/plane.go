// Package controlplane is API servers in imagined time, over the store of package replicated: one for each node, each with a
// watch cache that follows the node's member of the store. It can be given a flaw.
//
// A server passes writes and the question for the newest revision on to the store, and answers lists and watches from its cache,
// which is behind by what the way takes, or by as long as the way is cut, the server paused, or its member away from the
// leader. Lists and watches of a healthy server keep the promises of the Kubernetes API: a quorum list waits until the cache is as new
// as the store, pages are of one snapshot, a resumed stream gives every later event or says that it can't.
package controlplane

import (
	"cmp"
	"time"

	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/harness/sim/replicated"
)

// Plane is the API servers and their clients. Not safe for concurrent use.
type Plane struct {
	store   *replicated.Cluster
	flaw    Flaw
	timeout time.Duration
	// read is the kind of read of registers and sets; sets: reads are of sets.
	read    string
	sets    bool
	servers []*Server
	// changes are what the log says, by collection; taken is how much of it was read.
	changes  map[string][]change
	taken    int
	sessions map[history.Process]*history.Seen
	// made counts objects; running tells that controllers and kubelets are at work; spans are the containers' lives that are over.
	made     int
	running  bool
	kubelets []*kubelet
	spans    []nodeSpan
}

// Options are what a plane is made with.
type Options struct {
	Flaw Flaw
	// Timeout is how long a client waits for an answer.
	Timeout time.Duration
	// Read is the kind of read of registers and sets, history.ReadQuorum if empty; Sets: reads are of sets.
	Read string
	Sets bool
}

// New puts a server on each of a store's nodes.
func New(store *replicated.Cluster, o Options) *Plane {
	p := &Plane{
		store: store, flaw: o.Flaw, timeout: o.Timeout, read: cmp.Or(o.Read, history.ReadQuorum), sets: o.Sets,
		changes: map[string][]change{}, sessions: map[history.Process]*history.Seen{},
	}
	for _, n := range store.Nodes() {
		s := &Server{p: p, node: n, up: true, starts: 1}
		p.servers = append(p.servers, s)
	}
	store.OnApply = func(n *replicated.Node) { p.servers[n.ID()].follow() }
	return p
}

// Servers are the API servers, in the order of their nodes.
func (p *Plane) Servers() []*Server { return p.servers }

// Changed is to be called when cuts began or ended: what was held up goes on.
func (p *Plane) Changed() {
	for _, s := range p.servers {
		s.follow()
	}
}

// Dropped is how many messages to and from servers were lost to cuts.
func (p *Plane) Dropped() int {
	sum := 0
	for _, s := range p.servers {
		sum += s.Outside.Dropped + s.Store.Dropped
	}
	return sum
}

// Well tells whether every server works and its cache has everything.
func (p *Plane) Well() bool {
	for _, s := range p.servers {
		if !s.Well() {
			return false
		}
	}
	return true
}

// record is what the store holds of an object.
type record struct {
	collection, name string
	number           int64
	// content is what an object holds beside its number; never changed in place.
	content any
}

func (r *record) key() string { return r.collection + "/" + r.name }

// change is one change of an object, as the log has it.
type change struct {
	revision int64
	kind     string // history.EventAdded, …
	*record
	// born is whether, and at which revision, the object before it was written; 0: there was none.
	before int64
}

// learn reads the rest of the log.
func (p *Plane) learn() {
	log := p.store.Log()
	for ; p.taken < len(log); p.taken++ {
		revision := replicated.RevisionOf(p.taken + 1)
		for _, put := range log[p.taken] {
			r, ok := put.Object.(*record)
			if !ok {
				continue
			}
			c := change{revision: revision, kind: history.EventAdded, record: r}
			past := p.changes[r.collection]
			if last := lastOf(past, r.name); last != nil && last.kind != history.EventDeleted {
				c.kind, c.before = history.EventModified, last.revision
			}
			if put.Gone {
				c.kind = history.EventDeleted
			}
			p.changes[r.collection] = append(past, c)
		}
	}
}

// lastOf is the last change of an object; nil: there was none.
func lastOf(changes []change, name string) *change {
	for i := len(changes) - 1; i >= 0; i-- {
		if changes[i].name == name {
			return &changes[i]
		}
	}
	return nil
}
