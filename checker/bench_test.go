package checker

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// storeHistory runs registers behind one revision counter, as etcd does: clients are always busy, operations take effect at a random
// moment, and a share of them ends unknown, half of those applied.
type storeHistory struct {
	operations, keys, clients int
	info                      float64
	versions                  bool
}

// busy is an operation in flight.
type busy struct {
	op      history.Op
	done    history.Op
	applied bool
}

func (s storeHistory) make() history.Slice {
	h := make(history.Slice, 0, 2*s.operations)
	s.each(func(op history.Op) { h = append(h, op) })
	return h
}

// each makes the history line by line.
func (s storeHistory) each(yield func(history.Op)) {
	type cell struct {
		value   string
		version int64
	}
	var (
		r        = rand.New(rand.NewPCG(7, 7))
		lines    = int64(0)
		cells    = make([]cell, s.keys)
		revision = int64(1)
		open     []*busy
		process  = make([]history.Process, s.clients)
		free     []int
		next     = history.Process(s.clients)
		slotOf   = map[history.Process]int{}
	)
	for i := range cells {
		cells[i].value = "null"
	}
	for i := range process {
		process[i] = history.Process(i)
		free = append(free, i)
		slotOf[process[i]] = i
	}
	record := func(op history.Op) {
		op.Index, op.Time = lines, time.Duration(lines)*time.Microsecond
		lines++
		yield(op)
	}
	apply := func(b *busy) {
		b.applied, b.done = true, b.op
		b.done.Type = history.OK
		k, _ := strconv.Atoi(b.op.Key[1:])
		c := &cells[k]
		write := func(v string) {
			revision++
			c.value, c.version = v, revision
		}
		switch b.op.F {
		case fRead:
			b.done.Value = json.RawMessage(c.value)
		case fWrite:
			write(string(b.op.Value))
		case fCAS:
			parts, _ := elements(b.op.Value)
			if ok := string(parts[0]) == c.value; ok {
				write(string(parts[1]))
				b.done.Value = json.RawMessage(fmt.Sprintf("[%s,%s,true]", parts[0], parts[1]))
			} else if s.versions {
				b.done.Value = json.RawMessage(fmt.Sprintf("[%s,%s,false,%s]", parts[0], parts[1], c.value))
			} else {
				b.done.Value = json.RawMessage(fmt.Sprintf("[%s,%s,false]", parts[0], parts[1]))
			}
		}
		if s.versions {
			b.done.Version = c.version
		}
		b.done.Revision = revision
	}
	started := 0
	for started < s.operations || len(open) > 0 {
		if started < s.operations && len(free) > 0 {
			i := free[len(free)-1]
			free = free[:len(free)-1]
			op := history.Op{
				Type: history.Invoke, Process: process[i], F: fRead, Key: "r" + strconv.Itoa(r.IntN(s.keys)), Node: "n" + strconv.Itoa(i%3+1),
			}
			switch r.IntN(3) {
			case 0:
				op.F, op.Value = fWrite, json.RawMessage(strconv.Itoa(r.IntN(5)))
			case 1:
				op.F, op.Value = fCAS, json.RawMessage(fmt.Sprintf("[%d,%d]", r.IntN(5), r.IntN(5)))
			}
			record(op)
			open = append(open, &busy{op: op})
			started++
			continue
		}
		at := r.IntN(len(open))
		b := open[at]
		if !b.applied && r.Float64() >= s.info {
			apply(b)
			continue
		}
		slot := slotOf[b.op.Process]
		if b.applied {
			record(b.done)
		} else {
			if r.IntN(2) == 0 {
				apply(b)
			}
			lost := b.op
			lost.Type, lost.Error = history.Info, "deadline exceeded"
			record(lost)
			process[slot] = next
			slotOf[next] = slot
			next++
		}
		free = append(free, slot)
		open = slices.Delete(open, at, at+1)
	}
}

// BenchmarkCheck100k is from the file to the verdict: 100,000 operations on 100 keys, 10 clients always busy, 5 % of unknown outcome,
// all checkers of a run.
func BenchmarkCheck100k(b *testing.B) {
	for _, bc := range []struct {
		name string
		s    storeHistory
	}{
		{"versions", storeHistory{100_000, 100, 10, 0.05, true}},
		{"values", storeHistory{100_000, 100, 10, 0, false}},
		{"values-unknown", storeHistory{100_000, 100, 10, 0.05, false}},
		{"one-key", storeHistory{100_000, 1, 10, 0.05, true}},
	} {
		b.Run(bc.name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "history.jsonl.zst")
			persist(b, path, bc.s.make())
			c := must(b)(Linearizable(LinearizableOptions{}))
			all := []Checker{c, Stats(), Errors(), Logs(), Members(), Availability(), Exercise(Minimum{}, nil)}
			b.ReportAllocs()
			for b.Loop() {
				src, err := history.Open(path)
				if err != nil {
					b.Fatal(err)
				}
				rs, err := Run(context.Background(), src, all, Budget{Time: time.Minute, MemoryBytes: 2 << 30})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(rs[0].Elapsed.Seconds(), "s/linearizable")
				if rs[0].Verdict != Valid {
					b.Logf("linearizable is %s: %q %s", rs[0].Verdict, rs[0].Reasons, rs[0].Detail)
				}
			}
		})
	}
}

// persist writes a history as a run does.
func persist(tb testing.TB, path string, h history.Slice) {
	tb.Helper()
	w, err := history.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	for i := range h {
		op := h[i]
		if err := w.Append(&op); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
}
