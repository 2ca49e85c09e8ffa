package kube

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/alarms"
)

func TestRemedies(t *testing.T) {
	for log, want := range map[string]string{
		"Error: unknown flag: --no-such-flag\nSee 'kube-apiserver --help'":                                                                    "does not have the flag --no-such-flag",
		"Error: unknown shorthand flag: 'x' in -x":                                                                                            "does not have the flag x",
		`Error: invalid argument "Nope=true" for "--feature-gates" flag: unrecognized feature gate: Nope`:                                     "does not have the feature gate Nope",
		"hollow: --feature-gates: unrecognized feature gate: Nope":                                                                            "does not have the feature gate Nope",
		`invalid argument "A=false" for "--feature-gates" flag: cannot set feature gate A to false, feature is locked to true`:                "the feature gate A is true for good",
		`Error: invalid argument "many" for "--v" flag: strconv.ParseInt: parsing "many": invalid syntax`:                                     "--v does not take many",
		`E1 reflector.go] failed to list: tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time`: "set the node's clock",
		"x509: certificate signed by unknown authority":                                                                                       "of another run",
		`err="failed to listen on 0.0.0.0:6443: listen tcp 0.0.0.0:6443: bind: address already in use"`:                                       "listens there 0.0.0.0:6443",
		"write /var/opt/faultline/x: no space left on device":                                                                                 "disk is full",
		"rpc error: code = Unimplemented desc = unknown service etcdserverpb.Lease":                                                           "use etcd 3.5 or later",
		`"Failed creating storage" err="error creating storage factory: context deadline exceeded"`:                                           "does not reach etcd",
		`grpc: addrConn.createTransport failed to connect to {Addr: "127.0.1.3:2379"}. Err: connection error: desc = "transport: Error while dialing: dial tcp 127.0.1.3:2379: connect: connection refused"`: "does not reach etcd",
		// What every API server writes when it closes connections that it tried at its start.
		`grpc: addrConn.createTransport failed to connect to {Addr: "127.0.1.3:2379"}. Err: connection error: desc = "transport: Error while dialing: dial tcp 127.0.1.3:2379: operation was canceled"`: "",
		"I1124 leaderelection.go:272] \"Successfully acquired lease\"": "",
	} {
		got := remedyFor(log)
		if want == "" && got != "" || want != "" && !strings.Contains(got, want) {
			t.Errorf("%s\n  to do: %q, want %q", log, got, want)
		}
	}
}

func TestFailingChecks(t *testing.T) {
	if got := failing("[+]ping ok\n[-]etcd failed: reason withheld\n[+]log ok\n[-]poststarthook/x failed: not finished\nreadyz check failed\n"); got != "etcd failed: reason withheld; poststarthook/x failed: not finished" {
		t.Error(got)
	}
	if got := failing(`{"kind":"Status","reason":"Forbidden"}`); !strings.Contains(got, "Forbidden") {
		t.Error(got)
	}
}

func TestNodesThatTakeNoPods(t *testing.T) {
	node := func(status corev1.ConditionStatus, taint string) *corev1.Node {
		n := &corev1.Node{Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status, Reason: "R"}}}}
		if taint != "" {
			n.Spec.Taints = []corev1.Taint{{Key: taint}}
		}
		return n
	}
	for _, c := range []struct {
		n    *corev1.Node
		want string
	}{
		{node(corev1.ConditionTrue, ""), ""},
		{node(corev1.ConditionTrue, "node.kubernetes.io/out-of-service"), ""}, // somebody's wish, not a sickness
		{nil, "not registered"},
		{&corev1.Node{}, "no condition"},
		{node(corev1.ConditionFalse, ""), "not Ready: R"},
		{node(corev1.ConditionUnknown, ""), "not Ready: R"},
		{node(corev1.ConditionTrue, "node.kubernetes.io/unreachable"), "taint"},
	} {
		err := nodeUnwell(c.n, true)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.n, err, c.want)
		}
	}
}

func TestIdentitiesOfLeaders(t *testing.T) {
	s := paperSystem(t, nil)
	for i, host := range []string{"n1", "vm-2", "with_underscore"} {
		s.nodes[i].hostname = host
	}
	for identity, want := range map[string]string{
		"n1_0b1f": "n1", "vm-2_5e8d_77": "", "vm-2_77": "n2", "with_underscore_1": "n3", "VM-2_1": "n2", "elsewhere_1": "", "": "",
	} {
		got := ""
		if n := s.ofHost(identity); n != nil {
			got = n.Name()
		}
		if got != want {
			t.Errorf("%q is %q, want %q", identity, got, want)
		}
	}
}

// Reads as: at second t the newest was r; asked at t, a cache at revision c is behind for so long.
func TestAgeOfCaches(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var r revisions
	for _, c := range []struct{ at, newest, cached, age int64 }{
		{0, 10, 10, 0},
		{0, 10, 9, 0}, // behind, and nobody knows since when
		{5, 10, 9, 5}, // the newest was seen first at 0
		{6, 20, 10, 0},
		{9, 20, 10, 3},
		{10, 30, 10, 4}, // still since 20 came
		{10, 30, 20, 0},
		{12, 30, 25, 2},
		{12, 30, 30, 0},
		{12, 30, 99, 0}, // ahead
		{13, 28, 30, 0}, // an older answer changes nothing
	} {
		at := begin.Add(time.Duration(c.at) * time.Second)
		r.add(c.newest, at)
		if got := r.ageOf(c.cached, at); got != time.Duration(c.age)*time.Second {
			t.Errorf("%+v: %v", c, got)
		}
	}
	for i := range int64(3 * sightingsMax) {
		r.add(100+i, begin.Add(time.Hour+time.Duration(i)*time.Second))
	}
	if len(r.seen) > sightingsMax || r.ageOf(30, begin.Add(2*time.Hour)) > time.Hour {
		t.Errorf("%d sightings, age %v", len(r.seen), r.ageOf(30, begin.Add(2*time.Hour)))
	}
}

func TestAlarmsInLogs(t *testing.T) {
	log := `I1124 14:16:11.360540     255 serving.go:405] a panic and a fatal error are only words here
E1124 14:16:12.000000     255 leaderelection.go:448] "Failed to renew lease" err="context deadline exceeded"
E1124 14:16:12.000000     255 controllermanager.go:340] "leaderelection lost"
F1124 14:16:12.000000     138 instance.go:227] Error creating leases: error creating storage factory: context deadline exceeded
E1124 14:16:12.000000     138 runtime.go:142] "Observed a panic" panic="net/http: abort Handler"
E1124 14:16:12.000000     138 wrap.go:53] "Timeout or abort while handling" method="GET"
E1124 14:16:12.000000     138 runtime.go:142] "Observed a panic" panic="runtime error: invalid memory address or nil pointer dereference"
E1124 14:16:12.000000     138 wrap.go:57] "apiserver panic'd" method="GET" URI="/api"
E1124 14:16:12.000000     138 delegator.go:334] "Cache consistency check error" err="timeout"
E1124 14:16:12.000000     138 delegator.go:344] "Cache consistency check failed" group="" resource="pods"
panic: assignment to entry in nil map
fatal error: concurrent map writes
WARNING: DATA RACE
panic: net/http: abort Handler
[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x0]`
	ops, err := alarms.Scan("n2", APIServer, strings.NewReader(log), logAlarms)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, op := range ops {
		var line history.LogLine
		if err := json.Unmarshal(op.Value, &line); err != nil {
			t.Errorf("%+v: %v", op, err)
		}
		got = append(got, line.Pattern)
	}
	want := []string{"panic", "panic", "data corruption", "panic", "fatal", "data race", "signal", ""}
	if !slices.Equal(got, want) {
		t.Errorf("alarms %v, want %v", got, want)
	}
}

// object builders for what watches show.

func entry(manager string, second int, fields string) metav1.ManagedFieldsEntry {
	at := metav1.NewTime(time.Date(2026, 1, 1, 0, 0, second, 0, time.UTC))
	return metav1.ManagedFieldsEntry{Manager: manager, Operation: "Update", Time: &at, FieldsV1: metav1.NewFieldsV1(fields)}
}

type shape func(*metav1.ObjectMeta)

func by(manager string, second int, fields string) shape {
	return func(m *metav1.ObjectMeta) { m.ManagedFields = append(m.ManagedFields, entry(manager, second, fields)) }
}

func generation(g int64) shape { return func(m *metav1.ObjectMeta) { m.Generation = g } }

func owned(m *metav1.ObjectMeta) {
	yes := true
	m.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "o", Controller: &yes}}
}

func deleting(m *metav1.ObjectMeta) {
	at := metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	m.DeletionTimestamp = &at
}

func deployment(shapes ...shape) metav1.Object {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "d", Namespace: "default"}}
	for _, s := range shapes {
		s(&d.ObjectMeta)
	}
	return d
}

func pod(node string, shapes ...shape) metav1.Object {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "default"}, Spec: corev1.PodSpec{NodeName: node}}
	for _, s := range shapes {
		s(&p.ObjectMeta)
	}
	return p
}

func TestWhoWrote(t *testing.T) {
	const kcm = ControllerManager
	user := by("faultline", 1, "spec")
	for name, c := range map[string]struct {
		change   change
		writer   string
		declares bool
	}{
		"a client creates":                        {change{now: deployment(user, generation(1))}, "", true},
		"a client scales":                         {change{old: deployment(user, generation(1)), now: deployment(by("faultline", 2, "spec"), generation(2))}, "", true},
		"a client labels":                         {change{old: deployment(user, generation(1)), now: deployment(by("faultline", 2, "spec"), generation(1))}, "", false},
		"a client deletes":                        {change{old: deployment(user), now: deployment(user, deleting)}, "", true},
		"a client's deletion ends":                {change{old: deployment(user, deleting)}, "", false},
		"a client deletes at once":                {change{old: deployment(user)}, "", true},
		"the controller writes status":            {change{old: deployment(user), now: deployment(user, by(kcm, 1, "status"))}, kcm, false},
		"again, in the same second":               {change{old: deployment(user, by(kcm, 1, "status")), now: deployment(user, by(kcm, 1, "status+"))}, kcm, false},
		"later":                                   {change{old: deployment(user, by(kcm, 1, "status")), now: deployment(user, by(kcm, 4, "status"))}, kcm, false},
		"a client, in the controller's second":    {change{old: deployment(user, by(kcm, 1, "status"), generation(1)), now: deployment(by("faultline", 1, "spec+"), by(kcm, 1, "status"), generation(2))}, "", true},
		"the controller creates":                  {change{now: pod("", owned, by(kcm, 1, "spec"))}, kcm, false},
		"by the program's whole name":             {change{now: pod("", owned, by("kube-controller-manager-1a2b", 1, "spec"))}, kcm, false},
		"the scheduler binds":                     {change{old: pod("", owned, by(kcm, 1, "spec")), now: pod("n1", owned, by(kcm, 1, "spec"))}, Scheduler, false},
		"the scheduler has no place":              {change{old: pod("", by(kcm, 1, "spec")), now: pod("", by(kcm, 1, "spec"), by("kube-scheduler", 1, "status"))}, Scheduler, false},
		"the kubelet writes status":               {change{old: pod("n1", by(kcm, 1, "spec")), now: pod("n1", by(kcm, 1, "spec"), by("kubelet", 2, "status"))}, Kubelet, false},
		"the controller scales down":              {change{old: pod("n1", owned, by("kubelet", 2, "status")), now: pod("n1", owned, deleting, by("kubelet", 2, "status"))}, kcm, false},
		"the kubelet is done with a pod":          {change{old: pod("n1", owned, deleting)}, Kubelet, false},
		"a pod that never ran is gone":            {change{old: pod("", owned, deleting)}, "", false},
		"the collector removes":                   {change{old: pod("", owned)}, kcm, false},
		"a client creates a pod":                  {change{now: pod("", user)}, "", true},
		"an object without managers":              {change{now: pod("")}, "", true},
		"something of the API server's own":       {change{now: deployment(by("kube-apiserver", 1, "spec"))}, APIServer, false},
		"a ConfigMap, which has no generation":    {change{old: deployment(user), now: deployment(by("faultline", 2, "data"))}, "", true},
		"the root certificate in a new namespace": {change{now: deployment(by(kcm, 2, "data"))}, kcm, false},
	} {
		if got := c.change.writer(); got != c.writer {
			t.Errorf("%s: written by %q, want %q", name, got, c.writer)
		}
		if got := c.change.declares(); got != c.declares {
			t.Errorf("%s: declares %v", name, got)
		}
	}
}

// The n-th write is counted from the declaration on, by versions, also where streams of kinds run ahead of each other.
func TestWritesAreCountedFromTheDeclaration(t *testing.T) {
	made := change{kind: "Deployment", now: deployment(by("faultline", 1, "spec")), version: 10}
	write := func(version int64) change {
		return change{kind: "Pod", now: pod("", owned, by(ControllerManager, 1, "spec")), version: version}
	}
	for _, c := range []struct {
		n       int
		changes []change
		want    string
	}{
		{1, []change{write(5), made, write(11)}, "create Pod default/p (version 11), after create Deployment default/d (version 10)"},
		{2, []change{write(5), made, write(11), write(12)}, "create Pod default/p (version 12), after create Deployment default/d (version 10)"},
		{1, []change{write(5), write(11), made}, "create Pod default/p (version 11), after create Deployment default/d (version 10)"},
		{2, []change{write(11), made}, ""},
		{1, []change{write(5), write(6)}, ""},
		{1, []change{made, {kind: "Pod", now: pod("n1", by("kubelet", 1, "x")), version: 11}}, ""},
	} {
		var w writeCount
		got := ""
		for _, change := range c.changes {
			if got = w.see(change, ControllerManager, c.n); got != "" {
				break
			}
		}
		if got != c.want {
			t.Errorf("%d of %v: %q, want %q", c.n, c.changes, got, c.want)
		}
	}
	var w writeCount
	for v := range int64(10 * earlyMax) {
		w.see(write(v), ControllerManager, 1)
	}
	if len(w.early) != earlyMax || w.early[earlyMax-1].version != 10*earlyMax-1 || w.soFar() != "nothing was declared" {
		t.Errorf("%d remembered, %s", len(w.early), w.soFar())
	}
}
