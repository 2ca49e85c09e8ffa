package checker

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// judge adds the anomalies of one bank that single operations do not show.
func (j *bankJudge) judge(b *bankOf) {
	standard, ok := usual(b.reads, func(r bankRead) string { return strings.Join(r.accounts, "\x00") })
	if !ok {
		return
	}
	right, ok := usual(b.reads, func(r bankRead) int64 { return r.total })
	if !ok {
		return
	}
	for i := range b.reads {
		r := &b.reads[i]
		switch {
		case !slices.Equal(r.accounts, standard.accounts):
			j.f.add(Anomaly{
				Name: "wrong-accounts", Key: b.key, Ops: []int64{r.index, standard.index},
				Why: fmt.Sprintf("%s has accounts %v, read %d has %v", r.who, r.accounts, standard.index, standard.accounts),
			})
		case r.opening != nil:
			j.total(b, r, sum(r.opening), "it was opened with", nil)
		default:
			j.total(b, r, right.total, fmt.Sprintf("read %d and most have", right.index), []int64{right.index})
		}
	}
	if standard.opening != nil {
		j.accounts(b, standard)
	}
}

// total judges what there is in all accounts of a bank together.
func (j *bankJudge) total(b *bankOf, r *bankRead, want int64, whose string, also []int64) {
	if r.total == want {
		return
	}
	change := fmt.Sprintf("%d lost", want-r.total)
	if r.total > want {
		change = fmt.Sprintf("%d created", r.total-want)
	}
	j.f.add(Anomaly{
		Name: "wrong-total", Key: b.key, Ops: append([]int64{r.index}, also...),
		Why: fmt.Sprintf("%s has %d in all, %s %d: %s", r.who, r.total, whose, want, change),
	})
}

func sum(numbers []int64) (total int64) {
	for _, n := range numbers {
		total += n
	}
	return total
}

// accounts judges what there is in each account, by the transfers from and to it.
func (j *bankJudge) accounts(b *bankOf, standard bankRead) {
	ledgers := make(map[string]*accountLedger, len(standard.accounts))
	revisions := !slices.ContainsFunc(b.transfers, func(t transfer) bool { return t.revision == 0 })
	for _, name := range standard.accounts {
		ledgers[name] = newAccountLedger(b, name, revisions)
	}
	newest := newestBefore(b.transfers)
	for i := range b.reads {
		r := &b.reads[i]
		if t := newest.before(r.call); revisions && r.revision > 0 && t != nil && t.revision > r.revision {
			j.f.add(Anomaly{
				Name: "stale-read", Key: b.key, Ops: []int64{r.index, t.index},
				Why: fmt.Sprintf("%s is of revision %d, but transfer %d of revision %d was acknowledged before it began", r.who, r.revision, t.index, t.revision),
			})
			continue // what is stale is explained
		}
		j.balances(b, r, ledgers, revisions && r.revision > 0)
	}
}

// balances judges those of one read. One account that can't be explained is enough to tell.
func (j *bankJudge) balances(b *bankOf, r *bankRead, ledgers map[string]*accountLedger, byRevision bool) {
	if r.opening == nil {
		return
	}
	for i, name := range r.accounts {
		l := ledgers[name]
		if l == nil {
			return // other accounts than usual: told already
		}
		low, high := l.bounds(r, byRevision)
		low, high = low+r.opening[i], high+r.opening[i]
		if low <= r.balances[i] && r.balances[i] <= high {
			continue
		}
		allowed := fmt.Sprintf("%d", low)
		if low < high {
			allowed = fmt.Sprintf("%d to %d", low, high)
		}
		j.f.add(Anomaly{
			Name: "unexplained-balance", Key: b.key, Ops: []int64{r.index},
			Why: fmt.Sprintf("%s has %d in account %s, but the transfers from and to it allow %s", r.who, r.balances[i], name, allowed),
		})
		return
	}
}

// accountLedger is what came into an account and went out of it.
type accountLedger struct {
	// byRet, byCall and byRevision are the acknowledged transfers in the order of these, unknown the others by invocation.
	byRet, byCall, byRevision, unknown sums
}

func newAccountLedger(b *bankOf, name string, revisions bool) *accountLedger {
	entries := func(list []transfer) []counted {
		var out []counted
		for _, t := range list {
			if t.from == t.to {
				continue
			}
			c := counted{version: t.revision, call: t.call, ret: t.ret, number: t.amount}
			switch name {
			case t.from:
				c.number = -t.amount
			case t.to:
			default:
				continue
			}
			out = append(out, c)
		}
		return out
	}
	acked, call := entries(b.transfers), func(c counted) int64 { return c.call }
	l := &accountLedger{
		byRet:  sumsBy(acked, func(c counted) int64 { return c.ret }),
		byCall: sumsBy(acked, call), unknown: sumsBy(entries(b.unknown), call),
	}
	if revisions {
		l.byRevision = sumsBy(acked, func(c counted) int64 { return c.version })
	}
	return l
}

// bounds are the least and the greatest change of the account that a read can show.
func (l *accountLedger) bounds(r *bankRead, byRevision bool) (low, high int64) {
	maybe := l.unknown.below(r.ret)
	low, high = l.unknown.neg[maybe], l.unknown.pos[maybe]
	if byRevision {
		change := l.byRevision.all[l.byRevision.below(r.revision+1)]
		return low + change, high + change
	}
	done, begun := l.byRet.below(r.call), l.byCall.below(r.ret)
	change := l.byRet.all[done]
	return low + change + l.byCall.neg[begun] - l.byRet.neg[done], high + change + l.byCall.pos[begun] - l.byRet.pos[done]
}

// newestTransfers are transfers by their completion, each the newest so far.
type newestTransfers []transfer

func newestBefore(transfers []transfer) newestTransfers {
	sorted := slices.SortedFunc(slices.Values(transfers), func(a, b transfer) int { return cmp.Compare(a.ret, b.ret) })
	var out newestTransfers
	for _, t := range sorted {
		if len(out) == 0 || t.revision > out[len(out)-1].revision {
			out = append(out, t)
		}
	}
	return out
}

// before is the newest transfer that was acknowledged before an index, nil where there is none.
func (n newestTransfers) before(index int64) *transfer {
	i, _ := slices.BinarySearchFunc(n, index, func(t transfer, index int64) int { return cmp.Compare(t.ret, index) })
	if i == 0 {
		return nil
	}
	return &n[i-1]
}
