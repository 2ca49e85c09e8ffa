package formats

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/faultline/faultline/harness/history"
)

// read is a history in the notation of history.ParseText, or the error.
func read(src history.Source, err error) (string, error) {
	if err != nil {
		return "", err
	}
	var ops history.Slice
	for op, err := range src.Ops() {
		if err != nil {
			return history.Format(ops), err
		}
		ops = append(ops, op)
	}
	return history.Format(ops), nil
}

func TestFormats(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{
			"lines from elsewhere", `{"process": 0, "type": "invoke", "f": "read", "value": null, "extra": [1]}` + "\n" + `{"process":0,"type":"ok","f":"read","value":3,"error":["a",1],"key":7}`,
			"0 invoke read / 0 ok read k=\"7\" 3 ! \"[\\\"a\\\",1]\"",
		},
		{"an array", "[{\"process\":0,\"type\":\"invoke\",\"f\":\"write\",\n\"value\":[1,\n2]},\n{\"process\":0,\"type\":\"ok\",\"f\":\"write\",\"value\":null}]\n", "0 invoke write [1,2] / 0 ok write"},
		{
			"Elle", `{:type :invoke, :f :txn, :value [[:append 11 1] [:r 11 nil]], :process 10, :time 14532933, :index 0}
{:type :ok, :f :txn, :value [[:append 11 1] [:r 11 [1]]], :process 10, :time 14532999, :index 1}`,
			`10 invoke txn [["append",11,1],["r",11,null]] t=14.532933ms / 10 ok txn [["append",11,1],["r",11,[1]]] t=14.532999ms`,
		},
		{
			"without process and function", "; a comment\n{:index 10 :type :invoke :value [[:w 1 2]]} ; another\n#_{:type :ok} {:index 15 :type :ok :value [[:w 1 2]]}",
			`0 invoke txn [["w",1,2]] i=10 / 0 ok txn [["w",1,2]] i=15`,
		},
		{
			"one vector", "[{:process 0 :type :invoke :f :write :value 1}\n {:process 0 :type :ok\n :f :write :value 1}]\n; end\n",
			"0 invoke write 1 / 0 ok write 1",
		},
		{"records", `#jepsen.history.Op{:index 0, :time -1, :type :invoke, :process 1, :f :read, :value nil} #jepsen.history.Op{:index 1, :time 4, :type :ok, :process 1, :f :read, :value 2}`, "1 invoke read t=-1ns / 1 ok read 2 t=4ns"},
		{
			"independent keys", `{:process 0 :type :invoke :f :write :value [:x 1]} {:process 1 :type :invoke :f :read :value ["y" nil]} {:process 0 :type :info :f :write :value :timed-out} {:process 1 :type :ok :f :read :value ["y" 3]}
			{:process 2 :type :invoke :f :cas :value [x [1 2]]} {:process 2 :type :fail :f :cas :value [x [1 2]] :error [:no "way"]}`,
			`0 invoke write x 1 / 1 invoke read y / 0 info write ! timed-out / 1 ok read y 3 / 2 invoke cas x [1,2] / 2 fail cas x [1,2] ! "[\"no\",\"way\"]"`,
		},
		{"tagged keys", `{:process 0 :type :invoke :f :add :value #jepsen.independent/tuple [3 1]}{:process 0 :type :ok :f :add :value #jepsen.independent/tuple [3 1]}`, `0 invoke add k="3" 1 / 0 ok add k="3" 1`},
		{"no keys", `{:process 0 :type :invoke :f :cas :value [1 2]} {:process 0 :type :ok :f :cas :value [1 2]}`, `0 invoke cas [1,2] / 0 ok cas [1,2]`},
		{"keys of their own", `{:process 0, :type :invoke, :f :append, :key "0", :value "x 0 0 y"} {:process 0, :type :ok, :f :append, :key "0", :value ""}`, `0 invoke append k="0" "x 0 0 y" / 0 ok append k="0" ""`},
		{
			"Jepsen's nemesis", `{:process :nemesis :type :info :f :start-partition :value :majority} {:process :nemesis :type :info :f :start-partition :value [:isolated {"n1" #{"n2"}}]}
			{:process :nemesis :type :info :f :stop-partition :value nil} {:process :nemesis :type :info :f :stop-partition :value :network-healed} {:process :nemesis :type :info :f :stop-kill :value nil}`,
			`nemesis invoke start-partition {"id":"partition-1","family":"partition","variant":"majority"}
			nemesis info start-partition {"id":"partition-1","family":"partition","variant":"[\"isolated\",{\"n1\":[\"n2\"]}]"}
			nemesis invoke stop-partition {"id":"partition-1","family":"partition"} / nemesis info stop-partition {"id":"partition-1","family":"partition","variant":"network-healed"} / nemesis invoke no-stop-kill`,
		},
		{"jitter", `{:process 0 :type :invoke :f :read :index 0 :time 9} {:process 0 :type :ok :f :read :index 1 :time 7 :value 1}`, "0 invoke read t=9ns / 0 ok read 1 t=9ns"},
		{
			"Porcupine's etcd logs", "INFO  jepsen.util - 0\t:invoke\t:read\tnil\nINFO  jepsen.util - 1   :invoke :cas    [3 1]\nINFO  jepsen.util - 0\t:fail\t:read\t:timed-out\nINFO  jepsen.util - 1\t:info\t:cas\t:timed-out\nINFO jepsen.core - Run complete, writing\n",
			"0 invoke read / 1 invoke cas [3,1] / 0 fail read ! timed-out / 1 info cas ! timed-out",
		},
		{
			"history.txt", "0\t:invoke\t:write\t4\n:nemesis\t:info\t:start\tCut off {:n1 #{:n2}}\n0\t:fail\t:write\t4\t[:conn \"refused\"]\n",
			`0 invoke write 4 / nemesis invoke start "Cut off {:n1 #{:n2}}" / 0 fail write 4 ! "[\"conn\",\"refused\"]"`,
		},
		{
			"a newer log", "2024-01-02 03:04:05,678{GMT}\tINFO\t[jepsen worker 3] jepsen.util: 3\t:invoke\t:txn\t[[:r 1 nil]]\n2024-01-02 WARN [x] jepsen.core - oops\n\tat foo\n",
			`3 invoke txn [["r",1,null]]`,
		},
		{"forms", `{:process 0 :type :invoke :f :x :value {:a/b 1N, "s" [2.50M -3 +4 1/2 0x1F ##NaN 1e3 5.] nil (true false) [1] #{\a \newline \u0041} sym ^{:m 1} #inst "2020" #:n{:k "é\t\101\u00e9"} #"\d"}}`, `0 invoke x {"a/b":1,"s":[2.50,-3,4,"1/2","0x1F","NaN",1e3,5.0],"null":[true,false],"[1]":["a","\n","A"],"sym":"2020","{\"n/k\":\"é\\tAé\"}":"\\d"}`},
	} {
		got, err := read(Parse("h", []byte(c.text)))
		want, wantErr := history.ParseText(c.want)
		if err != nil || wantErr != nil || got != history.Format(want) {
			t.Errorf("%s:\ngot  %s\nwant %s\n%v %v", c.name, got, history.Format(want), err, wantErr)
		}
	}
}

func TestRefused(t *testing.T) {
	const ok = "{:process 0 :type :invoke :f :read}\n"
	for _, c := range []struct{ name, text, want string }{
		{"no history", "this is no history", "looked for"},
		{"garbage", "\x00\x01\x02", "looked for"},
		{"two at once", ok + ok, "line 2, index 1: process 0, invoke read: index 0 is still open (rule: a process has one open operation at a time)"},
		{"a completion alone", "; c\n{:process 0\n:type :ok :f :read}", "line 2, index 0"},
		{"time runs backwards", "{:process 0 :time 5 :type :invoke :f :read}\n{:process 0 :time 4 :type :ok :f :read}", "line 2, index 1: 4ns follows 5ns (rule: time never runs backwards)"},
		{"index runs backwards", "{:process 0 :index 5 :type :invoke :f :read}\n{:process 0 :index 4 :type :ok :f :read}", "rule: indexes rise"},
		{"unknown type", ok + "{:process 0 :type :okay :f :read}", `line 2: :type: "okay": unknown operation type`},
		{"no function", "{:process 0 :type :ok}", "line 1: the operation has no :f"},
		{"cut off", ok + "{:process 0 :type :ok :value [1", "line 2: a form that has no end"},
		{"cut off in a string", ok + `{:process 0 :type "o`, "line 2: a form that has no end"},
		{"a vector cut off", "[" + ok, "a form that has no end"},
		{"behind the vector", "[" + ok + "]\n{}", "line 3: something follows"},
		{"closed twice", ok + "}", "line 2: '}' closes nothing"},
		{"not a map", ok + "[1 2]", "line 2: byte 0: want an operation's map"},
		{"bytes in the middle", ok + "\xff{:process 0 :type :ok :f :read}", "line 2"},
		{"a mismatch", ok + "{:process 0 :type :ok :f :read :value [1}}", "line 2"},
		{"too deep", "{:process 0 :value " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}", "nested more than"},
		{"too long", `{:process "` + strings.Repeat("x", history.LineMax+readBytes+1), "16 MiB"},
		{"half a pair", "{:process 0 :type :invoke :f :read :value [:x nil]}\n{:process 0 :type :ok :f :read :value 3}", "line 2: \"3\" is no pair"},
		{"a garbled log", "INFO  jepsen.util - 0\t:invoke\t:read\tnil\nINFO  jepsen.util - 0\t:o#\t:read\tnil\n", "line 2: neither an operation"},
		{"a log with garbage", "INFO  jepsen.util - 0\t:invoke\t:read\tnil\n\x01\x02\n", "line 2: neither an operation"},
		{"a log with a long line", "INFO  jepsen.util - 0\t:invoke\t:read\tnil\nINFO" + strings.Repeat(" x", history.LineMax), "16 MiB"},
		{"an array cut off", `[{"process":0,"type":"invoke","f":"read"},`, "line 1"},
		{"an array with a long element", `[{"process":0,"type":"invoke","f":"read"},` + "\n" + `{"process":"` + strings.Repeat("x", 2*history.LineMax), "line 1: longer than the 16 MiB"},
		{"behind the array", `[{"process":0,"type":"invoke","f":"read"}] 1`, "something follows"},
		{"JSON lines, two at once", `{"process":0,"type":"invoke","f":"read"}` + "\n\n" + `{"process":0,"type":"invoke","f":"read"}`, "line 3, index 1: process 0"},
		{"JSON lines, after info", `{"process":0,"type":"invoke","f":"a"}` + "\n" + `{"process":0,"type":"info","f":"a"}` + "\n" + `{"process":0,"type":"invoke","f":"a"}`, "never runs again"},
		{"JSON lines, another function", `{"process":0,"type":"invoke","f":"a"}` + "\n" + `{"process":0,"type":"ok","f":"b"}`, "rule: a completion has its invocation's function"},
		{"JSON lines with garbage", `{"process":0,"type":"invoke","f":"a"}` + "\n" + "\x00\x00\n" + `{"process":0,"type":"ok","f":"b"}`, "line 2"},
	} {
		_, err := read(Parse("h", []byte(c.text)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
		if strings.HasPrefix(c.want, "looked") && !errors.Is(err, ErrUnknownFormat) {
			t.Errorf("%s: %v does not wrap ErrUnknownFormat", c.name, err)
		}
	}
}

// TestPrefixes: a history that was cut off anywhere is refused, or incomplete, or as long as it was.
func TestPrefixes(t *testing.T) {
	for _, text := range []string{
		"{:process 0 :type :invoke :f :write :value [1 {:a \"b\"}]}\n{:process 0 :type :ok :f :write :value [1 {:a \"b\"}]}",
		"[{:process 0 :type :invoke :f :write :value 1}\n{:process 0 :type :ok :f :write :value 123}]",
		`[{"process":0,"type":"invoke","f":"write"},{"process":0,"type":"ok","f":"write"}]`,
		"INFO  jepsen.util - 0\t:invoke\t:write\t123\nINFO  jepsen.util - 0\t:ok\t:write\t123\n",
	} {
		for n := range len(text) - 1 {
			src, err := Parse("h", []byte(text[:n]))
			got, err := read(src, err)
			if err == nil && src.Complete() && strings.Count(got, "\n") != 1 && n > 0 {
				t.Errorf("%q is complete and says %q", text[:n], got)
			}
		}
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const want = "0 invoke read\n0 ok read 3\n"
	for name, text := range map[string]string{
		"edn": "{:process 0 :type :invoke :f :read}{:process 0 :type :ok :f :read :value 3}", "log": "0 :invoke :read nil\n0 :ok :read 3",
		"jsonl": "\n" + `{"process":0,"type":"invoke","f":"read"}` + "\n" + `{"process":0,"type":"ok","f":"read","value":3}`,
		"json":  `[{"process":0,"type":"invoke","f":"read"},{"process":0,"type":"ok","f":"read","value":3}]`,
	} {
		src, err := Open(write(name, text))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got, err := read(src, nil); got != want || err != nil {
				t.Errorf("%s: got %q, %v", name, got, err)
			}
		}
		if src.Complete() != (name != "log") || (history.Recovered(src) == "") != src.Complete() {
			t.Errorf("%s: complete %v, %q", name, src.Complete(), history.Recovered(src))
		}
	}
	if src, err := Open(write("empty", "")); err != nil || src.Complete() {
		t.Errorf("empty: %v", err)
	}
	if _, err := Open(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
