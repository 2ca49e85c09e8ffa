package formats

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/faultline/faultline/harness/history"
)

// A report folder of etcd's robustness tests (etcd's tests/robustness, testdata and CI artifacts) has a folder client-N per client with operations.json: an
// object a line, of ClientId, Input (the request), Call, Output (the response) and Return, times in nanoseconds since the test began. What of it is read:
//
//   - Every key is a register of its own: a range is a read of each key that it returned, with its mod revision as version, and a read of null of each that it
//     asked for and did not get (where it has no limit, and keys times ranges are not too many); a put is a write, a deletion that found something a write of null, one that found nothing a read of null; their version and every
//     operation's revision are the response's. Of a transaction, the branch that was taken; of one of unknown outcome, the writes of both.
//     That they are of one transaction, and what its conditions say, is left out.
//   - A key that was ever put with a lease may vanish by itself: that it is absent is not told of it.
//   - Reads of past revisions, leases, compactions and defragmentations are left out; so are watch.json, traffic.json and the servers' files.
//   - An error leaves the outcome of writes unknown, until the end; an operation known to have persisted, whose answer was lost, likewise.
//
// Operations of one request that are not its first have processes of their own. All of a report is in memory.
type reportSource struct {
	folder  string
	clients []string
}

// openReport returns nil where the folder is no report.
func openReport(folder string) (*reportSource, error) {
	files, err := filepath.Glob(filepath.Join(folder, "client-*", "operations.json"))
	if err != nil || len(files) == 0 {
		return nil, err
	}
	slices.Sort(files)
	return &reportSource{folder, files}, nil
}

func (s *reportSource) Complete() bool { return true }

func (s *reportSource) Ops() func(yield func(history.Op, error) bool) {
	return func(yield func(history.Op, error) bool) {
		var all report
		for _, file := range s.clients {
			if err := all.read(file); err != nil {
				yield(history.Op{}, fmt.Errorf("etcd report %s: %w", s.folder, err))
				return
			}
		}
		all.absences()
		rules := history.NewRuleChecker()
		for i, op := range all.history() {
			if err := rules.Check(&op, int64(i+1)); err != nil {
				yield(history.Op{}, fmt.Errorf("etcd report %s, operation %d in time: %w", s.folder, i, err))
				return
			}
			if !yield(op, nil) {
				return
			}
		}
	}
}

// reported is a line of operations.json, in its own words.
type reported struct {
	ClientID *int64 `json:"ClientId"`
	Input    struct {
		Type  string
		Range *struct {
			reportedRange
			Revision int64
		}
		Txn *struct {
			OperationsOnSuccess []reportedOp
			OperationsOnFailure []reportedOp
		}
	}
	Call   *int64
	Output struct {
		Txn *struct {
			Failure bool
			Results []reportedResult
		}
		Range             *reportedResult
		Error             string
		ClientError       string
		Persisted         bool
		PartialResponse   bool
		PersistedRevision int64
		Revision          int64
	}
	Return int64
}

type reportedRange struct {
	Start, End string
	Limit      int64
}

type reportedOp struct {
	Type  string
	Range reportedRange
	Put   struct {
		Key     string
		Value   reportedValue
		LeaseID int64
	}
	Delete struct{ Key string }
}

type reportedResult struct {
	KVs []struct {
		Key         string
		Value       reportedValue
		ModRevision int64
	}
	Deleted int64
}

// reportedValue is a value, or the hash of a long one.
type reportedValue struct {
	Value string
	Hash  uint32
}

func (v reportedValue) json() json.RawMessage {
	if v.Hash != 0 {
		return fmt.Appendf(nil, `{"hash":%d}`, v.Hash)
	}
	return appendJSON(nil, v.Value)
}

// report is what all clients did.
type report struct {
	parts  []reportPart
	ranges []reportRange
	leased map[string]bool
	last   int64
}

// reportRange is a range of keys, of which those that are there and were not returned are known when all of the report was read.
type reportRange struct {
	base       reportPart
	start, end string
	returned   map[string]bool
}

// reportPart is what a request did to one key.
type reportPart struct {
	stream, call, ret int64
	first             bool // of its request
	known             bool // its outcome
	f, key            string
	value             json.RawMessage // nil: absent
	version, revision int64
	err               string
}

// read reads one client's operations.
func (r *report) read(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	dec := json.NewDecoder(bufio.NewReader(f))
	for n := 1; ; n++ {
		var op reported
		err := dec.Decode(&op)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = r.add(&op)
		}
		if err != nil {
			return fmt.Errorf("%s, operation %d: %w", filepath.Join(filepath.Base(filepath.Dir(file)), filepath.Base(file)), n, err)
		}
	}
}

func (r *report) add(op *reported) error {
	out := &op.Output
	failed := out.Error != "" || out.Persisted || out.PartialResponse
	switch {
	case op.ClientID == nil || *op.ClientID < 0 || op.Call == nil || op.Input.Type == "":
		return errors.New("want an object with ClientId, Input with its Type, Call, Output and Return")
	case !failed && op.Return < *op.Call:
		return fmt.Errorf("it returned at %d, before it was called at %d", op.Return, *op.Call)
	}
	r.last = max(r.last, *op.Call, op.Return)
	if out.ClientError != "" {
		return nil // refused, which no register shows
	}
	from := len(r.parts)
	base := reportPart{stream: *op.ClientID, call: *op.Call, ret: op.Return, known: !failed, err: out.Error}
	if !failed {
		base.revision = out.Revision
	}
	var err error
	switch in := &op.Input; {
	case in.Type == "range" && (failed || in.Range != nil && in.Range.Revision != 0):
	case in.Type == "range" && in.Range != nil && out.Range != nil:
		r.readKeys(base, in.Range.reportedRange, out.Range)
	case in.Type == "txn" && in.Txn != nil && failed:
		for _, o := range slices.Concat(in.Txn.OperationsOnSuccess, in.Txn.OperationsOnFailure) {
			r.write(base, &o, nil)
		}
	case in.Type == "txn" && in.Txn != nil && out.Txn != nil:
		branch := in.Txn.OperationsOnSuccess
		if out.Txn.Failure {
			branch = in.Txn.OperationsOnFailure
		}
		err = r.transaction(base, branch, out.Txn.Results)
	case in.Type == "range" || in.Type == "txn":
		err = fmt.Errorf("a %s without its request or response", in.Type)
	}
	if from < len(r.parts) {
		r.parts[from].first = true
	}
	return err
}

func (r *report) transaction(base reportPart, branch []reportedOp, results []reportedResult) error {
	if len(branch) != len(results) {
		return fmt.Errorf("a transaction of %d operations with %d results", len(branch), len(results))
	}
	for i := range branch {
		if branch[i].Type == "range-operation" {
			r.readKeys(base, branch[i].Range, &results[i])
		} else {
			r.write(base, &branch[i], &results[i])
		}
	}
	return nil
}

// readKeys adds what a range showed.
func (r *report) readKeys(base reportPart, asked reportedRange, got *reportedResult) {
	base.f = "read"
	returned := map[string]bool{}
	for _, kv := range got.KVs {
		part := base
		part.key, part.value, part.version = kv.Key, kv.Value.json(), kv.ModRevision
		r.parts = append(r.parts, part)
		returned[kv.Key] = true
	}
	switch {
	case asked.End == "" && !returned[asked.Start]:
		base.key = asked.Start
		r.parts = append(r.parts, base)
	case asked.End != "" && asked.Limit == 0:
		r.ranges = append(r.ranges, reportRange{base, asked.Start, asked.End, returned})
	}
}

// absencesMax bounds how many keys are looked for in ranges.
const absencesMax = 1 << 20

// absences adds reads of the keys that ranges did not return. An end of one zero byte means all keys from the start.
func (r *report) absences() {
	keys := map[string]bool{}
	for i := range r.parts {
		keys[r.parts[i].key] = true
	}
	if len(keys)*len(r.ranges) > absencesMax {
		return
	}
	sorted := slices.Sorted(maps.Keys(keys))
	for _, g := range r.ranges {
		for _, key := range sorted {
			if key >= g.start && (key < g.end || g.end == "\x00") && !g.returned[key] {
				part := g.base
				part.key = key
				r.parts = append(r.parts, part)
			}
		}
	}
}

// write adds what a put or a deletion did; got is nil where nobody knows.
func (r *report) write(base reportPart, op *reportedOp, got *reportedResult) {
	base.f, base.version = "write", base.revision
	switch op.Type {
	case "put-operation":
		base.key, base.value = op.Put.Key, op.Put.Value.json()
		if op.Put.LeaseID != 0 {
			if r.leased == nil {
				r.leased = map[string]bool{}
			}
			r.leased[base.key] = true
		}
	case "delete-operation":
		base.key = op.Delete.Key
		if got != nil && got.Deleted == 0 {
			base.f, base.version = "read", 0
		}
	default:
		return
	}
	r.parts = append(r.parts, base)
}
