package declared

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/kube/api"
)

// scripted is an API server that answers from a script: "GET /path" → an object, or an error. It notes what it was asked.
type scripted struct {
	harness.System

	http *httptest.Server

	mu      sync.Mutex
	answers map[string]any
	asked   []string
	bodies  map[string]string
}

func newScripted(t *testing.T, answers map[string]any) *scripted {
	t.Helper()
	s := &scripted{answers: answers, bodies: map[string]string{}}
	s.http = httptest.NewUnstartedServer(s)
	s.http.EnableHTTP2 = true
	s.http.StartTLS()
	t.Cleanup(s.http.Close)
	return s
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	what := r.Method + " " + r.URL.Path
	s.mu.Lock()
	answer, ok := s.answers[what]
	s.asked = append(s.asked, what)
	s.bodies[what] = readable(body)
	s.mu.Unlock()
	if !ok {
		answer = apierrors.NewNotFound(schema.GroupResource{}, what)
	}
	code := http.StatusOK
	switch a := answer.(type) {
	case hangUp:
		panic(http.ErrAbortHandler)
	case *apierrors.StatusError:
		code, answer = int(a.ErrStatus.Code), withKind(&a.ErrStatus)
	case runtime.Object:
		answer = withKind(a)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(answer)
}

// hangUp is a connection that ends without an answer.
type hangUp struct{}

// readable is a body as JSON, whatever it came as.
func readable(body []byte) string {
	if o, _, err := scheme.Codecs.UniversalDeserializer().Decode(body, nil, nil); err == nil {
		if text, err := json.Marshal(o); err == nil {
			return string(text)
		}
	}
	return string(body)
}

func withKind(o runtime.Object) runtime.Object {
	if k, _, err := scheme.Scheme.ObjectKinds(o); err == nil {
		o.GetObjectKind().SetGroupVersionKind(k[0])
	}
	return o
}

func (*scripted) Name() string { return "scripted" }

func (s *scripted) Server(node string, _ bool) (api.Server, error) {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.http.Certificate().Raw})
	return api.Server{Node: node, Addr: s.http.Listener.Addr().String(), CA: ca}, nil
}

// invoke has a client of the server perform an operation.
func (s *scripted) invoke(t *testing.T, f, key string, d history.Declaration) history.Op {
	t.Helper()
	open, err := NewClient(s, harness.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := open(t.Context(), 0, "n1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	value, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return c.Invoke(context.Background(), history.Op{Type: history.Invoke, F: f, Key: key, Value: value, Node: "n1"})
}

const (
	deploymentsPath = "/apis/apps/v1/namespaces/default/deployments"
	replicaSetsPath = "/apis/apps/v1/namespaces/default/replicasets"
	configMapsPath  = "/api/v1/namespaces/default/configmaps"
)

func deploymentAt(version, revision, change string, replicas int32, image string) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{
			Name: "d0", Namespace: Namespace, UID: "u1", ResourceVersion: version,
			Annotations: map[string]string{annotationChange: change, annotationRevision: revision},
		},
		Spec: appsv1.DeploymentSpec{Replicas: &replicas, Template: podTemplate("d0", image)},
	}
}

func replicaSet(name, revision, image, owner string) appsv1.ReplicaSet {
	return appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: Namespace, Annotations: map[string]string{annotationRevision: revision},
			OwnerReferences: []metav1.OwnerReference{{Kind: KindDeployment, Name: "d0", UID: "u1", Controller: new(owner == "d0")}},
		},
		Spec: appsv1.ReplicaSetSpec{Template: podTemplate("d0", image)},
	}
}

func TestOperations(t *testing.T) {
	made := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "g1", Namespace: Namespace, UID: "u9", ResourceVersion: "90"}}
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "quota", Namespace: "q1"}}
	inForce := quota.DeepCopy()
	inForce.Status.Hard = corev1.ResourceList{corev1.ResourcePods: {}}
	sets := &appsv1.ReplicaSetList{Items: []appsv1.ReplicaSet{
		replicaSet("a", "1", "old", "d0"), replicaSet("b", "2", "previous", "d0"), replicaSet("c", "3", "current", "d0"), replicaSet("x", "2", "strange", "other"),
	}}
	exists := apierrors.NewAlreadyExists(schema.GroupResource{}, "d0")
	full := apierrors.NewForbidden(schema.GroupResource{}, "c1", fmt.Errorf("exceeded quota: quota, requested: configmaps=1"))
	forbidden := apierrors.NewForbidden(schema.GroupResource{}, "c1", fmt.Errorf("no service account"))
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "svc1", Namespace: Namespace, UID: "u7", ResourceVersion: "70"},
		Spec:       corev1.ServiceSpec{ClusterIP: "10.96.0.7", Ports: []corev1.ServicePort{{Port: 80, NodePort: 30007}}},
	}
	for name, c := range map[string]struct {
		f, key  string
		d       history.Declaration
		answers map[string]any
		want    string // type, version, value
		asked   string
		body    string // part of the last request's
	}{
		"create": {
			"create", "d0",
			history.Declaration{Kind: KindDeployment, Change: 5, Replicas: new(int64(2)), Image: "i"},
			map[string]any{"POST " + deploymentsPath: deploymentAt("11", "", "5", 2, "i")},
			`ok 11 {"kind":"Deployment","change":5,"replicas":2,"image":"i","uid":"u1"}`, "POST " + deploymentsPath, `"faultline.io/change":"5"`,
		},
		"it exists": {
			"create", "d0",
			history.Declaration{Kind: KindDeployment, Change: 5},
			map[string]any{"POST " + deploymentsPath: exists},
			`ok 0 {"kind":"Deployment","change":5,"refused":"exists"}`, "POST " + deploymentsPath, "",
		},
		"a lost answer": {
			"create", "d0",
			history.Declaration{Kind: KindDeployment, Change: 5},
			map[string]any{"POST " + deploymentsPath: hangUp{}},
			`info 0 {"kind":"Deployment","change":5}`, "POST " + deploymentsPath, "",
		},
		"an internal error": {
			"create", "d0",
			history.Declaration{Kind: KindDeployment, Change: 5},
			map[string]any{"POST " + deploymentsPath: apierrors.NewInternalError(fmt.Errorf("etcdserver: request timed out"))},
			`info 0 {"kind":"Deployment","change":5}`, "POST " + deploymentsPath, "",
		},
		"scale": {
			"scale", "d0",
			history.Declaration{Kind: KindDeployment, Change: 6, Replicas: new(int64(4))},
			map[string]any{"PATCH " + deploymentsPath + "/d0": deploymentAt("12", "", "6", 4, "i")},
			`ok 12 {"kind":"Deployment","change":6,"replicas":4,"uid":"u1"}`, "PATCH " + deploymentsPath + "/d0",
			`{"metadata":{"annotations":{"faultline.io/change":"6"}},"spec":{"replicas":4}}`,
		},
		"scale nothing": {
			"scale", "d0",
			history.Declaration{Kind: KindDeployment, Change: 6, Replicas: new(int64(4))},
			nil,
			`ok 0 {"kind":"Deployment","change":6,"replicas":4,"refused":"absent"}`, "PATCH " + deploymentsPath + "/d0", "",
		},
		"a race lost": {
			"scale", "d0",
			history.Declaration{Kind: KindDeployment, Change: 6, Replicas: new(int64(4))},
			map[string]any{"PATCH " + deploymentsPath + "/d0": apierrors.NewConflict(schema.GroupResource{}, "d0", fmt.Errorf("changed"))},
			`ok 0 {"kind":"Deployment","change":6,"replicas":4,"refused":"conflict"}`, "PATCH " + deploymentsPath + "/d0", "",
		},
		"rollout": {
			"rollout", "d0",
			history.Declaration{Kind: KindDeployment, Change: 7, Image: "j"},
			map[string]any{"PATCH " + deploymentsPath + "/d0": deploymentAt("13", "", "7", 4, "j")},
			`ok 13 {"kind":"Deployment","change":7,"image":"j","uid":"u1"}`, "PATCH " + deploymentsPath + "/d0", `"containers":[{"image":"j","name":"main"}]`,
		},
		"rollback": {
			"rollback", "d0",
			history.Declaration{Kind: KindDeployment, Change: 8},
			map[string]any{
				"GET " + deploymentsPath + "/d0": deploymentAt("13", "3", "7", 4, "current"), "GET " + replicaSetsPath: sets,
				"PATCH " + deploymentsPath + "/d0": deploymentAt("14", "3", "8", 4, "previous"),
			},
			`ok 14 {"kind":"Deployment","change":8,"image":"previous","uid":"u1"}`,
			"GET " + deploymentsPath + "/d0, GET " + replicaSetsPath + ", PATCH " + deploymentsPath + "/d0", `"image":"previous"`,
		},
		"nothing to go back to": {
			"rollback", "d0",
			history.Declaration{Kind: KindDeployment, Change: 8},
			map[string]any{"GET " + deploymentsPath + "/d0": deploymentAt("13", "1", "7", 4, "old"), "GET " + replicaSetsPath: sets},
			`ok 0 {"kind":"Deployment","change":8,"refused":"none"}`, "GET " + deploymentsPath + "/d0, GET " + replicaSetsPath, "",
		},
		"read": {
			"read", "d0",
			history.Declaration{Kind: KindDeployment},
			map[string]any{"GET " + deploymentsPath + "/d0": deploymentAt("13", "3", "7", 4, "j")},
			`ok 13 {"kind":"Deployment","change":7,"replicas":4,"image":"j","uid":"u1"}`, "GET " + deploymentsPath + "/d0", "",
		},
		"read nothing": {
			"read", "d0", history.Declaration{Kind: KindDeployment}, nil, `ok 0 {"kind":"Deployment","refused":"absent"}`, "GET " + deploymentsPath + "/d0", "",
		},
		"a read without an answer": {
			"read", "d0",
			history.Declaration{Kind: KindDeployment},
			map[string]any{"GET " + deploymentsPath + "/d0": apierrors.NewInternalError(fmt.Errorf("etcdserver: no leader"))},
			`fail 0 {"kind":"Deployment"}`, "GET " + deploymentsPath + "/d0", "",
		},
		"delete": {
			"delete", "g1",
			history.Declaration{Kind: KindConfigMap, How: HowForeground},
			map[string]any{"GET " + configMapsPath + "/g1": made, "DELETE " + configMapsPath + "/g1": &metav1.Status{Status: metav1.StatusSuccess}},
			`ok 0 {"kind":"ConfigMap","how":"foreground","uid":"u9"}`, "GET " + configMapsPath + "/g1, DELETE " + configMapsPath + "/g1", `"preconditions":{"uid":"u9"}`,
		},
		"a dependent": {
			"create", "g1-a",
			history.Declaration{Kind: KindConfigMap, Change: 3, Owner: "g1", Blocks: true},
			map[string]any{"GET " + configMapsPath + "/g1": made, "POST " + configMapsPath: made},
			`ok 90 {"kind":"ConfigMap","change":3,"owner":"g1","blocks":true,"uid":"u9"}`, "GET " + configMapsPath + "/g1, POST " + configMapsPath,
			`"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"g1","uid":"u9","blockOwnerDeletion":true}]`,
		},
		"a dependent of nobody": {
			"create", "g1-a",
			history.Declaration{Kind: KindConfigMap, Change: 3, Owner: "g1"},
			nil,
			`ok 0 {"kind":"ConfigMap","change":3,"owner":"g1","refused":"absent"}`, "GET " + configMapsPath + "/g1", "",
		},
		"a service": {
			"create", "svc1",
			history.Declaration{Kind: KindService, Change: 3, How: HowNodePort},
			map[string]any{"POST /api/v1/namespaces/default/services": service},
			`ok 70 {"kind":"Service","change":3,"how":"NodePort","uid":"u7","given":{"ip":"10.96.0.7","port":"30007"}}`, "POST /api/v1/namespaces/default/services", `"type":"NodePort"`,
		},
		"a quota comes with its namespace": {
			"create", "q1/quota",
			history.Declaration{Kind: KindResourceQuota, Change: 3, Count: 6},
			map[string]any{"POST /api/v1/namespaces": &corev1.Namespace{}, "POST /api/v1/namespaces/q1/resourcequotas": func() *corev1.ResourceQuota { q := quota.DeepCopy(); q.UID, q.ResourceVersion = "u5", "50"; return q }()},
			`ok 50 {"kind":"ResourceQuota","change":3,"count":6,"uid":"u5"}`, "POST /api/v1/namespaces, POST /api/v1/namespaces/q1/resourcequotas", `"hard":{"configmaps":"6","pods":"6"}`,
		},
		"before the quota is in force": {
			"create", "q1/c1",
			history.Declaration{Kind: KindConfigMap, Change: 3},
			map[string]any{"GET /api/v1/namespaces/q1/resourcequotas": &corev1.ResourceQuotaList{Items: []corev1.ResourceQuota{*quota}}},
			`ok 0 {"kind":"ConfigMap","change":3,"refused":"absent"}`, "GET /api/v1/namespaces/q1/resourcequotas", "",
		},
		"the quota is full": {
			"create", "q1/c1",
			history.Declaration{Kind: KindConfigMap, Change: 3},
			map[string]any{"GET /api/v1/namespaces/q1/resourcequotas": &corev1.ResourceQuotaList{Items: []corev1.ResourceQuota{*inForce}}, "POST /api/v1/namespaces/q1/configmaps": full},
			`ok 0 {"kind":"ConfigMap","change":3,"refused":"quota"}`, "GET /api/v1/namespaces/q1/resourcequotas, POST /api/v1/namespaces/q1/configmaps", "",
		},
		"forbidden for another reason": {
			"create", "d0",
			history.Declaration{Kind: KindDeployment, Change: 3},
			map[string]any{"POST " + deploymentsPath: forbidden},
			`fail 0 {"kind":"Deployment","change":3}`, "POST " + deploymentsPath, "",
		},
		"an unknown function": {"sing", "d0", history.Declaration{Kind: KindDeployment}, nil, `fail 0 {"kind":"Deployment"}`, "", ""},
		"an unknown kind":     {"read", "d0", history.Declaration{Kind: "Song"}, nil, `fail 0 {"kind":"Song"}`, "", ""},
		"an unknown way":      {"delete", "d0", history.Declaration{Kind: KindDeployment, How: "softly"}, nil, `fail 0 {"kind":"Deployment","how":"softly"}`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScripted(t, c.answers)
			op := s.invoke(t, c.f, c.key, c.d)
			if got := fmt.Sprintf("%s %d %s", op.Type, op.Version, op.Value); got != c.want {
				t.Errorf("got  %s (%s)\nwant %s", got, op.Error, c.want)
			}
			if (op.Type == history.OK) != (op.Error == "") {
				t.Errorf("%s with error %q", op.Type, op.Error)
			}
			if got := strings.Join(s.asked, ", "); got != c.asked {
				t.Errorf("asked %s\nwant  %s", got, c.asked)
			}
			if c.body != "" && !strings.Contains(s.bodies[s.asked[len(s.asked)-1]], c.body) {
				t.Errorf("sent %s\nwant %s", s.bodies[s.asked[len(s.asked)-1]], c.body)
			}
		})
	}
}

// What can't be served is refused before the run starts.
func TestClientsRefuse(t *testing.T) {
	if _, err := NewClient(newScripted(t, nil), harness.ClientOptions{Read: "cached"}); err == nil {
		t.Error("cached reads are taken")
	}
	if _, err := NewClient(without{}, harness.ClientOptions{}); err == nil {
		t.Error("a system without API servers is taken")
	}
}

// without is a system without API servers.
type without struct{ harness.System }

func (without) Name() string { return "without" }
