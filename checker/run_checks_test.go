package checker

import "testing"

func TestStats(t *testing.T) {
	runTranscripts(t, Stats(), []transcriptCase{
		{name: "nothing", history: ``, want: "unknown", why: "no client operation was invoked"},
		{name: "something of each", history: `0 write x 1 / 0 read x 1 / 0 invoke read x`, want: "valid"},
		{name: "no read was ok", history: `0 write x 1 / 0 invoke read x / 0 fail read x ! no / 0 invoke read x / 0 info read x`, want: "unknown", why: "no read was ok (1 failed, 1 of unknown outcome)"},
	})
}

func TestErrors(t *testing.T) {
	runTranscripts(t, Errors(), []transcriptCase{
		{name: "nothing", history: ``, want: "unknown", why: "no client operation was invoked"},
		{name: "none", history: `0 write x 1`, want: "valid"},
		{name: "known ones", history: `0 invoke write x 1 / 0 info write x 1 ! deadline exceeded`, want: "valid"},
		{
			name: "a panic", history: `0 invoke write x 1 / 0 info write x 1 ! panic: index out of range`, want: "unknown",
			why: "a client panicked in write (1 time, the first is operation 1): panic: index out of range",
		},
		{
			name: "an unforeseen one", want: "unknown", why: "(2 times, the first is operation 1): unexpected: code 17",
			history: `0 invoke write x 1 / 0 info write x 1 ! unexpected: code 17 / 1 invoke write x 1 / 1 info write x 1 ! unexpected: code 18`,
		},
	})
}

func TestLogs(t *testing.T) {
	runTranscripts(t, Logs(), []transcriptCase{
		{name: "nobody looked", history: `0 write x 1`, want: "unknown", why: "no node's log was searched"},
		{name: "nothing there", history: `evidence ok log n=n1 {"component":"etcd","pattern":"","line":""}`, want: "valid"},
		{
			name: "a panic", history: `evidence ok log n=n2 {"component":"etcd","pattern":"panic","line":"panic: tocommit(9) is out of range"}`,
			want: "invalid panic [0]", why: "the log of etcd on n2 says: panic: tocommit(9) is out of range",
		},
		{name: "corruption", history: `evidence ok log {"pattern":"data corruption","line":"crc mismatch"}`, want: "invalid corruption [0]"},
		{name: "a pattern without a row", history: `evidence ok log {"pattern":"oom","line":"out of memory"}`, want: "invalid oom [0]"},
	})
}

func TestMembers(t *testing.T) {
	const alike = `[{"node":"n1","revision":9,"compact_revision":3,"hash_revision":9,"hash":77,"version":"3.6.16"},`
	runTranscripts(t, Members(), []transcriptCase{
		{name: "nobody asked", history: `0 write x 1`, want: "unknown", why: "nobody asked"},
		{
			name: "they agree", want: "valid",
			history: `nemesis await-healthy / nemesis members ` + alike + `{"node":"n2","revision":9,"compact_revision":3,"hash_revision":9,"hash":77,"version":"3.6.2"}]`,
		},
		{name: "one alone", want: "valid", history: `nemesis members ` + alike[:len(alike)-1] + `]`},
		{
			name: "the last answer counts", want: "valid",
			history: `nemesis members ` + alike + `{"node":"n2","revision":8}] / nemesis members ` + alike[:len(alike)-1] + `]`,
		},
		{
			name: "revisions differ", want: "invalid revision-divergence [1]", why: "n1 is at revision 9, but n2 is at 8",
			history: `nemesis members ` + alike + `{"node":"n2","revision":8,"compact_revision":3,"hash_revision":9,"hash":77,"version":"3.6.16"}]`,
		},
		{
			name: "hashes differ", want: "invalid hash-divergence [1]",
			history: `nemesis members ` + alike + `{"node":"n2","revision":9,"compact_revision":3,"hash_revision":9,"hash":78,"version":"3.6.16"}]`,
		},
		{
			name: "compacted apart", want: "unknown", why: "compacted at different revisions (3 and 4)",
			history: `nemesis members ` + alike + `{"node":"n2","revision":9,"compact_revision":4,"hash_revision":9,"hash":78,"version":"3.6.16"}]`,
		},
		{
			name: "versions that may hash differently", want: "unknown", why: "different versions",
			history: `nemesis members ` + alike + `{"node":"n2","revision":9,"compact_revision":3,"hash_revision":9,"hash":78,"version":"3.5.16"}]`,
		},
		{
			name: "hashed apart", want: "unknown", why: "hashed at different revisions",
			history: `nemesis members ` + alike + `{"node":"n2","revision":9,"compact_revision":3,"hash_revision":8,"hash":78,"version":"3.6.16"}]`,
		},
		{
			name: "apart in between", want: "invalid hash-divergence [0]", why: "at revision 4 the store of n1 hashes to 5, but that of n3 to 6",
			history: `evidence info hashes [{"node":"n1","revision":7,"hash_revision":4,"hash":5},{"node":"n2","error":"down"},{"node":"n3","revision":4,"hash_revision":4,"hash":6}]
nemesis invoke members / nemesis ok members ` + alike[:len(alike)-1] + `]`,
		},
		{
			name: "not to be compared in between", want: "valid",
			history: `evidence info hashes [{"node":"n1","revision":7,"hash_revision":4,"hash":5,"compact_revision":2},{"node":"n3","revision":4,"hash_revision":4,"hash":6}]
nemesis invoke members / nemesis ok members ` + alike[:len(alike)-1] + `]`,
		},
		{
			name: "alike in between, at whatever revision they are", want: "valid",
			history: `evidence info hashes [{"node":"n1","revision":7,"hash_revision":4,"hash":5},{"node":"n3","revision":4,"hash_revision":4,"hash":5}]
nemesis invoke members / nemesis ok members ` + alike[:len(alike)-1] + `]`,
		},
		{name: "one is silent", want: "unknown", why: "n2 did not tell its state: refused", history: `nemesis members ` + alike + `{"node":"n2","error":"refused"}]`},
		{
			name: "never well again", want: "unknown", why: "did not get well again, so its members need not agree: n2 is down",
			history: `nemesis invoke await-healthy / nemesis info await-healthy ! n2 is down
				nemesis members ` + alike + `{"node":"n2","revision":8}]`,
		},
	})
	runTranscripts(t, Members(), []transcriptCase{
		{name: "asking failed", history: `nemesis invoke members / nemesis info members ! no connection`, want: "unknown", why: "could not be asked for their state: no connection"},
		{
			name: "the end is missing", cut: true, want: "unknown", why: "the history is incomplete",
			history: `nemesis members ` + alike + `{"node":"n2","revision":8}]`,
		},
	})
}
