package checker

import (
	"context"
	"fmt"
	"strings"

	"github.com/faultline/faultline/checker/transactions"
	"github.com/faultline/faultline/harness/history"
)

// TransactionOptions say what transactions are held to.
type TransactionOptions struct {
	// Model is a consistency model (see transactions.Models); empty means strict-serializable.
	Model string
}

// TransactionModels are the names that TransactionOptions.Model may have, the weaker ones first.
func TransactionModels() []string { return transactions.ModelNames() }

// ListAppend judges transactions that append unique elements to lists and read them: see the package transactions.
func ListAppend(o TransactionOptions) (Checker, error) {
	return newTransactional("list-append", transactions.ListAppend, o)
}

type transactional struct {
	name  string
	kind  transactions.Kind
	model string
}

func newTransactional(name string, kind transactions.Kind, o TransactionOptions) (Checker, error) {
	model, err := transactions.Lookup(o.Model)
	if err != nil {
		return nil, err
	}
	return transactional{name, kind, model.Name}, nil
}

// TransactionDetail is the Detail of ListAppend and RWRegister.
type TransactionDetail struct {
	// Model is the model asked for.
	Model string `json:"model"`
	// RuledOut are the weakest models that do not hold, Holds the strongest that nothing speaks against.
	RuledOut     []string `json:"ruled_out"`
	Holds        []string `json:"holds"`
	Transactions int      `json:"transactions"`
	Keys         int      `json:"keys"`
	// Dependencies are the edges ww, wr and rw.
	Dependencies int `json:"dependencies"`
}

func (c transactional) Name() string { return c.name }

func (c transactional) Check(ctx context.Context, src history.Source, b Budget) (Result, error) {
	r, err := transactions.Check(ctx, src, transactions.Options{Kind: c.kind, Model: c.model, MemoryBytes: b.MemoryBytes})
	if err != nil {
		return Result{}, err
	}
	f := findings{found: r.Found, reasons: r.Unknown}
	for _, a := range r.Anomalies {
		if !a.Allowed {
			f.broken++
		}
		f.anomalies = append(f.anomalies, Anomaly{Name: a.Name, Key: a.Key, Ops: a.Ops, Why: a.Why, Allowed: a.Allowed})
	}
	summary := fmt.Sprintf("%s on %s", count(int64(r.Transactions), "ok transaction", "ok transactions"), count(int64(r.Keys), "key", "keys"))
	if len(r.RuledOut) > 0 {
		summary += "; not " + strings.Join(r.RuledOut, ", ")
		if len(r.Holds) > 0 {
			summary += "; nothing speaks against " + strings.Join(r.Holds, ", ")
		}
	}
	result, err := f.result(summary, TransactionDetail{
		Model: r.Model, RuledOut: r.RuledOut, Holds: r.Holds, Transactions: r.Transactions, Keys: r.Keys, Dependencies: r.Edges,
	})
	if svg, text := r.Picture(); svg != nil {
		result.Artifacts = []Artifact{{Name: c.name + "-cycles.svg", Content: svg}, {Name: c.name + "-cycles.txt", Content: text}}
	}
	return result, err
}

// RWRegister judges transactions that write unique values to registers and read them: see the package transactions.
func RWRegister(o TransactionOptions) (Checker, error) {
	return newTransactional("rw-register", transactions.RWRegister, o)
}
