package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/faultline/faultline/harness/control"
)

func TestParseStat(t *testing.T) {
	const tail = " 1 2 3 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 8 0 12345 1000000 77 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0\n"
	for _, name := range []string{"etcd", "a b", "(x) S 1", ") R", ""} {
		st, err := parseStat([]byte("42 (" + name + ") T" + tail))
		want := stat{state: 'T', cpu: 3 * time.Second, startTicks: 12345, rssBytes: 77 * int64(os.Getpagesize())}
		if err != nil || st != want {
			t.Errorf("%q: %+v, %v", name, st, err)
		}
	}
	for _, text := range []string{"", "42", "42 (etcd)", "42 (etcd) S 1 2", "42 (etcd) S" + strings.ReplaceAll(tail, "12345", "x")} {
		if st, err := parseStat([]byte(text)); err == nil {
			t.Errorf("%q: %+v", text, st)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	own, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(own)
	f.Add([]byte("1 ()) ( S"))
	f.Fuzz(func(_ *testing.T, text []byte) { _, _ = parseStat(text) }) // it never panics
}

func TestParseSocket(t *testing.T) {
	for line, want := range map[string]string{
		// A listening socket, an established one, and one over IPv6 with a mapped IPv4 address.
		"  0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1234 1":                                         "",
		"  1: 0B00D70A:08AE 0100D70A:C350 01 00000000:00000000 02:000AF 00000000     0        0 99 2":                                              "10.215.0.1 -> 10.215.0.11:2222 inode 99",
		"  2: 0000000000000000FFFF00000B00D70A:0016 0000000000000000FFFF00000100D70A:C350 01 00000000:00000000 02:0AF 00000000     0        0 7 2": "10.215.0.1 -> 10.215.0.11:22 inode 7",
		"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode":                                         "",
		"  3: 0B00D7:08AE 0100D70A:C350 01 0 0 0 0 0 99":                                                                                           "",
	} {
		ends, inode, ok := parseSocket(line)
		got := ""
		if ok {
			got = fmt.Sprintf("%s -> %s:%d inode %s", ends.client, ends.server, ends.port, inode)
		}
		if got != want {
			t.Errorf("%q: %q, not %q", line, got, want)
		}
	}
}

func TestParseConnection(t *testing.T) {
	if c, err := parseConnection("10.0.0.1 50000 10.0.0.2 22"); err != nil || c != (sshEnds{"10.0.0.1", "10.0.0.2", 22}) {
		t.Errorf("%+v, %v", c, err)
	}
	for _, text := range []string{"", "10.0.0.1 50000 10.0.0.2", "a b c d"} {
		if _, err := parseConnection(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

func TestCutIsRefused(t *testing.T) {
	rule := func(ports ...int) []control.CutRule { return []control.CutRule{{Ports: ports}} }
	for _, test := range []struct {
		q    CutRequest
		want string
	}{
		{CutRequest{ID: "p", Rules: rule(2380)}, ""},
		{CutRequest{ID: "", Rules: rule(2380)}, "its id"},
		{CutRequest{ID: "a b", Rules: rule(2380)}, "its id"},
		{CutRequest{ID: strings.Repeat("x", maxCutID+1), Rules: rule(2380)}, "its id"},
		{CutRequest{ID: "p"}, "no rules"},
		{CutRequest{ID: "p", Rules: rule()}, "without ports"},
		{CutRequest{ID: "p", Rules: rule(0)}, "no port 0"},
		{CutRequest{ID: "p", Rules: rule(65536)}, "no port 65536"},
		{CutRequest{ID: "p", Rules: rule(2380, 22), Protect: []int{22}}, "how the driver reaches this node"},
		{CutRequest{ID: "p", Rules: []control.CutRule{{Ports: []int{1}, ServerOnly: true, ClientOnly: true}}}, "matches nothing"},
		{CutRequest{ID: "p", Rules: []control.CutRule{{Ports: []int{1}, From: "n2"}}}, "n2"},
		{CutRequest{ID: "p", Rules: []control.CutRule{{Ports: []int{1}, To: "127.0.1.3"}}}, ""},
		{CutRequest{ID: "p", Rules: []control.CutRule{{Ports: []int{1}, To: "::1"}}}, ""},
		{CutRequest{ID: "p", Rules: []control.CutRule{{Ports: []int{1}, To: "localhost"}}}, "localhost"},
		{CutRequest{ID: "p", Rules: []control.CutRule{{Ports: []int{1}, To: "10.0.0.1"}}}, "only a loopback address"},
		{CutRequest{ID: "p", Rules: []control.CutRule{{Ports: []int{1}, To: "127.0.1.3", From: "127.0.0.1"}}}, "not by both"},
	} {
		err := test.q.validate()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%+v: %v; not %q", test.q, err, test.want)
		}
	}
}

// TestCutCommentsComeBack: what a rule is told by survives the kernel, and the rules of others are not taken for ours.
func TestCutCommentsComeBack(t *testing.T) {
	for i, r := range []control.CutRule{{}, {From: "10.0.0.2"}, {To: "127.0.1.3"}, {From: "fd00::2"}} {
		got, count, err := parseComment(comment(i, r))
		if err != nil || got != i || count != (control.CutCount{From: r.From, To: r.To}) {
			t.Errorf("%q: %d, %+v, %v", comment(i, r), got, count, err)
		}
	}
	for _, text := range []string{"", "allow ssh", "-1"} {
		if _, _, err := parseComment(text); err == nil {
			t.Errorf("%q was taken for ours", text)
		}
	}
}

// TestLockEndsWithItsHolder: a holder that is killed leaves nothing held.
func TestLockEndsWithItsHolder(t *testing.T) {
	ctx, s := newState(t)
	err := s.locked(ctx, func() error {
		if err := s.renewLease(Lease{TTL: time.Hour}); err != nil {
			return err
		}
		return s.ensureWatchdog(ctx)
	})
	if err != nil {
		t.Fatal(err)
	}
	path := s.path("watchdog.lock")
	if _, err := Lock(ctx, path, 0); !errors.Is(err, ErrHeld) {
		t.Errorf("took a lock that is held: %v", err)
	}
	if _, err := Lock(ctx, path, 20*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("took a lock that is held: %v", err)
	}
	holders := holdersOf(t, path)
	if len(holders) != 1 {
		t.Fatalf("it is held by %v", holders)
	}
	if err := unix.Kill(holders[0], unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	lock, err := Lock(ctx, path, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	lock.Close()
}

// holdersOf are the processes that have a file open.
func holdersOf(t *testing.T, path string) []int {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, l := range links {
		if target, err := os.Readlink(l); err == nil && target == path {
			pid, err := strconv.Atoi(strings.Split(l, "/")[2])
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}
