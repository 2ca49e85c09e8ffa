package checker

import (
	"context"
	"encoding/json"
	"testing"
	"time"
)

func TestLeaders(t *testing.T) {
	const (
		second = "000000000"
		final  = `nemesis final-reads t=20s / `
	)
	lead := func(process, node, terms string) string {
		return process + ` lead e {"terms":[` + terms + `]} n=` + node + ` t=30s / `
	}
	term := func(from, to, end string) string {
		return `{"from_ns":` + from + second + `,"to_ns":` + to + second + `,"end":"` + end + `"}`
	}
	runTranscripts(t, Leaders(LeadersOptions{}), []transcriptCase{
		{name: "nothing", history: ``, want: "unknown", why: "nobody ever led"},
		{name: "one after the other", history: final + lead("0", "n1", term("1", "5", "lost")) + lead("1", "n2", term("6", "30", "over")), want: "valid"},
		{
			name: "two under a fault", history: final + lead("0", "n1", term("1", "8", "lost")) + lead("1", "n2", term("6", "30", "over")),
			want: "valid (two-leaders e [3 5])", why: "both for 2s",
		},
		{
			name: "two in the end", history: final + lead("0", "n1", term("1", "30", "over")) + lead("1", "n2", term("6", "30", "over")),
			want: "invalid two-leaders e [3 5]", why: "10s of it in the final phase, where at most 1s is tolerated",
		},
		{
			name: "one that takes over a little early in the end", history: final + lead("0", "n1", term("1", "25", "released")) + lead("1", "n2", term("24", "30", "over")),
			want: "valid (two-leaders e [3 5])",
		},
		{
			name: "two in the end, under a fault that was not undone", want: "unknown (two-leaders e [7 9])", why: "kill-1 (kill) was not proved to have ended",
			history: `nemesis start-kill {"id":"kill-1","family":"kill","proof":1} t=2s / nemesis invoke heal t=15s / nemesis info heal t=15s / ` + final +
				lead("0", "n1", term("1", "30", "over")) + lead("1", "n2", term("6", "30", "over")),
		},
		{
			name: "two in the end of a system that did not get well", want: "unknown (two-leaders e [5 7])", why: "did not get well again: no leader",
			history: `nemesis invoke await-healthy t=15s / nemesis info await-healthy t=15s ! no leader / ` + final +
				lead("0", "n1", term("1", "30", "over")) + lead("1", "n2", term("6", "30", "over")),
		},
		{
			name: "two in the end, under a fault that was undone too late", want: "unknown (two-leaders e [7 9])", why: "kill-1 (kill) was not proved to have ended by then",
			history: `nemesis start-kill {"id":"kill-1","family":"kill","proof":1} t=2s / ` + final + `nemesis heal t=25s / ` +
				lead("0", "n1", term("1", "30", "over")) + lead("1", "n2", term("6", "30", "over")),
		},
		{
			name: "two in the end of a system that did", want: "invalid two-leaders e [9 11]",
			history: `nemesis start-kill {"id":"kill-1","family":"kill","proof":1} t=2s / nemesis heal t=15s / nemesis await-healthy t=16s / ` + final +
				lead("0", "n1", term("1", "30", "over")) + lead("1", "n2", term("6", "30", "over")),
		},
		{
			name: "one after the other under a fault that was not undone", want: "valid",
			history: `nemesis start-kill {"id":"kill-1","family":"kill","proof":1} t=2s / ` + final + lead("0", "n1", term("1", "5", "lost")) + lead("1", "n2", term("6", "30", "over")),
		},
		{name: "terms of one process", history: final + lead("0", "n1", term("1", "8", "lost")+","+term("7", "30", "over")), want: "valid"},
		{name: "elections are apart", history: final + lead("0", "n1", term("1", "30", "over")) + `1 lead f {"terms":[` + term("1", "30", "over") + `]} t=30s`, want: "valid"},
		{name: "nobody in the end", history: final + lead("0", "n1", term("1", "8", "lost")), want: "unknown", why: "nobody led in the final phase"},
		{name: "no end", history: lead("0", "n1", term("1", "8", "lost")), want: "unknown", why: "there is no final phase"},
		{name: "the end is missing", cut: true, history: final + lead("0", "n1", term("1", "30", "over")), want: "unknown", why: "the history is incomplete"},
	})
	h := transcript(t, final+lead("0", "n1", term("1", "10", "lost"))+lead("1", "n2", term("4", "8", "lost"))+lead("2", "n3", term("7", "25", "over")))
	r, err := Leaders(LeadersOptions{Tolerated: time.Minute}).Check(context.Background(), h, Budget{})
	if err != nil {
		t.Fatal(err)
	}
	var d LeadersDetail
	if err := json.Unmarshal(r.Detail, &d); err != nil {
		t.Fatal(err)
	}
	// From 4 to 8 two of them, and from 8 to 10 the first and the third.
	if d.OverlapSum != 6*time.Second || d.OverlapMax != 4*time.Second || d.Led != 24*time.Second {
		t.Errorf("%+v", d)
	}
}
