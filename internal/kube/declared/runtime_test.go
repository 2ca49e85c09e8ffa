package declared

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// logOf writes a runtime's log from lines "SECONDS EVENT [POD ID [EXIT]]".
func logOf(lines string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimSpace(lines), " / ") {
		w := append(strings.Fields(line), "", "", "0")
		fmt.Fprintf(&b, `{"t":%s000000000,"event":%q,"pod":"default/%s","uid":"u-%s","container":"main","id":%q,"exit":%s}`+"\n",
			w[0], w[1], w[2], w[2], w[3], strings.Fields(w[4] + " 0")[0])
	}
	return b.String()
}

// toldOf are spans in short: "web-0 5..9 exited 1"; the run began at second 100.
func toldOf(t *testing.T, log string) string {
	t.Helper()
	ops, err := Spans("n1", strings.NewReader(log), time.Unix(100, 0))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, op := range ops {
		s := decode[spanValue](t, op.Value)
		text := fmt.Sprintf("%s %d..", strings.TrimPrefix(s.Pod, "default/"), s.FromNS/1e9)
		if s.ToNS != 0 {
			text += fmt.Sprint(s.ToNS / 1e9)
		}
		if s.End != "" {
			text += " " + s.End
		}
		if s.Exit != nil {
			text += fmt.Sprintf(" %d", *s.Exit)
		}
		if op.Node != "n1" || s.Container != "main" || !strings.HasPrefix(s.UID, "u-") {
			t.Errorf("%+v", op)
		}
		out = append(out, text)
	}
	return strings.Join(out, " / ")
}

func TestSpans(t *testing.T) {
	for name, c := range map[string]struct{ log, want string }{
		"nothing":                 {`90 begin`, ``},
		"runs":                    {`90 begin / 105 start a 1`, `a 5..`},
		"exits by itself":         {`90 begin / 105 start a 1 / 109 exit a 1 3`, `a 5..9 exited 3`},
		"exits well":              {`90 begin / 105 start a 1 / 109 exit a 1 0`, `a 5..9 exited 0`},
		"is stopped":              {`90 begin / 105 start a 1 / 109 stop a 1 143 / 110 remove a 1`, `a 5..9 stopped`},
		"is removed only":         {`90 begin / 105 start a 1 / 109 remove a 1`, `a 5..9 stopped`},
		"before the run":          {`90 begin / 95 start a 1 / 97 stop a 1`, `a -5..-3 stopped`},
		"dies with its node":      {`90 begin / 105 start a 1 / 107 start b 2 / 120 begin / 125 start a 3`, `a 5..7 lost / b 7..7 lost / a 25..`},
		"in the order of starts":  {`90 begin / 105 start a 1 / 106 start b 2 / 107 stop b 2 / 108 stop a 1`, `a 5..8 stopped / b 6..7 stopped`},
		"an unknown container":    {`90 begin / 105 stop a 1 / 106 remove a 1`, ``},
		"a word of other runtime": {`90 begin / 105 start a 1 / 106 yawn a 1`, `a 5..`},
	} {
		if got := toldOf(t, logOf(c.log)); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// A node that dies while it writes leaves half a line, which the runtime's next life writes on.
func TestSpansOfATornLog(t *testing.T) {
	whole := logOf(`90 begin / 105 start a 1`)
	torn := `{"t":107000000000,"event":"sto`
	if got := toldOf(t, whole+torn); got != "a 5.." {
		t.Errorf("torn at the end: %q", got)
	}
	if got := toldOf(t, whole+torn+logOf(`120 begin / 125 start b 2`)); got != "a 5..5 lost / b 25.." {
		t.Errorf("torn in the middle: %q", got)
	}
	if _, err := Spans("n1", strings.NewReader(whole+"what\n"), time.Unix(100, 0)); err == nil || !strings.Contains(err.Error(), "of n1, line 3") {
		t.Errorf("no line of a log: %v", err)
	}
	broken := errors.New("broken")
	if _, err := Spans("n1", iotest.ErrReader(broken), time.Unix(100, 0)); !errors.Is(err, broken) {
		t.Errorf("a reader that breaks: %v", err)
	}
}
