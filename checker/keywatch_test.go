package checker

import (
	"testing"
)

// The words of these histories: three changes, of which the second is of two keys, and a deletion.
const (
	kPutA  = `0 change w [{"key":"a","number":1}] v=2 r=2 / `
	kPutAB = `0 change w [{"key":"a","number":2},{"key":"b","number":3}] v=3 r=3 / `
	kDelA  = `0 change w [{"key":"a"}] v=4 r=4 / `
	kPutA5 = `0 change w [{"key":"a","number":5}] v=5 r=5 / `
	kAll   = kPutA + kPutAB + kDelA + kPutA5

	eA1 = `{"key":"a","number":1,"mod":2,"created":2,"version":1}`
	eA2 = `{"key":"a","number":2,"mod":3,"created":2,"version":2}`
	eB3 = `{"key":"b","number":3,"mod":3,"created":3,"version":1}`
	eDA = `{"key":"a","mod":4}`
	eA5 = `{"key":"a","number":5,"mod":5,"created":5,"version":1}`
)

// watched is a watch from a revision: what it asks for, its responses and its end, as JSON.
func watched(asks string, responses string, end string) string {
	return `1 invoke watch w {"for_ms":9} / 1 ok watch w {"from":"past","for_ms":9,"created_at":2,` + asks + `"responses":[` + responses + `],"ended":` + end + `} / `
}

// sent is a response of events, upTo one of progress.
func sent(events string) string { return `{"revision":9,"events":[` + events + `]}` }

func upTo(revision string) string { return `{"revision":` + revision + `,"progress":true}` }

const overTime = `"time"`

func TestKeyWatches(t *testing.T) {
	all := sent(eA1) + "," + sent(eA2+","+eB3) + "," + sent(eDA) + "," + sent(eA5)
	compactTo := func(r string) string {
		return `2 invoke compact {"behind":1} / 2 ok compact {"revision":` + r + `} / `
	}
	before := func(event, previous string) string {
		return event[:len(event)-1] + `,"previous":` + previous + `}`
	}
	prevA1 := `{"number":1,"mod":2,"created":2,"version":1}`
	prevA2 := `{"number":2,"mod":3,"created":2,"version":2}`
	runTranscripts(t, KeyWatches(), []transcriptCase{
		{name: "all", history: kAll + watched(`"start":2,`, all+","+upTo("5"), overTime), want: "valid"},
		{name: "all in one response", history: kAll + watched(`"start":2,`, sent(eA1+","+eA2+","+eB3+","+eDA+","+eA5), overTime), want: "valid"},
		{name: "the rest may be late", history: kAll + watched(`"start":2,`, sent(eA1), overTime), want: "valid"},
		{name: "not after progress", history: kAll + watched(`"start":2,`, sent(eA1)+","+upTo("3"), overTime), want: "invalid lost-event w [9 3]", why: "all was delivered up to 3"},
		{name: "a gap", history: kAll + watched(`"start":2,`, sent(eA1)+","+sent(eDA), overTime), want: "invalid lost-event w [9 3]", why: "lacks 2 put in a at revision 3"},
		{name: "a gap at the start", history: kAll + watched(`"start":2,`, sent(eDA), overTime), want: "invalid lost-event w [9 1]"},
		{name: "before the start nothing is owed", history: kAll + watched(`"start":4,`, sent(eDA), overTime), want: "valid"},
		{name: "from before the start", history: kAll + watched(`"start":4,`, sent(eA2+","+eB3)+","+sent(eDA), overTime), want: "invalid early-event w [9]"},
		{name: "from the future", history: kAll + watched(`"start":5,`, upTo("4")+","+sent(eA5), overTime), want: "valid"},
		{name: "before a future start", history: kAll + watched(`"start":6,`, sent(eA5), overTime), want: "invalid early-event w [9]"},

		{name: "one key", history: kAll + watched(`"start":2,"key":"b",`, sent(eB3)+","+upTo("5"), overTime), want: "valid"},
		{name: "another key", history: kAll + watched(`"start":2,"key":"b",`, sent(eA1)+","+sent(eB3), overTime), want: "invalid unfiltered-event w [9]"},
		{name: "a range", history: kAll + watched(`"start":2,"key":"b","end":"c",`, sent(eB3)+","+upTo("5"), overTime), want: "valid"},
		{name: "a range has no end", history: kAll + watched(`"start":2,"key":"a","end":"b",`, sent(eA2+","+eB3), overTime), want: "invalid unfiltered-event w [9] lost-event w [9 1]"},
		{name: "no puts", history: kAll + watched(`"start":2,"no_puts":true,`, sent(eDA)+","+upTo("5"), overTime), want: "valid"},
		{name: "a put", history: kAll + watched(`"start":2,"no_puts":true,`, sent(eDA)+","+sent(eA5), overTime), want: "invalid unfiltered-event w [9]"},
		{name: "no deletes", history: kAll + watched(`"start":4,"no_deletes":true,`, sent(eA5), overTime), want: "valid"},
		{name: "a delete", history: kAll + watched(`"start":4,"no_deletes":true,`, sent(eDA)+","+sent(eA5), overTime), want: "invalid unfiltered-event w [9]"},

		{name: "out of order", history: kAll + watched(`"start":3,`, sent(eDA)+","+sent(eA2+","+eB3), overTime), want: "invalid reordered-event w [9]"},
		{name: "in order within a revision in any", history: kAll + watched(`"start":3,`, sent(eB3+","+eA2), overTime), want: "valid"},
		{name: "twice", history: kAll + watched(`"start":3,`, sent(eA2+","+eB3)+","+sent(eDA)+","+sent(eDA), overTime), want: "invalid duplicate-event w [9]"},
		{name: "in two parts", history: kAll + watched(`"start":3,`, sent(eA2)+","+sent(eB3), overTime), want: "invalid torn-transaction w [9]"},
		{name: "in fragments", history: kAll + watched(`"start":3,"fragment":true,`, `{"revision":9,"fragment":true,"events":[`+eA2+`]},`+sent(eB3), overTime), want: "valid"},
		{name: "the rest of a fragment may be late", history: kAll + watched(`"start":3,"fragment":true,`, `{"revision":9,"fragment":true,"events":[`+eA2+`]}`, overTime), want: "valid"},
		{name: "a part is lost", history: kAll + watched(`"start":3,`, sent(eA2)+","+sent(eDA), overTime), want: "invalid torn-transaction w [9 3]", why: "the rest of that revision"},

		{name: "progress ahead", history: kAll + watched(`"start":3,`, upTo("4")+","+sent(eDA)+","+sent(eA5), overTime), want: "invalid wrong-progress w [9] lost-event w [9 3]"},
		{name: "progress goes back", history: kAll + watched(`"start":5,`, upTo("6")+","+upTo("5"), overTime), want: "invalid wrong-progress w [9] lost-event w [9 7]"},

		{name: "what was before", history: kAll + watched(`"start":3,"previous":true,`, sent(before(eA2, prevA1)+","+eB3)+","+sent(before(eDA, prevA2)), overTime), want: "valid"},
		{name: "not what was before", history: kAll + watched(`"start":4,"previous":true,`, sent(before(eDA, prevA1)), overTime), want: "invalid wrong-previous w [9 3]"},
		{name: "never was", history: kAll + watched(`"start":4,"previous":true,`, sent(before(eDA, `{"number":9,"mod":3,"created":2,"version":2}`)), overTime), want: "invalid wrong-previous w [9 3]"},
		{name: "without", history: kAll + watched(`"start":4,"previous":true,`, sent(eDA), overTime), want: "invalid wrong-previous w [9]"},
		{name: "without, compacted", history: kAll + compactTo("4") + watched(`"start":4,"previous":true,`, sent(eDA), overTime), want: "valid"},
		{name: "another version", history: kAll + watched(`"start":5,`, sent(`{"key":"a","number":5,"mod":5,"created":5,"version":2}`), overTime), want: "invalid wrong-created w [9]", why: "contradicts itself"},
		{name: "created before it was deleted", history: kAll + watched(`"start":5,`, sent(`{"key":"a","number":5,"mod":5,"created":2,"version":3}`), overTime), want: "invalid wrong-created w [9 5]"},
		{name: "created though it was there", history: kAll + watched(`"start":3,`, sent(`{"key":"a","number":2,"mod":3,"created":3,"version":1},`+eB3), overTime), want: "invalid wrong-created w [9 1]"},

		{name: "nobody's", history: kAll + watched(`"start":5,`, sent(eA5)+","+sent(`{"key":"a","number":9,"mod":6,"created":5,"version":2}`), overTime), want: "invalid phantom-event w [9]"},
		{name: "a deletion of nobody", history: kAll + watched(`"start":5,`, sent(eA5)+","+sent(`{"key":"b","mod":6}`), overTime), want: "invalid phantom-event w [9]"},
		{name: "failed", history: kPutA + `3 invoke change w [{"key":"a","number":9}] / 3 fail change w [{"key":"a","number":9}] / ` +
			watched(`"start":3,`, sent(`{"key":"a","number":9,"mod":3,"created":2,"version":2}`), overTime), want: "invalid phantom-event w [5 3]"},
		{
			name: "at another revision", history: kPutA + watched(`"start":2,`, sent(`{"key":"a","number":1,"mod":3,"created":3,"version":1}`), overTime),
			want: "invalid divergent-event w [3 1] wrong-created w [3 1] lost-event w [3 1]",
		},
		{name: "of unknown outcome", history: kPutA + `3 invoke change w [{"key":"a","number":9},{"key":"b","number":8}] / ` +
			watched(`"start":3,`, sent(`{"key":"a","number":9,"mod":3,"created":2,"version":2},{"key":"b","number":8,"mod":3,"created":3,"version":1}`), overTime), want: "valid"},
		{name: "half of unknown outcome", history: kPutA + `3 invoke change w [{"key":"a","number":9},{"key":"b","number":8}] / ` +
			watched(`"start":3,`, sent(`{"key":"a","number":9,"mod":3,"created":2,"version":2}`), overTime), want: "invalid torn-transaction w [4 4]"},
		{name: "two streams of unknown outcome", history: kPutA + `3 invoke change w [{"key":"a","number":9}] / ` +
			watched(`"start":3,`, sent(`{"key":"a","number":9,"mod":3,"created":2,"version":2}`), overTime) +
			watched(`"start":3,`, sent(`{"key":"a","number":9,"mod":4,"created":2,"version":2}`), overTime), want: "invalid divergent-event w [6 4] wrong-created w [6] lost-event w [6 4]"},
		{name: "the store's own record", history: kPutA + `3 invoke change w [{"key":"a","number":9}] / ` + watched(`"start":2,`, sent(eA1)+","+upTo("3"), overTime) +
			`evidence info committed w/a 9 v=3 r=3`, want: "invalid lost-event w [4 5]"},
		{name: "two of one revision", history: kPutA + `0 change w [{"key":"b","number":4}] v=2 r=2 / ` + watched(`"start":2,`, sent(eA1), overTime), want: "invalid duplicate-revision w [3 1]"},

		{name: "from now", history: kAll + watched(``, sent(eDA)+","+sent(eA5), overTime), want: "invalid lost-event w [9 3]"},
		{name: "from now, confirmed a little later", history: kAll + watched(``, sent(eA1)+","+sent(eA2+","+eB3), overTime), want: "valid"},

		{name: "compacted", history: kAll + compactTo("4") + watched(`"start":2,`, "", `"compacted","compacted":4`), want: "unknown"},
		{name: "compacted, and a healthy one", history: kAll + compactTo("4") + watched(`"start":2,`, "", `"compacted","compacted":4`) + watched(`"start":4,`, sent(eDA), overTime), want: "valid"},
		{name: "compacted later", history: kAll + compactTo("4") + watched(`"start":2,`, sent(eA1), `"compacted","compacted":4`), want: "valid"},
		{name: "not compacted", history: kAll + watched(`"start":2,`, sent(eA1), `"compacted","compacted":4`), want: "invalid false-compaction w [9]", why: "nobody had asked for"},
		{name: "exactly compacted is there", history: kAll + compactTo("4") + watched(`"start":4,`, "", `"compacted","compacted":4`) + watched(`"start":4,`, sent(eDA), overTime), want: "invalid false-compaction w [11]"},
		{name: "exactly compacted lacks the deletion", history: kAll + compactTo("4") + watched(`"start":4,`, sent(eA5), overTime), want: "invalid lost-event w [11 5]"},
		{name: "compacted and not told", history: kAll + compactTo("4") + watched(`"start":2,`, sent(eDA)+","+sent(eA5), overTime), want: "invalid untold-compaction w [11 1]"},
		{name: "ended by itself", history: kAll + watched(`"start":2,`, sent(eA1), `"closed"`), want: "invalid silent-end w [9]"},
		{name: "ended with a reason", history: kAll + watched(`"start":2,`, sent(eA1), `"canceled: too slow"`), want: "valid"},
		{name: "ended by an error that nobody foresaw", history: kAll + watched(`"start":2,`, sent(eA1), `"error: unexpected: odd"`), want: "unknown", why: "no list knows"},

		{name: "range and watch", history: kAll + watched(`"start":2,`, all, overTime) + `1 range w [` + eB3 + "," + eA5 + `] r=5`, want: "valid"},
		{name: "range lacks one", history: kAll + watched(`"start":2,`, all, overTime) + `1 range w [` + eB3 + `] r=5`, want: "invalid wrong-snapshot w [11 7]"},
		{name: "range has an old one", history: kAll + watched(`"start":2,`, all, overTime) + `1 range w [` + eA2 + "," + eB3 + `] r=5`, want: "invalid wrong-snapshot w [11 7]"},
		{name: "range is old", history: kAll + watched(`"start":2,`, all, overTime) + `1 range w [` + eA2 + "," + eB3 + `] r=3`, want: "invalid stale-read w [11 7]"},
		{name: "a deletion that only ranges tell of", history: kPutA + kPutAB + `3 invoke change w [{"key":"b"}] / 1 range w [` + eA2 + `] r=4 / ` +
			watched(`"start":2,`, sent(eA1)+","+sent(eA2+","+eB3)+","+upTo("4"), overTime), want: "invalid lost-event w [8 3 6]", why: "lacks a deletion of b"},
		{name: "it may be after the stream", history: kPutA + kPutAB + `3 invoke change w [{"key":"b"}] / 1 range w [` + eA2 + `] r=4 / ` +
			watched(`"start":2,`, sent(eA1)+","+sent(eA2+","+eB3), overTime), want: "valid"},
		{name: "nothing", history: kAll, want: "unknown", why: "no watch"},
	})
}

func TestKeyWatchesRefusesWhatIsNoHistory(t *testing.T) {
	for name, text := range map[string]string{
		"a change without a version": `0 change w [{"key":"a","number":1}]`,
		"a number twice":             kPutA + `0 change w [{"key":"a","number":1}] v=3`,
		"no stream":                  `0 watch w {"x":1}`,
		"no writes":                  `0 change w 7 v=3`,
	} {
		if _, err := KeyWatches().Check(t.Context(), transcript(t, text), Budget{}); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
