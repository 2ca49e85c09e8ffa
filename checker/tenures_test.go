package checker

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// owned writes a tenure, in whole seconds: its key was created at a revision, its owner owned from one to another, and its lease was renewed up to alive.
func owned(created, from, to, alive int, more string) string {
	return fmt.Sprintf(`{"owner":"%d","created":%d,"seen":[%d],"renewals":[{"sent_ns":0,"ttl_ms":%d}],"asked_ns":%d,"from_ns":%d,"to_ns":%d%s}`,
		created, created, created, alive*1000, int64(from)*1e9-1e8, int64(from)*1e9, int64(to)*1e9, more)
}

func TestLocks(t *testing.T) {
	const released = `,"end":"released"`
	seen := func(revisions string) func(string) string {
		return func(tenure string) string {
			at := strings.Index(tenure, `"seen":`)
			return tenure[:at] + `"seen":` + revisions + tenure[at+strings.Index(tenure[at:], "]")+1:]
		}
	}
	runTranscripts(t, Locks(TenureOptions{}), []transcriptCase{
		{name: "nothing", history: ``, want: "unknown", why: "nobody ever owned"},
		{name: "waited in vain", history: `0 lock k {"owner":"1","end":"waited"}`, want: "unknown", why: "nobody ever owned"},
		{name: "one after the other", history: `0 lock k ` + owned(2, 1, 3, 9, released) + ` / 1 lock k ` + owned(4, 4, 6, 9, released), want: "valid"},
		{
			name: "by leases", history: `0 lock k ` + owned(2, 1, 5, 9, `,"released":3,"end":"released"`) + ` / 1 lock k ` + owned(4, 4, 6, 9, released),
			want: "invalid mutual-exclusion k [1 3]", why: "owned from 1s to 5s at least",
		},
		{
			name: "it came to own while the other did for certain, whatever became of its lease", history: `0 lock k ` + owned(2, 1, 5, 9, released) + ` / 1 lock k ` + owned(4, 4, 6, 0, released),
			want: "invalid mutual-exclusion k [1 3]", why: "came to own between 3.9s and 4s",
		},
		{
			name: "unsafe by design: the first one's lease had ended", history: `0 lock k ` + owned(2, 1, 7, 3, `,"gone_ns":7000000000,"end":"lost"`) + ` / 1 lock k ` + owned(4, 4, 6, 9, released),
			want: "valid (lock-overlap k [1 3])", why: "both for 2s",
		},
		{
			name: "its end is within the clock error", history: `0 lock k ` + owned(2, 1, 7, 4, `,"gone_ns":7000000000,"end":"lost"`) + ` / 1 lock k ` + owned(4, 4, 6, 9, released),
			want: "valid (lock-overlap k [1 3])",
		},
		{
			name: "by revisions, though no lease is certain", history: `0 lock k ` + seen(`[2,9]`)(owned(2, 1, 2, 0, released)) + ` / 1 lock k ` + seen(`[7]`)(owned(4, 4, 6, 0, released)),
			want: "invalid mutual-exclusion k [1 3]", why: "was there at revision 9, but process 1 (key of revision 4) owned at revision 7 already",
		},
		{
			name: "by the revision that removed the key", history: `0 lock k ` + owned(2, 1, 2, 0, `,"released":9,"end":"released"`) + ` / 1 lock k ` + seen(`[8]`)(owned(4, 4, 6, 0, released)),
			want: "invalid mutual-exclusion k [1 3]",
		},
		{
			name: "removed right before", history: `0 lock k ` + owned(2, 1, 2, 0, `,"released":8,"end":"released"`) + ` / 1 lock k ` + seen(`[8]`)(owned(4, 4, 6, 0, released)),
			want: "valid",
		},
		{
			name: "gone early", history: `0 lock k ` + owned(2, 1, 5, 9, `,"gone_ns":5000000000,"end":"lost"`),
			want: "invalid lease-expired-early k [1]", why: "renewed until 9s at least",
		},
		{name: "locks are apart", history: `0 lock k ` + owned(2, 1, 5, 9, released) + ` / 1 lock l ` + owned(4, 4, 6, 9, released), want: "valid"},
		{name: "of unknown outcome", history: `0 invoke lock k {} / 0 info lock k {} / 1 lock k ` + owned(4, 4, 6, 9, released), want: "valid"},
		{name: "under a set", history: `0 locked-add k ` + owned(2, 1, 5, 9, released) + ` / 1 locked-add k ` + owned(4, 4, 6, 9, released), want: "invalid mutual-exclusion k [1 3]"},
	})
	for _, bad := range []string{`0 lock k [1]`, `0 lock k {"from_ns":5,"to_ns":4,"seen":[1],"end":"lost"}`, `0 lock k {"from_ns":5,"to_ns":6,"end":"lost"}`} {
		if _, err := Locks(TenureOptions{}).Check(t.Context(), transcript(t, bad), Budget{}); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func TestElections(t *testing.T) {
	const released = `,"end":"released"`
	look := func(leaders string) string { return ` / 9 observe e {"leaders":[` + leaders + `],"end":"time"}` }
	leader := func(created, modified, revision int, value string) string {
		return fmt.Sprintf(`{"created":%d,"modified":%d,"revision":%d,"value":%q}`, created, modified, revision, value)
	}
	one := `0 campaign e ` + owned(2, 1, 3, 9, released)
	runTranscripts(t, Elections(TenureOptions{}), []transcriptCase{
		{name: "nothing", history: ``, want: "unknown", why: "nobody ever led"},
		{name: "unseen", history: one, want: "unknown", why: "no observer ever saw a leader"},
		{name: "one after the other", history: one + ` / 1 campaign e ` + owned(5, 4, 6, 9, released) + look(leader(2, 2, 3, "a")+","+leader(5, 5, 5, "b")), want: "valid"},
		{
			name: "two by leases", history: one + ` / 1 campaign e ` + owned(5, 2, 6, 9, released) + look(leader(2, 2, 3, "a")),
			want: "invalid two-leaders e [1 3]",
		},
		{
			name: "two by belief", history: `0 campaign e ` + owned(2, 1, 8, 3, `,"end":"lost"`) + ` / 1 campaign e ` + owned(5, 4, 6, 9, released) + look(leader(2, 2, 3, "a")),
			want: "valid (two-leaders e [1 3])",
		},
		{
			name: "out of order", history: one + look(leader(5, 5, 5, "b")+","+leader(2, 2, 3, "a")),
			want: "invalid leader-out-of-order e [3]", why: "saw the leader of revision 2 with words of revision 2 after the one of revision 5",
		},
		{name: "words out of order", history: one + look(leader(2, 4, 5, "b")+","+leader(2, 3, 5, "a")), want: "invalid leader-out-of-order e [3]"},
		{name: "the new leader's words may be older", history: one + look(leader(2, 4, 5, "b")+","+leader(3, 3, 6, "a")), want: "valid"},
		{
			name: "two, as observers saw", history: one + look(leader(2, 9, 9, "b")) + look(leader(5, 5, 8, "a")),
			want: "invalid two-leaders e [3 5]", why: "led at revision 9 or later (as an observer saw), but the one of revision 5 led at revision 8 or before",
		},
		{
			name: "wrong words", history: `0 campaign e ` + owned(2, 1, 3, 9, `,"proclaims":[{"value":"x","revision":3}],"end":"released"`) + look(leader(2, 3, 3, "y")),
			want: "invalid wrong-proclamation e [3 1]",
		},
		{
			name: "said after it had resigned", history: `0 campaign e ` + owned(2, 1, 3, 9, `,"proclaims":[{"value":"x","revision":7,"after":true}],"end":"released"`) + look(leader(2, 2, 3, "y")),
			want: "invalid proclaimed-after-resigning e [1]",
		},
		{
			name: "refused after it had resigned", history: `0 campaign e ` + owned(2, 1, 3, 9, `,"proclaims":[{"value":"x","after":true}],"end":"released"`) + look(leader(2, 2, 3, "y")),
			want: "valid",
		},
	})
}

// drawTenures are small tenures of one lock, as wrong as can be.
func drawTenures(r *rand.Rand) []tenure {
	list := make([]tenure, 2+r.IntN(4))
	for i := range list {
		t := &list[i]
		t.index, t.Created = int64(i), int64(2+i)
		t.AskedNS = int64(r.IntN(10))
		t.FromNS = t.AskedNS + int64(r.IntN(2)) + 1
		t.ToNS = t.FromNS + int64(r.IntN(6))
		t.Renewals = []history.Renewal{{SentNS: int64(r.IntN(14))}}
		t.Seen = []int64{t.Created + int64(r.IntN(4))}
		if r.IntN(2) == 0 {
			t.Released = t.Seen[0] + 1 + int64(r.IntN(4))
		}
	}
	return list
}

// brokenByHand tells, pair by pair and from the definition alone, whether two of the tenures owned at once.
func brokenByHand(list []tenure) bool {
	for i := range list {
		for j := range list {
			a, b := &list[i], &list[j]
			if i == j {
				continue
			}
			// The key of a was there at a revision at which b, whose key is younger, owned.
			for _, r := range append([]int64{a.Released - 1}, a.Seen...) {
				if a.Created < b.Created && r >= b.Seen[0] {
					return true
				}
			}
			// Both owned for certain at one moment; or a did for all of the time in which b came to own.
			all := true
			for at := b.AskedNS; at <= b.FromNS; at++ {
				all = all && a.FromNS <= at && at <= a.certainTo(0)
			}
			if all {
				return true
			}
			for at := int64(0); at < 40; at++ { // half times: 2·at+1
				in := func(t *tenure) bool { return 2*t.FromNS < 2*at+1 && 2*at+1 < 2*t.certainTo(0) }
				if in(a) && in(b) {
					return true
				}
			}
		}
	}
	return false
}

func checkTenures(t *testing.T, seed uint64) {
	t.Helper()
	list := drawTenures(rand.New(rand.NewPCG(seed, 1)))
	var f findings
	o := ownership{f: &f, d: TenuresDetail{Ends: map[string]int{}}, overlap: "lock-overlap", both: "mutual-exclusion"}
	o.judge("k", slices.Clone(list))
	if got, want := f.broken > 0, brokenByHand(list); got != want {
		text, _ := json.Marshal(list)
		t.Errorf("seed %d: broken %v, by hand %v: %s\n%+v", seed, got, want, text, f.anomalies)
	}
}

func TestTenuresTwin(t *testing.T) {
	for seed := range uint64(5_000) {
		checkTenures(t, seed)
	}
}

func FuzzTenures(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(checkTenures)
}

func TestLockSet(t *testing.T) {
	const final = ` / nemesis final-reads / `
	// Two adds to an empty set: the second one read it before the first one wrote, and wrote afterwards.
	twice := func(alive int) string {
		return `0 locked-add k ` + owned(2, 1, 5, 9, `,"element":1,"end":"released"`) + ` v=5 / ` +
			`1 locked-add k ` + owned(4, 4, 6, alive, `,"element":2,"end":"released"`) + ` v=7` + final + `2 read k [2]`
	}
	runTranscripts(t, must(t)(LockSet("")), []transcriptCase{
		{name: "nothing", history: ``, want: "unknown", why: "nothing to check"},
		{name: "kept", history: `0 locked-add k ` + owned(2, 1, 5, 9, `,"element":1,"end":"released"`) + ` v=5` + final + `2 read k [1]`, want: "valid"},
		{name: "lost, fenced", history: twice(5), want: "invalid lost k [7 1]"},
	})
	runTranscripts(t, must(t)(LockSet(ModelUnfenced)), []transcriptCase{
		{name: "lost to one whose lease had ended", history: twice(5), want: "valid (lost k [7 1])", why: "unsafe by design"},
		{name: "lost though both leases lived", history: twice(9), want: "invalid lost k [7 1]"},
		{
			name: "lost to one that had read it", want: "invalid lost k [7 1]",
			history: `0 locked-add k ` + owned(2, 1, 5, 3, `,"element":1,"end":"released"`) + ` v=5 / ` +
				`1 locked-add k ` + owned(4, 4, 6, 3, `,"element":2,"base":5,"end":"released"`) + ` v=7` + final + `2 read k [2]`,
		},
		{
			name: "lost, maybe to one of unknown outcome", want: "valid (lost k [7 2])", why: "outcome of add 3 is unknown",
			history: `1 invoke locked-add k {"element":2} / 0 invoke locked-add k {"element":1} / 0 ok locked-add k ` + owned(2, 1, 5, 9, `,"element":1,"end":"released"`) + ` v=5 / ` +
				`1 info locked-add k {"element":2}` + final + `2 read k []`,
		},
		{
			name: "not to one that began later", want: "invalid lost k [7 1]",
			history: `0 locked-add k ` + owned(2, 1, 5, 9, `,"element":1,"end":"released"`) + ` v=5 / ` +
				`1 invoke locked-add k {"element":2} / 1 info locked-add k {"element":2}` + final + `2 read k []`,
		},
		{name: "garbage", history: `0 locked-add k ` + owned(2, 1, 5, 9, `,"element":1,"end":"released"`) + ` v=5` + final + `2 read k [1,7]`, want: "invalid garbage-read k [5]"},
	})
	if _, err := LockSet(ModelSerializable); err == nil {
		t.Error("an unknown model is taken")
	}
	if DefaultClockError >= time.Second {
		t.Error("the transcripts are in whole seconds")
	}
}
