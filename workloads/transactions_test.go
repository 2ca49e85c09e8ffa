package workloads

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/etcd"
)

// transact performs the micro-operations of a transaction one after the other: keys that begin with "a" are lists, others registers. Each write
// may be lost on its own. Of registers it tells the versions.
func (s *store) transact(t *testing.T, op history.Op) json.RawMessage {
	t.Helper()
	var micros [][]any
	if err := json.Unmarshal(op.Value, &micros); err != nil {
		t.Fatal(err)
	}
	own := map[string]bool{}
	for i, m := range micros {
		key, list := m[1].(string), strings.HasPrefix(m[1].(string), "a")
		switch {
		case m[0] == "r" && list:
			micros[i][2] = append([]int{}, s.lists[key]...)
		case m[0] == "r":
			if v, ok := s.registers[key]; ok {
				micros[i][2] = v
			}
			if !own[key] {
				micros[i] = append(m, s.versions[key])
			}
		case list:
			s.write(func(int64) { s.lists[key] = append(s.lists[key], int(m[2].(float64))) })
		default:
			own[key] = true
			r := s.write(func(r int64) { s.registers[key], s.versions[key] = int(m[2].(float64)), r })
			micros[i] = append(m, r)
		}
	}
	return jsonOf(micros)
}

// transfer moves money by two writes, each of which may be lost.
func (s *store) transfer(t *testing.T, op history.Op) (value json.RawMessage, version int64) {
	t.Helper()
	var v struct {
		bankTransfer
		Had *int `json:"had,omitempty"`
	}
	if err := json.Unmarshal(op.Value, &v); err != nil {
		t.Fatal(err)
	}
	from, to := fmt.Sprintf("%s/%d", op.Key, v.From), fmt.Sprintf("%s/%d", op.Key, v.To)
	if had := s.balance(from, v.Opening); had < v.Amount {
		v.Had = &had
		return jsonOf(v), 0
	}
	s.write(func(int64) { s.registers[from] = s.balance(from, v.Opening) - v.Amount })
	version = s.write(func(int64) { s.registers[to] = s.balance(to, v.Opening) + v.Amount })
	return op.Value, version
}

func (s *store) balance(account string, opening int) int {
	if v, ok := s.registers[account]; ok {
		return v
	}
	return opening
}

func (s *store) balances(t *testing.T, op history.Op) json.RawMessage {
	t.Helper()
	var v []int
	if err := json.Unmarshal(op.Value, &v); err != nil {
		t.Fatal(err)
	}
	for i := range v {
		v[i] = s.balance(fmt.Sprintf("%s/%d", op.Key, i), v[i])
	}
	return jsonOf(v)
}

// TestSTMLevels: each isolation level is held to what it promises, and to no more.
func TestSTMLevels(t *testing.T) {
	const (
		lostUpdate = `0 invoke txn [["r","x",null],["w","x",1]] / 1 invoke txn [["r","x",null],["w","x",2]]
			0 ok txn [["r","x",null,0],["w","x",1,5]] r=5 / 1 ok txn [["r","x",null,0],["w","x",2,6]] r=6`
		writeSkew = `0 invoke txn [["r","x",null],["w","y",1]] / 1 invoke txn [["r","y",null],["w","x",2]]
			0 ok txn [["r","x",null,0],["w","y",1,5]] r=5 / 1 ok txn [["r","y",null,0],["w","x",2,6]] r=6`
		fractured = `0 invoke txn [["w","x",1],["w","y",2]] / 1 invoke txn [["r","x",null],["r","y",null]]
			0 ok txn [["w","x",1,5],["w","y",2,5]] r=5 / 1 ok txn [["r","x",null,0],["r","y",2,5]]`
		past = `0 invoke txn [["w","x",1]] / 0 ok txn [["w","x",1,5]] r=5 / 1 invoke txn [["r","x",null]] / 1 ok txn [["r","x",null,0]]
			1 invoke txn [["r","x",null]] / 1 ok txn [["r","x",1,5]]`
		circular = `0 invoke txn [["w","x",1],["r","y",null]] / 1 invoke txn [["w","y",2],["r","x",null]]
			0 ok txn [["w","x",1,5],["r","y",2,6]] r=5 / 1 ok txn [["w","y",2,6],["r","x",1,5]] r=6`
	)
	histories := map[string]string{"lost update": lostUpdate, "write skew": writeSkew, "fractured read": fractured, "the past": past, "circular": circular}
	allowed := map[string][]string{
		etcd.STMSerializableSnapshot: nil,
		etcd.STMSerializable:         nil,
		etcd.STMRepeatableReads:      {"the past"},
		etcd.STMReadCommitted:        {"lost update", "write skew", "fractured read", "the past"},
	}
	for _, level := range etcd.STMLevels() {
		o := options
		o.Read = level
		parts, err := softwareTransactions(o)
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range histories {
			h, err := history.ParseText(text)
			if err != nil {
				t.Fatal(err)
			}
			r, err := parts.Checkers[0].Check(t.Context(), h, checker.Budget{Time: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			want := checker.Invalid
			if slices.Contains(allowed[level], name) {
				want = checker.Valid
			}
			if r.Verdict != want || len(r.Anomalies) == 0 {
				t.Errorf("%s, %s: %v %v %v, want %v", level, name, r.Verdict, r.Reasons, r.Anomalies, want)
			}
		}
	}
	if len(allowed) != len(etcd.STMLevels()) || len(allowed) != len(stmModels) {
		t.Error("there is a level without a promise")
	}
	o := options
	o.Read = etcd.ReadLinearizable
	if _, err := softwareTransactions(o); err == nil {
		t.Error("a kind of read is taken for an isolation level")
	}
}

// TestForksAreDrawn: every register is written once, and the reads of a time are of the same registers, by several workers.
func TestForksAreDrawn(t *testing.T) {
	w, err := Lookup("etcd/long-fork")
	if err != nil {
		t.Fatal(err)
	}
	for _, concurrency := range []int{2, 6, 20} {
		o := options
		o.Concurrency = concurrency
		ops, final, _ := played(t, w, o, 1000, func(op history.Op) (history.Op, time.Duration) {
			op.Type = history.OK
			return op, time.Millisecond
		})
		writers, readers := map[string]int{}, map[string]map[history.Process]bool{}
		for _, op := range ops[:final] {
			if op.Type != history.Invoke {
				continue
			}
			keys := microKeys(op)
			for _, k := range keys {
				switch {
				case strings.HasPrefix(string(op.Value), `[["w"`):
					writers[k]++
				case readers[k] == nil:
					readers[k] = map[history.Process]bool{op.Process: true}
				default:
					readers[k][op.Process] = true
				}
			}
		}
		shared := 0
		for k, n := range writers {
			if n > 1 {
				t.Errorf("%s is written %d times", k, n)
			}
			if len(readers[k]) > 1 {
				shared++
			}
		}
		if shared < len(writers)*3/4 {
			t.Errorf("%d workers: only %d of %d registers are read by two", concurrency, shared, len(writers))
		}
	}
}
