package checker

import "testing"

func TestKV(t *testing.T) {
	const (
		put1   = `0 request {"then":[["put","a",1]],"results":[[0,[]]]} r=2 / `
		put2   = `0 request {"then":[["put","a",2]],"results":[[1,[["a",1,2,2,1,0]]]]} r=3 / `
		is1    = `["a",1,2,2,1,0]`
		is2    = `["a",2,2,3,2,0]`
		open3  = `8 invoke request {"then":[["put","a",3]]} / `
		leased = `0 grant-lease [7,true] r=1 / 0 request {"then":[["put","a",1,7]],"results":[[0,[]]]} r=2 / `
	)
	get := func(process, item, revision string) string {
		n := "1"
		if item == "" {
			n = "0"
		}
		return process + ` request {"then":[["get","a"]],"results":[[` + n + `,[` + item + `]]]} r=` + revision + ` / `
	}
	runTranscripts(t, must(t)(KV(KVOptions{})), []transcriptCase{
		{name: "nothing", history: ``, want: "unknown", why: "nothing to check"},
		{name: "put and get", history: put1 + get("1", is1, "2") + put2 + get("1", is2, "3"), want: "valid"},
		{name: "absent", history: get("1", "", "1"), want: "valid"},
		{name: "a write elsewhere", history: put1 + get("1", is1, "5"), want: "valid"},
		{name: "stale revision", history: put1 + put2 + get("1", is1, "2"), want: "invalid stale-read [5 3]", why: "request 5 by process 1 at revision 2 saw revision 2, though request 3 by process 0 at revision 3 was over before it began"},
		{name: "stale state", history: put1 + put2 + get("2", is2, "3") + get("1", is1, "3"), want: "invalid stale-read a [7 1 3]", why: "a = 1 (revision 2), put by 1, after which came a = 2 (revision 3), put by 3"},
		{name: "lost", history: put1 + put2 + get("1", is1, "3"), want: "invalid lost-write a [5 1 3]"},
		{name: "lost wholly", history: put1 + get("1", "", "2"), want: "invalid lost-write a [3 1]", why: "lacks a, which was a = 1 (revision 2), put by 1"},
		{name: "missing", history: put1 + get("1", is1, "2") + get("1", "", "2"), want: "invalid wrong-snapshot a [5 1]"},
		{name: "garbage", history: get("1", `["a",9,2,2,1,0]`, "2"), want: "invalid garbage-read a [1]"},
		{name: "from the future", history: put1 + get("1", `["a",1,3,3,1,0]`, "2"), want: "invalid future-read a [3]"},
		{name: "failed, and read", history: `8 invoke request {"then":[["put","a",3]]} / 8 fail request {"then":[["put","a",3]]} / ` + get("1", `["a",3,2,2,1,0]`, "2"), want: "invalid aborted-read a [3 1]"},
		{name: "unknown, and read", history: open3 + get("1", `["a",3,2,2,1,0]`, "2"), want: "valid"},
		{name: "unknown, and read too early", history: get("1", `["a",3,2,2,1,0]`, "2") + open3, want: "invalid garbage-read a [1 2]"},
		{name: "unknown, twice", history: open3 + get("1", `["a",3,2,2,1,0]`, "2") + get("1", `["a",3,2,3,2,0]`, "3"), want: "invalid garbage-read a [4 0]"},
		{name: "unknown, before it began", history: put1 + open3 + `1 request {"then":[["put","b",1]],"results":[[0,[]]]} r=5 / ` + get("1", `["a",3,2,3,2,0]`, "5"), want: "valid"},
		{name: "applied twice", history: put1 + put2 + get("1", `["a",1,2,4,3,0]`, "4"), want: "invalid applied-twice a [5 1]"},
		{name: "its count of versions", history: open3 + `0 request {"then":[["put","a",1]],"results":[[1,[["a",3,2,2,1,0]]]]} r=3 / ` + get("1", `["a",1,2,3,2,0]`, "3"), want: "valid"},
		{name: "version", history: put1 + get("1", `["a",1,2,2,2,0]`, "2"), want: "invalid version-mismatch a [3 1]"},
		{name: "previous value", history: put1 + `0 request {"then":[["put","a",2]],"results":[[0,[]]]} r=3`, want: "invalid lost-write a [3 1]"},
		{name: "count", history: put1 + `0 request {"then":[["delete","a","z"]],"results":[[2,[` + is1 + `]]]} r=3`, want: "invalid wrong-count [3]"},
		{name: "deleted", history: put1 + `0 request {"then":[["delete","a","z"]],"results":[[1,[` + is1 + `]]]} r=3 / ` + get("1", "", "3"), want: "valid"},
		{name: "back", history: put1 + `0 request {"then":[["delete","a"]],"results":[[1,[` + is1 + `]]]} r=3 / ` + get("1", is1, "3"), want: "invalid resurrected-key a [5 1]"},
		{name: "compare", history: put1 + `0 request {"if":[["mod","a","=",2],["lease","a","<",1]],"then":[["get","a"]],"succeeded":true,"results":[[1,[` + is1 + `]]]} r=2`, want: "valid"},
		{name: "compare of the absent", history: `0 request {"if":[["version","a","=",0]],"else":[["get","a"]],"succeeded":false,"results":[[0,[]]]} r=1`, want: "invalid compare-ignored [1]", why: "refused, though all of its 1 compares held"},
		{name: "compare of no value", history: `0 request {"if":[["value","a","!=",0]],"succeeded":false,"results":[]} r=1`, want: "valid"},
		{name: "compare ignored", history: put1 + `0 request {"if":[["mod","a",">",2]],"then":[["get","a"]],"succeeded":true,"results":[[1,[` + is1 + `]]]} r=2`, want: "invalid compare-ignored a [3 1]", why: "asked for mod of a > 2"},
		{name: "two writes of one revision", history: put1 + `1 request {"then":[["put","b",2]],"results":[[0,[]]]} r=2`, want: "invalid revision-backwards [3 1] duplicate-revision [3 1]"},
		{name: "backwards", history: `0 request {"then":[["put","a",1]],"results":[[0,[]]]} r=3 / 1 request {"then":[["put","b",2]],"results":[[0,[]]]} r=2`, want: "invalid revision-backwards [3 1]"},
		{name: "past", history: put1 + put2 + `1 request {"at":2,"then":[["get","a"]],"results":[[1,[` + is1 + `]]]} r=3`, want: "valid"},
		{name: "another past", history: put1 + put2 + `1 request {"at":2,"then":[["get","a"]],"results":[[1,[` + is2 + `]]]} r=3`, want: "invalid wrong-snapshot a [5 3]", why: "request 5 by process 1 of revision 2 has a = 2 (revision 3), put by 3, which is later"},
		{name: "an empty past", history: put1 + put2 + `1 request {"at":2,"then":[["get","a"]],"results":[[0,[]]]} r=3`, want: "invalid wrong-snapshot a [5 1]"},
		{name: "compacted", history: put1 + put2 + `1 compact-store {"at":3} r=3 / 1 request {"at":2,"then":[["get","a"]],"refused":"compacted"}`, want: "valid"},
		{name: "not compacted", history: put1 + put2 + `1 compact-store {"at":2} r=3 / 1 request {"at":2,"then":[["get","a"]],"refused":"compacted"}`, want: "invalid false-compaction [7]"},
		{name: "perhaps compacted", history: put1 + put2 + `1 invoke compact-store {"back":0} / 2 request {"at":2,"then":[["get","a"]],"refused":"compacted"}`, want: "valid"},
		{name: "a read of what is compacted", history: put1 + put2 + `1 compact-store {"at":3} r=3 / 1 request {"at":2,"then":[["get","a"]],"results":[[1,[` + is1 + `]]]} r=3`, want: "invalid read-of-compacted [7 5]"},
		{name: "compacted again", history: put1 + `1 compact-store {"at":2} r=2 / 1 compact-store {"at":2,"refused":"compacted"}`, want: "valid"},
		{name: "compacted at once", history: put1 + `1 compact-store {"at":2,"refused":"compacted"}`, want: "invalid false-compaction [3]"},
		{name: "yet to come", history: put1 + `1 request {"at":3,"then":[["get","a"]],"refused":"future"}`, want: "valid"},
		{name: "not to come", history: put1 + `1 request {"at":2,"then":[["get","a"]],"refused":"future"}`, want: "invalid stale-read [3 1]"},
		{name: "a lease", history: leased + get("1", `["a",1,2,2,1,7]`, "2"), want: "valid"},
		{name: "a lease that is not told", history: leased + get("1", is1, "2"), want: "invalid version-mismatch a [5 3]"},
		{name: "a lease ends", history: leased + get("1", ``, "3"), want: "valid"},
		{name: "and not without a revision", history: leased + get("1", ``, "2"), want: "invalid lost-write a [5 3]"},
		{name: "nor of a key without", history: put1 + get("1", ``, "3"), want: "invalid lost-write a [3 1]"},
		{name: "revoked", history: leased + `0 revoke-lease [7,true] r=3 / ` + get("1", ``, "3"), want: "valid"},
		{name: "revoked, and there", history: leased + `0 revoke-lease [7,true] r=3 / ` + get("1", `["a",1,2,2,1,7]`, "3"), want: "invalid revoked-lease a [5 3]"},
		{name: "used after its end", history: leased + `0 revoke-lease [7,true] r=3 / 0 request {"then":[["put","b",1,7]],"results":[[0,[]]]} r=4`, want: "invalid revoked-lease b [7 5]"},
		{name: "the store tells of an unknown one", history: put1 + open3 + get("1", ``, "4") + `evidence info committed a 3 v=3 r=3 / evidence info committed a null v=4 r=4`, want: "invalid lost-write a [6]"},
		{name: "the store tells what happened", history: put1 + open3 + `8 info request {"then":[["put","a",3]]} / 9 invoke request {"then":[["put","a",4]]} / 1 request {"then":[["put","b",1]],"results":[[0,[]]]} r=4 / evidence info committed a 3 v=3 r=3`, want: "valid"},
		{name: "one of them happened", history: put1 + open3 + `9 invoke request {"then":[["put","a",4]]} / ` + get("1", `["a",4,2,3,2,0]`, "3") + get("1", `["a",3,2,4,3,0]`, "4"), want: "valid"},
		{name: "at once", history: put1 + `8 invoke request {"then":[["put","a",3],["put","b",3]]} / 1 request {"then":[["range","a","z"]],"results":[[1,[["a",3,2,3,2,0]]]]} r=3`, want: "invalid garbage-read a [4 2]", why: "request 2 by process 8 can't have put there"},
		{name: "several ways, none fits", history: put1 + open3 + `9 invoke request {"then":[["delete","a"]]} / 1 request {"then":[["put","b",1]],"results":[[0,[]]]} r=4 / 1 request {"then":[["put","a",5]],"results":[[1,[["a",1,2,2,1,0]]]]} r=5 / ` + get("1", `["a",5,2,5,3,0]`, "5"), want: "invalid version-mismatch a [9 7]"},
	})
	runTranscripts(t, must(t)(KV(KVOptions{Read: ReadSerializable})), []transcriptCase{
		{name: "stale is allowed", history: put1 + put2 + get("1", is1, "2"), want: "valid (stale-read [5 3])"},
		{name: "another state is not", history: put1 + put2 + get("1", is1, "3"), want: "invalid lost-write a [5 1 3]"},
	})
}
