package checker

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/faultline/faultline/harness/history"
)

// AppendInternal judges transactions (f "txn") that append unique elements to lists and read the lists, by what can be seen without a graph of
// their dependencies. Its Valid claims no more than that.
//
//   - internal: a transaction's read contradicts what it read or appended before.
//   - garbage-read: nobody ever appended the element. G1a: who did was told that the transaction failed. future-read: it was
//     read before it was appended.
//   - G1b: another transaction's list ends in an element that was not the last that its transaction appended to that list.
//   - duplicate-elements: a list has an element twice, or two transactions append the same one.
//   - incompatible-order: two reads of a list, neither of which is a prefix of the other.
//
// The names are those of Adya (Weak Consistency, 1999) and of Kingsbury and Alvaro (Elle, VLDB 2020).
func AppendInternal() Checker { return appendInternal{} }

type appendInternal struct{}

// AppendDetail is the Detail of AppendInternal.
type AppendDetail struct {
	Transactions int64 `json:"transactions"`
	Keys         int64 `json:"keys"`
	Appends      int64 `json:"appends"`
	Reads        int64 `json:"reads"`
}

// appended is who appended an element to a list.
type appended struct {
	by int64 // the operation's name to people
	// call is the invocation; never where only failed transactions appended it.
	call int64
	// failed is the invocation of a failed transaction that appended it, or never; failedBy names it.
	failed, failedBy int64
	// last: no later append to the list in the same transaction.
	last bool
	txn  int64 // index of the invocation
	// firstSeen is the first completion of a read that has it, or never.
	firstSeen int64
}

// seenLast is a list that was read by another transaction than txn, ending in an element.
type seenLast struct {
	element int32
	txn     int64
	index   int64
}

// listOf is one list.
type listOf struct {
	elements map[int32]*appended
	// longest is the longest read so far, its text, and who read it.
	longest     []int32
	longestText []byte
	longestBy   int64
	// ends are the last elements of the reads, one of each.
	ends map[int32]seenLast
}

// appendJudge gathers transactions.
type appendJudge struct {
	f     findings
	names *names
	lists map[string]*listOf
	d     AppendDetail
}

func (appendInternal) Name() string { return "append-internal" }

func (appendInternal) Check(ctx context.Context, src history.Source, _ Budget) (Result, error) {
	j := appendJudge{names: newNames(), lists: map[string]*listOf{}}
	err := j.f.clients(ctx, src, func(p history.Pair) error {
		if p.Invoke.F != fTxn {
			return nil
		}
		return j.take(p)
	})
	if err != nil {
		return Result{}, err
	}
	j.d.Keys = int64(len(j.lists))
	if j.d.Transactions == 0 {
		j.f.unknown("nothing to check: no transaction was ok")
	}
	for _, key := range slices.Sorted(maps.Keys(j.lists)) {
		j.origins(key, j.lists[key])
	}
	return j.f.result(fmt.Sprintf("%s on %s: internal consistency only", count(j.d.Transactions, "ok transaction", "ok transactions"),
		count(j.d.Keys, "list", "lists")), j.d)
}

func (j *appendJudge) list(key string) *listOf {
	l := j.lists[key]
	if l == nil {
		l = &listOf{elements: map[int32]*appended{}, ends: map[int32]seenLast{}}
		j.lists[key] = l
	}
	return l
}

func (l *listOf) element(id int32) *appended {
	e := l.elements[id]
	if e == nil {
		e = &appended{call: never, failed: never, firstSeen: never}
		l.elements[id] = e
	}
	return e
}

// take notes a transaction and judges it by itself.
func (j *appendJudge) take(p history.Pair) error {
	op := p.Invoke
	ok := p.Outcome() == history.OK
	if ok {
		op = p.Complete
		j.d.Transactions++
	}
	micros, err := parseTxn(op)
	if err != nil {
		return err
	}
	latest := map[string]*appended{}
	state := map[string]*txnView{}
	for _, m := range micros {
		v := state[m.key]
		if v == nil {
			v = &txnView{}
			state[m.key] = v
		}
		switch {
		case m.f == microAppend:
			id := j.names.id(m.value)
			v.append(id)
			if e := j.append(p, m.key, id); e != nil {
				if was := latest[m.key]; was != nil {
					was.last = false
				}
				latest[m.key] = e
			}
		case m.f == microRead && ok:
			if err := j.read(p, m, v); err != nil {
				return err
			}
		case m.f != microRead:
			return fmt.Errorf("operation %d: %w: the micro-operation %q is neither append nor r", op.Index, ErrMalformed, m.f)
		}
	}
	return nil
}

// append notes an append; nil if it adds nothing to what is known.
func (j *appendJudge) append(p history.Pair, key string, id int32) *appended {
	j.d.Appends++
	e := j.list(key).element(id)
	if p.Outcome() == history.Fail {
		if p.Invoke.Index < e.failed {
			e.failed, e.failedBy = p.Invoke.Index, indexOf(p)
		}
		return nil
	}
	if e.call != never {
		j.f.add(Anomaly{Name: "duplicate-elements", Key: key, Ops: []int64{e.by, indexOf(p)}, Why: fmt.Sprintf(
			"transactions %d and %d both append %s to %s", e.by, indexOf(p), j.names.text(id), key)})
		return nil
	}
	e.by, e.call, e.txn, e.last = indexOf(p), p.Invoke.Index, p.Invoke.Index, true
	return e
}

// txnView is what a transaction must find in a list: known is everything if whole, else an end of it.
type txnView struct {
	known []int32
	whole bool
}

func (v *txnView) append(id int32) { v.known = append(v.known, id) }

// agrees tells whether a read may follow, and takes it over.
func (v *txnView) agrees(list []int32) bool {
	ok := len(list) >= len(v.known) && slices.Equal(list[len(list)-len(v.known):], v.known) && (!v.whole || len(list) == len(v.known))
	v.known, v.whole = slices.Clone(list), true
	return ok
}

// read judges a read against its own transaction, and notes it for the others.
func (j *appendJudge) read(p history.Pair, m micro, v *txnView) error {
	j.d.Reads++
	l, index := j.list(m.key), p.Complete.Index
	list, seen := l.prefix(m.value)
	if !seen {
		texts, err := elements(m.value)
		if err != nil {
			return fmt.Errorf("operation %d: a read of %s: %w", index, m.key, err)
		}
		list = make([]int32, len(texts))
		for i, t := range texts {
			list[i] = j.names.id(t)
		}
	}
	expected := *v
	if !v.agrees(list) {
		j.f.add(Anomaly{Name: "internal", Key: m.key, Ops: []int64{index}, Why: fmt.Sprintf(
			"transaction %d read %s as %s, but by what it had read and appended before it must %s",
			index, m.key, j.show(list), expected.must(j))})
	}
	if !seen {
		j.duplicates(m.key, index, list)
		for _, id := range list {
			e := l.element(id)
			e.firstSeen = min(e.firstSeen, index)
		}
		j.order(m.key, l, index, list, m.value)
	}
	if n := len(list); n > 0 {
		end := seenLast{list[n-1], p.Invoke.Index, index}
		if e := l.elements[end.element]; e.call == never || e.txn != end.txn {
			if _, known := l.ends[end.element]; !known {
				l.ends[end.element] = end
			}
		}
	}
	return nil
}

// prefix tells whether a list's text begins the longest one that was read, and is its elements. Then nothing about them is
// new: the longest was read before, by the order of completions. Most reads are like that, and need not be parsed.
func (l *listOf) prefix(text []byte) (list []int32, ok bool) {
	n := len(text)
	if n < 3 || n > len(l.longestText) || text[n-1] != ']' || !bytes.Equal(text[:n-1], l.longestText[:n-1]) ||
		l.longestText[n-1] != ',' && l.longestText[n-1] != ']' || bytes.ContainsAny(text[1:n-1], `"[{`) {
		return nil, false
	}
	return l.longest[:bytes.Count(text, []byte{','})+1], true
}

func (v *txnView) must(j *appendJudge) string {
	if v.whole {
		return "be " + j.show(v.known)
	}
	return "end in " + j.show(v.known)
}

// show writes a list, its beginning left out where it is long.
func (j *appendJudge) show(list []int32) string {
	const shown = 12
	var b bytes.Buffer
	b.WriteByte('[')
	if len(list) > shown {
		b.WriteString("… ")
		list = list[len(list)-shown:]
	}
	for i, id := range list {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(j.names.text(id))
	}
	b.WriteByte(']')
	return b.String()
}
