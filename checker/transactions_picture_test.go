package checker

import (
	"context"
	"strings"
	"testing"
)

func TestCyclesAreDrawnAndTold(t *testing.T) {
	c := must(t)(ListAppend(TransactionOptions{}))
	r, err := c.Check(context.Background(), transcript(t, `0 invoke txn [["append","x",1],["append","<y>",1]] / 1 txn [["append","x",2],["append","<y>",2]]
		0 ok txn [["append","x",1],["append","<y>",1]] / 2 txn [["r","x",[1,2]],["r","<y>",[2,1]]]`), Budget{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Artifacts) != 2 || r.Artifacts[0].Name != "list-append-cycles.svg" {
		t.Fatalf("artifacts: %v", r.Artifacts)
	}
	svg, text := string(r.Artifacts[0].Content), string(r.Artifacts[1].Content)
	for _, want := range []string{"<svg ", "G0", "T2 appended 2 to &lt;y&gt; before T3&#39;s 1", "</svg>"} {
		if !strings.Contains(svg, want) {
			t.Errorf("the drawing has no %q:\n%s", want, svg)
		}
	}
	want := `G0
  T2 (process 1): append x 2, append <y> 2
  T3 (process 0): append x 1, append <y> 1
  T2 -ww-> T3: T2 appended 2 to <y> before T3's 1
  T3 -ww-> T2: T3 appended 1 to x before T2's 2

`
	if text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	if why := r.Anomalies[0].Why; why != "T2 appended 2 to <y> before T3's 1, but T3 appended 1 to x before T2's 2" {
		t.Error(why)
	}
}
