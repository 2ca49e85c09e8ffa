package checker

import "testing"

func TestChanges(t *testing.T) {
	const (
		a1 = `0 create c {"object":"a","number":1} v=10 / `
		a2 = `0 update c {"object":"a","number":2,"expect":10} v=12 / `
		da = `0 delete c {"object":"a"} / `
	)
	runTranscripts(t, Changes(), []transcriptCase{
		{name: "nothing", history: ``, want: "unknown", why: "no change was acknowledged"},
		{name: "in order", history: a1 + a2 + da + `1 create c {"object":"a","number":4} v=15`, want: "valid"},
		{name: "an older version", history: a1 + `1 create c {"object":"b","number":2} v=9`, want: "invalid version-mismatch c [3 1]", why: "version 10 had been seen (1) before it began"},
		{
			name: "older than what a list showed", history: a1 + `1 list c {"read":"quorum","pages":[{"revision":20,"objects":[{"object":"a","version":10,"number":1}]}]} r=20 / ` + a2,
			want: "invalid version-mismatch c [5 3]",
		},
		{name: "one version twice", history: `1 invoke create c {"object":"b","number":2} / ` + a1 + `1 ok create c {"object":"b","number":2} v=10`, want: "invalid version-mismatch c [3 2]"},
		{
			name: "a lost update", history: a1 + `0 invoke update c {"object":"a","number":2,"expect":10} / 1 update c {"object":"a","number":3,"expect":10} v=12 / 0 ok update c {"object":"a","number":2,"expect":10} v=13`,
			want: "invalid lost-update c [5 4]", why: "asked for version 10, but there was update 4 of a as 3 (version 12)",
		},
		{name: "created twice", history: a1 + `1 create c {"object":"a","number":3} v=12`, want: "invalid cas-mismatch c [3 1]"},
		{name: "created after a delete that may have been", history: a1 + `2 invoke delete c {"object":"a"} / 1 create c {"object":"a","number":3} v=12`, want: "valid"},
		{name: "updated where nothing was", history: `0 update c {"object":"a","number":2} v=12`, want: "invalid cas-mismatch c [1]"},
		{name: "updated after a create that may have been", history: `2 invoke create c {"object":"a","number":1} / 0 update c {"object":"a","number":2} v=12`, want: "valid"},
		{name: "an expectation that nobody can have had", history: a1 + `0 update c {"object":"a","number":2,"expect":11} v=12`, want: "invalid cas-mismatch c [3]"},
		{name: "an expectation of an unknown update", history: a1 + `2 invoke update c {"object":"a","number":3} / 0 update c {"object":"a","number":2,"expect":11} v=12`, want: "valid"},
		{name: "refused for a conflict", history: a1 + a2 + `1 update c {"object":"a","number":3,"expect":10,"refused":"conflict"}`, want: "valid"},
		{name: "refused for nothing", history: a1 + `1 update c {"object":"a","number":3,"expect":10,"refused":"conflict"}`, want: "invalid cas-mismatch c [3 1]", why: "all the time"},
		{name: "refused for what may have been", history: a1 + `2 invoke update c {"object":"a","number":7} / 1 update c {"object":"a","number":3,"expect":10,"refused":"conflict"}`, want: "valid"},
		{name: "refused as absent", history: a1 + `1 update c {"object":"a","number":3,"refused":"absent"}`, want: "invalid cas-mismatch c [3 1]"},
		{name: "refused as absent, and it was", history: a1 + da + `1 update c {"object":"a","number":3,"refused":"absent"}`, want: "valid"},
		{name: "refused as absent, and it may have been", history: a1 + `2 invoke delete c {"object":"a"} / 1 delete c {"object":"a","refused":"absent"}`, want: "valid"},
		{name: "refused as there", history: a1 + `1 create c {"object":"a","number":3,"refused":"exists"}`, want: "valid"},
		{name: "refused as there, and it was not", history: a1 + `1 create c {"object":"b","number":3,"refused":"exists"}`, want: "invalid cas-mismatch c [3]"},
		{
			name: "refused as there, and it had been deleted", history: a1 + da + `1 create c {"object":"a","number":3,"refused":"exists"}`, want: "invalid cas-mismatch c [5 3]",
			why: "nobody can have created it since delete 3 of a",
		},
		{name: "refused as there, while it was deleted", history: a1 + `0 invoke delete c {"object":"a"} / 1 create c {"object":"a","number":3,"refused":"exists"} / 0 ok delete c {"object":"a"}`, want: "valid"},
		{name: "refused as there, and it may have been deleted", history: a1 + `2 invoke delete c {"object":"a"} / 1 create c {"object":"a","number":3,"refused":"exists"}`, want: "valid"},
		{name: "refused as there, and somebody may have created it since", history: a1 + da + `2 invoke create c {"object":"a","number":4} / 1 create c {"object":"a","number":3,"refused":"exists"}`, want: "valid"},
		{
			name:    "refused as there, and a create of unknown outcome from before may come late",
			history: `2 invoke create c {"object":"a","number":4} / 2 info create c {"object":"a","number":4} / ` + da + `1 create c {"object":"a","number":3,"refused":"exists"} / ` + `1 create c {"object":"b","number":5} v=20`, want: "valid",
		},
		{name: "a guard that an unknown outcome did not get to know", history: a1 + `2 invoke update c {"object":"a","number":3,"expect":-1} / 1 list c {"read":"quorum","pages":[{"revision":12,"objects":[{"object":"a","version":12,"number":3}]}]} r=12`, want: "valid"},
	})
}
