package checker

import (
	"context"
	"encoding/json"
	"testing"
)

const (
	startKill = `nemesis start-kill {"id":"kill-1","family":"kill","variant":"leader","requested":"kill","nodes":["n1"],"proof":{"gone":true}}`
	stopKill  = `nemesis stop-kill {"id":"kill-1","family":"kill","proof":{"back":true}}`
)

func TestExercise(t *testing.T) {
	minimum := Minimum{OK: 4, ContendedKeys: 1, ReadsDuring: 1, ReadsAfter: 1}
	runTranscripts(t, Exercise(minimum, []string{"kill"}), []transcriptCase{
		{
			name: "enough", want: "valid",
			history: `0 write x 1 / 1 read x 1 / ` + startKill + ` / 1 read x 1 / ` + stopKill + ` / 1 read x 1 / nemesis await-healthy`,
		},
		{
			name: "reads in transactions count", want: "valid",
			history: `0 txn [["append","x",1]] / ` + startKill + ` / 1 txn [["r","x",[1]]] / 1 txn [["r","x",[1]]] / ` + stopKill + ` / 1 txn [["r","x",[1]]]`,
		},
		{name: "nothing", history: ``, want: "unknown", why: "nothing was exercised; contention too low: 0 of 1 keys required were used by two processes or more, one of them writing; kill never took effect: it was not tried"},
		{
			name: "too little", want: "unknown", why: "load too low: 3 of 4 operations",
			history: `0 write x 1 / ` + startKill + ` / 1 read x 1 / ` + stopKill + ` / 1 read x 1`,
		},
		{
			name: "no contention", want: "unknown", why: "contention too low: 0 of 1 keys",
			history: `0 write x 1 / 1 read y null / ` + startKill + ` / 1 read y null / ` + stopKill + ` / 1 read y null`,
		},
		{
			name: "no read during", want: "unknown", why: "0 of 1 reads required were ok during kill",
			history: `0 write x 1 / 1 read x 1 / ` + startKill + ` / ` + stopKill + ` / 1 read x 1 / 1 read x 1`,
		},
		{
			name: "a read that began before does not count", want: "unknown", why: "0 of 1 reads required were ok during kill",
			history: `0 write x 1 / 1 invoke read x / ` + startKill + ` / 1 ok read x 1 / ` + stopKill + ` / 1 read x 1 / 1 read x 1`,
		},
		{
			name: "no read after", want: "unknown", why: "0 of 1 reads required were ok after kill",
			history: `0 write x 1 / 1 read x 1 / ` + startKill + ` / 1 read x 1 / 1 read x 1 / ` + stopKill,
		},
		{
			name: "reads after count up to the next fault of the family", want: "unknown", why: "0 of 1 reads required were ok after kill",
			history: `0 write x 1 / 1 read x 1 / ` + startKill + ` / 1 read x 1 / ` + stopKill +
				` / nemesis start-kill {"id":"kill-2","family":"kill","proof":1} / 1 read x 1 / 1 read x 1 / nemesis heal`,
		},
		{
			name: "another family's fault does not end them", want: "valid",
			history: `0 write x 1 / 1 read x 1 / ` + startKill + ` / 1 read x 1 / ` + stopKill +
				` / nemesis start-pause {"id":"pause-1","family":"pause","proof":1} / 1 read x 1 / nemesis heal / 1 read x 1`,
		},
		{
			name: "a watchdog was first", want: "unknown", why: `n1: ["cut partition-1"]`,
			history: `0 write x 1 / 1 read x 1 / ` + startKill + ` / 1 read x 1 / ` + stopKill + ` / 1 read x 1 / evidence info watchdog ["cut partition-1"] n=n1`,
		},
		{
			name: "skipped", want: "unknown", why: "kill never took effect: skipped 1 time (there is no leader)",
			history: `0 write x 1 / 1 read x 1 / 1 read x 1 / 1 read x 1 / nemesis invoke start-kill {"id":"kill-1","family":"kill","requested":"kill"}
				nemesis fail start-kill {"id":"kill-1","family":"kill","requested":"kill"} ! there is no leader`,
		},
		{
			name: "skipped once, then acted", want: "valid",
			history: `nemesis invoke start-kill {"id":"kill-0","family":"kill","requested":"kill"}
				nemesis fail start-kill {"id":"kill-0","family":"kill","requested":"kill"} ! there is no leader
				0 write x 1 / 1 read x 1 / ` + startKill + ` / 1 read x 1 / ` + stopKill + ` / 1 read x 1`,
		},
		{
			name: "not proved", want: "unknown", why: "kill-1 (kill leader): what it did is not proved: start-kill: the process is still there",
			history: `0 write x 1 / 1 read x 1 / 1 read x 1 / 1 read x 1
				nemesis invoke start-kill {"id":"kill-1","family":"kill","variant":"leader","requested":"kill"}
				nemesis info start-kill {"id":"kill-1","family":"kill","variant":"leader","requested":"kill"} ! the process is still there
				` + stopKill,
		},
		{
			name: "ok without a proof", want: "unknown", why: "kill-1 (kill): what it did is not proved",
			history: `0 write x 1 / 1 read x 1 / 1 read x 1 / 1 read x 1
				nemesis start-kill {"id":"kill-1","family":"kill","requested":"kill"} / nemesis stop-kill {"id":"kill-1"}`,
		},
		{
			name: "undone by a watchdog", want: "unknown", why: "on [n1] etcd ran again before it was to be started",
			history: `0 write x 1 / 1 read x 1 / ` + startKill + ` / 1 read x 1 / nemesis invoke stop-kill {"id":"kill-1"}
				nemesis info stop-kill {"id":"kill-1"} ! on [n1] etcd ran again before it was to be started
				nemesis heal / 1 read x 1`,
		},
		{
			name: "never undone", want: "unknown", why: "kill-1 (kill leader) was never undone",
			history: `0 write x 1 / 1 read x 1 / ` + startKill + ` / 1 read x 1 / 1 read x 1`,
		},
		{
			name: "never well again", want: "unknown", why: "the system did not get well again after the last fault was undone: n1 has no leader",
			history: `0 write x 1 / 1 read x 1 / ` + startKill + ` / 1 read x 1 / ` + stopKill + ` / 1 read x 1
				nemesis invoke await-healthy / nemesis info await-healthy ! n1 has no leader`,
		},
		{
			name: "the end is missing", want: "unknown", why: "the history is incomplete", cut: true,
			history: `0 write x 1 / 1 read x 1 / ` + startKill + ` / 1 read x 1 / ` + stopKill + ` / 1 read x 1`,
		},
	})
	runTranscripts(t, Exercise(Minimum{}, nil), []transcriptCase{
		{name: "without faults", history: `0 write x 1`, want: "valid"},
		{name: "nothing is never enough", history: ``, want: "unknown", why: "nothing was exercised"},
	})
}

func TestAvailability(t *testing.T) {
	runTranscripts(t, Availability(), []transcriptCase{
		{name: "nothing", history: ``, want: "unknown", why: "no client operation was invoked"},
		{name: "nothing was available", history: `0 invoke write x 1 / 0 info write x 1`, want: "valid"},
	})
	h := transcript(t, `0 write x 1 n=n1 t=1s / 1 write x 1 n=n2 t=1s
		nemesis invoke start-kill {"id":"kill-1","family":"kill"} t=2s / nemesis ok start-kill {"id":"kill-1","family":"kill","proof":1} t=2s
		0 invoke write x 1 n=n1 t=3s / 1 invoke write x 1 n=n2 t=3s / 0 info write x 1 n=n1 t=4s ! timeout / 1 ok write x 1 n=n2 t=5s
		nemesis invoke stop-kill {"id":"kill-1"} t=6s / nemesis ok stop-kill {"id":"kill-1","proof":1} t=6s
		2 invoke write x 1 n=n1 t=8s / 2 ok write x 1 n=n1 t=8s`)
	r, err := Availability().Check(context.Background(), h, Budget{})
	if err != nil {
		t.Fatal(err)
	}
	if want := "100.0 % ok in quiet, 50.0 % under faults (0.0 % on n1), longest gap 4s"; r.Summary != want {
		t.Errorf("got  %s\nwant %s", r.Summary, want)
	}
	var d AvailabilityDetail
	if err := json.Unmarshal(r.Detail, &d); err != nil {
		t.Fatal(err)
	}
	if n1 := d.Nodes["n1"]; n1.GapNS.Seconds() != 7 || n1.GapFromNS.Seconds() != 1 {
		t.Errorf("n1: gap %s from %s, want 7s from 1s", n1.GapNS, n1.GapFromNS)
	}
}

func TestSpans(t *testing.T) {
	l := spanList{{10, 20}, {30, 40}}
	for _, tc := range []struct {
		from, to           int64
		overlaps, contains bool
	}{
		{1, 9, false, false},
		{1, 11, true, false},
		{11, 12, true, true},
		{11, 21, true, false},
		{21, 29, false, false},
		{15, 35, true, false},
		{31, 39, true, true},
		{41, never, false, false},
	} {
		if got := l.overlaps(tc.from, tc.to); got != tc.overlaps {
			t.Errorf("overlaps(%d, %d) = %v", tc.from, tc.to, got)
		}
		if got := l.contains(tc.from, tc.to); got != tc.contains {
			t.Errorf("contains(%d, %d) = %v", tc.from, tc.to, got)
		}
	}
}
