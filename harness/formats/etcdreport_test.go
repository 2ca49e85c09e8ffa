package formats

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/faultline/faultline/harness/history"
)

// Requests and responses of a report, as etcd's tests write them.
const (
	reportGet   = `{"Type":"range","LeaseGrant":null,"Range":{"Start":"%s","End":"%s","Limit":0,"Revision":%d},"Txn":null}`
	reportGot   = `{"Txn":null,"Range":{"KVs":[%s],"Count":1},"Revision":%d,"Error":""}`
	reportKV    = `{"Key":"%s","Value":{"Value":"%s","Hash":0},"ModRevision":%d,"Version":1}`
	reportTxn   = `{"Type":"txn","Range":null,"Txn":{"Conditions":%s,"OperationsOnSuccess":[%s],"OperationsOnFailure":[%s]}}`
	reportPut   = `{"Type":"put-operation","Range":{"Start":"","End":"","Limit":0},"Put":{"Key":"%s","Value":{"Value":"%s","Hash":0},"LeaseID":%d},"Delete":{"Key":""}}`
	reportDel   = `{"Type":"delete-operation","Range":{"Start":"","End":"","Limit":0},"Put":{"Key":"","Value":{"Value":"","Hash":0},"LeaseID":0},"Delete":{"Key":"%s"}}`
	reportDid   = `{"Txn":{"Failure":%v,"Results":[%s]},"Range":null,"Revision":%d,"Error":""}`
	reportLost  = `{"Txn":null,"Range":null,"Revision":0,"Error":"timeout"}`
	reportLine  = `{"ClientId":%d,"Input":%s,"Call":%d,"Output":%s,"Return":%d}` + "\n"
	reportNil   = `{"KVs":null,"Count":0,"Deleted":%d}`
	reportGrant = `{"Type":"leaseGrant","LeaseGrant":{"LeaseID":7},"Range":null,"Txn":null}`
)

func reportFolder(t *testing.T, clients ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i, lines := range clients {
		folder := filepath.Join(dir, fmt.Sprintf("client-%d", i+1))
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "operations.json"), []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestEtcdReport(t *testing.T) {
	put := func(key, value string, lease int) string {
		return fmt.Sprintf(reportTxn, "null", fmt.Sprintf(reportPut, key, value, lease), "")
	}
	did := func(revision, deleted int) string {
		return fmt.Sprintf(reportDid, false, fmt.Sprintf(reportNil, deleted), revision)
	}
	one := fmt.Sprintf(reportLine, 1, put("a", "5", 0), 10, did(2, 0), 20) +
		fmt.Sprintf(reportLine, 1, fmt.Sprintf(reportGet, "a", "", 0), 30, fmt.Sprintf(reportGot, fmt.Sprintf(reportKV, "a", "5", 2), 3), 40) +
		fmt.Sprintf(reportLine, 1, fmt.Sprintf(reportGet, "a", "", 2), 41, fmt.Sprintf(reportGot, "", 3), 42) +
		fmt.Sprintf(reportLine, 1, fmt.Sprintf(reportGet, "x", "", 0), 50, fmt.Sprintf(reportGot, "", 4), 60) +
		fmt.Sprintf(reportLine, 1, put("b", "6", 0), 61, reportLost, 0)
	two := fmt.Sprintf(reportLine, 2, reportGrant, 11, `{"LeaseGrant":{"LeaseID":7},"Revision":2}`, 12) +
		fmt.Sprintf(reportLine, 2, put("x", "7", 7), 20, did(3, 0), 29) +
		fmt.Sprintf(reportLine, 2, fmt.Sprintf(reportTxn, `[{"Key":"a","ExpectedRevision":9}]`, fmt.Sprintf(reportPut, "a", "8", 0), fmt.Sprintf(reportDel, "a")+","+fmt.Sprintf(reportDel, "none")),
			41, fmt.Sprintf(reportDid, true, fmt.Sprintf(reportNil, 1)+","+fmt.Sprintf(reportNil, 0), 4), 45) +
		fmt.Sprintf(reportLine, 2, fmt.Sprintf(reportGet, "a", "z", 0), 50, fmt.Sprintf(reportGot, fmt.Sprintf(reportKV, "b", "6", 5)+`,{"Key":"c","Value":{"Hash":99},"ModRevision":1}`, 5), 70)
	const want = `1 invoke write a "5" t=10ns / 2 invoke write x "7" t=20ns / 1 ok write a "5" v=2 r=2 t=20ns / 2 ok write x "7" v=3 r=3 t=29ns
		1 invoke read a t=30ns / 1 ok read a "5" v=2 r=3 t=40ns / 2 invoke write a t=41ns / 3 invoke read none t=41ns / 2 ok write a v=4 r=4 t=45ns / 3 ok read none r=4 t=45ns
		2 invoke read b t=50ns / 3 invoke read c t=50ns / 4 invoke read a t=50ns / 5 invoke read none t=50ns / 1 invoke write b "6" t=61ns / 2 ok read b "6" v=5 r=5 t=70ns / 3 ok read c {"hash":99} v=1 r=5 t=70ns / 4 ok read a r=5 t=70ns / 5 ok read none r=5 t=70ns / 1 info write b "6" t=70ns ! timeout`
	got, err := read(Open(reportFolder(t, one, two)))
	expected, wantErr := history.ParseText(want)
	if err != nil || wantErr != nil || got != history.Format(expected) {
		t.Errorf("got  %s\nwant %s\n%v %v", got, history.Format(expected), err, wantErr)
	}
	for _, c := range []struct{ lines, want string }{
		{"{}\n", "client-1/operations.json, operation 1: want an object with ClientId"},
		{one + `{"ClientId":`, "operation 6: unexpected EOF"},
		{fmt.Sprintf(reportLine, 1, put("a", "5", 0), 30, did(2, 0), 20), "before it was called"},
		{fmt.Sprintf(reportLine, 1, put("a", "5", 0), 30, did(2, 0), 40) + fmt.Sprintf(reportLine, 1, put("a", "6", 0), 35, did(3, 0), 50), "rule: a process has one open operation at a time"},
		{fmt.Sprintf(reportLine, 1, put("a", "5", 0), 30, `{"Txn":{"Results":[]},"Revision":3}`, 40), "1 operations with 0 results"},
		{fmt.Sprintf(reportLine, 1, put("a", "5", 0), 30, `{"Revision":3}`, 40), "a txn without its request or response"},
	} {
		if _, err := read(Open(reportFolder(t, c.lines))); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60s: got %v, want %s", c.lines, err, c.want)
		}
	}
	if _, err := Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "client-*/operations.json") {
		t.Errorf("an empty folder: %v", err)
	}
}
