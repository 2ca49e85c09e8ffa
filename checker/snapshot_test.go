package checker

import "testing"

func TestSnapshots(t *testing.T) {
	const (
		// Two objects, one of them changed, one deleted and made again.
		a1 = `0 create c {"object":"a","number":1} v=10 / `
		b2 = `0 create c {"object":"b","number":2} v=11 / `
		a3 = `0 update c {"object":"a","number":3} v=12 / `
		db = `1 delete c {"object":"b"} / `
	)
	page := func(revision, objects string) string {
		return `{"revision":` + revision + `,"objects":[` + objects + `]}`
	}
	list := func(read, pages string) string { return `{"read":"` + read + `","pages":[` + pages + `]}` }
	const (
		mA1 = `{"object":"a","version":10,"number":1}`
		mA3 = `{"object":"a","version":12,"number":3}`
		mB2 = `{"object":"b","version":11,"number":2}`
	)
	runTranscripts(t, must(t)(Snapshots(SnapshotOptions{})), []transcriptCase{
		{name: "nothing", history: ``, want: "unknown", why: "nothing to check"},
		{name: "empty", history: `0 list c ` + list("quorum", page("9", "")) + ` r=9`, want: "valid"},
		{name: "all there", history: a1 + b2 + a3 + `1 list c ` + list("quorum", page("12", mA3+","+mB2)) + ` r=12`, want: "valid"},
		{name: "in pages", history: a1 + b2 + a3 + `1 list c ` + list("quorum", page("13", mA3)+","+page("13", mB2)) + ` r=13`, want: "valid"},
		{
			name: "a page of another revision", history: a1 + b2 + a3 + `1 list c ` + list("quorum", page("12", mA3)+","+page("13", mB2)) + ` r=12`,
			want: "invalid torn-list c [7]", why: "page 2 of list 7 (quorum) by process 1 is of revision 13, but the first one is of 12",
		},
		{
			name: "a page of another snapshot under the same revision", history: a1 + b2 + a3 + `1 list c ` + list("quorum", page("12", mB2)+","+page("12", mA1)) + ` r=12`,
			want: "invalid torn-list c [7 5]", why: "but at its revision 12 there was update 5 of a as 3 (version 12)",
		},
		{
			name: "a state that never was", history: a1 + b2 + a3 + `1 list c ` + list("quorum", page("12", mA1+","+mB2)) + ` r=12`,
			want: "invalid wrong-snapshot c [7 5]",
		},
		{
			name: "newer than its revision", history: a1 + b2 + a3 + `1 list c ` + list("cached", page("11", mA3+","+mB2)) + ` r=11`,
			want: "invalid wrong-snapshot c [7] (stale-read c [7 5])", why: "which is newer than its revision 11",
		},
		{
			name: "skipped between pages", history: a1 + b2 + `1 list c ` + list("quorum", page("11", mA1)+","+page("11", "")) + ` r=11`,
			want: "invalid torn-list c [5 3]", why: "lacks b, but at its revision 11 there was create 3 of b as 2 (version 11)",
		},
		{
			name: "twice", history: a1 + b2 + `1 list c ` + list("quorum", page("11", mA1)+","+page("11", mA1+","+mB2)) + ` r=11`,
			want: "invalid duplicate-elements c [5]", why: "has a twice",
		},
		{name: "stale", history: a1 + b2 + `1 list c ` + list("quorum", page("10", mA1)) + ` r=10 n=n2`, want: "invalid stale-read c [5 3]", why: "on n2 shows revision 10, but 3 had completed at version 11 before it began"},
		{name: "stale, from a cache", history: a1 + b2 + `1 list c ` + list("cached", page("10", mA1)) + ` r=10`, want: "valid (stale-read c [5 3])"},
		{name: "concurrent", history: a1 + `1 invoke list c / ` + b2 + `1 ok list c ` + list("quorum", page("10", mA1)) + ` r=10`, want: "valid"},
		{
			name: "older than what another list showed",
			history: a1 + `2 invoke create c {"object":"b","number":2} / 1 list c ` + list("quorum", page("11", mA1+","+mB2)) + ` r=11 n=n1
				3 list c ` + list("quorum", page("10", mA1)) + ` r=10 n=n2`, want: "invalid stale-read c [6 4]", why: "but 4 on n1 had shown 11 before it began",
		},
		{
			name: "time travel", history: a1 + b2 + `1 list c ` + list("cached", page("11", mA1+","+mB2)) + ` r=11 n=n1 / 2 list c ` + list("cached", page("10", mA1)) + ` r=10 n=n2`,
			want: "valid (stale-read c [7 3]) (time-travel c [7 5])",
		},
		{
			name: "back on one server", history: a1 + b2 + `1 list c ` + list("cached", page("11", mA1+","+mB2)) + ` r=11 n=n1 / 1 list c ` + list("cached", page("10", mA1)) + ` r=10 n=n1`,
			want: "invalid non-monotonic-read c [7 5] (stale-read c [7 3])",
		},
		{
			name: "back on a server that was restarted",
			history: a1 + b2 + `1 list c ` + list("cached", page("11", mA1+","+mB2)) + ` r=11 n=n1 / ` + startKill + ` / ` + stopKill + ` / 1 list c ` +
				list("cached", page("10", mA1)) + ` r=10 n=n1`, want: "valid (stale-read c [11 3]) (non-monotonic-read c [11 5])",
		},
		{
			name: "back by more than a cache that is begun anew is behind",
			history: `0 create c {"object":"a","number":1} v=10 t=1s / 0 create c {"object":"b","number":2} v=11 t=1s / 1 list c ` + list("cached", page("11", mA1+","+mB2)) +
				` r=11 n=n1 t=17s / ` + startKill + ` t=18s / ` + stopKill + ` t=19s / 1 list c ` + list("cached", page("10", mA1)) + ` r=10 n=n1 t=20s`,
			want: "invalid non-monotonic-read c [11 5] (stale-read c [11 3])",
		},
		{
			name: "back by what a cache may be behind that is filled on a busy machine",
			history: `0 create c {"object":"a","number":1} v=10 t=1s / 0 create c {"object":"b","number":2} v=11 t=1s / 1 list c ` + list("cached", page("11", mA1+","+mB2)) +
				` r=11 n=n1 t=3s / ` + startKill + ` t=4s / ` + stopKill + ` t=5s / 1 list c ` + list("cached", page("10", mA1)) + ` r=10 n=n1 t=6s`,
			want: "unknown (stale-read c [11 3]) (non-monotonic-read c [11 5])", why: "1 read went back by more than 1s, up to 15s, near a fault",
		},
		{
			name: "back by what a fault held up",
			history: `0 create c {"object":"a","number":1} v=10 t=1s / 0 create c {"object":"b","number":2} v=11 t=1s / nemesis invoke start-pause {"id":"pause-1","family":"pause"} t=2s
				1 list c ` + list("cached", page("11", mA1+","+mB2)) + ` r=11 n=n1 t=9s / nemesis ok start-pause {"id":"pause-1","family":"pause","proof":1} t=9s
				nemesis heal t=10s / 1 list c ` + list("cached", page("10", mA1)) + ` r=10 n=n1 t=11s`,
			want: "valid (stale-read c [11 3]) (non-monotonic-read c [11 6])",
		},
		{
			name: "back long after a fault",
			history: `0 create c {"object":"a","number":1} v=10 t=1s / 0 create c {"object":"b","number":2} v=11 t=1s / ` + startKill + ` t=2s / ` + stopKill +
				` t=3s / 1 list c ` + list("cached", page("11", mA1+","+mB2)) + ` r=11 n=n1 t=30s / 1 list c ` + list("cached", page("10", mA1)) + ` r=10 n=n1 t=31s`,
			want: "invalid non-monotonic-read c [11 9] (stale-read c [11 3])",
		},
		{
			name: "older than asked", history: a1 + b2 + `1 list c {"read":"at-least","asked":11,"pages":[` + page("10", mA1) + `]} r=10`,
			want: "invalid older-than-asked c [5] (stale-read c [5 3])", why: "asked for revision 11 or newer, and got 10",
		},
		{name: "at least", history: a1 + b2 + `1 list c {"read":"at-least","asked":10,"pages":[` + page("10", mA1) + `]} r=10`, want: "valid (stale-read c [5 3])"},
		{name: "exact", history: a1 + b2 + `1 list c {"read":"exact","asked":10,"pages":[` + page("10", mA1) + `]} r=10`, want: "valid (stale-read c [5 3])"},
		{
			name: "another revision than asked", history: a1 + b2 + `1 list c {"read":"exact","asked":10,"pages":[` + page("11", mA1+","+mB2) + `]} r=11`,
			want: "invalid wrong-revision c [5]", why: "asked for revision 10, and got 11",
		},
		{
			name: "exact, with the content of another", history: a1 + b2 + a3 + `1 list c {"read":"exact","asked":11,"pages":[` + page("11", mB2) + `]} r=11`,
			want: "invalid wrong-snapshot c [7 1] (stale-read c [7 5])", why: "lacks a",
		},
		{name: "garbage", history: a1 + `1 list c ` + list("quorum", page("10", `{"object":"a","version":10,"number":7}`)) + ` r=10`, want: "invalid garbage-read c [3]"},
		{
			name: "of another object", history: a1 + `1 list c ` + list("quorum", page("10", mA1+`,{"object":"b","version":10,"number":1}`)) + ` r=10`,
			want: "invalid garbage-read c [3 1]",
		},
		{
			name: "aborted", history: a1 + `1 invoke update c {"object":"a","number":7} / 1 fail update c {"object":"a","number":7} ! no / 1 list c ` +
				list("quorum", page("11", `{"object":"a","version":11,"number":7}`)) + ` r=11`, want: "invalid aborted-read c [5 3]",
		},
		{name: "future", history: `1 list c ` + list("quorum", page("11", mB2)) + ` r=11 / ` + b2, want: "invalid future-read c [1 3]"},
		{name: "another version", history: a1 + `1 list c ` + list("quorum", page("11", `{"object":"a","version":11,"number":1}`)) + ` r=11`, want: "invalid version-mismatch c [3 1]"},

		{name: "an unknown create may have happened", history: a1 + `2 invoke create c {"object":"b","number":2} / 1 list c ` + list("quorum", page("11", mA1+","+mB2)) + ` r=11`, want: "valid"},
		{name: "or not", history: a1 + `2 invoke create c {"object":"b","number":2} / 1 list c ` + list("quorum", page("11", mA1)) + ` r=11`, want: "valid"},
		{
			name:    "but not come and gone",
			history: a1 + `2 invoke create c {"object":"b","number":2} / 1 list c ` + list("quorum", page("11", mA1+","+mB2)) + ` r=11 / 1 list c ` + list("quorum", page("12", mA1)) + ` r=12`,
			want:    "invalid wrong-snapshot c [6 4]", why: "as shown by list 4",
		},
		{
			name:    "nor have two versions",
			history: a1 + `2 invoke update c {"object":"a","number":7} / 1 list c ` + list("quorum", page("12", `{"object":"a","version":12,"number":7}`)) + ` r=12 / 1 list c ` + list("quorum", page("13", `{"object":"a","version":13,"number":7}`)) + ` r=13`,
			want:    "invalid version-mismatch c [6 4]",
		},
		{
			name:    "nor a version from before it was invoked",
			history: a1 + b2 + a3 + `2 invoke create c {"object":"d","number":7} / 1 list c ` + list("quorum", page("12", mA3+","+mB2+`,{"object":"d","version":9,"number":7}`)) + ` r=12`,
			want:    "invalid version-mismatch c [8 6]",
		},

		{name: "deleted", history: a1 + b2 + db + `1 list c ` + list("quorum", page("12", mA1)) + ` r=12`, want: "valid"},
		{name: "deleted, but there", history: a1 + b2 + db + `1 list c ` + list("quorum", page("12", mA1+","+mB2)) + ` r=12`, want: "invalid stale-read c [7 5]", why: "delete 5 of b had completed before it began"},
		{name: "deleted, but in a cache", history: a1 + b2 + db + `1 list c ` + list("cached", page("11", mA1+","+mB2)) + ` r=11`, want: "valid (stale-read c [7 5])"},
		{
			name:    "deleted before the revision by what came later",
			history: a1 + b2 + db + `0 update c {"object":"a","number":3} v=14 / 1 list c ` + list("cached", page("14", `{"object":"a","version":14,"number":3},`+mB2)) + ` r=14`,
			want:    "invalid wrong-snapshot c [9 5]", why: "it was gone by delete 5 of b (a version from 12 to 13)",
		},
		{name: "gone before it was deleted", history: a1 + b2 + `1 list c ` + list("quorum", page("11", mA1)) + ` r=11 / ` + db, want: "invalid wrong-snapshot c [5 3]"},
		{name: "deleted meanwhile", history: a1 + b2 + `2 invoke delete c {"object":"b"} / 1 list c ` + list("quorum", page("12", mA1)) + ` r=12 / 2 ok delete c {"object":"b"}`, want: "valid"},
		{
			name:    "two lists of one revision",
			history: a1 + b2 + `2 invoke delete c {"object":"b"} / 1 list c ` + list("quorum", page("12", mA1)) + ` r=12 / 1 list c ` + list("quorum", page("12", mA1+","+mB2)) + ` r=12`,
			want:    "invalid wrong-snapshot c [8 6]", why: "it was gone by the deletion of b",
		},
		{
			name:    "back from the dead",
			history: a1 + b2 + `2 invoke delete c {"object":"b"} / 1 list c ` + list("quorum", page("12", mA1)) + ` r=12 / 1 list c ` + list("quorum", page("13", mA1+","+mB2)) + ` r=13`,
			want:    "invalid wrong-snapshot c [8 6]",
		},
		{
			name:    "made again",
			history: a1 + b2 + db + `0 create c {"object":"b","number":9} v=14 / 1 list c ` + list("quorum", page("14", mA1+`,{"object":"b","version":14,"number":9}`)) + ` r=14`, want: "valid",
		},
		{name: "refused", history: a1 + `1 create c {"object":"a","number":5,"refused":"exists"} / 1 list c ` + list("quorum", page("10", mA1)) + ` r=10`, want: "valid"},
		{name: "collections are apart", history: a1 + `1 list d ` + list("quorum", page("10", "")) + ` r=10`, want: "valid"},
	})
	runTranscripts(t, must(t)(Snapshots(SnapshotOptions{Model: ModelLinearizable})), []transcriptCase{
		{name: "a stale list from a cache counts", history: a1 + b2 + `1 list c ` + list("cached", page("10", mA1)) + ` r=10`, want: "invalid stale-read c [5 3]"},
	})
	if _, err := Snapshots(SnapshotOptions{Model: "causal"}); err == nil {
		t.Error("an unknown model is taken")
	}
}
