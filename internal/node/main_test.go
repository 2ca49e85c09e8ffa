package node

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain makes the test's binary stand in for faultline, as daemons start it again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "node" {
		exit(Main(context.Background(), os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// exit ends a node's process at once: with the race detector built in, os.Exit would take a second each time.
func exit(code int) {
	_, _, _ = unix.RawSyscall(unix.SYS_EXIT_GROUP, uintptr(code), 0, 0)
}

// newState is a state directory of the test's own, from which everything is ended with it.
func newState(t *testing.T) (context.Context, state) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	s := state{dir: t.TempDir(), table: "faultline-test-none"} // what is in force on this machine is not the test's
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		// Not clean: that would also look for cuts, which the test's own network namespace has none of.
		names, err := namesIn(s.path("processes"))
		if err != nil {
			t.Error(err)
		}
		for _, name := range names {
			if err := s.end(ctx, SignalRequest{Name: name, Signal: "KILL", Bound: signalBound}); err != nil {
				t.Error(err)
			}
		}
		if err := s.dismiss(ctx); err != nil {
			t.Error(err)
		}
	})
	return ctx, s
}

func TestMainSpeaksJSON(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		name, stdin, stdout, stderr string
		args                        []string
		code                        int
	}{
		{"answer", "{}", "[]\n", "", []string{"--state", dir, "processes"}, 0},
		{"no request is an empty one", "", "[]\n", "", []string{"--state", dir, "processes"}, 0},
		{"malformed request", "{", "", "read the request", []string{"--state", dir, "processes"}, 1},
		{"unknown verb", "", "", `unknown verb "explode"; there are: init,`, []string{"explode"}, 1},
		{"no verb", "", "", "no verb given", nil, 1},
		{"nothing to signal", `{"name":"etcd","signal":"KILL"}`, "", `no process "etcd" was started`, []string{"--state", dir, "signal"}, 1},
		{"unknown signal", `{"name":"etcd","signal":"HUP"}`, "", `only KILL, TERM, STOP and CONT`, []string{"--state", dir, "signal"}, 1},
		{"init outside of namespaces", "{}", "", "first process of new namespaces", []string{"init"}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := Main(t.Context(), test.args, strings.NewReader(test.stdin), &stdout, &stderr)
			if code != test.code || stdout.String() != test.stdout || !strings.Contains(stderr.String(), test.stderr) {
				t.Errorf("exit %d\nstdout %q\nstderr %q", code, stdout.String(), stderr.String())
			}
		})
	}
}

func TestStatusOfAnUntouchedNode(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := Main(t.Context(), []string{"--state", t.TempDir(), "status"}, strings.NewReader("{}"), &stdout, &stderr); code != 0 {
		t.Fatal(stderr.String())
	}
	var a StatusAnswer
	if err := json.Unmarshal(stdout.Bytes(), &a); err != nil {
		t.Fatal(err)
	}
	if len(a.Faults)+len(a.Fired) != 0 || a.LeaseLeft != 0 {
		t.Errorf("%+v", a)
	}
}
