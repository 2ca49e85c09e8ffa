package checker

import "testing"

func TestSessions(t *testing.T) {
	runTranscripts(t, must(t)(Sessions(SessionOptions{})), []transcriptCase{
		{name: "nothing", history: ``, want: "unknown", why: "nothing to check"},
		{name: "no versions", history: `0 write x 1 / 0 read x 1`, want: "unknown", why: "gave a version"},
		{name: "own write read", history: `0 write x 1 v=2 r=2 / 0 read x 1 v=2 r=2`, want: "valid"},
		{name: "a newer one read", history: `0 write x 1 v=2 r=2 / 1 write x 2 v=3 r=3 / 0 read x 2 v=3 r=3`, want: "valid"},
		{
			name: "own write not read", history: `1 write x 1 v=2 / 0 write x 2 v=3 / 0 read x 1 v=2`, want: "invalid read-your-writes x [5 3]",
			why: "read 5 of x by process 0, version 2, but the process had written x of version 3 (3)",
		},
		{name: "by the store's revision", history: `0 write x 1 v=5 r=5 / 0 read y null r=4`, want: "invalid read-your-writes y [3 1]"},
		{name: "another process's write may be missing", history: `0 write x 1 v=5 r=5 / 1 read x null r=4`, want: "valid"},
		{name: "reads go back", history: `0 read x 2 v=3 n=n1 / 0 read x 1 v=2 n=n1`, want: "invalid monotonic-reads x [3 1]"},
		{name: "reads of other keys", history: `0 read x 2 v=3 / 0 read y 1 v=2`, want: "valid"},
		{name: "of other keys at an older revision", history: `0 read x 2 v=3 r=9 / 0 read y 1 v=2 r=8`, want: "invalid monotonic-reads y [3 1]"},
		{name: "writes in another order", history: `0 write x 1 v=9 r=9 / 0 write y 2 v=8 r=8`, want: "invalid monotonic-writes y [3 1]"},
		{name: "write before what was read", history: `1 read x 1 v=5 r=7 / 1 write x 2 v=6 r=6`, want: "invalid writes-follow-reads x [3 1]"},
		{name: "cas before what was read", history: `1 read x 1 v=5 / 1 cas x [1,2,true] v=5`, want: "invalid writes-follow-reads x [3 1]"},
		{name: "a refused cas reads", history: `1 read x 1 v=5 / 1 cas x [3,2,false,1] v=4`, want: "invalid monotonic-reads x [3 1]"},
		{name: "a delete writes", history: `0 delete x v=5 r=5 / 0 read x 1 v=4 r=4`, want: "invalid read-your-writes x [3 1]"},
		{name: "of unknown outcome it is no promise", history: `0 invoke write x 1 / 0 info write x 1 ! lost / 1 read x null r=1`, want: "valid"},
		{
			name:    "a transaction reads what was before it",
			history: `0 read x [1] v=2 r=4 / 0 txn [["r","x",[1],2],["append","x",5],["r","x",[1,5],5]] r=5 / 0 read x [1,5] v=5 r=5`, want: "valid",
		},
		{
			name:    "and not something older",
			history: `0 txn [["r","x",[1,2],4]] r=4 / 0 txn [["r","x",[1],3],["append","y",5]] r=5`, want: "invalid monotonic-reads x [3 1]",
		},
	})
	runTranscripts(t, must(t)(Sessions(SessionOptions{Read: ReadSerializable})), []transcriptCase{
		{name: "own write unseen", history: `0 write x 1 v=2 r=2 / 0 read x null r=1`, want: "valid (read-your-writes x [3 1])"},
		{name: "back on one member", history: `0 read x 1 v=2 r=2 n=n1 / 0 read x null r=1 n=n1`, want: "invalid monotonic-reads x [3 1]"},
		{
			name: "back on a member that was restarted",
			history: `0 read x 1 v=2 r=2 n=n1 / nemesis invoke start-kill {"id":"kill-1","family":"kill"}
nemesis ok start-kill {"id":"kill-1","family":"kill","proof":1}
0 read x null r=1 n=n1`, want: "valid (monotonic-reads x [5 1])",
		},
	})
	if _, err := Sessions(SessionOptions{Model: ModelCached}); err == nil {
		t.Error("sessions are promised by caches")
	}
}
