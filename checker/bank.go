package checker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/faultline/faultline/harness/history"
)

// Bank judges transfers of money between accounts, after Jepsen's bank tests. Each Op.Key is a bank of its own.
//
//   - transfer: {"from": 0, "to": 3, "amount": 2, "opening": 10} is also its completion; one with "had": 1 beside was refused, as the account had
//     no more than that, and changed nothing. "opening" is what accounts have that nobody has touched; it is not looked at.
//   - read: the balances of all accounts, [10, 8, 12], or {"0": 10, "1": 8, …}. Its invocation may have the opening balances.
//
// Money is neither made nor lost, whatever the outcome of a transfer: every read must have the total of the opening balances or, where no
// invocation has these, that of the most reads.
//
//   - wrong-total: a read of another total. Snapshot isolation and all stronger models rule it out.
//   - negative-balance: a read of less than nothing. Transfers are refused that would make it.
//   - nil-balance: a read without a number for an account.
//   - wrong-accounts: a read of other accounts than its invocation asked for, or than the most reads had.
//   - refused-in-plenty: a transfer was refused although the account had enough, or less than nothing, by its own word.
//   - unexplained-balance: no set of the transfers that were acknowledged before the read, with some of those that ran beside it or are of
//     unknown outcome, leads to the balance: money was moved by nobody, or an acknowledged transfer was lost. Where reads and transfers
//     have revisions, and the opening balances are known, those at or below the read's must be in it, and the others must not.
//   - stale-read: the revision is older than that of a transfer acknowledged before the read began.
//
// Unexplained balances are looked for where the opening balances are known, account by account, within the least and the greatest sum that
// the transfers allow; so linearizability is not decided.
func Bank() Checker { return bank{} }

type bank struct{}

// BankDetail is the Detail of Bank.
type BankDetail struct {
	Banks     int   `json:"banks"`
	Reads     int64 `json:"reads"`
	Transfers int64 `json:"transfers"`
	Refused   int64 `json:"refused"`
	// Unknown are the transfers of unknown outcome.
	Unknown int64 `json:"unknown"`
}

// transfer is one that may have happened.
type transfer struct {
	from, to  string
	amount    int64
	revision  int64 // 0: not told
	call, ret int64 // ret is never where the outcome is unknown
	index     int64
}

// bankRead is an ok read. Accounts are in the order of the value.
type bankRead struct {
	accounts []string
	balances []int64
	// opening are the opening balances by the invocation; nil: not told.
	opening   []int64
	total     int64
	revision  int64
	call, ret int64
	index     int64
	who       string
}

// bankOf is one bank.
type bankOf struct {
	key       string
	reads     []bankRead
	transfers []transfer
	unknown   []transfer
}

func (bank) Name() string { return "bank" }

func (bank) Check(ctx context.Context, src history.Source, _ Budget) (Result, error) {
	j := bankJudge{banks: map[string]*bankOf{}}
	err := j.f.clients(ctx, src, func(p history.Pair) error {
		if p.Outcome() == history.Fail {
			return nil
		}
		switch p.Invoke.F {
		case fRead:
			return j.read(p)
		case fTransfer:
			return j.transfer(p)
		}
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	for _, key := range sortedKeys(j.banks) {
		if ctx.Err() != nil {
			j.f.unknown("%s", errStopped)
			break
		}
		j.judge(j.banks[key])
	}
	j.d.Banks = len(j.banks)
	switch {
	case j.d.Reads == 0:
		j.f.unknown("nothing to check: no read of a bank was ok")
	case j.d.Transfers+j.d.Unknown == 0:
		j.f.unknown("nothing to check: no money was moved")
	}
	return j.f.result(fmt.Sprintf("%s, %s, %s, %s refused, %s of unknown outcome", count(j.d.Banks, "bank", "banks"), count(j.d.Reads, "read", "reads"),
		count(j.d.Transfers, "transfer", "transfers"), thousands(j.d.Refused), thousands(j.d.Unknown)), j.d)
}

// bankJudge gathers banks and turns them into anomalies.
type bankJudge struct {
	f     findings
	d     BankDetail
	banks map[string]*bankOf
}

func (j *bankJudge) bank(key string) *bankOf {
	b := j.banks[key]
	if b == nil {
		b = &bankOf{key: key}
		j.banks[key] = b
	}
	return b
}

// transfer takes a transfer in.
func (j *bankJudge) transfer(p history.Pair) error {
	var asked struct {
		From, To json.RawMessage
		Amount   *int64
		Had      *int64
	}
	text, ok := p.Invoke.Value, p.Outcome() == history.OK
	if ok {
		text = p.Complete.Value
	}
	if err := json.Unmarshal(text, &asked); err != nil || asked.Amount == nil || isNull(asked.From) || isNull(asked.To) {
		return fmt.Errorf("operation %d: %w: %.80q is no transfer {from, to, amount}", indexOf(p), ErrMalformed, text)
	}
	b := j.bank(p.Invoke.Key)
	t := transfer{
		from: accountName(asked.From), to: accountName(asked.To), amount: *asked.Amount,
		revision: p.Complete.Revision, call: p.Invoke.Index, ret: returned(p), index: indexOf(p),
	}
	switch {
	case !ok:
		t.ret, t.revision = never, 0
		b.unknown = append(b.unknown, t)
		j.d.Unknown++
	case asked.Had != nil:
		j.d.Refused++
		if had := *asked.Had; had >= t.amount || had < 0 {
			j.f.add(Anomaly{
				Name: "refused-in-plenty", Key: b.key, Ops: []int64{t.index},
				Why: fmt.Sprintf("transfer %d of %d%s was refused because account %s had %d", t.index, t.amount, in(b.key), t.from, had),
			})
		}
	default:
		b.transfers = append(b.transfers, t)
		j.d.Transfers++
	}
	return nil
}

// accountName is an account as JSON has it, be it a number or a text.
func accountName(v json.RawMessage) string {
	var text string
	if json.Unmarshal(v, &text) == nil {
		return text
	}
	return string(v)
}

// read takes a read in.
func (j *bankJudge) read(p history.Pair) error {
	if p.Outcome() != history.OK {
		return nil
	}
	r := bankRead{
		revision: p.Complete.Revision, call: p.Invoke.Index, ret: returned(p), index: indexOf(p),
		who: fmt.Sprintf("read %d%s by process %s%s", indexOf(p), in(p.Invoke.Key), p.Invoke.Process, on(p.Invoke.Node)),
	}
	var missing, asked []string
	var err error
	if r.accounts, r.balances, missing, err = balances(p.Complete.Value); err != nil {
		return fmt.Errorf("operation %d: %w", r.index, err)
	}
	if !isNull(p.Invoke.Value) {
		if asked, r.opening, _, err = balances(p.Invoke.Value); err != nil {
			return fmt.Errorf("operation %d: %w", p.Invoke.Index, err)
		}
	}
	j.d.Reads++
	b := j.bank(p.Invoke.Key)
	switch {
	case len(missing) > 0:
		j.f.add(Anomaly{Name: "nil-balance", Key: b.key, Ops: []int64{r.index}, Why: r.who + fmt.Sprintf(" has no balance of account %s", missing[0])})
		return nil
	case asked != nil && !slices.Equal(asked, r.accounts):
		j.f.add(Anomaly{
			Name: "wrong-accounts", Key: b.key, Ops: []int64{r.index}, Why: r.who + fmt.Sprintf(" asked for accounts %v and has %v", asked, r.accounts),
		})
		return nil
	}
	for i, n := range r.balances {
		r.total += n
		if n < 0 {
			j.f.add(Anomaly{
				Name: "negative-balance", Key: b.key, Ops: []int64{r.index}, Why: r.who + fmt.Sprintf(" has %d in account %s", n, r.accounts[i]),
			})
		}
	}
	b.reads = append(b.reads, r)
	return nil
}

// balances are those of an array, whose accounts are counted from 0, or of an object; missing are accounts without a number.
func balances(v json.RawMessage) (accounts []string, numbers []int64, missing []string, err error) {
	of := map[string]*int64{}
	var list []*int64
	if json.Unmarshal(v, &list) == nil {
		for i, n := range list {
			accounts = append(accounts, fmt.Sprint(i))
			of[accounts[i]] = n
		}
	} else {
		if err := json.Unmarshal(v, &of); err != nil {
			return nil, nil, nil, fmt.Errorf("%w: %.80q are no balances", ErrMalformed, v)
		}
		accounts = sortedKeys(of)
	}
	for _, a := range accounts {
		if of[a] == nil {
			missing = append(missing, a)
			continue
		}
		numbers = append(numbers, *of[a])
	}
	return accounts, numbers, missing, nil
}

// in is " of KEY", or nothing where there is only one.
func in(key string) string {
	if key == "" {
		return ""
	}
	return " of " + key
}

// usual is the value that most have, the first of these where there are several.
func usual[T any, K cmp.Ordered](list []T, by func(T) K) (T, bool) {
	counts := map[K]int{}
	var best T
	most := 0
	for _, v := range list {
		counts[by(v)]++
	}
	for _, v := range list {
		if n := counts[by(v)]; n > most {
			best, most = v, n
		}
	}
	return best, most > 0
}
