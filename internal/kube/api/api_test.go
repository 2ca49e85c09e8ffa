package api

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/faultline/faultline/harness"
)

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

// serve is an API server that answers as f does, and a client of it.
func serve(t *testing.T, timeout time.Duration, f http.HandlerFunc) (*Client, *httptest.Server) {
	t.Helper()
	s := httptest.NewUnstartedServer(f)
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	c, err := Connect(serverOf(s, s.Listener.Addr().String()), Options{Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, s
}

func serverOf(s *httptest.Server, addr string) Server {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	return Server{Node: "n1", Addr: addr, CA: ca}
}

// refuse answers with a status.
func refuse(w http.ResponseWriter, code int, reason metav1.StatusReason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Retry-After", "0")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message,
	})
}

// writes are the ways to change something.
var writes = map[string]func(context.Context, *Client) error{
	"POST": func(ctx context.Context, c *Client) error {
		return c.Create(ctx, configMaps, "a", "", &corev1.ConfigMap{}, nil, metav1.CreateOptions{})
	},
	"PUT": func(ctx context.Context, c *Client) error {
		return c.Update(ctx, configMaps, "a", "b", &corev1.ConfigMap{}, nil, metav1.UpdateOptions{})
	},
	"PATCH": func(ctx context.Context, c *Client) error {
		return c.Patch(ctx, configMaps, "a", "b", types.MergePatchType, []byte("{}"), nil, metav1.PatchOptions{})
	},
	"DELETE": func(ctx context.Context, c *Client) error {
		return c.Delete(ctx, configMaps, "a", "b", nil, metav1.DeleteOptions{})
	},
}

func TestWhichAnswersAreDefinite(t *testing.T) {
	for _, x := range []struct {
		code              int
		reason            metav1.StatusReason
		message           string
		definite, foreign bool
	}{
		{409, metav1.StatusReasonAlreadyExists, "x", true, false},
		{409, metav1.StatusReasonConflict, "x", true, false},
		{404, metav1.StatusReasonNotFound, "x", true, false},
		{401, metav1.StatusReasonUnauthorized, "x", true, false},
		{403, metav1.StatusReasonForbidden, "x", true, false},
		{429, metav1.StatusReasonTooManyRequests, "x", true, false},
		{400, metav1.StatusReasonBadRequest, "x", true, false},
		{422, metav1.StatusReasonInvalid, "x", true, false},
		{410, metav1.StatusReasonExpired, "x", true, false},
		{504, metav1.StatusReasonTimeout, "x", false, false},
		{500, metav1.StatusReasonServerTimeout, "x", false, false},
		{503, metav1.StatusReasonServiceUnavailable, "x", false, false},
		{500, metav1.StatusReasonInternalError, "etcdserver: request timed out", false, false},
		{500, metav1.StatusReasonInternalError, "rpc error: code = Unavailable desc = error reading from server: EOF", false, false},
		{500, metav1.StatusReasonUnknown, "rpc error: code = Unavailable desc = error reading from server: EOF", false, false},
		{500, metav1.StatusReasonInternalError, `failed to allocate a serviceIP for Service "x": range is full`, false, false},
		{500, metav1.StatusReasonInternalError, "the moon is full", false, true},
		{413, metav1.StatusReasonRequestEntityTooLarge, "x", false, true},
		{500, metav1.StatusReasonUnknown, "who knows", false, true},
	} {
		for verb, write := range writes {
			var asked atomic.Int32
			c, _ := serve(t, time.Minute, func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				refuse(w, x.code, x.reason, x.message)
			})
			err := write(t.Context(), c)
			if err == nil || Definite(err) != x.definite || harness.Outcome(err) == 0 {
				t.Errorf("%s answered by %d %s %q: definite is %v: %v", verb, x.code, x.reason, x.message, Definite(err), err)
			}
			if got := strings.HasPrefix(Text(err), Unexpected); got != x.foreign {
				t.Errorf("%s answered by %d %s: unexpected is %v: %s", verb, x.code, x.reason, got, Text(err))
			}
			if n := asked.Load(); n != 1 {
				t.Errorf("%s answered by %d %s with a Retry-After was sent %d times", verb, x.code, x.reason, n)
			}
		}
	}
}

// A server may apply a write and die before it answers.
func TestLostAnswers(t *testing.T) {
	for verb, write := range writes {
		var asked atomic.Int32
		c, s := serve(t, time.Minute, nil)
		for how, handler := range map[string]http.HandlerFunc{
			"the stream is reset":      func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			"the connection is broken": func(http.ResponseWriter, *http.Request) { s.CloseClientConnections() },
		} {
			asked.Store(0)
			s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.ProtoMajor != 2 {
					t.Errorf("%s came by %s", verb, r.Proto)
				}
				io.Copy(io.Discard, r.Body)
				asked.Add(1)
				handler(w, r)
			})
			err := write(t.Context(), c)
			if err == nil || Definite(err) || strings.HasPrefix(Text(err), Unexpected) {
				t.Errorf("%s, %s: %s", verb, how, Text(err))
			}
			if n := asked.Load(); n != 1 {
				t.Errorf("%s, %s: sent %d times", verb, how, n)
			}
		}
	}
}

func TestTimeouts(t *testing.T) {
	var conns atomic.Int32
	release := make(chan struct{})
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	s.EnableHTTP2 = true
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	s.StartTLS()
	defer s.Close()
	defer close(release)
	c, err := Connect(serverOf(s, s.Listener.Addr().String()), Options{Timeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 2 {
		if err := writes["POST"](t.Context(), c); !errors.Is(err, context.DeadlineExceeded) || Definite(err) || strings.HasPrefix(Text(err), Unexpected) {
			t.Errorf("a write that nobody answers: %s", Text(err))
		}
	}
	if n := conns.Load(); n != 2 {
		t.Errorf("%d connections; want one more after the first time-out", n)
	}
	// The beginning of a watch has the same time-out.
	if _, err := c.Open(t.Context(), configMaps, "a", metav1.ListOptions{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a watch that nobody answers: %v", err)
	}
}

func TestWhatIsNeverSent(t *testing.T) {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	addr := s.Listener.Addr().String()
	s.Close()
	frozen, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	defer frozen.Close()
	for how, server := range map[string]Server{
		"refused":           serverOf(s, addr),
		"frozen":            serverOf(s, frozen.Addr().String()),
		"no way":            {Node: "n1", Addr: addr, CA: serverOf(s, addr).CA, Dial: func(context.Context) (net.Conn, error) { return nil, errors.New("no way") }},
		"refused elsewhere": {Node: "n1", Addr: "127.0.0.1:1", CA: serverOf(s, addr).CA},
	} {
		c, err := Connect(server, Options{Timeout: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		err = writes["PUT"](t.Context(), c)
		if !NeverSent(err) || !Definite(err) || strings.HasPrefix(Text(err), Unexpected) {
			t.Errorf("%s: %s", how, Text(err))
		}
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("%s: it took %v", how, took)
		}
		c.Close()
	}
}

// Who reaches the server by another way still asks for its certificate.
func TestDial(t *testing.T) {
	_, s := serve(t, time.Minute, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"b","resourceVersion":"7"}}`)
	})
	there := func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", s.Listener.Addr().String())
	}
	for addr, ok := range map[string]bool{"127.0.0.1:6443": true, "10.1.2.3:6443": false} {
		server := serverOf(s, addr)
		server.Dial = there
		c, err := Connect(server, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var o corev1.ConfigMap
		err = c.Get(t.Context(), configMaps, "a", "b", &o, metav1.GetOptions{})
		if (err == nil) != ok || ok && o.ResourceVersion != "7" {
			t.Errorf("as %s: version %s, %v", addr, o.ResourceVersion, err)
		}
		c.Close()
	}
	for name, bad := range map[string]Server{
		"no port":        {Addr: "n1", CA: serverOf(s, "").CA},
		"no certificate": {Addr: "n1:6443"},
		"no key":         {Addr: "n1:6443", CA: serverOf(s, "").CA, Cert: []byte("x")},
	} {
		if _, err := Connect(bad, Options{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestReadErrorsAreDefinite(t *testing.T) {
	if ReadError(nil) != nil {
		t.Error("no error became one")
	}
	if err := ReadError(io.EOF); !Definite(err) || !errors.Is(err, io.EOF) {
		t.Errorf("%v", err)
	}
	once := ReadError(apierrors.NewNotFound(schema.GroupResource{}, "x"))
	if twice := ReadError(once); twice.Error() != once.Error() {
		t.Errorf("%v", twice)
	}
}
