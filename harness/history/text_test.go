package history

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestTextNotation(t *testing.T) {
	got := parse(t, `
# a comment, and an empty line

0 invoke write x 1 / 0 ok write x 1 v=3 r=7 n=n2     # more
1 invoke cas k=/registry/a [1, 2] t=1.5s / / 1 info cas ! gave up: # 1 / 2 invoke read i=9
nemesis ok start-kill { "id" : "k" } r=4 ! "a / b\n" /
evidence info log default/web-1 null n="a b"
`)
	want := Slice{
		{Index: 0, Type: Invoke, F: "write", Key: "x", Value: []byte("1")},
		{Index: 1, Time: 1, Type: OK, F: "write", Key: "x", Value: []byte("1"), Version: 3, Revision: 7, Node: "n2"},
		{Index: 2, Time: 1500 * time.Millisecond, Type: Invoke, Process: 1, F: "cas", Key: "/registry/a", Value: []byte("[1, 2]")},
		{Index: 3, Time: 3, Type: Info, Process: 1, F: "cas", Error: "gave up: # 1"},
		{Index: 9, Time: 9, Type: Invoke, Process: 2, F: "read"},
		{Index: 10, Time: 10, Type: OK, Process: Nemesis, F: "start-kill", Value: []byte(`{ "id" : "k" }`), Revision: 4, Error: "a / b\n"},
		{Index: 11, Time: 11, Type: Info, Process: Evidence, F: "log", Key: "default/web-1", Node: "a b"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", Format(got), Format(want))
	}
	if again := parse(t, Format(got)); !reflect.DeepEqual(again, want) {
		t.Errorf("formatted and read again\n%s", Format(again))
	}
}

func TestTextThatIsNone(t *testing.T) {
	for text, want := range map[string]string{
		"p0 invoke read":              `line 1: "p0": want a process`,
		"\n-1 invoke read":            `line 2: "-1": want a process`,
		"0 done read":                 "unknown operation type",
		"0 ok":                        "no function",
		"0 ok / 1 ok read":            "no function",
		"0 ok read x y":               "not valid JSON",
		"0 ok read 1 2":               "a second value",
		"0 ok read [1,":               "not valid JSON",
		"0 ok read [1]2":              "want a space",
		"0 ok read v=x":               "v=: ",
		"0 ok read t=5":               "missing unit",
		`0 ok read k="a`:              "without its end",
		"0 invoke read / 0 ok read '": "not valid JSON",
	} {
		if _, err := ParseText(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want …%s…", text, err, want)
		}
	}
}

// FuzzText: what can be read can be written, and reads the same.
func FuzzText(f *testing.F) {
	f.Add("0 invoke write x 1 / 0 ok write x 1 v=3 r=7 n=n2 k=\"\" ! a\nnemesis info heal null i=7 t=1h2m3.5s # c")
	f.Fuzz(func(t *testing.T, text string) {
		ops, err := ParseText(text)
		if err != nil {
			return
		}
		again, err := ParseText(Format(ops))
		if err != nil || Format(again) != Format(ops) {
			t.Errorf("%q\n%s\nread again, %v\n%s", text, Format(ops), err, Format(again))
		}
	})
}
