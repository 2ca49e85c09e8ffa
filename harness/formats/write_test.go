package formats

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/faultline/faultline/harness/history"
)

// everything is a history with something of each kind.
const everything = `0 invoke write x 1 n=n1 / 1 invoke cas k="7" [1, {"a b": "\u00e9\n\"\\ \u0007"}] / 0 ok write x 1 v=3 r=7 n=n1
	1 ok cas k="7" [1, {"a b": "\u00e9\n\"\\ \u0007"}, false, 5] v=2 / nemesis invoke start-kill {"id": "kill-1", "family": "kill", "variant": "one"}
	1 invoke cas k="7" [1, 2] / 1 info cas k="7" [1, 2] ! timed out / nemesis ok start-kill {"id": "kill-1", "family": "kill", "variant": "one", "proof": "gone"}
	2 invoke read x / 2 fail read x ! no / 2 invoke cas x [1,2] / 2 ok cas x [1,2,true] / 2 invoke cas "odd key" [1,null] / 2 fail cas "odd key" [1,null]
	3 invoke txn [["append",8,1],["r","y",null]] / 3 ok txn [["append",8,1,12],["r","y",[1.5e3,-2,true]]] r=9
	nemesis invoke stop-kill {"id": "kill-1"} / nemesis info stop-kill {"id": "kill-1"} ! who knows / 3 invoke read x / 4 invoke odd/f null`

func text(t *testing.T, notation string) history.Slice {
	t.Helper()
	notation = strings.ReplaceAll(notation, `"odd key" [`, `k="odd key" [`)
	ops, err := history.ParseText(notation)
	if err != nil {
		t.Fatal(err)
	}
	return ops
}

// TestRoundTrips: what is written is read back as it was, but for evidence in EDN.
func TestRoundTrips(t *testing.T) {
	ops := text(t, everything)
	evidence := append(text(t, everything), text(t, `evidence ok log i=100 t=2s n=n1 {"line": "panic"}`)...)
	for _, c := range []struct {
		export    int
		ops, want history.Slice
	}{{0, evidence, evidence}, {1, evidence, ops}, {1, text(t, `0 invoke write x 1 / 0 ok write x 1`), text(t, `0 invoke write x 1 / 0 ok write x 1`)}} {
		var b bytes.Buffer
		e := Exports[c.export]
		if err := e.Write(&b, c.ops); err != nil {
			t.Fatal(err)
		}
		src, err := Parse("h", b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		back, err := history.Load(src)
		if err != nil {
			t.Fatalf("%s: %v\n%s", e.Name, err, b.String())
		}
		if got, want := history.Format(canonical(t, back.Slice)), history.Format(canonical(t, c.want)); got != want {
			t.Errorf("%s:\n%s\ngot  %s\nwant %s", e.Name, b.String(), got, want)
		}
	}
}

// canonical writes all values alike.
func canonical(t *testing.T, ops history.Slice) history.Slice {
	var out history.Slice
	for _, op := range ops {
		if op.Value != nil {
			var v any
			dec := json.NewDecoder(bytes.NewReader(op.Value))
			dec.UseNumber()
			if err := dec.Decode(&v); err != nil {
				t.Fatal(err)
			}
			op.Value, _ = json.Marshal(v)
		}
		out = append(out, op)
	}
	return out
}

// TestEDNForOthers is how other tools see it.
func TestEDNForOthers(t *testing.T) {
	var b bytes.Buffer
	if err := writeEDN(&b, text(t, `0 invoke txn [["append",8,1],["r","y",null]] / 0 ok txn [["append",8,1],["r","y",[3]]] r=9 / 1 invoke cas x [1,2] / 1 ok cas x [1,2,false,3] n=n1`)); err != nil {
		t.Fatal(err)
	}
	const want = `{:index 0, :time 0, :type :invoke, :process 0, :f :txn, :value [[:append 8 1] [:r "y" nil]]}
{:index 1, :time 1, :type :ok, :process 0, :f :txn, :value [[:append 8 1] [:r "y" [3]]], :revision 9}
{:index 2, :time 2, :type :invoke, :process 1, :f :cas, :value ["x" [1 2]], :independent true}
{:index 3, :time 3, :type :fail, :process 1, :f :cas, :value ["x" [1 2]], :independent true, :refused true, :seen 3, :node "n1"}
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestTrace(t *testing.T) {
	var b bytes.Buffer
	h := append(text(t, everything), text(t, `evidence ok log i=100 t=2s n=n1 {"line": "panic"}`)...)
	if err := writeTrace(&b, h); err != nil {
		t.Fatal(err)
	}
	var trace struct {
		TraceEvents []traceEvent `json:"traceEvents"`
	}
	if err := json.Unmarshal(b.Bytes(), &trace); err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	groups := map[int]int{}
	for _, e := range trace.TraceEvents {
		if e.Phase == "M" {
			continue
		}
		groups[e.Group]++
		if e.Phase == "X" && (e.Duration == nil || *e.Duration < 0) {
			t.Errorf("%+v has no extent", e)
		}
		switch e.Name {
		case "kill one":
			if e.Group != faultTracks || e.Time+*e.Duration != 2e6 {
				t.Errorf("the fault is %+v with %v", e, *e.Duration)
			}
		case "txn":
			if e.Track != 3 || e.Args["outcome"] != "ok" || e.Time != 0.014 {
				t.Errorf("the transaction is %+v", e)
			}
		}
	}
	if groups[clientTracks] != 9 || groups[faultTracks] != 1 || groups[nemesisTracks] != 2 || groups[evidenceTracks] != 1 {
		t.Errorf("events by group: %v", groups)
	}
}
