package sim_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/harness/sim"
)

// The checkers judge the simulator's histories in the self-test. Here it is judged by witnesses: facts that a few lines find,
// that no linearizable store shows, and that each bug is to show.
const (
	goneBack   = "an operation saw an older version of its key than one that was over before it began"
	twice      = "a list has an element twice"
	vanished   = "an element that was acknowledged or seen is missing from a later read"
	surfaced   = "an element is there whose addition failed"
	ownUnseen  = "a transaction's read lacks what it appended before"
	torn       = "what one transaction appended to a list is not together"
	casWithout = "a compare-and-set found what it could not have found"
)

const concurrency = 6

// drawing yields each worker's operations from a function of a number that no other operation has.
func drawing(seed uint64, f func(ctx *generator.Context, unique int) history.Op) generator.Generator {
	return generator.Seeded(seed, "main", generator.EachWorker(func(w generator.Worker) generator.Generator {
		return generator.Stagger(30*time.Millisecond, &counted{int(w), f})
	}))
}

type counted struct {
	n int
	f func(ctx *generator.Context, unique int) history.Op
}

func (c *counted) Next(ctx *generator.Context) (history.Op, generator.Status, generator.Generator) {
	p, ok := ctx.Anyone()
	if !ok {
		return history.Op{}, generator.Pending, c
	}
	op := c.f(ctx, c.n)
	op.Type, op.Process, op.Time = history.Invoke, p, ctx.Now
	return op, generator.Ready, &counted{c.n + concurrency, c.f}
}

func (c *counted) Update(*generator.Context, history.Op) generator.Generator { return c }

// key moves on with time, and two keys are in use at once.
func key(ctx *generator.Context) string {
	return fmt.Sprintf("k%d", int(ctx.Now/time.Second)*2+ctx.Rand.IntN(2))
}

var mains = map[string]func(seed uint64) generator.Generator{
	"register": func(seed uint64) generator.Generator {
		return drawing(seed, func(ctx *generator.Context, unique int) history.Op {
			switch op := (history.Op{F: "read", Key: key(ctx)}); ctx.Rand.IntN(4) {
			case 0:
				op.F, op.Value = "write", strconv.AppendInt(nil, int64(unique), 10)
				return op
			case 1: // never written, so never to be found
				op.F, op.Value = "cas", json.RawMessage("[-1,-2]")
				return op
			default:
				return op
			}
		})
	},
	"set": func(seed uint64) generator.Generator {
		return drawing(seed, func(ctx *generator.Context, unique int) history.Op {
			if ctx.Rand.IntN(2) == 0 {
				return history.Op{F: "read", Key: key(ctx)}
			}
			return history.Op{F: "add", Key: key(ctx), Value: strconv.AppendInt(nil, int64(unique), 10)}
		})
	},
	"append": func(seed uint64) generator.Generator {
		return drawing(seed, func(ctx *generator.Context, unique int) history.Op {
			k := key(ctx)
			a, b := 2*unique, 2*unique+1
			return history.Op{F: "txn", Value: []byte(fmt.Sprintf(
				`[["r",%q,null],["append",%q,%d],["append",%q,%d],["r",%q,null]]`, k, k, a, k, b, k))}
		})
	},
}

func simulate(t *testing.T, o sim.Options) history.Slice {
	t.Helper()
	s, err := sim.New(o)
	if err != nil {
		t.Fatal(err)
	}
	h := s.Memory()
	summary, err := sim.Run(context.Background(), harness.Test{
		Concurrency: concurrency, History: h, Generator: plan(s, mains[o.Workload](o.Seed), o.Seed, 10*time.Second),
	}, s)
	if err != nil {
		t.Fatalf("%+v: %v", o, err)
	}
	if summary.OK < 400 {
		t.Fatalf("%+v: only %+v", o, summary)
	}
	return h.Slice
}

// seen is what a witness knows.
type seen struct {
	version  map[string]int64          // the newest that a finished operation saw, by key
	elements map[string]map[int64]bool // acknowledged or read, by key
	failed   map[int64]bool
	found    map[string]int
}

// floor is what was known when an operation began.
type floor struct {
	version  map[string]int64
	elements map[string][]int64
}

// witness counts the facts of a history.
func witness(t *testing.T, h history.Slice) map[string]int {
	t.Helper()
	s := seen{map[string]int64{}, map[string]map[int64]bool{}, map[int64]bool{}, map[string]int{}}
	lists := map[string][][]int64{}
	floors := map[history.Process]floor{}
	for _, op := range h {
		if !op.Process.IsClient() {
			continue
		}
		micros := microsOf(t, op)
		if op.Type == history.Invoke {
			f := floor{map[string]int64{}, map[string][]int64{}}
			for _, m := range micros {
				f.version[m.key] = s.version[m.key]
				f.elements[m.key] = slices.AppendSeq(make([]int64, 0, len(s.elements[m.key])), maps.Keys(s.elements[m.key]))
			}
			floors[op.Process] = f // of this operation's keys only
			continue
		}
		if op.Type == history.Info {
			continue
		}
		s.complete(op, micros, floors[op.Process])
		for _, m := range micros {
			if m.read && op.Type == history.OK {
				lists[m.key] = append(lists[m.key], m.list)
			}
		}
	}
	for _, all := range lists {
		for _, list := range all {
			for _, e := range list {
				if s.failed[e] {
					s.found[surfaced]++
				}
			}
		}
	}
	return s.found
}

func (s *seen) complete(op history.Op, micros []microOp, f floor) {
	own := map[string][]int64{}
	for _, m := range micros {
		switch {
		case op.Type == history.Fail:
			if !m.read {
				s.failed[m.element] = true
			}
			continue
		case m.read:
			s.read(m, own[m.key], f)
		default:
			own[m.key] = append(own[m.key], m.element)
			s.know(m.key, m.element)
		}
	}
	if op.Type != history.OK || op.F == "txn" {
		return
	}
	if op.Version < f.version[op.Key] {
		s.found[goneBack]++
	}
	s.version[op.Key] = max(s.version[op.Key], op.Version)
	if op.F == "cas" {
		var v []any
		if json.Unmarshal(op.Value, &v) == nil && v[2] == true {
			s.found[casWithout]++
		}
	}
}

func (s *seen) read(m microOp, own []int64, f floor) {
	place := make(map[int64]int, len(m.list))
	for i, e := range m.list {
		place[e] = i + 1
		s.know(m.key, e)
	}
	if len(place) < len(m.list) {
		s.found[twice]++
	}
	for _, e := range f.elements[m.key] {
		if place[e] == 0 {
			s.found[vanished]++
		}
	}
	for _, e := range own {
		if place[e] == 0 {
			s.found[ownUnseen]++
		}
	}
	if len(own) == 2 && place[own[0]] > 0 && place[own[1]] > place[own[0]]+1 {
		s.found[torn]++
	}
}

func (s *seen) know(key string, element int64) {
	if s.elements[key] == nil {
		s.elements[key] = map[int64]bool{}
	}
	s.elements[key][element] = true
}

// microOp is a read of a list or an addition to one.
type microOp struct {
	read    bool
	key     string
	element int64
	list    []int64
}

// microsOf takes an operation apart; a register has none that are lists.
func microsOf(t *testing.T, op history.Op) []microOp {
	t.Helper()
	var err error
	m := microOp{key: op.Key}
	switch {
	case op.F == "add":
		err = json.Unmarshal(op.Value, &m.element)
	case op.F == "read" && len(op.Value) > 0 && op.Value[0] == '[':
		m.read, m.list = true, ints(op.Value)
	case op.F == "txn":
		var raw [][]json.RawMessage
		err = json.Unmarshal(op.Value, &raw)
		var out []microOp
		for _, r := range raw {
			m := microOp{read: string(r[0]) == `"r"`}
			err = errors.Join(err, json.Unmarshal(r[1], &m.key))
			if m.read {
				m.list = ints(r[2])
			} else {
				err = errors.Join(err, json.Unmarshal(r[2], &m.element))
			}
			out = append(out, m)
		}
		if err != nil {
			t.Fatalf("%+v: %v", op, err)
		}
		return out
	default:
		m.read = true // of a register: no list
	}
	if err != nil {
		t.Fatalf("%+v: %v", op, err)
	}
	return []microOp{m}
}

// ints are the numbers of a list of such, as encoding/json would read them, in a tenth of its time.
func ints(list []byte) []int64 {
	out := make([]int64, 0, len(list)/4)
	for i := 0; i < len(list); i++ {
		if list[i] < '0' || list[i] > '9' {
			continue
		}
		n := int64(0)
		for ; list[i] >= '0' && list[i] <= '9'; i++ {
			n = 10*n + int64(list[i]-'0')
		}
		out = append(out, n)
	}
	return out
}

// TestHealthy: no seed of the healthy system shows any of it.
func TestHealthy(t *testing.T) {
	t.Parallel()
	for workload := range mains {
		for seed := range uint64(12) {
			nodes := []int{1, 2, 3, 5}[seed%4]
			h := simulate(t, sim.Options{Nodes: nodes, Seed: seed, Workload: workload, Timeout: 400 * time.Millisecond})
			if found := witness(t, h); len(found) > 0 {
				t.Errorf("%s, seed %d, %d nodes: %v", workload, seed, nodes, found)
			}
		}
	}
}

// TestBugs: every bug shows, in every workload that the table says it shows in, in 4 of 5 seeds at least (the self-test
// asks for 19 of 20, of the checkers).
func TestBugs(t *testing.T) {
	t.Parallel()
	shows := map[string][]string{
		"stale-read": {goneBack, vanished}, "lost-write": {goneBack, vanished}, "double-apply": {twice, "register"},
		"cas-ignores-guard": {casWithout, vanished}, "failed-write-surfaces": {surfaced, "register"},
		"split-brain": {goneBack, vanished}, "element-lost": {vanished}, "own-append-unseen": {ownUnseen}, "torn-transaction": {torn},
		"write-skew": {"append"}, "long-fork": {"append"}, "revision-twice": {"register"}, "mixed-read": {goneBack, vanished}, "replica-diverges": {"register"},
	}
	for _, b := range sim.Bugs {
		for _, workload := range b.Workloads {
			if mains[workload] == nil {
				continue // of API servers: plane_test.go has them
			}
			if slices.Contains(shows[b.Name], workload) {
				continue // shows only in values, or in a graph, which takes a checker
			}
			seeds := 0
			for seed := range uint64(5) {
				found := witness(t, simulate(t, sim.Options{Seed: seed, Bug: b.Name, Workload: workload}))
				if slices.ContainsFunc(shows[b.Name], func(w string) bool { return found[w] > 0 }) {
					seeds++
				}
			}
			if seeds < 4 {
				t.Errorf("%s shows in %s in %d of 5 seeds", b.Name, workload, seeds)
			}
		}
	}
}

func TestUnknownNames(t *testing.T) {
	if _, err := sim.New(sim.Options{Bug: "stale-raed"}); !errors.Is(err, sim.ErrUnknownBug) {
		t.Error(err)
	}
	if _, err := sim.New(sim.Options{Workload: "queues"}); !errors.Is(err, sim.ErrUnknownWorkload) {
		t.Error(err)
	}
}

// TestFaultsAreProved: every fault that acted shows its effect, and the members agree in the end.
func TestFaultsAreProved(t *testing.T) {
	starts := map[string]int{}
	h := simulate(t, sim.Options{Seed: 3, Workload: "register"})
	for _, op := range h {
		if op.Process != history.Nemesis || op.Type == history.Invoke {
			continue
		}
		if op.Type != history.OK && op.Type != history.Fail {
			t.Errorf("%+v", op)
		}
		if family, start, ok := history.FamilyOf(op.F); ok && start && op.Type == history.OK {
			starts[family]++
			var f history.Fault
			var proof struct {
				Unreachable []string
				Up, Paused  []bool
			}
			if err := errors.Join(json.Unmarshal(op.Value, &f), json.Unmarshal(f.Proof, &proof)); err != nil {
				t.Fatal(err)
			}
			shown := map[string]bool{
				sim.FamilyPartition: slices.Equal(proof.Unreachable, f.Nodes),
				sim.FamilyKill:      len(proof.Up) == len(f.Nodes) && !slices.Contains(proof.Up, true),
				sim.FamilyPause:     len(proof.Paused) == len(f.Nodes) && !slices.Contains(proof.Paused, false),
			}
			if len(f.Nodes) == 0 || !shown[family] {
				t.Errorf("%s on %v is proved by %s", family, f.Nodes, f.Proof)
			}
		}
		if op.F == history.FMembers {
			var states []history.MemberState
			if err := json.Unmarshal(op.Value, &states); err != nil {
				t.Fatal(err)
			}
			for _, m := range states {
				if m.Revision != states[0].Revision || m.Hash != states[0].Hash || m.Error != "" || m.Leader == "" {
					t.Errorf("the members do not agree: %+v", states)
				}
			}
		}
	}
	for _, family := range []string{sim.FamilyPartition, sim.FamilyKill, sim.FamilyPause} {
		if starts[family] == 0 {
			t.Errorf("no %s in %v", family, starts)
		}
	}
}
