package checker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/faultline/faultline/harness/history"
)

// UniqueIDs judges identifiers that the system gives out (f "generate", null → the identifier, any JSON but null): no two
// acknowledged operations got the same one. Each Op.Key is a space of its own. What an operation of unknown outcome got nobody knows, and nobody uses.
//
//   - duplicate-id: it was given to two operations.
func UniqueIDs() Checker { return uniqueIDs{} }

type uniqueIDs struct{}

// UniqueIDsDetail is the Detail of UniqueIDs.
type UniqueIDsDetail struct {
	Attempted    int64 `json:"attempted"`
	Acknowledged int64 `json:"acknowledged"`
	// Duplicated are identifiers that were given more than once.
	Duplicated int `json:"duplicated"`
	// First and Last are the first and the last one that were acknowledged.
	First json.RawMessage `json:"first,omitempty"`
	Last  json.RawMessage `json:"last,omitempty"`
}

func (uniqueIDs) Name() string { return "unique-ids" }

func (uniqueIDs) Check(ctx context.Context, src history.Source, _ Budget) (Result, error) {
	type space struct {
		key string
		id  string
	}
	var (
		f      findings
		d      UniqueIDsDetail
		given  = map[space]int64{} // by the index of who got it first
		again  = map[space]bool{}
		number = newNames() // one text for equal identifiers, whatever the spaces around them
	)
	err := f.clients(ctx, src, func(p history.Pair) error {
		if p.Invoke.F != fGenerate {
			return nil
		}
		d.Attempted++
		if p.Outcome() != history.OK {
			return nil
		}
		if isNull(p.Complete.Value) {
			return fmt.Errorf("operation %d: %w: no identifier was generated", p.Complete.Index, ErrMalformed)
		}
		d.Acknowledged++
		id := bytes.TrimSpace(p.Complete.Value)
		if d.First == nil {
			d.First = id
		}
		d.Last = id
		s := space{p.Invoke.Key, number.text(number.id(id))}
		first, twice := given[s]
		if !twice {
			given[s] = p.Complete.Index
			return nil
		}
		again[s] = true
		f.add(Anomaly{
			Name: "duplicate-id", Key: s.key, Ops: []int64{p.Complete.Index, first},
			Why: fmt.Sprintf("operation %d of process %s%s got the identifier %.60s, which operation %d had got", p.Complete.Index, p.Invoke.Process,
				on(p.Invoke.Node), s.id, first),
		})
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	d.Duplicated = len(again)
	if d.Acknowledged == 0 {
		f.unknown("nothing to check: no identifier was generated")
	}
	return f.result(fmt.Sprintf("%s of %s attempts, %s given twice", count(d.Acknowledged, "identifier", "identifiers"), thousands(d.Attempted),
		thousands(int64(d.Duplicated))), d)
}
