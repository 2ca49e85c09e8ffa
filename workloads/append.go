package workloads

import (
	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/internal/etcd"
)

// appendLists is transactions of one to four micro-operations that append elements, unique over the whole run, to
// lists and read these. A completion has the versions of what was read and written.
//
//	txn  [["r", "a3", null], ["append", "a4", 17]] → [["r", "a3", [1, 9], 12], ["append", "a4", 17, 15]]
func appendLists(o Options) (Parts, error) {
	if err := o.check(); err != nil {
		return Parts{}, err
	}
	model := o.Model
	if model == "" && o.Read == etcd.ReadSerializable {
		model = modelSerializable
	}
	cycles, err := checker.ListAppend(checker.TransactionOptions{Model: model})
	if err != nil {
		return Parts{}, err
	}
	checkers := []checker.Checker{cycles}
	if o.Model == "" {
		// It needs no graph and little memory; of models it knows nothing.
		checkers = append(checkers, checker.AppendInternal())
	}
	return transactional(o, "a", "append", "append", checkers...), nil
}
