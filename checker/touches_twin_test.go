package checker

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// tinyStore is a store of two keys with revisions, whose clients' operations overlap, end unknown, or lie.
type tinyStore struct {
	rand *rand.Rand
	// lies: one completion in so many tells a version or revision that is not true; 0: none does.
	lies int
	// functions are what its clients do.
	functions []string
	// least is the least number that is added; there are four.
	least    int
	revision int64
	keys     map[string]tinyItem
	open     map[history.Process]*tinyOp
	history  history.Slice
	next     history.Process
}

type tinyItem struct{ value, version int64 }

// tinyOp is an operation under way: invoked, and perhaps done.
type tinyOp struct {
	op   history.Op
	done bool
}

func (s *tinyStore) record(op history.Op) {
	op.Index = int64(len(s.history))
	op.Time = time.Duration(op.Index)
	s.history = append(s.history, op)
}

// step has one of three workers go on by one: invoke, take effect, complete.
func (s *tinyStore) step(workers []history.Process) {
	w := s.rand.IntN(len(workers))
	p := workers[w]
	o := s.open[p]
	switch {
	case o == nil:
		op := history.Op{Type: history.Invoke, Process: p, F: s.functions[s.rand.IntN(len(s.functions))], Key: []string{"x", "y"}[s.rand.IntN(2)]}
		op.Node = "n" + strconv.Itoa(w)
		if op.F == "write" {
			op.Value = json.RawMessage(strconv.Itoa(len(s.history)))
		}
		if op.F == "add" {
			op.Value = json.RawMessage(strconv.Itoa(s.rand.IntN(4) + s.least))
		}
		s.record(op)
		s.open[p] = &tinyOp{op: op}
	case !o.done && s.rand.IntN(8) == 0: // it is given up before it happened
		s.end(p, o, history.Info)
		s.next++
		workers[w] = s.next
	case !o.done:
		s.perform(o)
	case s.rand.IntN(8) == 0:
		s.end(p, o, history.Info)
		s.next++
		workers[w] = s.next
	default:
		s.end(p, o, history.OK)
	}
}

func (s *tinyStore) perform(o *tinyOp) {
	o.done = true
	it, there := s.keys[o.op.Key]
	switch o.op.F {
	case "add":
		s.revision++
		n, _ := strconv.ParseInt(string(o.op.Value), 10, 64)
		s.keys[o.op.Key] = tinyItem{it.value + n, s.revision}
		o.op.Version = s.revision
	case "write":
		s.revision++
		n, _ := strconv.ParseInt(string(o.op.Value), 10, 64)
		s.keys[o.op.Key] = tinyItem{n, s.revision}
		o.op.Version = s.revision
	case "delete":
		if there {
			s.revision++
			delete(s.keys, o.op.Key)
			o.op.Version = s.revision
		}
	default:
		o.op.Version = it.version
		if there {
			o.op.Value = json.RawMessage(strconv.FormatInt(it.value, 10))
		}
	}
	o.op.Revision = s.revision
}

func (s *tinyStore) end(p history.Process, o *tinyOp, kind history.Type) {
	op := o.op
	op.Type = kind
	if kind == history.Info {
		op.Version, op.Revision = 0, 0
	} else if s.lies > 0 && s.rand.IntN(s.lies) == 0 {
		switch s.rand.IntN(3) {
		case 0:
			op.Version = max(0, op.Version-int64(s.rand.IntN(3)))
		case 1:
			op.Revision = max(1, op.Revision+int64(s.rand.IntN(3))-1)
		default:
			op.Version, op.Revision = max(0, op.Version-1), max(1, op.Revision-1)
		}
	}
	delete(s.open, p)
	s.record(op)
}

// tinyHistory is a run of a tiny store, and reads of both keys at its end.
func tinyHistory(seed uint64, lies, least int, functions ...string) history.Slice {
	s := &tinyStore{rand: rand.New(rand.NewPCG(seed, 7)), lies: lies, functions: functions, least: least, revision: 1, keys: map[string]tinyItem{}, open: map[history.Process]*tinyOp{}, next: 2}
	workers := []history.Process{0, 1, 2}
	for range 10 + s.rand.IntN(40) {
		s.step(workers)
	}
	mark := history.Op{Process: history.Nemesis, F: history.FFinalReads, Type: history.Invoke}
	s.record(mark)
	mark.Type = history.OK
	s.record(mark)
	for _, key := range []string{"x", "y"} {
		s.next++
		o := &tinyOp{op: history.Op{Type: history.Invoke, Process: s.next, F: "read", Key: key, Node: "n0"}}
		s.record(o.op)
		s.perform(o)
		s.end(s.next, o, history.OK)
	}
	return s.history
}

// all are the touches of a history, for twins that compare every two of them.
func allTouches(t testing.TB, h history.Slice) []touch {
	var out []touch
	var f findings
	if err := f.touches(context.Background(), h, func(x touch) { out = append(out, x) }); err != nil {
		t.Fatal(err)
	}
	return out
}

// twinSessions compares every two operations of each process.
func twinSessions(all []touch) bool {
	for _, a := range all {
		for _, b := range all {
			if a.process != b.process || a.ret >= b.call || a.kind == touchMaybe || b.kind == touchMaybe {
				continue
			}
			write := b.kind != touchRead
			older := func(x, y int64) bool { return x > 0 && y > 0 && (y < x || write && y == x) }
			if older(a.revision, b.revision) || a.key == b.key && older(a.version, b.version) {
				return true
			}
		}
	}
	return false
}

// twinLost holds each read against every acknowledged change, and twinPast against every version that is known.
func twinLost(all []touch, past bool) bool {
	for _, r := range all {
		for _, c := range all {
			if r.kind != touchRead || r.key != c.key || c.kind == touchMaybe || c.kind == touchRead && (!past || c.version == 0) {
				continue
			}
			if c.version <= r.version || c.version > r.revision {
				continue
			}
			explained := c.kind == touchDelete
			for _, d := range all {
				explained = explained || d.key == r.key && (d.kind == touchMaybe && d.call < r.ret ||
					d.kind == touchDelete && d.version >= c.version && d.version <= r.revision)
			}
			if r.version > 0 || !explained {
				return true
			}
		}
	}
	return false
}

// twinFinal tells whether a key's last acknowledged change is newer than the final reads.
func twinFinal(all []touch, from int64) bool {
	for _, c := range all {
		if c.kind != touchWrite && c.kind != touchDelete {
			continue
		}
		read, reached, late := false, false, false
		for _, r := range all {
			switch {
			case r.key != c.key:
			case (r.kind == touchWrite || r.kind == touchDelete) && r.version > c.version:
				late = true // another change is the last one
			case r.kind == touchRead && r.call > from:
				read = true
				reached = reached || r.at() >= c.version || c.ret > r.call
			}
		}
		if read && !reached && !late {
			return true
		}
	}
	return false
}

// twinDuplicate tells whether two acknowledged changes have one revision.
func twinDuplicate(all []touch) bool {
	seen := map[int64]int64{}
	for _, c := range all {
		if (c.kind == touchWrite || c.kind == touchDelete) && c.revision > 0 {
			if at, ok := seen[c.version]; ok && at != c.index {
				return true
			}
			seen[c.version] = c.index
		}
	}
	return false
}

// twinPast adds what else no past state shows.
func twinPast(all []touch) bool {
	for _, a := range all {
		if a.kind == touchRead && a.version > a.revision {
			return true
		}
		for _, b := range all {
			if a.kind == touchMaybe || b.kind == touchMaybe {
				continue
			}
			if a.key == b.key && a.version == b.version && a.version > 0 && a.value != nil && b.value != nil && string(a.value) != string(b.value) {
				return true
			}
			if a.kind == touchRead && b.kind == touchRead && a.node == b.node && a.ret < b.call && a.revision > b.revision {
				return true
			}
		}
	}
	return twinLost(all, true)
}

// compareWithTwins judges a history twice over.
func compareWithTwins(t testing.TB, seed uint64, lies int) (invalid bool) {
	h := tinyHistory(seed, lies, 0, "read", "write", "delete", "read")
	all := allTouches(t, h)
	from := int64(0)
	for _, op := range h {
		if op.F == history.FFinalReads {
			from = op.Index
		}
	}
	for _, c := range []struct {
		checker Checker
		twin    bool
	}{
		{must(t)(Sessions(SessionOptions{})), twinSessions(all)},
		{must(t)(Durability(DurabilityOptions{})), twinLost(all, false) || twinFinal(all, from) || twinDuplicate(all)},
		{PastStates(), twinPast(all)},
	} {
		v, names := verdictOf(t, c.checker, h)
		if (v == Invalid) != c.twin {
			t.Fatalf("seed %d, lies %d: %s says %s %v, its twin %v\n%s", seed, lies, c.checker.Name(), v, names, c.twin, history.Format(h))
		}
		if lies == 0 && v == Invalid {
			t.Fatalf("seed %d: %s says invalid %v of a history without a lie\n%s", seed, c.checker.Name(), names, history.Format(h))
		}
		invalid = invalid || v == Invalid
	}
	return invalid
}

// TestTouchesTwins: sessions, durability and past states are judged as by comparing every two operations.
func TestTouchesTwins(t *testing.T) {
	invalid := 0
	for seed := range uint64(4000) {
		lies := int(seed % 3 * 6) //nolint:gosec // 0, 6 or 12
		if compareWithTwins(t, seed, lies) {
			invalid++
		}
	}
	if invalid < 500 {
		t.Errorf("only %d of the histories were invalid", invalid)
	}
	t.Log(fmt.Sprint(invalid, " of 4000 invalid"))
}

func FuzzTouches(f *testing.F) {
	f.Add(uint64(1), uint8(0))
	f.Add(uint64(2), uint8(5))
	f.Fuzz(func(t *testing.T, seed uint64, lies uint8) { compareWithTwins(t, seed, int(lies%16)) })
}
