package controlplane

import (
	"time"

	"github.com/faultline/faultline/harness/history"
)

// kubelet runs the pods of a node, in its imagined container runtime.
type kubelet struct {
	p *Plane
	s *Server
	// pods are those that run, by UID.
	pods map[string]*running
	// registered: the node's object was made.
	registered bool
}

// running is a container at work.
type running struct {
	span history.RuntimeSpan
	// ends is when it ends by itself; 0: never. ended: it has. stops is when it is stopped; 0: not yet.
	ends, stops time.Duration
	ended       bool
}

// containerName is the name of every pod's only container.
const containerName = "app"

// stopTakes is how long a container takes to stop once it is asked to.
const stopTakes = 40 * time.Millisecond

func (k *kubelet) now() time.Duration { return k.p.store.Clock.Now() }

// tick works, and plans to go on.
func (k *kubelet) tick() {
	if k.s.fed() && !k.s.cold {
		k.work()
	}
	k.p.store.Clock.After(kubeletEvery, k.tick)
}

// work does one round.
func (k *kubelet) work() {
	if !k.registered {
		w := write{record: &record{collection: kindNode, name: k.s.Name(), content: nodeObject(k.s.Name())}, how: howCreate}
		k.s.inside(func(r *request) { r.write(w, func(written) { k.registered = true }) })
	}
	there := map[string]bool{}
	for _, t := range k.s.things(kindPod) {
		if t.state.Attr["node"] == k.s.Name() {
			there[t.state.UID] = true
			k.pod(t)
		}
	}
	for _, uid := range sorted(k.uids()) {
		// Its object is gone: nobody waits for its end.
		if !there[uid] && k.stopped(uid, k.lateness()) {
			delete(k.pods, uid)
		}
	}
}

func (k *kubelet) uids() map[string]bool {
	out := make(map[string]bool, len(k.pods))
	for uid := range k.pods {
		out[uid] = true
	}
	return out
}

// pod does what is to be done for a pod of the node.
func (k *kubelet) pod(t *thing) {
	uid := t.state.UID
	switch r := k.pods[uid]; {
	case t.state.Deleting:
		if k.stopped(uid, stopTakes) {
			delete(k.pods, uid)
			k.p.remove(k.s, t)
		}
	case terminal(t):
		delete(k.pods, uid)
	case r == nil:
		k.start(t)
	case r.ends > 0 && k.now() >= r.ends:
		k.exit(t, r)
	case t.state.Attr["phase"] != "Running":
		k.p.change(k.s, kindPod, t.state.Name, func(old *thing) *thing {
			if old.state.UID != uid || terminal(old) {
				return old
			}
			return old.with(map[string]string{"phase": "Running", "ready": "True", "ip": "10.1." + uid})
		})
	}
}

// terminal tells a pod that ended for good.
func terminal(t *thing) bool {
	return t.state.Attr["phase"] == "Succeeded" || t.state.Attr["phase"] == "Failed"
}

func (k *kubelet) start(t *thing) {
	r := &running{span: history.RuntimeSpan{
		Pod: t.state.Name, UID: t.state.UID, Container: containerName, FromNS: int64(k.now()),
	}}
	if t.declared.ForMS > 0 {
		r.ends = k.now() + millis(t.declared.ForMS)
	}
	k.pods[t.state.UID] = r
}

// exit ends a container that has done its work.
func (k *kubelet) exit(t *thing, r *running) {
	if !r.ended {
		r.ended = true
		code := int32(t.declared.Exit) //nolint:gosec // a small number of the workload's
		r.span.Exit = &code
		k.log(r, "exited")
	}
	phase := "Succeeded"
	if t.declared.Exit != 0 {
		phase = "Failed"
	}
	k.p.change(k.s, kindPod, t.state.Name, func(old *thing) *thing {
		if old.state.UID != t.state.UID {
			return old
		}
		return old.with(map[string]string{"phase": phase, "ready": "False"})
	})
}

// stopped has a container stop, and tells whether it did.
func (k *kubelet) stopped(uid string, takes time.Duration) bool {
	r := k.pods[uid]
	switch {
	case r == nil, r.ended:
		return true
	case r.stops == 0:
		r.stops = k.now() + takes
		return false
	case k.now() < r.stops:
		return false
	}
	r.ended = true
	k.log(r, "stopped")
	return true
}

// lateness is how long a container outlives an object that went before it.
func (k *kubelet) lateness() time.Duration {
	if k.p.flaw == TwoOfOneIdentity {
		return lateStop
	}
	return stopTakes
}

// log ends a container's span.
func (k *kubelet) log(r *running, end string) {
	r.span.ToNS, r.span.End = int64(k.now()), end
	k.p.spans = append(k.p.spans, nodeSpan{k.s.Name(), r.span})
}

// nodeSpan is a span on a node.
type nodeSpan struct {
	node string
	span history.RuntimeSpan
}

// Evidence is what the container runtimes logged, as operations of history.Evidence.
func (p *Plane) Evidence() []history.Op {
	spans := p.spans
	for _, k := range p.kubelets {
		for _, uid := range sorted(k.uids()) {
			if r := k.pods[uid]; !r.ended {
				spans = append(spans, nodeSpan{k.s.Name(), r.span})
			}
		}
	}
	var out []history.Op
	for _, s := range spans {
		out = append(out, history.Op{
			Process: history.Evidence, Type: history.Info, F: history.FRuntime, Value: encode(s.span), Node: s.node,
		})
	}
	return out
}
