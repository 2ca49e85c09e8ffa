package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/harness/sim/replicated"
)

// registers are the workloads whose transactions read and write registers, one number each; those of others are of lists.
var registers = []string{"wr", "stm", "long-fork"}

// parseMicros reads the value of a transaction: [["append", key, element], ["w", key, number], ["r", key, null], …].
func parseMicros(value json.RawMessage) ([]replicated.Micro, error) {
	var raw [][]json.RawMessage
	if err := json.Unmarshal(value, &raw); err != nil {
		return nil, err
	}
	micros := make([]replicated.Micro, len(raw))
	for i, parts := range raw {
		var f string
		if len(parts) != 3 {
			return nil, errors.New("want [function, key, value]")
		}
		err := errors.Join(json.Unmarshal(parts[0], &f), json.Unmarshal(parts[1], &micros[i].Key))
		switch f {
		case "r":
			micros[i].Read = true
		case "append", "w":
			micros[i].Replace = f == "w"
			err = errors.Join(err, json.Unmarshal(parts[2], &micros[i].Element))
		default:
			err = errors.Join(err, fmt.Errorf("unknown micro-operation %q", f))
		}
		if err != nil {
			return nil, err
		}
	}
	return micros, nil
}

// transacted completes a transaction. What it says of the store has the version as a fourth part; what it read of its own has none.
func (o *operation) transacted(r replicated.Result) {
	value, wrote := []byte{'['}, false
	for i, m := range r.Micros {
		if i > 0 {
			value = append(value, ',')
		}
		value = o.microJSON(value, m)
		wrote = wrote || !m.Read
	}
	version := int64(0)
	if wrote {
		version = r.Revision
	}
	o.ok(append(value, ']'), version, r.Revision)
}

func (o *operation) microJSON(text []byte, m replicated.Micro) []byte {
	f := "append"
	switch {
	case m.Read:
		f = "r"
	case m.Replace:
		f = "w"
	}
	text = append(append(append(text, `["`+f+`",`...), encode(m.Key)...), ',')
	switch {
	case !m.Read:
		text = strconv.AppendInt(text, m.Element, 10)
	case !o.s.registers:
		text = listJSON(text, m.Seen)
	case len(m.Seen) == 0:
		text = append(text, "null"...)
	default:
		text = strconv.AppendInt(text, m.Seen[len(m.Seen)-1], 10)
	}
	if !m.Own {
		text = strconv.AppendInt(append(text, ','), m.Version, 10)
	}
	return append(text, ']')
}

// transfer is the value of a bank's transfer, see the workload.
type transfer struct {
	From    int   `json:"from"`
	To      int   `json:"to"`
	Amount  int64 `json:"amount"`
	Opening int64 `json:"opening"`
	// Had is what there was where that was too little, and nothing was done.
	Had *int64 `json:"had,omitempty"`
}

// account is a key: accounts are counted from 0.
func account(bank string, n int) string { return bank + "/" + strconv.Itoa(n) }

// balance is what is in an account; one that nobody has touched has its opening balance.
func balance(m replicated.Micro, opening int64) int64 {
	if len(m.Seen) == 0 {
		return opening
	}
	return m.Seen[0]
}

// readAccounts reads accounts in one transaction.
func (o *operation) readAccounts(accounts []int, then func(replicated.Result)) {
	cmd := replicated.Command{Kind: replicated.Transact}
	for _, n := range accounts {
		cmd.Micros = append(cmd.Micros, replicated.Micro{Read: true, Key: account(o.op.Key, n)})
	}
	o.call(cmd, then)
}

// audit reads all accounts of a bank: [10, 10, …] are the opening balances, and are completed with those of now.
func (o *operation) audit() (begin func(), err error) {
	var opening []int64
	if err := json.Unmarshal(o.op.Value, &opening); err != nil {
		return nil, err
	}
	accounts := make([]int, len(opening))
	for i := range accounts {
		accounts[i] = i
	}
	return func() {
		o.readAccounts(accounts, func(r replicated.Result) {
			for i, m := range r.Micros {
				opening[i] = balance(m, opening[i])
			}
			o.ok(listJSON(nil, opening), 0, r.Revision)
		})
	}, nil
}

// transfer moves money from one account to another, guarded by the versions of both; a refused guard changed nothing, so the client tries again.
func (o *operation) transfer() (begin func(), err error) {
	var t transfer
	if err := json.Unmarshal(o.op.Value, &t); err != nil {
		return nil, err
	}
	tries := 0
	begin = func() {
		if tries++; tries > attempts {
			o.op.Type, o.op.Error = history.Fail, errConflict.Error()
			o.complete()
			return
		}
		o.readAccounts([]int{t.From, t.To}, func(r replicated.Result) {
			from, to := r.Micros[0], r.Micros[1]
			had := balance(from, t.Opening)
			if had < t.Amount {
				t.Had = &had
				o.ok(encode(t), 0, r.Revision)
				return
			}
			o.call(replicated.Command{
				Kind: replicated.PutGuarded, Key: from.Key, Guard: from.Version, List: []int64{had - t.Amount},
				Also: []replicated.Guarded{{Put: replicated.Put{Key: to.Key, Elements: []int64{balance(to, t.Opening) + t.Amount}}, Guard: to.Version}},
			}, func(r replicated.Result) {
				if !r.OK {
					begin()
					return
				}
				o.ok(slices.Clone(o.op.Value), r.Revision, r.Revision)
			})
		})
	}
	return begin, nil
}
