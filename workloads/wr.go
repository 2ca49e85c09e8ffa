package workloads

import (
	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/internal/etcd"
)

// modelSerializable is what transactions promise that may read what a member has: those that write are guarded by all that they read, so
// only the ones that only read see the past, each one state of it.
const modelSerializable = "serializable"

// writeRead is transactions of one to four micro-operations that write registers, each value once over the whole run, and
// read them. A completion has the versions of what was read and written, which order the writes of a register exactly.
//
//	txn  [["r", "w3", null], ["w", "w4", 17]] → [["r", "w3", 9, 12], ["w", "w4", 17, 15]]
func writeRead(o Options) (Parts, error) {
	if err := o.check(); err != nil {
		return Parts{}, err
	}
	if o.Model == "" && o.Read == etcd.ReadSerializable {
		o.Model = modelSerializable
	}
	cycles, err := checker.RWRegister(checker.TransactionOptions{Model: o.Model})
	if err != nil {
		return Parts{}, err
	}
	return transactional(o, "w", "wr", "w", cycles), nil
}
