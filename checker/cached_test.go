package checker

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/faultline/faultline/harness/history"
)

func TestCachedRegister(t *testing.T) {
	with := func(read string) Checker { return must(t)(Linearizable(LinearizableOptions{Read: read})) }
	const twice = `0 write x 1 v=10 r=10 / 0 write x 2 v=12 r=12 / `
	for _, read := range []string{history.ReadQuorum, history.ReadList} {
		runTranscripts(t, with(read), []transcriptCase{
			{name: "stale from the store: " + read, history: twice + `1 read x 1 v=10 r=10 / 2 read x 2 v=12`, want: "invalid stale-read x [5 3]"},
		})
	}
	runTranscripts(t, with(history.ReadCached), []transcriptCase{
		{name: "stale", history: twice + `1 read x 1 v=10 r=10`, want: "valid (stale-read x [5 3])"},
		{name: "time travel", history: twice + `1 read x 2 v=12 r=12 n=n1 / 2 read x 1 v=10 r=10 n=n2`, want: "valid (time-travel x [7 5]) (stale-read x [7 3])"},
		{name: "back on one server", history: twice + `1 read x 2 v=12 n=n1 / 1 read x 1 v=10 n=n1`, want: "invalid non-monotonic-read x [7 5] (stale-read x [7 3])"},
		{
			name: "back after a partition", history: twice + `1 read x 2 v=12 n=n1 / nemesis start-partition {"id":"p-1","family":"partition","proof":1} / nemesis heal / 1 read x 1 v=10 n=n1`,
			want: "valid (non-monotonic-read x [11 5]) (stale-read x [11 3])",
		},
		{
			name: "back by some seconds after a partition", want: "unknown (non-monotonic-read x [11 5]) (stale-read x [11 3])", why: "whether the server was filling its cache anew",
			history: `0 write x 1 v=10 t=1s / 0 write x 2 v=12 t=2s / 1 read x 2 v=12 n=n1 t=9s / nemesis start-partition {"id":"p-1","family":"partition","proof":1} t=9s / nemesis heal t=10s / 1 read x 1 v=10 n=n1 t=11s`,
		},
		{
			name: "back by more", want: "invalid non-monotonic-read x [11 5] (stale-read x [11 3])",
			history: `0 write x 1 v=10 t=1s / 0 write x 2 v=12 t=2s / 1 read x 2 v=12 n=n1 t=18s / nemesis start-partition {"id":"p-1","family":"partition","proof":1} t=18s / nemesis heal t=19s / 1 read x 1 v=10 n=n1 t=20s`,
		},
		{name: "not the state of its revision", history: twice + `1 read x 1 v=10 r=12`, want: "invalid wrong-snapshot x [5] (stale-read x [5 3])"},
		{name: "of a revision in between", history: twice + `1 read x 1 v=10 r=11`, want: "valid (stale-read x [5 3])"},
		{name: "nobody wrote it", history: twice + `1 read x 7 v=12`, want: "invalid garbage-read x [5] version-mismatch x [5 3]"},
		{name: "from the future", history: `0 write x 1 v=10 / 1 read x 2 v=12 / 0 write x 2 v=12`, want: "invalid future-read x [3 5]"},
		{name: "writes stay linearizable", history: twice + `1 cas x [1,5,true] v=13`, want: "invalid cas-mismatch x [5 3]"},
		{name: "refusals, too", history: twice + `1 cas x [3,5,false,1] v=10`, want: "invalid stale-read x [5 3]"},
	})
	runTranscripts(t, with(history.ReadAtLeast), []transcriptCase{
		{name: "nothing seen", history: twice + `1 read x 1 v=10 r=10`, want: "valid (stale-read x [5 3])"},
		{name: "not older than its own write", history: twice + `0 read x 1 v=10 r=11`, want: "invalid older-than-asked x [5] (stale-read x [5 3])", why: "is of revision 11, but its process asked for 12 or newer"},
		{name: "not older than its own write, without a revision", history: twice + `0 read x 1 v=10`, want: "invalid older-than-asked x [5] (stale-read x [5 3])", why: "asked for revision 12 or newer, but there was version 12 by then"},
		{name: "not older than what it saw of another key", history: twice + `1 read y null r=12 / 1 read x 1 v=10`, want: "invalid older-than-asked x [7] (stale-read x [7 3])"},
		{name: "that old", history: `0 write x 1 v=10 r=10 / 1 read x 1 v=10 r=11 / 0 write x 2 v=12 r=12 / 1 read x 1 v=10 r=11`, want: "valid (stale-read x [7 5])"},
		{name: "absent", history: twice + `0 read x null r=9`, want: "invalid older-than-asked x [5] (stale-read x [5 1])"},
	})
	runTranscripts(t, with(history.ReadExact), []transcriptCase{
		{name: "that one", history: `0 write x 1 v=10 r=10 / 1 write x 2 v=12 r=12 / 0 read x 1 v=10 r=10`, want: "valid (stale-read x [5 3])"},
		{name: "a newer one", history: `0 write x 1 v=10 r=10 / 1 write x 2 v=12 r=12 / 0 read x 2 v=12 r=12`, want: "invalid wrong-revision x [5]", why: "is of revision 12, but its process asked for 10"},
		{name: "a newer one, without a revision", history: `0 write x 1 v=10 r=10 / 1 write x 2 v=12 r=12 / 0 read x 2 v=12`, want: "invalid wrong-revision x [5]"},
		{name: "an older one", history: twice + `0 read x 1 v=10`, want: "invalid older-than-asked x [5] (stale-read x [5 3])"},
	})
	runTranscripts(t, must(t)(Linearizable(LinearizableOptions{Read: history.ReadCached, Model: ModelLinearizable})), []transcriptCase{
		{name: "held to more than it promises", history: twice + `1 read x 1 v=10 r=10 / 2 read x 2 v=12`, want: "invalid stale-read x [5 3]"},
	})
}

// How old reads were is measured, from below.
func TestStaleness(t *testing.T) {
	h := transcript(t, `0 write x 1 v=10 t=1s / 0 write x 2 v=12 t=2s / 0 write x 3 v=14 t=3s
		1 read x 3 v=14 n=n1 t=4s / 2 read x 1 v=10 n=n2 t=5s / 2 read x 2 v=12 n=n2 t=6s`)
	c := must(t)(Linearizable(LinearizableOptions{Read: history.ReadCached}))
	r, err := c.Check(context.Background(), h, Budget{})
	if err != nil {
		t.Fatal(err)
	}
	var d LinearizableDetail
	if err := json.Unmarshal(r.Detail, &d); err != nil {
		t.Fatal(err)
	}
	s := d.Staleness
	if s.Reads != 3 || s.Stale != 2 || s.Revisions.Max != 4 || s.BehindMS.Max != 3000 || s.BehindMS.P50 != 3000 || d.TimeTravel != 2 {
		t.Errorf("%+v, %d time travels", *s, d.TimeTravel)
	}
	const want = "1 key, 6 operations, reads: 2 of 3 stale, behind by p50 3000 ms, p99 3000 ms, at most 3000 ms and 4 revisions"
	if r.Summary != want {
		t.Errorf("got  %s\nwant %s", r.Summary, want)
	}
}

func TestCachedSet(t *testing.T) {
	with := func(read string) Checker { return must(t)(SetWith(SetOptions{Read: read})) }
	const two = `0 add s 1 v=10 r=10 / 0 add s 2 v=12 r=12 / `
	runTranscripts(t, with(history.ReadQuorum), []transcriptCase{
		{name: "stale from the store", history: two + `1 read s [1] r=11 / 1 read s [1,2] r=12`, want: "invalid stale-read s [5 3 7]"},
	})
	runTranscripts(t, with(history.ReadCached), []transcriptCase{
		{name: "all there", history: two + `1 read s [1,2] r=12`, want: "valid"},
		{name: "stale", history: two + `1 read s [1] r=11 / 1 read s [1,2] r=12`, want: "valid (stale-read s [5 3])"},
		{name: "never there, but nobody looked", history: two + `1 read s [1] r=11`, want: "valid (stale-read s [5 3])"},
		{name: "lost", history: two + `1 read s [1] r=12`, want: "invalid lost s [5 3]", why: "it shows revision 12, and the element was there from 12 on; no final read has it"},
		{name: "not the state of its revision", history: two + `1 read s [1] r=13 / 1 read s [1,2] r=14`, want: "invalid wrong-snapshot s [5 3]"},
		{name: "once read, gone", history: `3 invoke add s 5 / ` + two + `1 read s [1,2,5] r=14 / 1 read s [1,2] r=14`, want: "invalid wrong-snapshot s [8 6]"},
		{name: "not yet there", history: `3 invoke add s 5 / ` + two + `1 read s [1,2,5] r=14 n=n1 / 2 read s [1,2] r=13 n=n2 / 2 read s [1,2,5] r=14 n=n2`, want: "valid (stale-read s [8 6]) (time-travel s [8 6])"},
		{name: "back on one server", history: two + `1 read s [1,2] r=12 n=n1 / 1 read s [1] r=11 n=n1 / 1 read s [1,2] r=12 n=n1`, want: "invalid non-monotonic-read s [7 5] (stale-read s [7 3])"},
		{name: "garbage", history: two + `1 read s [1,2,3] r=12`, want: "invalid garbage-read s [5]"},
	})
	runTranscripts(t, with(history.ReadAtLeast), []transcriptCase{
		{name: "older than its own", history: two + `0 read s [1] r=11 / 0 read s [1,2] r=12`, want: "invalid older-than-asked s [5] (stale-read s [5 3])"},
	})
	runTranscripts(t, with(history.ReadExact), []transcriptCase{
		{name: "newer than its own", history: two + `1 add s 3 v=14 r=14 / 0 read s [1,2,3] r=14`, want: "invalid wrong-revision s [7]"},
	})
}
