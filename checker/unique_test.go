package checker

import "testing"

func TestUnique(t *testing.T) {
	create := func(process, key, uid, given string) string {
		return process + ` create ` + key + ` {"kind":"S","uid":"` + uid + `","given":{` + given + `}} / `
	}
	const (
		ip1  = `"ip":"10.0.0.1"`
		ip2  = `"ip":"10.0.0.2"`
		port = `,"port":"30001"`
	)
	runTranscripts(t, Unique(), []transcriptCase{
		{name: "nothing", history: ``, want: "unknown", why: "nothing to check"},
		{name: "different", history: create("0", "a", "u1", ip1) + create("1", "b", "u2", ip2), want: "valid"},
		{
			name: "the same address", history: create("0", "a", "u1", ip1) + create("1", "b", "u2", ip1), want: "invalid duplicate-allocation b [3 1]",
			why: "b had the ip 10.0.0.1 (3) while a had it (1)",
		},
		{name: "the same port", history: create("0", "a", "u1", ip1+port) + create("1", "b", "u2", ip2+port), want: "invalid duplicate-allocation b [3 1]"},
		{name: "none", history: create("0", "a", "u1", `"ip":"None"`) + create("1", "b", "u2", `"ip":"None"`), want: "valid"},
		{name: "given again", history: create("0", "a", "u1", ip1) + `0 delete a {"kind":"S","uid":"u1"} / ` + create("1", "b", "u2", ip1), want: "valid"},
		{name: "given again before the delete ends", history: create("0", "a", "u1", ip1) + `0 invoke delete a {"kind":"S"} / ` + create("1", "b", "u2", ip1), want: "valid"},
		{
			name: "another one of the name was deleted", history: create("0", "a", "u1", ip1) + `0 delete a {"kind":"S","uid":"u0"} / ` + create("1", "b", "u2", ip1),
			want: "invalid duplicate-allocation b [5 1]",
		},
		{name: "the delete was refused", history: create("0", "a", "u1", ip1) + `0 delete a {"kind":"S","refused":"absent"} / ` + create("1", "b", "u2", ip1), want: "invalid duplicate-allocation b [5 1]"},
		{name: "the delete failed", history: create("0", "a", "u1", ip1) + `0 invoke delete a {"kind":"S"} / 0 fail delete a {"kind":"S"} / ` + create("1", "b", "u2", ip1), want: "invalid duplicate-allocation b [5 1]"},
		{name: "a delete before the create says nothing", history: `0 delete a {"kind":"S","uid":"u0"} / ` + create("0", "a", "u1", ip1) + create("1", "b", "u2", ip1), want: "invalid duplicate-allocation b [5 3]"},
		{name: "a delete during the create may have removed it", history: `0 invoke create a {"kind":"S"} / 2 invoke delete a {"kind":"S"} / 0 ok create a {"kind":"S","uid":"u1","given":{` + ip1 + `}} / ` + create("1", "b", "u2", ip1), want: "valid"},
		{name: "an unknown create is not known to have anything", history: `0 invoke create a {"kind":"S"} / ` + create("1", "b", "u2", ip1), want: "valid"},
		{
			name: "unless it is read", history: `0 invoke create a {"kind":"S"} / ` + create("1", "b", "u2", ip1) + `1 read a {"kind":"S","uid":"u1","given":{` + ip1 + `}}`,
			want: "invalid duplicate-allocation a [4 2]",
		},
		{name: "changed", history: create("0", "a", "u1", ip1) + `1 read a {"kind":"S","uid":"u1","given":{` + ip2 + `}}`, want: "invalid changed-allocation a [3 1]"},
		{name: "made again", history: create("0", "a", "u1", ip1) + `0 delete a {"kind":"S"} / ` + create("0", "a", "u2", ip1) + `1 read a {"kind":"S","uid":"u2","given":{` + ip1 + `}}`, want: "valid"},
	})
}
