package formats

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"

	"github.com/faultline/faultline/harness/history"
)

// seeds are histories of each format.
var seeds = []string{
	`{"process":0,"type":"invoke","f":"read","value":null}` + "\n" + `{"process":0,"type":"ok","f":"read","value":3}`,
	"[{\"process\":0,\"type\":\"invoke\",\"f\":\"write\",\"value\":[1,2]},\n{\"process\":0,\"type\":\"ok\",\"f\":\"write\",\"value\":null}]\n",
	`{:type :invoke, :f :txn, :value [[:append 11 1] [:r 11 nil]], :process 10, :time 14532933, :index 0}{:type :ok, :f :txn, :value [[:append 11 1] [:r 11 [1]]], :process 10, :time 14532999, :index 1}`,
	"; a comment\n[#jepsen.history.Op{:index 10 :type :invoke :value [[:w 1 2]]}\n#_{:type :ok} {:index 15 :type :ok :value [[:w 1 2]]}]",
	`{:process 0 :type :invoke :f :write :value [:x 1]} {:process 1 :type :invoke :f :read :value #jepsen.independent/tuple ["y" nil]} {:process 0 :type :info :f :write :value :timed-out}`,
	`{:process 2 :type :invoke :f :cas :value [x [1 2]]} {:process 2 :type :fail :f :cas :value [x [1 2]] :error [:no "way"] :refused true :seen 5}`,
	`{:process :nemesis :type :info :f :start-partition :value :majority} {:process :nemesis :type :info :f :start-partition :value [:isolated {"n1" #{"n2"}}]}`,
	`{:process 0 :type :invoke :f :x :value {:a/b 1N, "s" [2.50M -3 +4 1/2 0x1F ##NaN 1e3 5.] nil (true false) [1] #{\a \newline \u0041} sym ^{:m 1} #inst "2020" #:n{:k "é\t\101\u00e9"} #"\d"}}`,
	"INFO  jepsen.util - 0\t:invoke\t:read\tnil\nINFO  jepsen.util - 1   :invoke :cas    [3 1]\nINFO  jepsen.util - 0\t:fail\t:read\t:timed-out\n",
	"0\t:invoke\t:write\t4\n:nemesis\t:info\t:start\tCut off {:n1 #{:n2}}\n",
}

// FuzzParse: whatever is read is a history that keeps the rules, with values that are JSON, and is read again as it was from what each export that leaves
// nothing out wrote.
func FuzzParse(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		src, err := Parse("h", content)
		if err != nil {
			return
		}
		ops, err := history.Load(src)
		if err != nil {
			return
		}
		if err := history.Validate(ops); err != nil {
			t.Fatalf("%q breaks a rule: %v", content, err)
		}
		for _, op := range ops.Slice {
			if op.Value != nil && (!json.Valid(op.Value) || bytes.ContainsAny(op.Value, "\r\n") || string(op.Value) == "null") {
				t.Fatalf("%q has the value %q", content, op.Value)
			}
		}
		var lines bytes.Buffer
		if err := writeLines(&lines, ops); err != nil {
			t.Fatal(err)
		}
		if len(ops.Slice) == 0 {
			return
		}
		again, err := read(history.NewFile("lines", bytes.NewReader(lines.Bytes()), int64(lines.Len())))
		if want := history.Format(ops.Slice); err != nil || again != want {
			t.Fatalf("%q\nwas written as\n%s\nand read as\n%s\nnot as\n%s\n%v", content, lines.Bytes(), again, want, err)
		}
		exportsWork(t, ops)
	})
}

// exportsWork writes EDN, which must be readable, and a trace, which must be JSON.
func exportsWork(t *testing.T, ops *history.Memory) {
	var edn, trace bytes.Buffer
	if err := writeEDN(&edn, ops); err != nil {
		t.Fatal(err)
	}
	src := &ednSource{"edn", func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(edn.Bytes())), nil }}
	n := 0
	for op, err := range src.Ops() {
		if err != nil {
			t.Fatalf("%v\n%s", err, edn.Bytes())
		}
		for ops.Slice[n].Process == history.Evidence {
			n++
		}
		if want := ops.Slice[n]; op.Index != want.Index || op.Type != want.Type && want.F != "cas" || op.Key != want.Key || op.Process != want.Process {
			t.Fatalf("wrote %+v, read %+v\n%s", want, op, edn.Bytes())
		}
		n++
	}
	if err := writeTrace(&trace, ops); err == nil && !json.Valid(trace.Bytes()) {
		t.Fatalf("no JSON: %s", trace.Bytes())
	}
}

// FuzzEDN: any form is an error or becomes JSON, and the cutter agrees with the reader on where it ends.
func FuzzEDN(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Add([]byte(`#foo #_x [\( "]" ;]` + "\n" + `\\ \u00e9]`))
	f.Fuzz(func(t *testing.T, content []byte) {
		r := ednReader{b: content}
		if err := r.value(1); err != nil {
			return
		}
		if !json.Valid(r.out) {
			t.Fatalf("%q became %q", content, r.out)
		}
		trimmed := bytes.TrimLeft(content, " ,\t\r\n\f")
		if len(trimmed) == 0 || trimmed[0] != '{' {
			return
		}
		end := r.i
		c := newFormCutter(bytes.NewReader(content))
		b, ok := c.next()
		if !ok || len(b.forms) == 0 || b.forms[0].to != end {
			t.Fatalf("%q: the form ends at %d, the cutter says %+v", content, end, b)
		}
	})
}
