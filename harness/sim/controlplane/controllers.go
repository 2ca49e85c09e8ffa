package controlplane

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// The controllers, the scheduler and the kubelets look at what a server's cache has, every so often, and do what is then to be done. What
// they write is guarded: nobody acts on what is not so any more.
const (
	controlEvery = 100 * time.Millisecond
	kubeletEvery = 60 * time.Millisecond
)

// control is the controllers' work, done through the first server that works.
type control struct {
	p *Plane
	s *Server
	// pods are by their owner's UID, uids of all that is there.
	pods map[string][]*thing
	uids map[string]bool
	// forgotten are dependents that a flaw has the collector forget, seen those it has decided on.
	forgotten, decided map[string]bool
}

// run begins the work of all that is not a server.
func (p *Plane) run() {
	if p.running {
		return
	}
	p.running = true
	c := &control{p: p, forgotten: map[string]bool{}, decided: map[string]bool{}}
	c.tick()
	for _, s := range p.servers {
		k := &kubelet{p: p, s: s, pods: map[string]*running{}}
		p.kubelets = append(p.kubelets, k)
		k.tick()
	}
}

// tick works, and plans to go on.
func (c *control) tick() {
	for _, s := range c.p.servers {
		if s.fed() && !s.cold {
			c.s = s
			c.work()
			break
		}
	}
	c.p.store.Clock.After(controlEvery, c.tick)
}

// work does one round.
func (c *control) work() {
	c.pods, c.uids = map[string][]*thing{}, map[string]bool{}
	for _, kind := range []string{kindConfigMap, kindDeployment, kindStatefulSet, kindJob, kindPod} {
		for _, t := range c.s.things(kind) {
			c.uids[t.state.UID] = true
			if kind == kindPod {
				c.pods[t.owner()] = append(c.pods[t.owner()], t)
			}
		}
	}
	for _, t := range c.s.things(kindDeployment) {
		c.deployment(t)
	}
	for _, t := range c.s.things(kindStatefulSet) {
		c.statefulSet(t)
	}
	for _, t := range c.s.things(kindJob) {
		c.job(t)
	}
	c.schedule()
	c.collect()
}

// change has the server change an object.
func (p *Plane) change(s *Server, kind, name string, alter func(*thing) *thing) {
	w := write{record: &record{collection: kind, name: name}, how: howUpdate, also: p.besides}
	w.alter = func(old *thing) (*thing, string) { return alter(old), "" }
	s.inside(func(r *request) { r.write(w, func(written) {}) })
}

// remove has the server remove an object of a UID.
func (p *Plane) remove(s *Server, t *thing) {
	p.change(s, t.state.Kind, t.state.Name, func(old *thing) *thing {
		if old.state.UID != t.state.UID {
			return old
		}
		return nil
	})
}

// schedule gives pods nodes.
func (c *control) schedule() {
	for _, t := range c.s.things(kindPod) {
		if t.state.Attr["node"] != "" || t.state.Deleting {
			continue
		}
		node := c.p.servers[c.p.store.Rand.IntN(len(c.p.servers))].Name()
		c.p.change(c.s, kindPod, t.state.Name, func(old *thing) *thing {
			if old.state.Attr["node"] != "" || old.state.Deleting {
				return old
			}
			return old.with(map[string]string{"node": node})
		})
	}
}

// makePod makes a pod of an owner.
func (c *control) makePod(owner *thing, name, image string) {
	t := c.p.fresh(history.Declaration{Kind: kindPod, Image: image, ForMS: owner.declared.ForMS, Exit: owner.declared.Exit}, name)
	t.state.Owners = []history.Owner{{
		Kind: owner.state.Kind, Name: baseOf(owner.state.Name), UID: owner.state.UID, Controller: true,
	}}
	if owner.state.Kind == kindJob {
		t.state.Attr["restart-policy"] = "Never"
	}
	w := write{record: &record{collection: kindPod, name: name, content: t}, how: howCreate}
	c.s.inside(func(r *request) { r.write(w, func(written) {}) })
}

// endPod asks for the end of a pod.
func (c *control) endPod(t *thing) {
	if t.state.Deleting {
		return
	}
	c.p.change(c.s, kindPod, t.state.Name, func(old *thing) *thing {
		if old.state.UID != t.state.UID {
			return old
		}
		return deleted(old, "background")
	})
}

// status writes what a controller has seen, where that is new, and the object still is as it was seen.
func (c *control) status(t *thing, have map[string]int64, attr map[string]string) {
	c.p.change(c.s, t.state.Kind, t.state.Name, func(old *thing) *thing {
		if old != t {
			return old
		}
		same := old.state.Observed == old.state.Generation
		for k, n := range have {
			same = same && old.state.Have[k] == n
		}
		if same && old.with(attr) == old {
			return old
		}
		next := old.with(attr).clone()
		next.state.Observed = old.state.Generation
		for k, n := range have {
			next.state.Have[k] = n
		}
		return next
	})
}

// tally is what a controller sees of pods.
type tally struct{ replicas, updated, ready int64 }

func tallyOf(pods []*thing, image string) tally {
	var n tally
	for _, t := range pods {
		if t.state.Deleting {
			continue
		}
		n.replicas++
		if t.declared.Image == image {
			n.updated++
		}
		if t.state.Attr["ready"] == "True" {
			n.ready++
		}
	}
	return n
}

// deployment sees to it that there are as many pods as declared, of the declared image.
func (c *control) deployment(t *thing) {
	if c.p.flaw == StalledController && c.p.store.Clock.Now() > stallsAfter {
		return
	}
	pods := c.pods[t.state.UID]
	want := int(t.state.Want["replicas"])
	if c.p.flaw == QuarrellingControllers && want > 0 {
		// Another controller wants one pod less, and the two take turns.
		want -= int(c.p.store.Clock.Now() / quarrelEvery % 2)
	}
	names := map[string]bool{}
	for i := range want {
		names[t.state.Name+"-"+strconv.Itoa(len(t.images))+"-"+strconv.Itoa(i)] = true
	}
	for _, pod := range pods {
		if !names[pod.state.Name] {
			c.endPod(pod)
		}
		delete(names, pod.state.Name)
	}
	for _, name := range sorted(names) {
		c.makePod(t, name, t.declared.Image)
	}
	n := tallyOf(pods, t.declared.Image)
	c.status(t, map[string]int64{
		"replicas": n.replicas, "updated": n.updated, "ready": n.ready, "available": n.ready, "unavailable": max(0, int64(want)-n.ready),
	}, nil)
}

// statefulSet sees to the pods of its ordinals: a pod of another image goes, the highest first, before there is another one of its name.
func (c *control) statefulSet(t *thing) {
	pods := c.pods[t.state.UID]
	byName := map[string]*thing{}
	for _, pod := range pods {
		byName[pod.state.Name] = pod
	}
	want := int(t.state.Want["replicas"])
	settled := true
	for i := range want {
		name := fmt.Sprintf("%s-%d", t.state.Name, i)
		if pod := byName[name]; pod == nil {
			c.makePod(t, name, t.declared.Image)
			settled = false
		} else {
			settled = settled && pod.state.Attr["ready"] == "True" && !pod.state.Deleting
		}
	}
	for i := len(pods) - 1; i >= 0; i-- {
		pod := pods[i]
		if ordinal(pod.state.Name) >= want {
			c.endPod(pod)
		}
		if settled && pod.declared.Image != t.declared.Image {
			c.replace(pod)
			settled = false
		}
	}
	n := tallyOf(pods, t.declared.Image)
	attr := map[string]string{"update-revision": t.declared.Image}
	if n.updated == int64(want) && n.replicas == int64(want) && settled {
		attr["current-revision"] = t.declared.Image
	}
	c.status(t, map[string]int64{
		"replicas": n.replicas, "updated": n.updated, "ready": n.ready, "available": n.ready, "current": n.replicas,
	}, attr)
}

// replace ends a pod that another one of its name is to follow. With the flaw for it, the object goes before the container does.
func (c *control) replace(t *thing) {
	if c.p.flaw == TwoOfOneIdentity {
		c.p.remove(c.s, t)
		return
	}
	c.endPod(t)
}

// ordinal is the number at the end of a name.
func ordinal(name string) int {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '-' {
			n, err := strconv.Atoi(name[i+1:])
			if err != nil {
				return -1
			}
			return n
		}
	}
	return -1
}

// job sees to its pods until as many as declared have succeeded, or one has failed.
func (c *control) job(t *thing) {
	if t.state.Deleting || t.state.Attr["complete"] != "" || t.state.Attr["failed"] != "" {
		return
	}
	var succeeded, failed, active int64
	names := map[string]bool{}
	for _, pod := range c.pods[t.state.UID] {
		names[pod.state.Name] = true
		switch pod.state.Attr["phase"] {
		case "Succeeded":
			succeeded++
		case "Failed":
			failed++
		default:
			active++
		}
	}
	attr := map[string]string{}
	switch completions := t.state.Want["completions"]; {
	case failed > 0 && active == 0:
		attr["failed"] = "true"
	case succeeded >= completions:
		attr["complete"] = "true"
	case failed == 0:
		for i := range completions {
			name := fmt.Sprintf("%s-%d", t.state.Name, i)
			if !names[name] && active < t.state.Want["parallelism"] {
				active++
				c.makePod(t, name, t.declared.Image)
			}
		}
	}
	c.status(t, map[string]int64{"active": active, "succeeded": succeeded, "failed": failed}, attr)
}

func sorted(names map[string]bool) []string {
	out := make([]string, 0, len(names))
	for name := range names {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
