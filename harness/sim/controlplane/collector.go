package controlplane

import (
	"slices"
	"strings"

	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/harness/sim/replicated"
)

// collect is the garbage collector's round: what belongs to nobody that is there goes, and deletions that wait for it come to
// their end.
func (c *control) collect() {
	dependents := map[string][]*thing{}
	for _, kind := range []string{kindConfigMap, kindPod} {
		for _, t := range c.s.things(kind) {
			if owner := t.owner(); owner != "" {
				dependents[owner] = append(dependents[owner], t)
				if !c.uids[owner] && !t.state.Deleting && !c.forgets(t) {
					c.orphan(t)
				}
			}
		}
	}
	for _, kind := range []string{kindConfigMap, kindJob} {
		for _, t := range c.s.things(kind) {
			if t.state.Deleting {
				c.finish(t, dependents[t.state.UID])
			}
		}
	}
}

// forgets tells whether a flaw has the collector forget a dependent.
func (c *control) forgets(t *thing) bool {
	if c.p.flaw != LostDependent {
		return false
	}
	if uid := t.state.UID; !c.decided[uid] {
		c.decided[uid] = true
		c.forgotten[uid] = c.p.store.Chance(forgottenOnce)
	}
	return c.forgotten[t.state.UID]
}

// orphan removes an object whose owner is not in the cache, once the store has said the same.
func (c *control) orphan(t *thing) {
	owner := t.state.Owners[0]
	key := (&record{collection: owner.Kind, name: namespaceOf(t.state.Name) + "/" + owner.Name}).key()
	s := c.s
	s.inside(func(r *request) {
		r.call(replicated.Command{Key: key}, func(found replicated.Result) {
			if stored, ok := found.Item.Object.(*record); ok {
				if o, ok := stored.content.(*thing); ok && o.state.UID == owner.UID {
					return
				}
			}
			c.p.change(s, t.state.Kind, t.state.Name, func(old *thing) *thing {
				if old.state.UID != t.state.UID || old.owner() != owner.UID {
					return old
				}
				return deleted(old, "background")
			})
		})
	})
}

// finish brings the deletion of an owner to its end.
func (c *control) finish(t *thing, dependents []*thing) {
	switch {
	case slices.Contains(t.state.Finalizers, finalizerOrphan):
		for _, d := range dependents {
			c.p.change(c.s, d.state.Kind, d.state.Name, func(old *thing) *thing {
				if old.owner() != t.state.UID {
					return old
				}
				next := old.clone()
				next.state.Owners = nil
				return next
			})
		}
	case slices.Contains(t.state.Finalizers, finalizerForeground):
		for _, d := range dependents {
			if d.state.Deleting || c.forgets(d) {
				continue
			}
			c.p.change(c.s, d.state.Kind, d.state.Name, func(old *thing) *thing {
				if old.owner() != t.state.UID {
					return old
				}
				return deleted(old, "background")
			})
		}
	}
	if !slices.ContainsFunc(dependents, func(d *thing) bool { return !c.forgotten[d.state.UID] }) {
		c.p.remove(c.s, t)
	}
}

// baseOf is a name without its namespace.
func baseOf(name string) string { return name[strings.IndexByte(name, '/')+1:] }

// nodeObject is a node as observers see it.
func nodeObject(name string) *thing {
	return &thing{state: history.Object{
		Kind: kindNode, Name: name, UID: "uid-" + name, Attr: map[string]string{"ready": "True", "alive": "true"},
	}}
}
