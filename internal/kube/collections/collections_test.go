package collections

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// open makes a client of a process.
func open(t *testing.T, s *system, make harness.NewClients, read string, p history.Process) harness.Client {
	t.Helper()
	opener, err := make(s, harness.ClientOptions{Read: read})
	if err != nil {
		t.Fatal(err)
	}
	c, err := opener(t.Context(), p, "n1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// say performs "f key value" and renders the completion.
func say(t *testing.T, c harness.Client, line string) (history.Op, string) {
	t.Helper()
	f, rest, _ := strings.Cut(line, " ")
	key, value, _ := strings.Cut(rest, " ")
	op := history.Op{Type: history.Invoke, F: f, Key: key}
	if value != "" {
		op.Value = json.RawMessage(value)
	}
	done := c.Invoke(t.Context(), op)
	text := done.Type.String() + " " + string(done.Value)
	if done.Error != "" {
		text += " " + done.Error
	}
	return done, text
}

// unique is a key that no other test, and no other run against a real server, has.
func unique(t *testing.T, prefix string) string {
	t.Helper()
	return fmt.Sprintf("%s%d", prefix, time.Now().UnixNano()%1e10)
}

func TestRegister(t *testing.T) {
	s, _ := start(t)
	for _, read := range RegisterReads() {
		key := unique(t, "r")
		a, b := open(t, s, NewRegisterClient, read, 0), open(t, s, NewRegisterClient, read, 1)
		for _, x := range []struct {
			c          harness.Client
			line, want string
		}{
			{a, `read KEY`, `ok null`},
			{a, `cas KEY [0,1]`, `ok [0,1,false,null]`},
			{a, `cas KEY [null,1]`, `ok [null,1,true]`},
			{a, `cas KEY [null,2]`, `ok [null,2,false,1]`},
			{b, `write KEY 3`, `fail 3 not applied: configmaps "KEY" already exists`}, // it knew no better
			{b, `write KEY 3`, `ok 3`},
			{b, `write KEY 3`, `ok 3`},
			{a, `cas KEY [2,4]`, `ok [2,4,false,3]`},
			{a, `cas KEY [3,4]`, `ok [3,4,true]`},
			{a, `write KEY -12`, `ok -12`},
			{a, `write KEY "x"`, `fail "x" unexpected: not applied: value "x" of write: json: cannot unmarshal string into Go value of type int64`},
			{a, `cas KEY [1]`, `fail [1] unexpected: not applied: value [1] of cas: want [old, new]`},
			{a, `frob KEY`, `fail  unexpected: no such function: "frob"`},
		} {
			_, got := say(t, x.c, strings.ReplaceAll(x.line, "KEY", key))
			want := strings.ReplaceAll(x.want, "KEY", key)
			if got = strings.ReplaceAll(got, "things", "configmaps"); got != want {
				t.Errorf("--read %s: %s\n got %s\nwant %s", read, x.line, got, want)
			}
		}
	}
}

// The versions that clients tell are those of what they read and wrote, and rise with each write, also of the same value.
func TestRegisterVersions(t *testing.T) {
	s, _ := start(t)
	for _, read := range RegisterReads() {
		key := unique(t, "v")
		c := open(t, s, NewRegisterClient, read, 0)
		if done, text := say(t, c, "read "+key); done.Version != 0 || (done.Revision == 0) != (read == history.ReadQuorum) {
			t.Errorf("--read %s of nothing: version %d, revision %d: %s", read, done.Version, done.Revision, text)
		}
		last := int64(0)
		for _, line := range []string{"cas KEY [null,1]", "write KEY 1", "write KEY 1", "cas KEY [1,1]"} {
			done, text := say(t, c, strings.ReplaceAll(line, "KEY", key))
			if done.Type != history.OK || done.Version <= last || done.Revision != done.Version {
				t.Errorf("--read %s: %s → %s: version %d after %d, revision %d", read, line, text, done.Version, last, done.Revision)
			}
			last = done.Version
		}
		// A cache may need a moment.
		for range 50 {
			done, text := say(t, c, "read "+key)
			if done.Version == last && (read == history.ReadQuorum || done.Revision >= last) {
				break
			}
			if read != history.ReadCached {
				t.Errorf("--read %s: %s: version %d, revision %d, after version %d", read, text, done.Version, done.Revision, last)
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if done, _ := say(t, c, "cas "+key+" [7,8]"); done.Version != last || done.Revision != 0 {
			t.Errorf("a refused compare-and-set saw version %d, revision %d, want %d and none", done.Version, done.Revision, last)
		}
	}
}

// A compare-and-set that loses the race for what it saw is a fail, not a mismatch; and a write whose answer is lost is of unknown
// outcome, whether or not it was applied.
func TestRegisterRacesAndLostAnswers(t *testing.T) {
	s, f := start(t)
	if f == nil {
		return // what happens in between can't be arranged on a real server
	}
	c, other := open(t, s, NewRegisterClient, "", 0), open(t, s, NewRegisterClient, "", 1)
	say(t, c, "cas r1 [null,1]")
	say(t, other, "read r1")
	var once atomic.Bool
	f.hooks(func(r *http.Request) error {
		if r.Method == http.MethodPut && once.CompareAndSwap(false, true) {
			if _, text := say(t, other, "write r1 1"); text != "ok 1" {
				t.Errorf("the other's write: %s", text)
			}
		}
		return nil
	}, nil)
	if _, text := say(t, c, "cas r1 [1,2]"); !strings.HasPrefix(text, "fail [1,2] not applied: ") {
		t.Errorf("a compare-and-set that lost the race: %s", text)
	}
	hangUp := func(r *http.Request) error {
		if r.Method != http.MethodGet {
			return errHangUp
		}
		return nil
	}
	f.hooks(nil, hangUp)
	if _, text := say(t, c, "write r1 5"); !strings.HasPrefix(text, "info 5 ") || strings.Contains(text, "unexpected") {
		t.Errorf("a write whose answer was lost: %s", text)
	}
	f.hooks(hangUp, nil)
	if _, text := say(t, c, "cas r1 [5,6]"); !strings.HasPrefix(text, "info [5,6] ") || strings.Contains(text, "unexpected") {
		t.Errorf("a compare-and-set that may not have arrived: %s", text)
	}
	f.hooks(func(r *http.Request) error { return apierrors.NewTooManyRequests("later", 1) }, nil)
	for _, line := range []string{"write r1 7", "read r1", "cas r1 [5,6]"} {
		if _, text := say(t, c, line); !strings.HasPrefix(text, "fail ") || strings.Contains(text, "unexpected") {
			t.Errorf("%s on a server that is too busy: %s", line, text)
		}
	}
	f.hooks(func(r *http.Request) error { return errHangUp }, nil)
	if _, text := say(t, c, "read r1"); !strings.HasPrefix(text, "fail ") {
		t.Errorf("a read whose answer was lost: %s", text)
	}
	f.hooks(nil, nil)
	if _, text := say(t, c, "read r1"); text != "ok 5" {
		t.Errorf("in the end: %s", text)
	}
}

func TestSet(t *testing.T) {
	s, f := start(t)
	for _, read := range SetReads() {
		key := unique(t, "s")
		c := open(t, s, NewSetClient, read, 0)
		for _, x := range [][2]string{
			{`read KEY`, `ok []`},
			{`add KEY 5`, `ok 5`},
			{`add KEY 2`, `ok 2`},
			{`add KEY x`, `fail x unexpected: not applied: value x of add: invalid character 'x' looking for beginning of value`},
		} {
			if _, got := say(t, c, strings.ReplaceAll(x[0], "KEY", key)); got != x[1] {
				t.Errorf("--read %s: %s\n got %s\nwant %s", read, x[0], got, x[1])
			}
		}
		if read == history.ReadCached {
			continue // whenever it likes
		}
		if done, got := say(t, c, "read "+key); got != `ok [2,5]` || done.Revision == 0 {
			t.Errorf("--read %s: %s at revision %d", read, got, done.Revision)
		}
		// Nobody else adds it: so it may have been this add that did.
		if _, got := say(t, c, "add "+key+" 5"); !strings.HasPrefix(got, "info 5 unexpected: ") {
			t.Errorf("an element that is there: %s", got)
		}
	}
	if f == nil {
		return
	}
	f.hooks(func(r *http.Request) error { return errHangUp }, nil)
	c := open(t, s, NewSetClient, "", 0)
	if _, got := say(t, c, "add new 1"); !strings.HasPrefix(got, "fail 1 not applied: not begun, for want of the namespace faultline-new: ") {
		t.Errorf("an add before its namespace could be made: %s", got)
	}
}

func TestListing(t *testing.T) {
	s, _ := start(t)
	key := unique(t, "c")
	a, b := open(t, s, NewListClient, "mixed", 0), open(t, s, NewListClient, "mixed", 1)
	for _, x := range []struct {
		c          harness.Client
		line, want string
	}{
		{a, `create KEY {"object":"o1","number":1}`, `ok {"object":"o1","number":1}`},
		{b, `create KEY {"object":"o1","number":2}`, `ok {"object":"o1","number":2,"refused":"exists"}`},
		{b, `update KEY {"object":"o2","number":3}`, `ok {"object":"o2","number":3,"refused":"absent"}`},
		{b, `delete KEY {"object":"o2"}`, `ok {"object":"o2","refused":"absent"}`},
		{b, `update KEY {"object":"o1","number":4,"expect":-1}`, `ok {"object":"o1","number":4}`}, // it has seen no version
		{a, `update KEY {"object":"o1","number":5,"expect":-1}`, `ok {"object":"o1","number":5,"expect":V,"refused":"conflict"}`},
		{a, `delete KEY {"object":"o1","expect":-1}`, `ok {"object":"o1","expect":V,"refused":"conflict"}`},
		{b, `update KEY {"object":"o1","number":6,"expect":-1}`, `ok {"object":"o1","number":6,"expect":V}`},
		{b, `create KEY {"object":"o2","number":7}`, `ok {"object":"o2","number":7}`},
		{b, `create KEY {"object":"o3","number":8}`, `ok {"object":"o3","number":8}`},
		{b, `delete KEY {"object":"o2","expect":-1}`, `ok {"object":"o2","expect":V}`},
		{b, `create KEY {"object":"o4","number":9}`, `ok {"object":"o4","number":9}`},
		{a, `update KEY {"number":1}`, `fail {"number":1} unexpected: not applied: value {"number":1} of update: it names no object`},
	} {
		_, got := say(t, x.c, strings.ReplaceAll(x.line, "KEY", key))
		if got = versionless(got); got != x.want {
			t.Errorf("%s\n got %s\nwant %s", x.line, got, x.want)
		}
	}
	for _, x := range []struct {
		c                   harness.Client
		request, kind, want string
		pages               int
		asked               bool
	}{
		{b, `{"read":"exact"}`, "exact", "o1=6 o3=8 o4=9", 1, true},
		{b, `{"read":"quorum","limit":2}`, "quorum", "o1=6 o3=8 o4=9", 2, false},
		{b, `{"read":"at-least","limit":1}`, "at-least", "o1=6 o3=8 o4=9", 3, true},
		{a, `{"read":"exact","limit":1}`, "exact", "o1=1", 1, true}, // all that it has seen is its own
		{open(t, s, NewListClient, "", 2), `{"read":"exact"}`, "quorum", "o1=6 o3=8 o4=9", 1, false},
	} {
		done, text := say(t, x.c, "list "+key+" "+x.request)
		var l history.Listing
		if err := json.Unmarshal(done.Value, &l); err != nil || done.Type != history.OK {
			t.Errorf("list %s: %s", x.request, text)
			continue
		}
		var members []history.Member
		for _, p := range l.Pages {
			members = append(members, p.Objects...)
			if p.Revision != l.Pages[0].Revision || p.Revision != done.Revision || x.kind == "exact" && p.Revision != l.Asked {
				t.Errorf("list %s: revisions: %s", x.request, text)
			}
		}
		if got := render(members); got != x.want || len(l.Pages) != x.pages || l.Read != x.kind || (l.Asked > 0) != x.asked {
			t.Errorf("list %s: %s\nwant %s %s in %d pages", x.request, text, x.kind, x.want, x.pages)
		}
	}
}

// versionless puts V for a version in "expect".
func versionless(text string) string {
	head, rest, ok := strings.Cut(text, `"expect":`)
	if !ok {
		return text
	}
	return head + `"expect":V` + strings.TrimLeft(rest, "0123456789")
}

func render(members []history.Member) string {
	var out []string
	for _, m := range members {
		out = append(out, m.Object+"="+strconv.FormatInt(m.Number, 10))
	}
	return strings.Join(out, " ")
}

func TestListsOfRevisionsThatAreGone(t *testing.T) {
	s, f := start(t)
	if f == nil {
		return
	}
	c := open(t, s, NewListClient, "", 0)
	for i := range 4 {
		say(t, c, fmt.Sprintf(`create c {"object":"o%d","number":%d}`, i, i+1))
	}
	f.hooks(nil, func(*http.Request) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.revision++
		f.compacted = f.revision
		return nil
	})
	if _, text := say(t, c, `list c {"read":"quorum","limit":2}`); !strings.HasPrefix(text, "fail ") || strings.Contains(text, "unexpected") {
		t.Errorf("a list whose second page is gone: %s", text)
	}
	f.hooks(nil, nil)
	// It has forgotten the revision that is gone.
	if done, text := say(t, c, `list c {"read":"exact"}`); done.Type != history.OK || !strings.Contains(text, `"read":"quorum"`) {
		t.Errorf("the next one: %s", text)
	}
}
