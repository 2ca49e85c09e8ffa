package checker

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/faultline/faultline/harness/history"
)

// observed puts a sample behind every operation, as an observer does that watches the system beside the clients. The operation of
// index i has 2i then.
func observed(h history.Slice) history.Slice {
	out := history.Slice{}
	for i, op := range h {
		op.Index = int64(2 * i)
		sample := history.Op{
			Index: op.Index + 1, Time: op.Time, Type: history.OK, Process: history.Evidence, F: history.FSample, Node: "n1", Revision: int64(i),
			Value: json.RawMessage(`{"view":"n1","kind":"Pod","whole":true}`),
		}
		out = append(out, op, sample)
	}
	return out
}

func judge(t *testing.T, c Checker, h history.Slice) Result {
	t.Helper()
	r, err := c.Check(t.Context(), h, Budget{})
	if err != nil {
		t.Fatalf("%s: %v", c.Name(), err)
	}
	return r
}

// What an observer records in the middle of a history changes no verdict of those who judge operations.
func TestEvidenceInTheMiddleChangesNothing(t *testing.T) {
	linearizable, err := Linearizable(LinearizableOptions{})
	if err != nil {
		t.Fatal(err)
	}
	sets := must(t)(SetWith(SetOptions{}))
	common := []Checker{Members(), Logs(), Stats(), Availability(), Errors(), Exercise(Minimum{OK: 1}, []string{"kill"})}
	const kill = `{"id":"kill-1","family":"kill","requested":"kill","proof":{"pid":7}}`
	for name, of := range map[string]struct {
		checker Checker
		text    string
	}{
		"registers": {linearizable, `
			0 write x 1 v=1 / 1 read x 1 v=1 / nemesis invoke start-kill ` + kill + ` / nemesis ok start-kill ` + kill + `
			1 cas x [1,2,true] v=2 / 0 invoke write x 3 / 0 info write x 3 / 1 read x 2 v=2
			nemesis invoke stop-kill ` + kill + ` / nemesis ok stop-kill ` + kill + ` / nemesis invoke members / nemesis ok members []`},
		"a stale read": {linearizable, `0 write x 1 v=1 / 0 write x 2 v=2 / 1 read x 1 v=1`},
		"a set":        {sets, `0 add s 1 / 1 add s 2 / nemesis invoke final-reads / nemesis ok final-reads / 0 read s [1,2]`},
		"a lost one":   {sets, `0 add s 1 / 1 add s 2 / nemesis invoke final-reads / nemesis ok final-reads / 0 read s [1]`},
		"appends":      {AppendInternal(), `0 txn k [["append","k",1],["r","k",[1]]] / 1 txn k [["r","k",[1]]]`},
		"not its own":  {AppendInternal(), `0 txn k [["append","k",1],["r","k",[]]]`},
	} {
		h := transcript(t, of.text)
		if err := history.Validate(observed(h)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		judged, invalid := 0, 0
		for _, c := range append(slices.Clone(common), of.checker) {
			was, is := judge(t, c, h), judge(t, c, observed(h))
			for _, a := range is.Anomalies {
				for i := range a.Ops {
					a.Ops[i] /= 2
				}
			}
			if told(was) != told(is) {
				t.Errorf("%s: %s says %s without samples, %s with", name, c.Name(), told(was), told(is))
			}
			switch was.Verdict {
			case Valid:
				judged++
			case Invalid:
				invalid++
			case Unknown:
			}
		}
		t.Logf("%s: %d valid, %d invalid", name, judged, invalid)
		if judged+invalid == 0 {
			t.Errorf("%s: nobody judged it", name)
		}
	}
}
