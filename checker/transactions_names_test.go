package checker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/faultline/faultline/checker/transactions"
)

// TestEveryCycleHasItsName has an invalid history for each name of a cycle, and a valid twin that differs in what makes the cycle.
func TestEveryCycleHasItsName(t *testing.T) {
	for _, tc := range []struct{ name, invalid, valid string }{
		{
			"G0", `0 invoke txn [["append","x",1],["append","y",1]] / 1 txn [["append","x",2],["append","y",2]] / 0 ok txn [["append","x",1],["append","y",1]] / 2 txn [["r","x",[1,2]],["r","y",[2,1]]]`,
			`0 invoke txn [["append","x",1],["append","y",1]] / 1 txn [["append","x",2],["append","y",2]] / 0 ok txn [["append","x",1],["append","y",1]] / 2 txn [["r","x",[1,2]],["r","y",[1,2]]]`,
		},
		{
			"G0-process", `0 txn [["append","x",1]] / 0 txn [["append","x",2]] / 1 txn [["r","x",[2,1]]]`,
			`0 txn [["append","x",1]] / 0 txn [["append","x",2]] / 1 txn [["r","x",[1,2]]]`,
		},
		{
			"G0-realtime", `0 txn [["append","x",1]] / 2 txn [["append","x",2]] / 1 txn [["r","x",[2,1]]]`,
			`0 invoke txn [["append","x",1]] / 2 txn [["append","x",2]] / 0 ok txn [["append","x",1]] / 1 txn [["r","x",[2,1]]]`,
		},
		{
			"G1c", `0 invoke txn [["append","x",1],["r","y",[2]]] / 1 txn [["append","y",2],["r","x",[1]]] / 0 ok txn [["append","x",1],["r","y",[2]]]`,
			`0 invoke txn [["append","x",1],["r","y",[2]]] / 1 txn [["append","y",2],["r","x",[]]] / 0 ok txn [["append","x",1],["r","y",[2]]]`,
		},
		{
			"G1c-process", `0 txn [["r","x",[1]]] / 0 txn [["append","x",1]]`,
			`0 txn [["append","x",1]] / 0 txn [["r","x",[1]]]`,
		},
		{
			"G1c-realtime", `0 txn [["r","x",[1]]] / 1 txn [["append","x",1]]`,
			`1 invoke txn [["append","x",1]] / 0 txn [["r","x",[1]]] / 1 ok txn [["append","x",1]]`,
		},
		{
			"G-single-item", `0 invoke txn [["r","x",null],["r","y",null]] / 1 txn [["append","x",1],["append","y",1]] / 0 ok txn [["r","x",[]],["r","y",[1]]]`,
			`0 invoke txn [["r","x",null],["r","y",null]] / 1 txn [["append","x",1],["append","y",1]] / 0 ok txn [["r","x",[1]],["r","y",[1]]]`,
		},
		{
			"G-single-item-process", `0 txn [["append","x",1]] / 0 txn [["r","x",[]]] / 1 txn [["r","x",[1]]]`,
			`0 txn [["append","x",1]] / 0 txn [["r","x",[1]]] / 1 txn [["r","x",[1]]]`,
		},
		{
			"G-single-item-realtime", `0 txn [["append","x",1]] / 2 txn [["r","x",[]]] / 1 txn [["r","x",[1]]]`,
			`0 invoke txn [["append","x",1]] / 2 txn [["r","x",[]]] / 0 ok txn [["append","x",1]] / 1 txn [["r","x",[1]]]`,
		},
		{
			"G-nonadjacent-item", `0 invoke txn [["append","x",1]] / 1 invoke txn [["append","y",1]] / 2 invoke txn [["r","x",null],["r","y",null]] / 3 invoke txn [["r","x",null],["r","y",null]]
				0 ok txn [["append","x",1]] / 1 ok txn [["append","y",1]] / 2 ok txn [["r","x",[1]],["r","y",[]]] / 3 ok txn [["r","x",[]],["r","y",[1]]]`,
			`0 invoke txn [["append","x",1]] / 1 invoke txn [["append","y",1]] / 2 invoke txn [["r","x",null],["r","y",null]] / 3 invoke txn [["r","x",null],["r","y",null]]
				0 ok txn [["append","x",1]] / 1 ok txn [["append","y",1]] / 2 ok txn [["r","x",[1]],["r","y",[]]] / 3 ok txn [["r","x",[1]],["r","y",[1]]]`,
		},
		{
			"G-nonadjacent-item-process", `2 invoke txn [["append","z",1]] / 0 invoke txn [["r","x",null],["r","z",null]] / 1 txn [["append","x",1]] / 1 txn [["r","z",null]]
				2 ok txn [["append","z",1]] / 0 ok txn [["r","x",null],["r","z",[1]]]`,
			`2 invoke txn [["append","z",1]] / 0 invoke txn [["r","x",null],["r","z",null]] / 1 txn [["append","x",1]] / 1 txn [["r","z",[1]]]
				2 ok txn [["append","z",1]] / 0 ok txn [["r","x",null],["r","z",[1]]]`,
		},
		{
			"G-nonadjacent-item-realtime", `2 invoke txn [["append","z",1]] / 0 invoke txn [["r","x",null],["r","z",null]] / 1 txn [["append","x",1]] / 3 txn [["r","z",null]]
				2 ok txn [["append","z",1]] / 0 ok txn [["r","x",null],["r","z",[1]]]`,
			`2 invoke txn [["append","z",1]] / 0 invoke txn [["r","x",null],["r","z",null]] / 1 txn [["append","x",1]] / 3 txn [["r","z",[1]]]
				2 ok txn [["append","z",1]] / 0 ok txn [["r","x",null],["r","z",[1]]]`,
		},
		{
			"G2-item", `0 invoke txn [["r","x",null],["append","y",1]] / 1 txn [["r","y",null],["append","x",1]] / 0 ok txn [["r","x",[]],["append","y",1]]`,
			`0 invoke txn [["r","x",null],["append","y",1]] / 1 txn [["r","y",null],["append","x",1]] / 0 ok txn [["r","x",[1]],["append","y",1]]`,
		},
		{
			"G2-item-process", `1 invoke txn [["r","y",null],["append","x",1]] / 0 txn [["append","y",1]] / 0 txn [["r","x",null]] / 1 ok txn [["r","y",[]],["append","x",1]]`,
			`1 invoke txn [["r","y",null],["append","x",1]] / 0 txn [["append","y",1]] / 0 txn [["r","x",null]] / 1 ok txn [["r","y",[1]],["append","x",1]]`,
		},
		{
			"G2-item-realtime", `1 invoke txn [["r","y",null],["append","x",1]] / 0 txn [["append","y",1]] / 2 txn [["r","x",null]] / 1 ok txn [["r","y",[]],["append","x",1]]`,
			`1 invoke txn [["r","y",null],["append","x",1]] / 0 txn [["append","y",1]] / 2 txn [["r","x",[1]]] / 1 ok txn [["r","y",[]],["append","x",1]]`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := must(t)(ListAppend(TransactionOptions{}))
			verdict, names := verdictOf(t, c, transcript(t, tc.invalid))
			if verdict != Invalid || !slices.Contains(names, tc.name) {
				t.Errorf("the invalid one is %v: %v", verdict, names)
			}
			if verdict, names = verdictOf(t, c, transcript(t, tc.valid)); verdict != Valid {
				t.Errorf("the valid one is %v: %v", verdict, names)
			}
		})
	}
}

// TestModelsDecideWhatIsAllowed asks for one model after the other of a write skew, which snapshot isolation allows.
func TestModelsDecideWhatIsAllowed(t *testing.T) {
	skew := transcript(t, `0 invoke txn [["r","x",null],["append","y",1]] / 1 txn [["r","y",null],["append","x",1]] / 0 ok txn [["r","x",[]],["append","y",1]]`)
	for _, m := range transactions.Models {
		c := must(t)(ListAppend(TransactionOptions{Model: m.Name}))
		r, err := c.Check(context.Background(), skew, Budget{})
		if err != nil {
			t.Fatal(err)
		}
		want := "valid (G2-item [2 3])"
		if slices.Contains([]string{"repeatable-read", "update-serializable", "serializable", "strong-session-serializable", "strict-serializable"}, m.Name) {
			want = "invalid G2-item [2 3]"
		}
		if got := told(r); got != want {
			t.Errorf("%s: got %s, want %s", m.Name, got, want)
		}
		var d TransactionDetail
		if err := json.Unmarshal(r.Detail, &d); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(d.RuledOut, " "); got != "repeatable-read update-serializable" {
			t.Errorf("ruled out: %s", got)
		}
		if got := strings.Join(d.Holds, " "); got != "strong-snapshot-isolation" {
			t.Errorf("holds: %s", got)
		}
	}
}

func TestUnknownModelNamesTheNearOne(t *testing.T) {
	for name, near := range map[string]string{"serialisable": "serializable", "strict-serialisable": "strict-serializable", "snapshot": "one of", "PL2": "PL-2"} {
		_, err := RWRegister(TransactionOptions{Model: name})
		if !errors.Is(err, transactions.ErrUnknownModel) || !strings.Contains(err.Error(), near) {
			t.Errorf("%s: %v, want %s", name, err, near)
		}
	}
}

func TestTransactionsThatAreNone(t *testing.T) {
	for _, h := range []string{
		`0 txn 7`, `0 txn [7]`, `0 txn [["r"]]`, `0 txn [["cas","x",1]]`, `0 txn [["w","x",1]]`, `0 txn [["r","x",7]]`, `0 txn [["append","x",1,-3]]`,
		`0 txn [["append","x",1,2,3]]`, `0 read x 1`,
	} {
		c := must(t)(ListAppend(TransactionOptions{}))
		if r, err := c.Check(context.Background(), transcript(t, h), Budget{}); !errors.Is(err, transactions.ErrMalformed) {
			t.Errorf("%s: %v, %v", h, told(r), err)
		}
	}
}

func TestTransactionsHonourTheirBudget(t *testing.T) {
	var b strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&b, "0 txn [[\"append\",%d,1]]\n", i)
	}
	h := transcript(t, b.String())
	c := must(t)(ListAppend(TransactionOptions{}))
	r, err := c.Check(context.Background(), h, Budget{MemoryBytes: 1 << 20})
	if err != nil || r.Verdict != Unknown || !strings.Contains(r.Reasons[0], "memory") {
		t.Errorf("%v %v", told(r), err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if r, err = c.Check(ctx, h, Budget{}); err != nil || r.Verdict != Unknown || !strings.Contains(r.Reasons[0], "time") {
		t.Errorf("%v %v", told(r), err)
	}
}
