package checker

import (
	"context"
	"encoding/json"
	"testing"
)

// TestSetLatencies: how long elements took to be in every read, and how long lost ones were there.
func TestSetLatencies(t *testing.T) {
	r, err := must(t)(SetWith(SetOptions{Read: ReadSerializable})).Check(context.Background(), transcript(t, `
		0 invoke add s 1 t=0s / 0 ok add s 1 t=100ms
		0 invoke add s 2 t=1s / 0 ok add s 2 t=1s
		1 invoke read s t=2s / 1 ok read s [1] t=2s
		1 invoke read s t=3s / 1 ok read s [1,2] t=3s
		1 invoke read s t=4s / 1 ok read s [2] t=4s
		0 invoke add s 3 t=5s / 0 ok add s 3 t=5s`), Budget{})
	if err != nil {
		t.Fatal(err)
	}
	var d SetDetail
	if err := json.Unmarshal(r.Detail, &d); err != nil {
		t.Fatal(err)
	}
	if d.StableMS.Max != 1000 || d.LostMS.Max != 2900 || d.NeverRead != 1 {
		t.Errorf("%+v", d)
	}
}

func TestSet(t *testing.T) {
	runTranscripts(t, must(t)(SetWith(SetOptions{})), []transcriptCase{
		{name: "nothing", history: ``, want: "unknown", why: "nothing to check"},
		{name: "added and read", history: `0 add s 1 / 1 add s 2 / 0 read s [1,2]`, want: "valid"},
		{name: "empty", history: `0 read s null / 0 add s 1 / 0 read s [1]`, want: "valid"},
		{name: "no final read", history: `0 add s 1 / 0 read s [1] / 0 add s 2`, want: "unknown", why: `"s" has no ok final read`},
		{
			name: "lost", history: `0 add s 1 / 0 add s 2 / 1 read s [1,2] / 0 add s 3 / 4 read s [1,3] n=n2`, want: "invalid lost s [9 3]",
			why: "read 9 of s by process 4 on n2 lacks the element 2, which was acknowledged before it began (3); no final read has it",
		},
		{name: "never there", history: `0 add s 1 / 0 add s 2 / 1 read s [1]`, want: "invalid lost s [5 3]"},
		{name: "stale", history: `0 add s 1 / 1 read s [] / 1 read s [1]`, want: "invalid stale-read s [3 1 5]"},
		{
			name:    "stale at the end on one node only",
			history: `0 add s 1 / nemesis final-reads / 1 read s [] n=n1 / 2 read s [1] n=n2`, want: "invalid stale-read s [5 1 7]",
		},
		{name: "a concurrent add may be missing", history: `0 invoke add s 1 / 1 read s [] / 0 ok add s 1 / 1 read s [1]`, want: "valid"},
		{name: "so may one that completed during the read", history: `1 invoke read s / 0 add s 1 / 1 ok read s [] / 1 read s [1]`, want: "valid"},
		{name: "recovered", history: `0 invoke add s 1 / 0 info add s 1 ! timeout / 1 read s [] / 1 read s [1]`, want: "valid"},
		{
			name:    "recovered, then lost",
			history: `0 invoke add s 1 / 0 info add s 1 ! timeout / 1 read s [1] / nemesis final-reads / 1 read s []`, want: "invalid lost s [7 3]",
			why: "had been read before it began",
		},
		{name: "an unknown add may never happen", history: `0 invoke add s 1 / 1 add s 2 / 1 read s [2]`, want: "valid"},
		{name: "garbage", history: `0 add s 1 / 1 read s [1,7]`, want: "invalid garbage-read s [3]", why: "which nobody added"},
		{name: "aborted", history: `0 invoke add s 1 / 0 fail add s 1 ! no / 1 read s [1]`, want: "invalid aborted-read s [3 1]"},
		{name: "future", history: `1 read s [1] / 0 add s 1 / 1 read s [1]`, want: "invalid future-read s [1 3]"},
		{name: "twice", history: `0 add s 1 / 1 read s [1,1]`, want: "invalid duplicate-elements s [3]"},
		{name: "keys are apart", history: `0 add a 1 / 0 add b 2 / 1 read a [1] / 1 read b [1]`, want: "invalid lost b [7 3] garbage-read b [7]"},
		{
			name: "an incomplete history can't show losses", cut: true,
			history: `0 add s 1 / 0 read s [1]`, want: "unknown", why: "the history is incomplete",
		},
		{
			name: "but it can show stale reads", cut: true,
			history: `0 add s 1 / 0 read s []`, want: "invalid stale-read s [3 1]",
		},
	})
	serializable := must(t)(SetWith(SetOptions{Read: ReadSerializable}))
	runTranscripts(t, serializable, []transcriptCase{
		{name: "stale is allowed", history: `0 add s 1 / 1 read s [] / 1 read s [1]`, want: "valid (stale-read s [3 1 5])"},
		{name: "lost is not", history: `0 add s 1 / nemesis final-reads / 1 read s [] / 2 read s []`, want: "invalid lost s [7 1]"},
	})
	if _, err := SetWith(SetOptions{Model: "causal"}); err == nil {
		t.Error("an unknown model is taken")
	}
}
