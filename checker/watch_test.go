package checker

import (
	"strings"
	"testing"
)

func TestWatches(t *testing.T) {
	const (
		a1 = `0 create c {"object":"a","number":1} v=10 / `
		b2 = `0 create c {"object":"b","number":2} v=11 / `
		a3 = `0 update c {"object":"a","number":3} v=13 / `
		db = `0 delete c {"object":"b"} / ` // at version 12, between b2 and a3
		d4 = `0 create c {"object":"d","number":4} v=15 / `

		all = a1 + b2 + db + a3 + d4

		eA1 = `{"type":"added","object":"a","version":10,"number":1}`
		eB2 = `{"type":"added","object":"b","version":11,"number":2}`
		eDB = `{"type":"deleted","object":"b","version":12,"number":2}`
		eA3 = `{"type":"modified","object":"a","version":13,"number":3}`
		eD4 = `{"type":"added","object":"d","version":15,"number":4}`

		mA1 = `{"object":"a","version":10,"number":1}`
		mB2 = `{"object":"b","version":11,"number":2}`
		mA3 = `{"object":"a","version":13,"number":3}`
	)
	mark := func(version string) string { return `{"type":"bookmark","version":` + version + `}` }
	resume := func(after, events string) string {
		return `1 watch c {"from":"resume","after":` + after + `,"events":[` + events + `],"end":"time"}`
	}
	begin := func(from, initial, at, events string) string {
		return `1 watch c {"from":"` + from + `","initial":[` + initial + `],"initial_at":` + at + `,"initial_done":true,"events":[` + events + `],"end":"time"}`
	}
	runTranscripts(t, Watches(), []transcriptCase{
		{name: "nothing", history: ``, want: "unknown", why: "nothing to check: no watch was ok"},
		{name: "nothing delivered", history: all + resume("15", ""), want: "unknown", why: "no watch delivered anything"},
		{name: "everything", history: all + resume("9", eA1+","+eB2+","+eDB+","+eA3+","+eD4), want: "valid"},
		{name: "from the middle", history: all + resume("11", eDB+","+eA3+","+mark("14")+","+eD4+","+mark("20")), want: "valid"},
		{name: "it may end early", history: all + resume("9", eA1+","+eB2), want: "valid"},
		{name: "lost", history: all + resume("9", eA1+","+eDB+","+eA3), want: "invalid lost-event c [11 3]", why: "went on to version 13 without create 3 of b as 2 (version 11)"},
		{name: "a lost deletion", history: all + resume("9", eA1+","+eB2+","+eA3), want: "invalid lost-event c [11 5]", why: "without delete 5 of b (a version from 12 to 12)"},
		{name: "reordered", history: all + resume("9", eA1+","+eB2+","+eA3+","+eDB), want: "invalid reordered-event c [11]", why: "delivered deleted b at version 12, after version 13"},
		{name: "twice", history: all + resume("9", eA1+","+eB2+","+eB2+","+eDB), want: "invalid duplicate-event c [11]"},
		{name: "from before its beginning", history: all + resume("11", eB2+","+eDB), want: "invalid duplicate-event c [11]", why: "though it began after revision 11"},
		{name: "a bookmark too early", history: all + resume("9", eA1+","+mark("12")+","+eB2+","+eDB), want: "invalid wrong-bookmark c [11]", why: "after a bookmark at 12"},
		{name: "a bookmark that hides a change", history: all + resume("9", eA1+","+mark("11")), want: "invalid wrong-bookmark c [11 3]", why: "had a bookmark at 11, but did not deliver create 3"},
		{name: "a bookmark that hides a deletion", history: all + resume("11", mark("12")), want: "invalid wrong-bookmark c [11 5]"},
		{name: "the same after an event", history: all + resume("10", eB2+","+mark("13")), want: "invalid wrong-bookmark c [11 7] wrong-bookmark c [11 5]"},
		{name: "the wrong type", history: all + resume("12", `{"type":"added","object":"a","version":13,"number":3}`), want: "invalid wrong-event-type c [11 7]", why: "but that was update 7"},
		{
			name: "deleted, modified", history: a1 + `0 invoke update c {"object":"a","number":7} / 2 delete c {"object":"a"} / ` +
				resume("9", eA1+`,{"type":"deleted","object":"a","version":11,"number":1},{"type":"modified","object":"a","version":12,"number":7}`),
			want: "invalid wrong-event-type c [6]", why: "by what the stream had told before it was not there",
		},
		{
			name: "deleted twice", history: a1 + `2 delete c {"object":"a"} / 2 delete c {"object":"a"} / ` +
				resume("9", eA1+`,{"type":"deleted","object":"a","version":11,"number":1},{"type":"deleted","object":"a","version":12,"number":1}`),
			want: "invalid wrong-event-type c [7]",
		},
		{name: "no type", history: a1 + resume("9", `{"type":"moved","object":"a","version":10,"number":1}`), want: "invalid wrong-event-type c [3]"},
		{name: "another content", history: all + resume("9", `{"type":"added","object":"a","version":10,"number":3}`), want: "invalid version-mismatch c [11 7]"},
		{name: "deleted with another content", history: all + resume("11", `{"type":"deleted","object":"b","version":12,"number":1}`), want: "invalid version-mismatch c [11 3]"},
		{name: "a phantom", history: all + resume("9", `{"type":"added","object":"a","version":10,"number":99}`), want: "invalid phantom-event c [11]"},
		{name: "nobody deleted it", history: a1 + resume("10", `{"type":"deleted","object":"a","version":12,"number":1}`), want: "invalid phantom-event c [3]"},
		{name: "who deleted it failed", history: a1 + `2 invoke delete c {"object":"a"} / 2 fail delete c {"object":"a"} / ` + resume("10", `{"type":"deleted","object":"a","version":12,"number":1}`), want: "invalid phantom-event c [5]"},
		{name: "who wrote it failed", history: a1 + `2 invoke update c {"object":"a","number":7} / 2 fail update c {"object":"a","number":7} / ` + resume("10", `{"type":"modified","object":"a","version":12,"number":7}`), want: "invalid phantom-event c [5 3]"},

		{name: "an unknown change may not be there", history: a1 + `2 invoke update c {"object":"a","number":7} / ` + b2 + resume("9", eA1+","+eB2), want: "valid"},
		{
			name: "unless another stream shows it",
			history: a1 + `2 invoke update c {"object":"a","number":7} / 0 create c {"object":"b","number":2} v=12 / 3 watch c {"from":"resume","after":10,"events":[{"type":"modified","object":"a","version":11,"number":7}],"end":"time"} / ` +
				resume("9", eA1+`,{"type":"added","object":"b","version":12,"number":2}`),
			want: "invalid lost-event c [8 6]", why: "as shown by watch 6 (resume) by process 3",
		},
		{
			name: "or a list does",
			history: a1 + `2 invoke update c {"object":"a","number":7} / 0 create c {"object":"b","number":2} v=12 / 3 list c {"read":"quorum","pages":[{"revision":11,"objects":[{"object":"a","version":11,"number":7}]}]} r=11 / ` +
				resume("9", eA1+`,{"type":"added","object":"b","version":12,"number":2}`),
			want: "invalid lost-event c [8 6]",
		},
		{
			name: "or an unknown deletion",
			history: a1 + `2 invoke delete c {"object":"a"} / 0 create c {"object":"b","number":2} v=12 / 3 list c {"read":"quorum","pages":[{"revision":12,"objects":[{"object":"b","version":12,"number":2}]}]} r=12 / ` +
				resume("9", eA1+`,{"type":"added","object":"b","version":12,"number":2}`),
			want: "invalid lost-event c [8 6]", why: "without the deletion of a",
		},
		{name: "after", history: a1 + `0 invoke create c {"object":"b","number":2} / ` + resume("9", eA1+","+eB2) + ` / 0 ok create c {"object":"b","number":2} v=11`, want: "valid"},
		{name: "before it was written", history: a1 + resume("9", eA1+","+eB2) + ` / ` + b2, want: "invalid phantom-event c [3 5]", why: "invoked only later"},

		{name: "an initial state", history: all + begin("list", mA1+","+mB2, "11", eDB+","+eA3), want: "invalid stale-read c [11 9]"},
		{name: "a new one", history: a1 + b2 + resume("9", eA1+","+eB2) + ` / ` + begin("list", mA1+","+mB2, "11", mark("11")), want: "valid"},
		{name: "nothing else", history: a1 + b2 + begin("list", mA1+","+mB2, "11", mark("11")), want: "unknown", why: "no watch delivered an event, nor owed one"},
		{name: "an old one from a cache", history: all + begin("now", mA1+","+mB2, "11", eDB+","+eA3), want: "valid (stale-read c [11 9])"},
		{name: "of a state that never was", history: all + begin("now", mA1, "11", eDB+","+eA3), want: "invalid wrong-snapshot c [11 3] wrong-event-type c [11]"},
		{name: "of an old list before it", history: all + begin("resume", mA1+","+mB2, "11", eDB+","+eA3), want: "invalid stale-read c [11 9]", why: "is of revision 11, but 9 had completed at version 15 before it began"},
		{name: "of a list before it", history: a1 + b2 + `1 invoke watch c {"from":"resume"} / ` + db + a3 + strings.Replace(begin("resume", mA1+","+mB2, "11", eDB+","+eA3), "1 watch", "1 ok watch", 1), want: "valid"},
		{name: "an error that no list knows", history: all + resume("9", eA1+","+eB2) + ` / ` + strings.Replace(resume("11", eDB), `"time"`, `"error: unexpected: an event FOO of a *v1.Pod"`, 1), want: "unknown", why: "a stream ended by an error that no list knows: error: unexpected: an event FOO of a *v1.Pod (1 time, the first is watch 13)"},
		{name: "an error of the connection", history: all + strings.Replace(resume("9", eA1+","+eB2), `"time"`, `"error: unexpected EOF"`, 1), want: "valid"},
		{name: "of unknown revision", history: all + `1 watch c {"from":"now","initial":[` + mA1 + `,` + mB2 + `],"initial_done":true,"events":[` + eA3 + `,` + eD4 + `],"end":"closed"}`, want: "valid"},
		{name: "of unknown revision, with a gap", history: all + `1 watch c {"from":"now","initial":[` + mA1 + `],"initial_done":true,"events":[` + eDB + `,` + eA3 + `],"end":"closed"}`, want: "invalid wrong-event-type c [11] lost-event c [11 3]"},
		{name: "that is not all", history: all + `1 watch c {"from":"now","initial":[` + mA1 + `],"events":[` + eDB + `,` + eA3 + `],"end":"closed"}`, want: "valid"},
		{name: "with garbage", history: all + `1 watch c {"from":"now","initial":[{"object":"a","version":10,"number":77}],"end":"closed"}`, want: "invalid garbage-read c [11]"},

		{name: "an informer", history: all + `1 watch c {"from":"inform","events":[` + eA1 + `],"end":"time","final":[` + mA3 + `],"final_at":13}`, want: "valid"},
		{name: "an informer that missed one", history: all + `1 watch c {"from":"inform","events":[` + eA1 + `],"end":"time","final":[` + mA1 + `],"final_at":13}`, want: "invalid wrong-snapshot c [11 7]"},
		{name: "an informer that never synced", history: all + `1 watch c {"from":"inform","events":[` + eA1 + `],"end":"time"}`, want: "valid"},
		{name: "a gap after a resumption", history: all + resume("9", eA1+","+eB2) + ` / ` + resume("11", eA3), want: "invalid lost-event c [13 5]"},
		{name: "unknown", history: all + `1 invoke watch c {"from":"now"} / 1 fail watch c {"from":"now"}`, want: "unknown", why: "no watch was ok"},
	})
}
