package checker

import "testing"

func TestAppendInternal(t *testing.T) {
	runTranscripts(t, AppendInternal(), []transcriptCase{
		{name: "nothing", history: ``, want: "unknown", why: "no transaction was ok"},
		{name: "nothing ok", history: `0 invoke txn [["append","x",1]] / 0 info txn [["append","x",1]]`, want: "unknown", why: "no transaction was ok"},
		{
			name: "append and read",
			history: `0 txn [["append","x",1],["r","x",[1]],["append","x",2],["r","x",[1,2]]]
				1 txn [["r","x",[1,2]],["append",3,1],["r",3,[1]],["r","y",null]]`,
			want: "valid",
		},
		{
			name: "its own append is missing", history: `0 txn [["append","x",1],["r","x",[]]]`, want: "invalid internal x [1]",
			why: "by what it had read and appended before it must end in [1]",
		},
		{
			name:    "its own append is not the last",
			history: `1 txn [["append","x",2]] / 0 txn [["append","x",1],["r","x",[1,2]]]`, want: "invalid internal x [3]",
		},
		{name: "two reads differ", history: `1 txn [["append","x",1]] / 0 txn [["r","x",[]],["r","x",[1]]]`, want: "invalid internal x [3]"},
		{
			name:    "what was read before the append must stay",
			history: `1 txn [["append","x",1]] / 0 txn [["r","x",[1]],["append","x",2],["r","x",[2]]]`,
			want:    "invalid internal x [3] incompatible-order x [3 3]",
		},
		{name: "garbage", history: `0 txn [["r","x",[7]]]`, want: "invalid garbage-read x [1]"},
		{
			name:    "aborted",
			history: `0 invoke txn [["append","x",7]] / 0 fail txn [["append","x",7]] ! refused / 1 txn [["r","x",[7]]]`, want: "invalid G1a x [3 1]",
		},
		{name: "an unknown transaction may have happened", history: `0 invoke txn [["append","x",7]] / 1 txn [["r","x",[7]]]`, want: "valid"},
		{name: "future", history: `1 txn [["r","x",[7]]] / 0 txn [["append","x",7]]`, want: "invalid future-read x [1 3]"},
		{
			name:    "intermediate",
			history: `0 txn [["append","x",1],["append","x",2]] / 1 txn [["r","x",[1]]] / 1 txn [["r","x",[1,2]]]`, want: "invalid G1b x [3 1]",
		},
		{name: "twice in a list", history: `0 txn [["append","x",1]] / 1 txn [["r","x",[1,1]]]`, want: "invalid duplicate-elements x [3]"},
		{name: "appended twice", history: `0 txn [["append","x",1]] / 1 txn [["append","x",1]]`, want: "invalid duplicate-elements x [1 3]"},
		{
			name:    "a text that begins another is not yet its list",
			history: `0 txn [["append","x",10]] / 0 txn [["append","x",1]] / 1 txn [["r","x",[10]]] / 1 txn [["r","x",[1]]]`,
			want:    "invalid incompatible-order x [5 7]",
		},
		{
			name: "orders differ",
			history: `0 txn [["append","x",1]] / 1 txn [["append","x",2]]
				0 txn [["r","x",[1,2]]] / 1 txn [["r","x",[2]]]`,
			want: "invalid incompatible-order x [5 7]",
		},
	})
}
