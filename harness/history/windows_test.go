package history

import (
	"fmt"
	"strings"
	"testing"
)

// windowLines writes windows, a line each.
func windowLines(ws []Window) string {
	at := func(m Moment) string {
		if !m.Known {
			return "?"
		}
		return fmt.Sprint(m.Index)
	}
	var b strings.Builder
	for i := range ws {
		w := &ws[i]
		fmt.Fprintf(&b, "%s %s %v %s-%s..%s-%s", w.ID, w.Family, w.Nodes, at(w.StartInvoke), at(w.StartComplete), at(w.StopInvoke), at(w.StopComplete))
		if w.Proved {
			fmt.Fprintf(&b, " proved%s", w.Proof)
		}
		if w.Skipped != "" {
			b.WriteString(" skipped: " + w.Skipped)
		}
		if len(w.Unsure) > 0 {
			b.WriteString(" unsure: " + strings.Join(w.Unsure, "; "))
		}
		if w.Open {
			b.WriteString(" open")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestWindows(t *testing.T) {
	const cut, proved, kill = `{"id":"cut-1","family":"cut"}`, `{"id":"cut-1","family":"cut","proof":1}`, `{"id":"kill-1","family":"kill"`
	for name, test := range map[string]struct{ text, want string }{
		"planned, done, undone": {
			`
nemesis invoke start-kill ` + kill + `} / nemesis ok start-kill ` + kill + `,"nodes":["n2"],"proof":{"pid":7}}
0 invoke read / 0 ok read
nemesis invoke stop-kill ` + kill + `} / nemesis ok stop-kill ` + kill + `}`,
			`kill-1 kill [n2] 0-1..4-5 proved{"pid":7}`,
		},
		"overlapping, ended by heal": {
			`
nemesis invoke start-kill ` + kill + `} / nemesis ok start-kill ` + kill + `,"proof":null}
nemesis invoke start-cut ` + cut + ` / nemesis info start-cut ` + cut + ` ! no packet was caught
nemesis invoke stop-kill ` + kill + `} / nemesis ok stop-kill ` + kill + `}
nemesis invoke stop-cut ` + cut + ` / nemesis info stop-cut ! SSH refused
nemesis invoke heal / nemesis info heal / nemesis invoke heal / nemesis ok heal`,
			"kill-1 kill [] 0-1..4-5 unsure: start-kill: ok without a proof\ncut-1 cut [] 2-3..10-11 unsure: start-cut: no packet was caught; stop-cut: SSH refused",
		},
		"nothing to act on": {
			`nemesis invoke start-cut ` + cut + ` / nemesis fail start-cut ` + cut + ` ! no leader`,
			"cut-1 cut [] 0-1..?-? skipped: no leader",
		},
		"nothing to act on, and no reason": {
			`nemesis invoke start-cut ` + cut + ` / nemesis fail start-cut`,
			"cut-1 cut [] 0-1..?-? skipped: no reason given",
		},
		"cut off while it starts": {
			`nemesis invoke start-cut ` + cut,
			"cut-1 cut [] 0-?..?-? unsure: start-cut: the history ends before it is done open",
		},
		"cut off while it stops": {
			`nemesis invoke start-cut ` + cut + ` / nemesis ok start-cut ` + proved + ` / nemesis invoke stop-cut ` + cut,
			"cut-1 cut [] 0-1..?-? proved1 unsure: stop-cut: the history ends before it is done open",
		},
		"other operations": {"nemesis invoke members / nemesis ok members [] / 0 invoke start-x 1 / 0 ok start-x 1", ""},
	} {
		ws, err := Windows(parse(t, test.text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := strings.TrimSuffix(windowLines(ws), "\n"); got != test.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, test.want)
		}
	}
}

func TestWindowsThatMakeNoSense(t *testing.T) {
	const start, stop = `nemesis invoke start-cut {"id":"c"} / nemesis ok start-cut {"id":"c"} / `, `nemesis invoke stop-cut {"id":"d"} / nemesis ok stop-cut`
	for text, want := range map[string]string{
		start + start: "index 2: fault c was started before, at index 0",
		start + stop:  "nemesis operation stop-cut, index 2: fault d was never started",
		"nemesis invoke start-cut / nemesis ok start-cut":   `has no fault's "id": null`,
		"nemesis invoke start-cut 7 / nemesis ok start-cut": "its value is no fault",
		"nemesis ok start-cut":                              "nothing is open",
	} {
		if _, err := Windows(parse(t, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want …%s…", text, err, want)
		}
	}
}

func TestOverlaps(t *testing.T) {
	moment := func(i int64) Moment { return Moment{Known: true, Index: i} }
	closed := Window{StartInvoke: moment(10), StopComplete: moment(20)}
	open := Window{StartInvoke: moment(10), Open: true}
	skipped := Window{StartInvoke: moment(10), Skipped: "no leader"}
	for _, test := range []struct {
		w        Window
		from, to int64
		want     bool
	}{
		{closed, 0, 9, false},
		{closed, 0, 10, true},
		{closed, 12, 13, true},
		{closed, 20, 30, true},
		{closed, 21, 30, false},
		{closed, 0, 100, true},
		{open, 0, 9, false},
		{open, 1000, 1001, true},
		{skipped, 0, 100, false},
	} {
		if got := test.w.Overlaps(test.from, test.to); got != test.want {
			t.Errorf("%+v from %d to %d: %v", test.w, test.from, test.to, got)
		}
	}
	if !closed.MayAct(15) || closed.MayAct(21) {
		t.Error("MayAct does not agree with Overlaps")
	}
}
