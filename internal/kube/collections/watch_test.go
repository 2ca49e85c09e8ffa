package collections

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// watching performs a watch and, once it is under way, changes.
func watching(t *testing.T, c, changer harness.Client, key, request string, changes ...string) (history.Stream, history.Op) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() {
		time.Sleep(300 * time.Millisecond) // long enough for it to have begun; sooner would be no error, but another stream
		for _, line := range changes {
			if done, text := say(t, changer, strings.ReplaceAll(line, "KEY", key)); done.Type != history.OK {
				t.Errorf("%s: %s", line, text)
			}
		}
	})
	done, text := say(t, c, "watch "+key+" "+request)
	wg.Wait()
	var s history.Stream
	if err := json.Unmarshal(done.Value, &s); err != nil || done.Type != history.OK {
		t.Fatalf("watch %s: %s", request, text)
	}
	return s, done
}

// events renders those that are no bookmarks, and tells whether versions rise.
func events(s history.Stream) (text string, rising bool) {
	var out []string
	last := int64(0)
	rising = true
	for _, e := range s.Events {
		if e.Type == history.EventBookmark {
			rising = rising && e.Version >= last
			continue
		}
		rising = rising && e.Version > last
		last = e.Version
		out = append(out, fmt.Sprintf("%s %s=%d", e.Type, e.Object, e.Number))
	}
	return strings.Join(out, ", "), rising
}

func TestWatching(t *testing.T) {
	s, _ := start(t)
	key := unique(t, "w")
	c, changer := open(t, s, NewWatchClient, "", 0), open(t, s, NewWatchClient, "", 1)
	for i := range 2 {
		say(t, changer, fmt.Sprintf(`create %s {"object":"o%d","number":%d}`, key, i, i+1))
	}
	number := 10
	changes := func() (lines []string, want string) {
		number += 10
		n := strconv.Itoa(number)
		return []string{
			`update KEY {"object":"o0","number":` + n + `}`, `create KEY {"object":"o9","number":` + n + `1}`, `delete KEY {"object":"o9"}`,
		}, fmt.Sprintf("modified o0=%s, added o9=%s1, deleted o9=%s1", n, n, n)
	}
	for _, x := range []struct {
		request, from, initial string
		after, initialAt, done bool
	}{
		{`{"from":"resume","for_ms":1200}`, "resume", "o0=1 o1=2", true, true, true}, // it has seen nothing: it lists
		{`{"from":"now","for_ms":1200}`, "now", "o0=20 o1=2", false, false, false},
		{`{"from":"list","for_ms":1200}`, "list", "o0=30 o1=2", false, true, true},
		{`{"from":"resume","for_ms":1200,"bookmarks":true}`, "resume", "", true, false, false},
		{`{"from":"past","for_ms":1200}`, "past", "", true, false, false},
	} {
		lines, want := changes()
		stream, op := watching(t, c, changer, key, x.request, lines...)
		got, rising := events(stream)
		if x.from == history.WatchPast {
			// From the oldest revision that the process knows, everything again.
			if !strings.HasSuffix(got, want) || !strings.Contains(got, "modified o0=30") || !rising {
				t.Errorf("watch %s: %s", x.request, got)
			}
		} else if got != want || !rising {
			t.Errorf("watch %s: %s\nwant %s", x.request, got, want)
		}
		if render(stream.Initial) != x.initial || stream.From != x.from || stream.End != endTime || (stream.After > 0) != x.after ||
			(stream.InitialAt > 0) != x.initialAt || stream.InitialDone != x.done {
			t.Errorf("watch %s: %s", x.request, op.Value)
		}
		if last := stream.Events[len(stream.Events)-1].Version; op.Revision != last {
			t.Errorf("watch %s: revision %d, but the last event is of %d", x.request, op.Revision, last)
		}
	}
	for _, request := range []string{`{"from":"now"}`, `{"from":"nowhere","for_ms":10}`, `[]`} {
		if done, text := say(t, c, "watch "+key+" "+request); done.Type != history.Fail {
			t.Errorf("watch %s: %s", request, text)
		}
	}
}

// A process that begins in the past and has none resumes.
func TestWatchingThePastWithoutOne(t *testing.T) {
	s, _ := start(t)
	c := open(t, s, NewWatchClient, "", 0)
	stream, _ := watching(t, c, c, unique(t, "w"), `{"from":"past","for_ms":100}`)
	if stream.From != history.WatchResume || !stream.InitialDone || stream.After != stream.InitialAt || stream.After == 0 {
		t.Errorf("%+v", stream)
	}
}

func TestInformers(t *testing.T) {
	s, f := start(t)
	key := unique(t, "i")
	c, changer := open(t, s, NewWatchClient, "", 0), open(t, s, NewWatchClient, "", 1)
	say(t, changer, "create "+key+` {"object":"o0","number":1}`)
	lines := []string{`update KEY {"object":"o0","number":2}`, `create KEY {"object":"o1","number":3}`, `delete KEY {"object":"o0"}`, `create KEY {"object":"o2","number":4}`}
	stream, op := watching(t, c, changer, key, `{"from":"inform","for_ms":1500}`, lines...)
	if got, _ := events(stream); got != "modified o0=2, added o1=3, deleted o0=2, added o2=4" || render(stream.Initial) != "o0=1" || render(stream.Final) != "o1=3 o2=4" {
		t.Errorf("an informer: %s", op.Value)
	}
	if last := stream.Events[len(stream.Events)-1].Version; stream.FinalAt < last || stream.InitialAt == 0 || op.Revision < last {
		t.Errorf("an informer's revisions: %s", op.Value)
	}
	if f == nil {
		return
	}
	// It goes on after its connection was lost, and syncs as soon as it can.
	var watches int
	var mu sync.Mutex
	f.hooks(func(r *http.Request) error {
		mu.Lock()
		defer mu.Unlock()
		if watches++; watches < 3 {
			return errHangUp
		}
		return nil
	}, nil)
	stream, op = watching(t, c, c, key, `{"from":"inform","for_ms":2000}`)
	if render(stream.Final) != "o1=3 o2=4" {
		t.Errorf("an informer that was hung up on: %s", op.Value)
	}
	f.hooks(func(r *http.Request) error { return errHangUp }, nil)
	if stream, op = watching(t, c, c, key, `{"from":"inform","for_ms":500}`); stream.FinalAt != 0 || stream.InitialDone {
		t.Errorf("an informer that never synced: %s", op.Value)
	}
}

// What a reflector lists anew is told as the difference to what it had.
func TestMirrorListsAgain(t *testing.T) {
	object := func(name, version, number string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: version}, Data: map[string]string{"value": number}}
	}
	m := &mirror{stream: &stream{}, objects: map[string]history.Member{}}
	if err := errors.Join(
		m.Replace([]any{object("b", "2", "20"), object("a", "1", "10"), object("c", "3", "30")}, "5"),
		m.Update(object("a", "6", "60")),
		m.Replace([]any{object("a", "6", "60"), object("b", "9", "90"), object("d", "8", "80")}, "10"),
		m.Delete(object("d", "11", "80")),
	); err != nil {
		t.Fatal(err)
	}
	got, _ := events(m.Stream)
	if want := "modified a=60, modified b=90, added d=80, deleted c=30, deleted d=80"; got != want || render(m.Initial) != "a=10 b=20 c=30" || render(m.sorted()) != "a=60 b=90" {
		t.Errorf("%s\nwant %s; %s", got, want, render(m.sorted()))
	}
	if v := m.Events[3].Version; v != 0 {
		t.Errorf("a deletion that no event told has version %d", v)
	}
	if m.Add(object("e", "x", "1")); m.err == nil {
		t.Error("an object without a version is taken")
	}
}

// Until the bookmark that closes it, whatever comes is part of the initial state.
func TestInitialStateThatChangesOnItsWay(t *testing.T) {
	s := &stream{Stream: history.Stream{From: history.WatchList}, at: map[string]int{}, starting: true}
	take := func(kind watch.EventType, name, version, number string, annotated bool) {
		o := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: version}, Data: map[string]string{"value": number}}
		if annotated {
			o.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: "true"}
		}
		if err := s.take(kind, o); err != nil {
			t.Error(err)
		}
	}
	take(watch.Added, "a", "1", "10", false)
	take(watch.Added, "b", "2", "20", false)
	take(watch.Deleted, "a", "5", "10", false)
	take(watch.Modified, "b", "6", "60", false)
	take(watch.Added, "a", "7", "70", false)
	take(watch.Deleted, "b", "8", "60", false)
	take(watch.Bookmark, "", "8", "", true)
	take(watch.Added, "c", "9", "90", false)
	take(watch.Bookmark, "", "12", "", false)
	s.dropGone()
	if got, _ := events(s.Stream); render(s.Initial) != "a=70" || s.InitialAt != 8 || !s.InitialDone || got != "added c=90" || s.newest() != 12 {
		t.Errorf("%+v", s.Stream)
	}
}

func TestStreamsThatAreGone(t *testing.T) {
	s, f := start(t)
	if f == nil {
		return
	}
	c := open(t, s, NewWatchClient, "", 0)
	say(t, c, `create w {"object":"o1","number":1}`)
	say(t, c, `create w {"object":"o2","number":2}`)
	f.mu.Lock()
	f.revision += 10
	f.compacted = f.revision
	f.mu.Unlock()
	stream, _ := watching(t, c, c, "w", `{"from":"resume","for_ms":200}`)
	if stream.End != endGone || stream.After == 0 {
		t.Errorf("a revision that is gone: %+v", stream)
	}
	// Like everybody whose revision is gone, it lists then.
	if stream, _ = watching(t, c, c, "w", `{"from":"resume","for_ms":200}`); stream.End != endTime || render(stream.Initial) != "o1=1 o2=2" {
		t.Errorf("the next one: %+v", stream)
	}
	f.hooks(func(*http.Request) error { return errHangUp }, nil)
	if done, text := say(t, c, `watch w {"from":"now","for_ms":200}`); done.Type != history.Fail || strings.Contains(text, "unexpected") {
		t.Errorf("a watch that could not begin: %s", text)
	}
}

// What nobody wrote ends a stream, and is told as what nobody foresaw.
func TestStreamsOfNonsense(t *testing.T) {
	s, _ := start(t)
	c := open(t, s, NewWatchClient, "", 0)
	say(t, c, `create nonsense {"object":"o1","number":1}`)
	raw := c.(*client)
	var wg sync.WaitGroup
	wg.Go(func() {
		time.Sleep(300 * time.Millisecond) // long enough for the watch to have begun; sooner would be another way to the same end
		space, _ := collectionOf("nonsense")
		if _, err := raw.create(t.Context(), raw.content(space, "o2", "nonsense", "zz")); err != nil {
			t.Error(err)
		}
	})
	done, text := say(t, open(t, s, NewWatchClient, "", 1), `watch nonsense {"from":"now","for_ms":3000}`)
	wg.Wait()
	var stream history.Stream
	if err := json.Unmarshal(done.Value, &stream); err != nil || !strings.HasPrefix(stream.End, "error: unexpected: ") || !strings.Contains(stream.End, "nobody wrote") {
		t.Errorf("%s", text)
	}
}
