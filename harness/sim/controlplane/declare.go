package controlplane

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/harness/sim/replicated"
)

// declares tells whether an operation is one on declared state: its value names a kind.
func declares(op history.Op) (d history.Declaration, ok bool) {
	ok = json.Unmarshal(op.Value, &d) == nil && d.Kind != ""
	return d, ok
}

// declare performs an operation on declared state.
func (o *operation) declare(d history.Declaration) (begin func(), err error) {
	w := write{record: &record{collection: d.Kind, name: fullName(o.op.Key)}, how: howUpdate, also: o.p.besides}
	switch o.op.F {
	case "create":
		return func() { o.deadline(); o.create(d, w) }, nil
	case "read":
		return func() { o.deadline(); o.readDeclared(d) }, nil
	case "delete":
		w.alter = func(old *thing) (*thing, string) { return deleted(old, d.How), "" }
	case "scale":
		w.alter = func(old *thing) (*thing, string) { return scaled(old, d), "" }
	case "rollout":
		w.alter = func(old *thing) (*thing, string) { return rolled(old, d.Change, d.Image), "" }
	case "rollback":
		w.alter = func(old *thing) (*thing, string) {
			if len(old.images) == 0 {
				return nil, refusedNone
			}
			return rolled(old, d.Change, old.images[len(old.images)-1]), ""
		}
	default:
		return nil, fmt.Errorf("declared state can't be changed by %q", o.op.F)
	}
	w.alter = o.p.forgetful(w.alter)
	return func() {
		o.deadline()
		o.send(w, func(done written) { o.declared(d, done) })
	}, nil
}

// declared completes a change of declared state.
func (o *operation) declared(d history.Declaration, done written) {
	d.Refused = done.refused
	if t, ok := done.content.(*thing); ok && done.refused == "" {
		d.UID, d.Given = t.state.UID, t.declared.Given
		if o.op.F == "rollback" {
			d.Image = t.declared.Image
		}
	}
	if o.op.F == howDelete {
		done.version = 0
	}
	o.ok(d, done.version, 0)
}

// create makes an object, once what it needs is there.
func (o *operation) create(d history.Declaration, w write) {
	w.how = howCreate
	make := func(owners []history.Owner) {
		t := o.p.fresh(d, w.name)
		t.state.Owners = owners
		w.content = t
		o.send(w, func(done written) { o.declared(d, done) })
	}
	switch namespace := namespaceOf(w.name); {
	case d.Owner != "":
		o.find(kindConfigMap, fullName(d.Owner), func(owner *thing, _ int64) {
			if owner == nil {
				o.declared(d, written{refused: refusedAbsent})
				return
			}
			make([]history.Owner{{Kind: kindConfigMap, Name: d.Owner, UID: owner.state.UID}})
		})
	case namespace == defaultNamespace:
		make(nil)
	case d.Kind == kindQuota:
		room := write{record: &record{collection: kindNamespace, name: namespace}, how: howCreate}
		room.content = o.p.fresh(history.Declaration{Kind: kindNamespace}, namespace)
		o.send(room, func(written) { make(nil) })
	default:
		o.find(kindQuota, namespace+"/quota", func(quota *thing, _ int64) {
			if quota == nil {
				o.declared(d, written{refused: refusedAbsent})
				return
			}
			make(nil)
		})
	}
}

// find reads an object as it is now; nil: it is not there.
func (o *operation) find(kind, name string, then func(t *thing, version int64)) {
	var got replicated.Item
	key := (&record{collection: kind, name: name}).key()
	o.ask(func(r *request) {
		r.call(replicated.Command{Key: key}, func(found replicated.Result) {
			got = found.Item
			r.answer(nil)
		})
	}, func(err error) {
		if err != nil {
			o.fail(err)
			return
		}
		if r, ok := got.Object.(*record); ok {
			t, _ := r.content.(*thing)
			then(t, got.Version)
			return
		}
		then(nil, 0)
	})
}

// readDeclared reads the declared state of an object.
func (o *operation) readDeclared(d history.Declaration) {
	o.find(d.Kind, fullName(o.op.Key), func(t *thing, version int64) {
		if t == nil {
			o.ok(history.Declaration{Kind: d.Kind, Refused: refusedAbsent}, 0, 0)
			return
		}
		d := t.declared
		d.UID, d.Deleting = t.state.UID, t.state.Deleting
		if len(t.state.Owners) == 0 {
			d.Owner = ""
		}
		d.How, d.Blocks, d.ForMS, d.Exit = "", false, 0, 0
		o.ok(d, version, 0)
	})
}

// fresh is a new object as it was declared.
func (p *Plane) fresh(d history.Declaration, name string) *thing {
	p.made++
	t := &thing{declared: d, state: history.Object{
		Kind: d.Kind, Name: name, UID: "uid-" + strconv.Itoa(p.made), Attr: map[string]string{},
	}}
	switch d.Kind {
	case kindDeployment, kindStatefulSet:
		t.state.Generation = 1
		t.state.Want = map[string]int64{"replicas": *d.Replicas}
		t.state.Have = map[string]int64{}
	case kindJob:
		t.state.Want = map[string]int64{"completions": d.Count, "parallelism": *d.Replicas}
		t.state.Have = map[string]int64{}
	case kindQuota:
		t.state.Want = map[string]int64{"configmaps": d.Count, "pods": d.Count}
		t.state.Have = map[string]int64{"configmaps": 0, "pods": 0}
	case kindNamespace:
		t.state.Attr["phase"] = "Active"
	case kindPod:
		t.state.Attr["phase"] = "Pending"
	}
	return t
}

// deleted is an object whose deletion was asked for; nil: it goes at once.
func deleted(old *thing, how string) *thing {
	if old.state.Deleting {
		return old
	}
	t := old.clone()
	t.state.Deleting = true
	switch {
	case how == "foreground":
		t.state.Finalizers = append(t.state.Finalizers, finalizerForeground)
	case how == "orphan":
		t.state.Finalizers = append(t.state.Finalizers, finalizerOrphan)
	case old.state.Kind != kindPod || old.state.Attr["node"] == "":
		return nil
	}
	return t
}

// scaled is an object with other replicas.
func scaled(old *thing, d history.Declaration) *thing {
	t := old.clone()
	t.declared.Replicas, t.declared.Change = d.Replicas, d.Change
	t.state.Want["replicas"] = *d.Replicas
	t.state.Generation++
	return t
}

// rolled is an object with another image.
func rolled(old *thing, change int64, image string) *thing {
	t := old.clone()
	t.declared.Change = change
	if image != old.declared.Image {
		t.images = append(t.images, old.declared.Image)
		t.declared.Image = image
		t.state.Generation++
	}
	return t
}

// quotaCounts is what a quota counts a kind as.
var quotaCounts = map[string]string{kindConfigMap: "configmaps", kindPod: "pods"}

// besides charges quotas with what comes and goes, and allocates addresses, in one write with the object itself.
func (p *Plane) besides(r *request, old, changed *thing, then func(also []replicated.Guarded, refused string)) {
	t := changed
	if t == nil {
		t = old
	}
	namespace := namespaceOf(t.state.Name)
	switch counted := quotaCounts[t.state.Kind]; {
	case t.state.Kind == kindService:
		r.allocate(old, changed, then)
	case counted != "" && namespace != defaultNamespace:
		if p.flaw == QuotaExceeded && changed != nil && p.store.Chance(quotaOnce) {
			then(nil, "")
			return
		}
		r.charge(&record{collection: kindQuota, name: namespace + "/quota"}, counted, changed != nil, then)
	default:
		then(nil, "")
	}
}

// charge counts an object that comes or goes.
func (r *request) charge(quota *record, counted string, comes bool, then func(also []replicated.Guarded, refused string)) {
	r.call(replicated.Command{Key: quota.key()}, func(found replicated.Result) {
		stored, ok := found.Item.Object.(*record)
		if !ok {
			then(nil, "")
			return
		}
		t := stored.content.(*thing).clone()
		if comes && t.state.Have[counted] >= t.state.Want[counted] {
			then(nil, refusedQuota)
			return
		}
		t.state.Have[counted]--
		if comes {
			t.state.Have[counted] += 2
		}
		next := &record{collection: quota.collection, name: quota.name, content: t}
		then([]replicated.Guarded{{Put: replicated.Put{Key: quota.key(), Object: next}, Guard: found.Item.Version}}, "")
	})
}

// addresses is how many there are to give.
const addresses = 2768

// allocate gives a service an address that no other has, or takes it back.
func (r *request) allocate(old, changed *thing, then func(also []replicated.Guarded, refused string)) {
	s := r.s
	given := func(ip string) *record { return &record{collection: allocations, name: ip} }
	if changed == nil {
		slot := given(old.state.Attr["ip"])
		r.call(replicated.Command{Key: slot.key()}, func(found replicated.Result) {
			then([]replicated.Guarded{{Put: replicated.Put{Key: slot.key(), Object: slot, Gone: true}, Guard: found.Item.Version}}, "")
		})
		return
	}
	n := s.p.store.Rand.IntN(addresses)
	ip := fmt.Sprintf("10.0.%d.%d", n/256, n%256)
	var also []replicated.Guarded
	if others := s.things(kindService); s.p.flaw == AddressTwice && len(others) > 0 && s.p.store.Chance(addressOnce) {
		ip = others[s.p.store.Rand.IntN(len(others))].state.Attr["ip"]
	} else {
		also = []replicated.Guarded{{Put: replicated.Put{Key: given(ip).key(), Object: given(ip)}}}
	}
	changed.state.Attr["ip"] = ip
	changed.declared.Given = map[string]string{"ip": ip}
	if strings.EqualFold(changed.declared.How, "nodePort") {
		changed.declared.Given["port"] = strconv.Itoa(30000 + n%2768)
	}
	then(also, "")
}
