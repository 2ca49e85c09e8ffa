package history

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// pairLines writes pairs as "process f: invocation → completion's type".
func pairLines(t *testing.T, pairs func(func(Pair, error) bool)) string {
	t.Helper()
	var b strings.Builder
	for p, err := range pairs {
		if err != nil {
			t.Fatal(err)
		}
		end := "?"
		if p.HasComplete {
			end = fmt.Sprintf("%d %s", p.Complete.Index, p.Complete.Type)
		}
		fmt.Fprintf(&b, "%s %s: %d → %s, %s\n", p.Invoke.Process, p.Invoke.F, p.Invoke.Index, end, p.Outcome())
	}
	return b.String()
}

func TestPairs(t *testing.T) {
	ops := parse(t, `
4 invoke read  / 2 invoke write 1 / nemesis invoke start-kill
2 ok write 1   / 2 invoke write 2 / 0 invoke cas [1, 2] / 0 fail cas [1, 2]
nemesis info start-kill / evidence info log / 1 invoke read / 1 info read / nemesis invoke stop-kill
`)
	const want = `
2 write: 1 → 3 ok, ok
0 cas: 5 → 6 fail, fail
nemesis start-kill: 2 → 7 info, info
1 read: 9 → 10 info, info
4 read: 0 → ?, info
2 write: 4 → ?, info
nemesis stop-kill: 11 → ?, info
`
	if got := pairLines(t, Pairs(ops)); got != want[1:] {
		t.Errorf("got\n%swant%s", got, want)
	}
	var clients []string
	for line := range strings.Lines(want[1:]) {
		if !strings.HasPrefix(line, "nemesis") {
			clients = append(clients, line)
		}
	}
	if got := pairLines(t, ClientPairs(ops)); got != strings.Join(clients, "") {
		t.Errorf("clients: got\n%s", got)
	}
	for range Pairs(ops) {
		break // stopping early is no error
	}
}

func TestRules(t *testing.T) {
	for _, test := range []struct {
		text string
		rule Rule
		want string
	}{
		{"0 invoke r / 0 ok r / 0 invoke r / 0 fail r / 0 invoke r / 0 info r", "", ""},
		{"nemesis invoke s / nemesis info s / nemesis invoke s / nemesis ok s", "", ""},
		{"evidence info log / evidence ok committed / evidence info log", "", ""},
		{"0 invoke r / 1 invoke r / 0 invoke r", RuleOneOpen, "line 3, index 2: process 0, invoke r: index 0 is still open"},
		{"0 invoke r / 1 ok r", RuleInvocation, "line 2, index 1: process 1, ok r: nothing is open"},
		{"0 invoke r / 0 ok r / 0 ok r", RuleInvocation, "line 3, index 2"},
		{"0 invoke r / 0 ok w", RuleSameFunction, "index 0 invoked r"},
		{"0 invoke r / 0 info r / 0 invoke r", RuleAfterInfo, "line 3, index 2"},
		{"0 invoke r / 0 ok r i=0", RuleIndex, "line 2, index 0: it follows index 0"},
		{"0 invoke r i=-1", RuleIndex, "at least 0"},
		{"0 invoke r t=2s / 0 ok r t=1s", RuleTime, "line 2, index 1: 1s follows 2s"},
	} {
		checkRule(t, test.text, parse(t, test.text), test.rule, test.want)
	}
	checkRule(t, "a type that is none", Slice{{Type: 9}}, RuleType, "type(9)")
	checkRule(t, "no type", Slice{{}}, RuleType, "type(0)")
	checkRule(t, "a process that is none", Slice{{Type: OK, Process: -3}}, RuleProcess, "no such process")
}

func checkRule(t *testing.T, name string, ops Slice, rule Rule, want string) {
	t.Helper()
	err := Validate(ops)
	if rule == "" {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return
	}
	var broken *RuleError
	if !errors.As(err, &broken) || broken.Rule != rule || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v, want rule %q and …%s…", name, err, rule, want)
	}
}
