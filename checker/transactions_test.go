package checker

import "testing"

func TestListAppend(t *testing.T) {
	c := must(t)(ListAppend(TransactionOptions{}))
	runTranscripts(t, c, []transcriptCase{
		{name: "nothing", history: ``, want: "unknown", why: "no transaction was ok"},
		{name: "no dependencies", history: `0 txn [["append","x",1]]`, want: "unknown", why: "empty-transaction-graph"},
		{name: "valid", history: `0 txn [["append","x",1],["append","y",1]] / 1 txn [["r","x",[1]],["r","y",[1]],["append","x",2]] / 0 txn [["r","x",[1,2]]]`, want: "valid"},
		{name: "internal", history: `0 txn [["append","x",1],["r","x",[]]] / 0 txn [["r","x",[1]]]`, want: "invalid internal x [1]"},
		{name: "garbage-read", history: `0 txn [["append","x",1]] / 0 txn [["r","x",[1,7]]]`, want: "invalid garbage-read x [3]"},
		{name: "G1a", history: `0 invoke txn [["append","x",7]] / 0 fail txn [["append","x",7]] / 1 txn [["r","x",[7,8]]] / 2 txn [["append","x",8]]`, want: "invalid G1a x [3 1] dirty-update x [1 5] G1c-realtime [3 5]"},
		{name: "G1b", history: `0 txn [["append","x",1],["append","x",2]] / 1 txn [["r","x",[1]]]`, want: "invalid G1b x [3 1] G-single-item [1 3]"},
		{name: "future-read", history: `0 txn [["r","x",[1]],["append","x",1]] / 1 txn [["r","x",[1]]]`, want: "invalid future-read x [1]"},
		{name: "duplicate-elements", history: `0 txn [["append","x",1]] / 1 txn [["r","x",[1,1]]]`, want: "invalid duplicate-elements x [3]"},
		{name: "duplicate-writes", history: `0 txn [["append","x",1]] / 1 txn [["append","x",1]] / 1 txn [["r","x",[1,1]]]`, want: "unknown (duplicate-writes x [1 3])"},
		{name: "incompatible-order", history: `0 txn [["append","x",1],["append","x",2]] / 1 txn [["r","x",[1,2]]] / 1 txn [["r","x",[2]]]`, want: "invalid incompatible-order x [3 5]"},
		{name: "lost-update", history: `0 txn [["append","x",0]] / 0 txn [["r","x",[0]],["append","x",1]] / 1 txn [["r","x",[0]],["append","x",2]]`, want: "invalid lost-update x [3 5] G2-item [3 5] G-single-item-realtime [3 5]"},
		{name: "G0", history: `0 invoke txn [["append","x",1],["append","y",1]] / 1 txn [["append","x",2],["append","y",2]] / 0 ok txn [["append","x",1],["append","y",1]] / 2 txn [["r","x",[1,2]],["r","y",[2,1]]]`, want: "invalid G0 [2 3]"},
		{name: "G1c", history: `0 invoke txn [["append","x",1],["r","y",[2]]] / 1 txn [["append","y",2],["r","x",[1]]] / 0 ok txn [["append","x",1],["r","y",[2]]]`, want: "invalid G1c [2 3]"},
		{name: "G-single", history: `0 invoke txn [["r","x",null],["r","y",null]] / 1 txn [["append","x",1],["append","y",1]] / 0 ok txn [["r","x",[]],["r","y",[1]]]`, want: "invalid G-single-item [2 3]"},
		{name: "G2-item", history: `0 invoke txn [["r","x",null],["append","y",1]] / 1 txn [["r","y",null],["append","x",1]] / 0 ok txn [["r","x",[]],["append","y",1]]`, want: "invalid G2-item [2 3]"},
		{name: "G-single-item-realtime", history: `0 txn [["append","x",1]] / 1 txn [["append","x",2]] / 2 txn [["r","x",[1]]] / 3 txn [["r","x",[1,2]]]`, want: "invalid G-single-item-realtime [3 5]"},
	})
}

func TestRWRegister(t *testing.T) {
	c := must(t)(RWRegister(TransactionOptions{}))
	runTranscripts(t, c, []transcriptCase{
		{name: "nothing", history: ``, want: "unknown", why: "no transaction was ok"},
		{name: "no dependencies", history: `0 txn [["w","x",1]]`, want: "unknown", why: "empty-transaction-graph"},
		{name: "valid", history: `0 txn [["w","x",1],["w","y",1]] / 1 txn [["r","x",1],["r","y",1],["w","x",2]] / 0 txn [["r","x",2]]`, want: "valid"},
		{name: "stale", history: `0 txn [["w","x",1]] / 0 txn [["w","x",2]] / 1 txn [["r","x",1]]`, want: "invalid cyclic-versions x [1 5 3] G-single-item-realtime [3 5]"},
		{name: "nil after a write", history: `0 txn [["w","x",1]] / 1 txn [["r","x",null]]`, want: "invalid cyclic-versions x [3 1] G-single-item-realtime [1 3]"},
		{name: "internal", history: `0 txn [["w","x",1],["r","x",2],["w","x",2]] / 0 txn [["r","x",2]]`, want: "invalid future-read x [1] internal x [1]"},
		{name: "garbage-read", history: `0 txn [["w","x",1]] / 0 txn [["r","x",7]]`, want: "invalid garbage-read x [3]"},
		{name: "G1a", history: `0 invoke txn [["w","x",7]] / 0 fail txn [["w","x",7]] / 1 txn [["r","x",7]]`, want: "invalid G1a x [3 1]"},
		{name: "G1b", history: `0 txn [["w","x",1],["w","x",2]] / 1 txn [["r","x",1]]`, want: "invalid G1b x [3 1]"},
		{name: "lost-update", history: `0 txn [["w","x",0]] / 0 invoke txn [["r","x",0],["w","x",1]] / 1 txn [["r","x",0],["w","x",2]] / 0 ok txn [["r","x",0],["w","x",1]]`, want: "invalid lost-update x [4 5] G2-item [4 5]"},
		{name: "duplicate-writes", history: `0 txn [["w","x",1]] / 1 txn [["w","x",1]] / 1 txn [["r","x",1]]`, want: "unknown (duplicate-writes x [1 3])"},
		{name: "G1c", history: `0 invoke txn [["w","x",1],["r","y",2]] / 1 txn [["w","y",2],["r","x",1]] / 0 ok txn [["w","x",1],["r","y",2]]`, want: "invalid G1c [2 3]"},
		{name: "G0 by versions", history: `0 invoke txn [["w","x",1,5],["w","y",1,8]] / 1 txn [["w","x",2,6],["w","y",2,7]] / 0 ok txn [["w","x",1,5],["w","y",1,8]]`, want: "invalid G0 [2 3]"},
		{name: "G-single", history: `0 invoke txn [["r","x",null],["r","y",null]] / 1 txn [["w","x",1],["w","y",1]] / 0 ok txn [["r","x",null],["r","y",1]]`, want: "invalid G-single-item [2 3]"},
		{name: "G2-item", history: `0 invoke txn [["r","x",null],["w","y",1]] / 1 txn [["r","y",null],["w","x",1]] / 0 ok txn [["r","x",null],["w","y",1]]`, want: "invalid G2-item [2 3]"},
	})
}
