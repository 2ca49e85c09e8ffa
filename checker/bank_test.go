package checker

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/faultline/faultline/harness/history"
)

func TestBank(t *testing.T) {
	const (
		moved   = `0 transfer b {"from":0,"to":1,"amount":3}`
		audit   = `1 invoke read b [10,10] / 1 ok read b `
		unknown = `2 invoke transfer b {"from":1,"to":0,"amount":2} / 2 info transfer b {"from":1,"to":0,"amount":2} ! timeout`
		failed  = `2 invoke transfer b {"from":1,"to":0,"amount":2} / 2 fail transfer b {"from":1,"to":0,"amount":2} ! refused`
	)
	runTranscripts(t, Bank(), []transcriptCase{
		{name: "nothing", history: ``, want: "unknown", why: "no read of a bank was ok"},
		{name: "nothing moved", history: audit + `[10,10]`, want: "unknown", why: "no money was moved"},
		{name: "never read", history: moved, want: "unknown", why: "no read of a bank was ok"},
		{name: "moved", history: moved + ` / ` + audit + `[7,13]`, want: "valid"},
		{name: "read beside a transfer, before it", history: `0 invoke transfer b {"from":0,"to":1,"amount":3} / ` + audit + `[10,10] / 0 ok transfer b {"from":0,"to":1,"amount":3}`, want: "valid"},
		{name: "read beside a transfer, after it", history: `0 invoke transfer b {"from":0,"to":1,"amount":3} / ` + audit + `[7,13] / 0 ok transfer b {"from":0,"to":1,"amount":3}`, want: "valid"},
		{name: "lost money", history: moved + ` / ` + audit + `[7,10]`, want: "invalid wrong-total b [3] unexplained-balance b [3]", why: "read 3 of b by process 1 has 17 in all, it was opened with 20: 3 lost"},
		{name: "created money", history: moved + ` / ` + audit + `[10,13]`, want: "invalid wrong-total b [3] unexplained-balance b [3]", why: "has 23 in all, it was opened with 20: 3 created"},
		{name: "half of a transfer of unknown outcome", history: moved + ` / ` + unknown + ` / ` + audit + `[9,13]`, want: "invalid wrong-total b [5]", why: "2 created"},
		{name: "unknown, and it happened", history: moved + ` / ` + unknown + ` / ` + audit + `[9,11]`, want: "valid"},
		{name: "unknown, and it did not", history: moved + ` / ` + unknown + ` / ` + audit + `[7,13]`, want: "valid"},
		{name: "failed, and done all the same", history: moved + ` / ` + failed + ` / ` + audit + `[9,11]`, want: "invalid unexplained-balance b [5]", why: "has 9 in account 0, but the transfers from and to it allow 7"},
		{name: "acknowledged and lost", history: moved + ` / ` + audit + `[10,10]`, want: "invalid unexplained-balance b [3]", why: "allow 7"},
		{name: "negative", history: `0 transfer b {"from":0,"to":1,"amount":12} / ` + audit + `[-2,22]`, want: "invalid negative-balance b [3]", why: "has -2 in account 0"},
		{name: "nil", history: moved + ` / ` + audit + `[7,null]`, want: "invalid nil-balance b [3]"},
		{name: "an account too many", history: moved + ` / ` + audit + `[7,13,0]`, want: "invalid wrong-accounts b [3]"},
		{name: "refused for a reason", history: `0 transfer b {"from":0,"to":1,"amount":30,"had":10} / ` + moved + ` / ` + audit + `[7,13]`, want: "valid"},
		{name: "refused without a reason", history: `0 transfer b {"from":0,"to":1,"amount":3,"had":10} / ` + moved + ` / ` + audit + `[7,13]`, want: "invalid refused-in-plenty b [1]"},
		{name: "stale", history: moved + ` v=5 r=5 / 1 invoke read b [10,10] / 1 ok read b [10,10] r=4`, want: "invalid stale-read b [3 1]", why: "revision 4, but transfer 1 of revision 5"},
		{name: "of a later revision, and seen", history: `0 invoke transfer b {"from":0,"to":1,"amount":3} / 1 invoke read b [10,10] / 1 ok read b [7,13] r=4 / 0 ok transfer b {"from":0,"to":1,"amount":3} r=5`, want: "invalid unexplained-balance b [2]"},
		{name: "by name, as in Jepsen", history: `0 transfer {"from":"x","to":"y","amount":3} / 1 invoke read / 1 ok read {"x":7,"y":13} / 1 invoke read / 1 ok read {"x":7,"y":13} / 2 invoke read / 2 ok read {"x":4,"y":13}`, want: "invalid wrong-total [7 3]", why: "read 3 and most have 20: 3 lost"},
	})
}

// twinBank sums up all that may be in each read by every set of transfers. It knows one bank of two accounts with openings of 5.
func twinBank(pairs []history.Pair) (broken bool) {
	type move struct {
		From, To int
		Amount   int64
		p        history.Pair
	}
	var moves []move
	for _, p := range pairs {
		if p.Invoke.F == "transfer" && p.Outcome() != history.Fail {
			m := move{p: p}
			if json.Unmarshal(p.Invoke.Value, &m) != nil {
				panic("no transfer")
			}
			moves = append(moves, m)
		}
	}
	for _, r := range pairs {
		if r.Invoke.F != "read" || r.Outcome() != history.OK {
			continue
		}
		var seen []int64
		if json.Unmarshal(r.Complete.Value, &seen) != nil {
			panic("no read")
		}
		if seen[0]+seen[1] != 10 || seen[0] < 0 || seen[1] < 0 {
			return true
		}
		for account := range 2 {
			low, high, found := int64(0), int64(0), false
			for set := range 1 << len(moves) {
				balance, allowed := int64(5), true
				for i, m := range moves {
					in, acked := set>>i&1 == 1, m.p.Outcome() == history.OK
					switch {
					case acked && m.p.Complete.Revision > 0:
						allowed = allowed && in == (m.p.Complete.Revision <= r.Complete.Revision)
						allowed = allowed && (in || m.p.Complete.Index > r.Invoke.Index)
					case in:
						allowed = allowed && m.p.Invoke.Index < r.Complete.Index
					case acked:
						allowed = allowed && m.p.Complete.Index > r.Invoke.Index
					}
					if in && m.From != m.To && account == m.From {
						balance -= m.Amount
					}
					if in && m.From != m.To && account == m.To {
						balance += m.Amount
					}
				}
				if allowed {
					if !found || balance < low {
						low = balance
					}
					if !found || balance > high {
						high = balance
					}
					found = true
				}
			}
			if !found || seen[account] < low || seen[account] > high {
				return true
			}
		}
	}
	return false
}

// randomBank plays a few operations on a bank of two accounts and may lie about a read.
func randomBank(seed uint64) history.Slice {
	r := rand.New(rand.NewPCG(seed, 5))
	var h history.Slice
	record := func(op history.Op) {
		op.Index, op.Key = int64(len(h)), "b"
		h = append(h, op)
	}
	balances, revision, revisions := []int64{5, 5}, int64(2), r.IntN(2) == 0
	open := map[history.Process]*history.Op{} // the completion to come
	for next := history.Process(0); len(h) < 14; {
		p := history.Process(r.IntN(3))
		if done := open[p]; done != nil {
			record(*done)
			delete(open, p)
			continue
		}
		op := history.Op{Process: next + p, Type: history.Invoke, F: "read", Value: json.RawMessage("[5,5]")}
		from := r.IntN(2)
		amount := int64(r.IntN(4))
		transfers := r.IntN(2) == 0 && balances[from] >= amount
		if transfers {
			op.F, op.Value = "transfer", fmt.Appendf(nil, `{"from":%d,"to":%d,"amount":%d}`, from, 1-from, amount)
		}
		record(op)
		done := op
		done.Type = []history.Type{history.OK, history.OK, history.OK, history.Fail, history.Info}[r.IntN(5)]
		if transfers && done.Type != history.Fail && (done.Type == history.OK || r.IntN(2) == 0) {
			revision++
			balances[from] -= amount
			balances[1-from] += amount
		}
		if !transfers && done.Type == history.OK {
			seen := slices.Clone(balances)
			switch r.IntN(12) {
			case 0:
				seen[0]++
			case 1:
				seen[0]++
				seen[1]--
			}
			done.Value = fmt.Appendf(nil, "[%d,%d]", seen[0], seen[1])
		}
		if revisions && done.Type == history.OK {
			done.Revision = revision - int64(r.IntN(8)/7)
			if transfers {
				done.Revision = revision
			}
		}
		open[p] = &done
		if done.Type == history.Info {
			next += 3 // nobody goes on as that process
			record(done)
			delete(open, p)
			for _, q := range sortedKeys(open) {
				record(*open[q])
			}
			clear(open)
		}
	}
	return h
}

func compareBanks(t testing.TB, seed uint64) bool {
	h := randomBank(seed)
	var pairs []history.Pair
	moved, read := false, false
	for p, err := range history.ClientPairs(h) {
		if err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, p)
		moved = moved || p.Invoke.F == "transfer" && p.Outcome() != history.Fail
		read = read || p.Invoke.F == "read" && p.Outcome() == history.OK
	}
	v, names := verdictOf(t, Bank(), h)
	want := Valid
	switch {
	case twinBank(pairs):
		want = Invalid
	case !moved || !read:
		want = Unknown
	}
	if v != want {
		t.Fatalf("seed %d: %v %v, its twin %v\n%s", seed, v, names, want, history.Format(h))
	}
	return v == Invalid
}

// TestBankTwin: banks are judged as by trying every set of transfers for every read.
func TestBankTwin(t *testing.T) {
	invalid := 0
	for seed := range uint64(5000) {
		if compareBanks(t, seed) {
			invalid++
		}
	}
	if invalid < 1000 || invalid > 4500 {
		t.Errorf("%d of 5000 histories were invalid", invalid)
	}
	t.Logf("%d of 5000 invalid", invalid)
}

func FuzzBank(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { compareBanks(t, seed) })
}
