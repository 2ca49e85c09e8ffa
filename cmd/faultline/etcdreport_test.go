package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// reportStore is a store with revisions that etcd's robustness tests could have asked, and the reports of its clients.
type reportStore struct {
	rand     *rand.Rand
	revision int64
	keys     map[string]reportItem
	value    int
	reports  map[int]*bytes.Buffer
}

type reportItem struct {
	value string
	mod   int64
}

type object = map[string]any

func (s *reportStore) key() string { return fmt.Sprint("key", s.rand.IntN(4)) }

func (s *reportStore) kv(key string) object {
	it := s.keys[key]
	return object{"Key": key, "Value": object{"Value": it.value, "Hash": 0}, "ModRevision": it.mod}
}

// operation is one of a transaction, done at once on a copy that the caller keeps or not.
func (s *reportStore) operation() (op, result object) {
	key := s.key()
	_, there := s.keys[key]
	switch s.rand.IntN(3) {
	case 0:
		delete(s.keys, key)
		deleted := 0
		if there {
			deleted = 1
		}
		return object{"Type": "delete-operation", "Delete": object{"Key": key}}, object{"KVs": nil, "Deleted": deleted}
	case 1:
		s.value++
		s.keys[key] = reportItem{fmt.Sprint(s.value), s.revision + 1}
		return object{"Type": "put-operation", "Put": object{"Key": key, "Value": object{"Value": fmt.Sprint(s.value), "Hash": 0}, "LeaseID": 0}}, object{"KVs": nil}
	}
	kvs := []object{}
	if there {
		kvs = append(kvs, s.kv(key))
	}
	return object{"Type": "range-operation", "Range": object{"Start": key, "End": ""}}, object{"KVs": kvs, "Count": len(kvs)}
}

// request is done at one moment; lost: the client gets no answer, and it may not have happened.
func (s *reportStore) request(lost bool) (input, output object) {
	if s.rand.IntN(3) == 0 {
		kvs := []object{}
		names := make([]string, 0, len(s.keys))
		for k := range s.keys {
			names = append(names, k)
		}
		slices.Sort(names)
		for _, k := range names {
			kvs = append(kvs, s.kv(k))
		}
		return object{"Type": "range", "Range": object{"Start": "key", "End": "kez", "Revision": 0}}, object{"Range": object{"KVs": kvs, "Count": len(kvs)}, "Revision": s.revision}
	}
	before := make(map[string]reportItem, len(s.keys))
	for k, v := range s.keys {
		before[k] = v
	}
	op, result := s.operation()
	failure := s.rand.IntN(3) == 0
	txn := object{"Conditions": []object{}, "OperationsOnSuccess": []object{op}, "OperationsOnFailure": nil}
	if failure {
		txn = object{"Conditions": []object{}, "OperationsOnSuccess": nil, "OperationsOnFailure": []object{op}}
	}
	if lost && s.rand.IntN(2) == 0 {
		s.keys = before
	} else if op["Type"] == "put-operation" || result["Deleted"] == 1 {
		s.revision++
	}
	return object{"Type": "txn", "Txn": txn}, object{"Txn": object{"Failure": failure, "Results": []object{result}}, "Revision": s.revision}
}

// run has clients ask at random; stale: one read returns what was there some writes ago.
func (s *reportStore) run(t *testing.T, requests int, stale bool) string {
	type open struct {
		client, stream int
		call, at, ret  int64
	}
	var all []open
	clock, streams := make([]int64, 4), []int{0, 1, 2, 3}
	next := 4
	for range requests {
		c := s.rand.IntN(4)
		call := clock[c] + 1 + s.rand.Int64N(5)
		at := call + 1 + s.rand.Int64N(20)
		ret := at + 1 + s.rand.Int64N(20)
		clock[c] = ret
		all = append(all, open{c, 0, call, at, ret})
	}
	slices.SortStableFunc(all, func(a, b open) int { return int(a.at - b.at) })
	var old object
	for i, o := range all {
		lost := s.rand.IntN(20) == 0
		input, output := s.request(lost)
		if input["Type"] == "range" && stale && i > requests/2 && old != nil {
			output, stale = old, false
		}
		if input["Type"] == "range" && i < requests/4 {
			old = output
		}
		if lost {
			output, o.ret = object{"Error": "timeout"}, 0
		}
		line := object{"ClientId": streams[o.client], "Input": input, "Call": o.call, "Output": output, "Return": o.ret}
		if lost {
			streams[o.client] = next
			next++
		}
		b := s.reports[o.client]
		if b == nil {
			b = &bytes.Buffer{}
			s.reports[o.client] = b
		}
		if err := json.NewEncoder(b).Encode(line); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	for c, b := range s.reports {
		folder := filepath.Join(dir, fmt.Sprint("client-", c+1))
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "operations.json"), b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestEtcdReportsAreJudged: reports of a store that keeps its promise are valid, and a stale range in one is found.
func TestEtcdReportsAreJudged(t *testing.T) {
	for seed := range uint64(60) {
		s := &reportStore{rand: rand.New(rand.NewPCG(seed, 1)), revision: 1, keys: map[string]reportItem{}, reports: map[int]*bytes.Buffer{}}
		stale := seed%3 == 2
		dir := s.run(t, 150, stale)
		var out bytes.Buffer
		code := Main(context.Background(), []string{"faultline", "check", dir, "--checker", "linearizable"}, &out, &out)
		if want := map[bool]int{false: exitValid, true: exitInvalid}[stale]; code != want {
			t.Fatalf("seed %d: exit %d, want %d\n%s", seed, code, want, out.String())
		}
	}
}
