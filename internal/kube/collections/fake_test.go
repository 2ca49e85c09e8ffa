package collections

import (
	"cmp"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/streaming"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/internal/kube/api"
)

// environment names a real API server to run these tests against instead of the imagined one: its address, the files of its CA, and the
// certificate and key of an administrator, separated by commas.
const environment = "FAULTLINE_TEST_APISERVER"

// system is a System that has API servers and nothing else.
type system struct {
	harness.System
	servers map[string]api.Server
}

func (s *system) Name() string { return "imagined" }

func (s *system) Server(node string, _ bool) (api.Server, error) {
	server, ok := s.servers[node]
	if !ok {
		return api.Server{}, fmt.Errorf("no node %s", node)
	}
	return server, nil
}

// start makes a system with the server n1: a real one where the environment names it; fake is nil then.
func start(t *testing.T) (*system, *fake) {
	t.Helper()
	if named := os.Getenv(environment); named != "" {
		parts := strings.Split(named, ",")
		server := api.Server{Node: "n1", Addr: parts[0]}
		for i, to := range []*[]byte{&server.CA, &server.Cert, &server.Key} {
			text, err := os.ReadFile(parts[i+1])
			if err != nil {
				t.Fatal(err)
			}
			*to = text
		}
		return &system{servers: map[string]api.Server{"n1": server}}, nil
	}
	f := &fake{revision: 100, objects: map[string]metav1.Object{}}
	f.changed = sync.NewCond(&f.mu)
	s := httptest.NewUnstartedServer(f)
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	return &system{servers: map[string]api.Server{"n1": {Node: "n1", Addr: s.Listener.Addr().String(), CA: ca}}}, f
}

// fake is an imagined API server: one order of revisions, objects by their path, what happened to them, and enough of the protocol for
// the clients here.
type fake struct {
	// before and after, where not nil, see each request before and after it acts; an answer is given instead of the true one.
	before, after func(*http.Request) error

	mu       sync.Mutex
	changed  *sync.Cond
	revision int64
	// compacted is the oldest revision that it still has.
	compacted int64
	objects   map[string]metav1.Object
	log       []event
}

type event struct {
	kind, path string
	revision   int64
	object     metav1.Object
}

func (f *fake) hooks(before, after func(*http.Request) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before, f.after = before, after
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	before, after := f.before, f.after
	f.mu.Unlock()
	if before != nil {
		if err := before(r); err != nil {
			fail(w, err)
			return
		}
	}
	if r.URL.Query().Get("watch") == "true" {
		f.watch(w, r)
		return
	}
	out, err := f.act(r)
	if after != nil {
		err = errors.Join(err, after(r))
	}
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, http.StatusOK, out)
}

var errHangUp = errors.New("hang up")

func fail(w http.ResponseWriter, err error) {
	var status *apierrors.StatusError
	if !errors.As(err, &status) {
		panic(http.ErrAbortHandler)
	}
	answer(w, int(status.ErrStatus.Code), &status.ErrStatus)
}

func info(mediaType string) runtime.SerializerInfo {
	i, _ := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), mediaType)
	return i
}

const protobuf = "application/vnd.kubernetes.protobuf"

func encoded(o runtime.Object) []byte {
	gv := schema.GroupVersion{Version: "v1"}
	if _, ok := o.(*coordinationv1.Lease); ok {
		gv = coordinationv1.SchemeGroupVersion
	}
	// Encoding writes to the object, which others may be encoding, too.
	text, err := runtime.Encode(scheme.Codecs.EncoderForVersion(info(protobuf).Serializer, gv), o.DeepCopyObject())
	if err != nil {
		panic(err)
	}
	return text
}

func answer(w http.ResponseWriter, code int, o runtime.Object) {
	w.Header().Set("Content-Type", protobuf)
	w.WriteHeader(code)
	w.Write(encoded(o))
}

// splitPath is the collection and the name of a request: namespaces/a/configmaps, b.
func splitPath(r *http.Request) (collection, name string) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	parts = parts[slices.Index(parts, "namespaces"):]
	if n := len(parts); n == 2 || n == 4 {
		return strings.Join(parts[:n-1], "/"), parts[n-1]
	}
	return strings.Join(parts, "/"), ""
}

var resource = schema.GroupResource{Resource: "things"}

func (f *fake) act(r *http.Request) (runtime.Object, error) {
	collection, name := splitPath(r)
	var object metav1.Object
	if r.Method == http.MethodPost || r.Method == http.MethodPut {
		body, _ := io.ReadAll(r.Body)
		o, err := runtime.Decode(scheme.Codecs.UniversalDeserializer(), body)
		if err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		object, _ = meta.Accessor(o)
		name = cmp.Or(name, object.GetName())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	path := collection + "/" + name
	found := f.objects[path]
	switch r.Method {
	case http.MethodPost:
		if _, within, ok := strings.Cut(collection, "namespaces/"); ok && f.objects["namespaces/"+strings.Split(within, "/")[0]] == nil {
			return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, within)
		}
		if found != nil {
			return nil, apierrors.NewAlreadyExists(resource, name)
		}
		f.write("ADDED", path, object)
		return object.(runtime.Object), nil
	case http.MethodGet:
		if name == "" {
			return f.list(r, collection)
		}
	case http.MethodPut:
		if v := object.GetResourceVersion(); found != nil && v != "" && v != found.GetResourceVersion() {
			return nil, apierrors.NewConflict(resource, name, errors.New("another version"))
		}
	case http.MethodDelete:
		body, _ := io.ReadAll(r.Body)
		var o metav1.DeleteOptions
		if _, _, err := scheme.Codecs.UniversalDeserializer().Decode(body, nil, &o); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		if found != nil && o.Preconditions != nil && *o.Preconditions.ResourceVersion != found.GetResourceVersion() {
			return nil, apierrors.NewConflict(resource, name, errors.New("another version"))
		}
	}
	switch {
	case found == nil:
		return nil, apierrors.NewNotFound(resource, name)
	case r.Method == http.MethodPut:
		f.write("MODIFIED", path, object)
		return object.(runtime.Object), nil
	case r.Method == http.MethodDelete:
		gone := found.(runtime.Object).DeepCopyObject().(metav1.Object)
		f.write("DELETED", path, gone)
		delete(f.objects, path)
		return &metav1.Status{Status: metav1.StatusSuccess}, nil
	}
	return found.(runtime.Object), nil
}

func (f *fake) write(kind, path string, o metav1.Object) {
	f.revision++
	o.SetResourceVersion(strconv.FormatInt(f.revision, 10))
	f.objects[path] = o
	f.log = append(f.log, event{kind, path, f.revision, o})
	f.changed.Broadcast()
}

// at is the state of a collection at a revision.
func (f *fake) at(collection string, revision int64) map[string]metav1.Object {
	out := map[string]metav1.Object{}
	for _, e := range f.log {
		if e.revision > revision || !strings.HasPrefix(e.path, collection+"/") {
			continue
		}
		out[e.path] = e.object
		if e.kind == "DELETED" {
			delete(out, e.path)
		}
	}
	return out
}

func selected(r *http.Request, o metav1.Object) bool {
	s, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	name, byName := strings.CutPrefix(r.URL.Query().Get("fieldSelector"), "metadata.name=")
	return err == nil && s.Matches(labels.Set(o.GetLabels())) && (!byName || name == o.GetName())
}

func (f *fake) list(r *http.Request, collection string) (runtime.Object, error) {
	q := r.URL.Query()
	revision, from := f.revision, 0
	if v, _ := strconv.ParseInt(q.Get("resourceVersion"), 10, 64); v > 0 && q.Get("resourceVersionMatch") == "Exact" {
		revision = v
	}
	if token := q.Get("continue"); token != "" {
		if q.Has("resourceVersion") {
			return nil, apierrors.NewBadRequest("specifying resource version is not allowed when using continue")
		}
		fmt.Sscanf(token, "%d:%d", &revision, &from)
	}
	if revision < f.compacted {
		return nil, apierrors.NewResourceExpired("too old")
	}
	list := &corev1.ConfigMapList{ListMeta: metav1.ListMeta{ResourceVersion: strconv.FormatInt(revision, 10)}}
	state := f.at(collection, revision)
	for _, path := range slices.Sorted(maps.Keys(state)) {
		if selected(r, state[path]) {
			list.Items = append(list.Items, *state[path].(*corev1.ConfigMap))
		}
	}
	limit, _ := strconv.Atoi(q.Get("limit"))
	list.Items = list.Items[from:]
	if limit > 0 && len(list.Items) > limit {
		list.Items = list.Items[:limit]
		list.Continue = fmt.Sprintf("%d:%d", revision, from+limit)
	}
	return list, nil
}

// watch streams events until the client goes away, or the revision is too old.
func (f *fake) watch(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	collection, _ := splitPath(r)
	from, _ := strconv.ParseInt(q.Get("resourceVersion"), 10, 64)
	stop := context.AfterFunc(r.Context(), f.changed.Broadcast)
	defer stop()
	f.mu.Lock()
	defer f.mu.Unlock()
	if from > 0 && from < f.compacted {
		fail(w, apierrors.NewResourceExpired("too old"))
		return
	}
	w.Header().Set("Content-Type", protobuf+";stream=watch")
	w.WriteHeader(http.StatusOK)
	stream := info(protobuf).StreamSerializer
	encoder := streaming.NewEncoder(stream.NewFrameWriter(w), stream.Serializer)
	send := func(kind string, o runtime.Object) {
		if err := encoder.Encode(&metav1.WatchEvent{Type: kind, Object: runtime.RawExtension{Raw: encoded(o)}}); err != nil && r.Context().Err() == nil {
			panic(err)
		}
	}
	if from == 0 {
		state := f.at(collection, f.revision)
		for _, path := range slices.Sorted(maps.Keys(state)) {
			if selected(r, state[path]) {
				send("ADDED", state[path].(runtime.Object))
			}
		}
		from = f.revision
	}
	mark := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{ResourceVersion: strconv.FormatInt(from, 10)}}
	if q.Get("sendInitialEvents") == "true" {
		mark.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: "true"}
		send("BOOKMARK", mark)
	}
	for at := 0; r.Context().Err() == nil; {
		for ; at < len(f.log); at++ {
			if e := f.log[at]; e.revision > from && strings.HasPrefix(e.path, collection+"/") && selected(r, e.object) {
				send(e.kind, e.object.(runtime.Object))
			}
		}
		if q.Get("allowWatchBookmarks") == "true" && f.revision > from {
			from = f.revision
			send("BOOKMARK", &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{ResourceVersion: strconv.FormatInt(from, 10)}})
		}
		w.(http.Flusher).Flush()
		f.changed.Wait()
	}
}
