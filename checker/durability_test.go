package checker

import "testing"

func TestDurability(t *testing.T) {
	const final = ` / nemesis final-reads / `
	runTranscripts(t, must(t)(Durability(DurabilityOptions{})), []transcriptCase{
		{name: "nothing", history: ``, want: "unknown", why: "nothing to check"},
		{name: "no versions", history: `0 write x 1 / 0 read x 1`, want: "unknown", why: "gave a version"},
		{name: "there", history: `0 write x 1 v=2 r=2` + final + `0 read x 1 v=2 r=2`, want: "valid"},
		{name: "overwritten", history: `0 write x 1 v=2 r=2 / 1 write x 2 v=3 r=3` + final + `0 read x 2 v=3 r=3`, want: "valid"},
		{name: "not read at the end", history: `0 write x 1 v=2 r=2`, want: "unknown", why: "no final read"},
		{
			name: "as it was before", history: `0 write x 1 v=2 r=2 / 0 write x 2 v=3 r=3` + final + `0 read x 1 v=2 r=4`,
			want: "invalid lost-write x [7 3]", why: "but the write 3 of x by process 0, revision 3 was acknowledged",
		},
		{name: "an earlier state is only stale", history: `0 write x 1 v=2 r=2 / 0 write x 2 v=3 r=3 / 1 read x 1 v=2 r=2` + final + `0 read x 2 v=3 r=3`, want: "valid"},
		{name: "but not if it is the last", history: `0 write x 1 v=2 r=2 / 0 write x 2 v=3 r=3` + final + `0 read x 1 v=2 r=2`, want: "invalid lost-write x [7 3]"},
		{name: "gone, and nobody deleted it", history: `0 write x 1 v=2 r=2` + final + `0 read x null r=4`, want: "invalid lost-write x [5 1]"},
		{name: "gone by a deletion", history: `0 write x 1 v=2 r=2 / 1 delete x v=3 r=3` + final + `0 read x null r=3`, want: "valid"},
		{
			name: "perhaps", history: `0 write x 1 v=2 r=2 / 1 invoke delete x / 1 info delete x ! lost` + final + `0 read x null r=3`, want: "valid",
		},
		{
			name:    "not by one that began later",
			history: `0 write x 1 v=2 r=2 / 2 read x null r=3 / 1 invoke delete x / 1 info delete x ! lost` + final + `0 read x null r=3`, want: "invalid lost-write x [3 1]",
		},
		{
			name: "back from the dead", history: `0 write x 1 v=2 r=2 / 1 delete x v=3 r=3` + final + `0 read x 1 v=2 r=4`,
			want: "invalid resurrection x [7 3]",
		},
		{name: "written anew", history: `0 write x 1 v=2 r=2 / 1 delete x v=3 r=3 / 1 write x 1 v=4 r=4` + final + `0 read x 1 v=4 r=4`, want: "valid"},
		{name: "nothing to delete", history: `0 write x 1 v=2 r=2 / 1 delete x r=3` + final + `0 read x 1 v=2 r=4`, want: "invalid lost-write x [3 1]"},
		{name: "one revision twice", history: `0 write x 1 v=2 r=2 / 1 write y 5 v=2 r=2` + final + `0 read x 1 v=2 r=2`, want: "invalid duplicate-revision y [3 1]"},
		{name: "twice in one transaction", history: `0 txn [["w","x",1],["w","y",2]] r=2` + final + `0 read x 1 v=2 r=2`, want: "valid"},
		{name: "without revisions", history: `0 write x 1 v=2 / 0 write x 2 v=3` + final + `0 read x 1 v=2`, want: "invalid lost-write x [7 3]"},
		{
			name: "a concurrent write may come later", history: `0 write x 1 v=2 r=2 / 1 invoke write x 2` + final + `0 invoke read x / 1 ok write x 2 v=3 r=3 / 0 ok read x 1 v=2 r=2`,
			want: "valid",
		},
		{name: "incomplete", cut: true, history: `0 write x 1 v=2 r=2`, want: "unknown", why: "incomplete"},
	})
	runTranscripts(t, must(t)(Durability(DurabilityOptions{Read: ReadSerializable})), []transcriptCase{
		{name: "a late member", history: `0 write x 1 v=2 r=2` + final + `0 read x null r=1`, want: "unknown", why: "recent enough"},
		{name: "a late and an early one", history: `0 write x 1 v=2 r=2` + final + `0 read x null r=1 / 1 read x 1 v=2 r=2`, want: "valid"},
	})
}

func TestPastStates(t *testing.T) {
	runTranscripts(t, PastStates(), []transcriptCase{
		{name: "nothing", history: ``, want: "unknown", why: "nothing to check"},
		{name: "stale is past", history: `0 write x 1 v=2 r=2 / 0 write x 2 v=3 r=3 / 1 read x 1 v=2 r=2 n=n1`, want: "valid"},
		{name: "not the state at its revision", history: `0 write x 1 v=2 r=2 / 0 write x 2 v=3 r=3 / 1 read x 1 v=2 r=3`, want: "invalid wrong-snapshot x [5 3]"},
		{name: "known from a read", history: `0 read x 2 v=3 r=3 / 1 read x 1 v=2 r=3`, want: "invalid wrong-snapshot x [3 1]"},
		{
			name:    "a transaction's keys are of one state",
			history: `0 txn [["w","x",1],["w","y",1]] r=2 / 0 txn [["w","x",2],["w","y",2]] r=3 / 1 txn [["r","x",2,3],["r","y",1,2]] r=3`,
			want:    "invalid wrong-snapshot y [5 3]",
		},
		{
			name:    "an old one",
			history: `0 txn [["w","x",1],["w","y",1]] r=2 / 0 txn [["w","x",2],["w","y",2]] r=3 / 1 txn [["r","x",1,2],["r","y",1,2]] r=2`, want: "valid",
		},
		{name: "newer than itself", history: `0 read x 2 v=3 r=2`, want: "invalid wrong-snapshot x [1]"},
		{name: "two values", history: `0 read x 2 v=3 r=3 / 1 read x 5 v=3 r=4`, want: "invalid version-mismatch x [3 1]"},
		{name: "a member goes back", history: `0 read x 2 v=3 r=3 n=n1 / 1 read x 1 v=2 r=2 n=n1`, want: "invalid non-monotonic-read x [3 1]"},
		{name: "two members do not", history: `0 read x 2 v=3 r=3 n=n1 / 1 read x 1 v=2 r=2 n=n2`, want: "valid"},
		{name: "nor at the same time", history: `1 invoke read x n=n1 / 0 read x 2 v=3 r=3 n=n1 / 1 ok read x 1 v=2 r=2 n=n1`, want: "valid"},
		{name: "gone without a deletion", history: `0 write x 1 v=2 r=2 / 1 read x null r=2`, want: "invalid wrong-snapshot x [3 1]"},
	})
}
