package workloads

import (
	"fmt"

	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/internal/etcd"
)

// stmModels are what transactions of client/v3's concurrency.STM promise at each of its isolation levels, by what its code does
// (client/v3/concurrency/stm.go of 3.4 to 3.7).
//
//   - SerializableSnapshot reads all at the revision of the first read, which is linearizable, and is committed by a transaction that is guarded by
//     the mod revisions of everything read and written. Serializable leaves out the guards of what was only written, which nobody misses:
//     reads hold at the moment of the commit either way. One that only reads is committed by a transaction whose else branch has linearizable
//     reads, so that etcd waits for the read index. So both are strict serializable.
//   - RepeatableReads reads what the member has (WithSerializable), key by key, and is guarded by everything it read. So one that writes is
//     consistent at the moment of its commit. One that only reads is committed by guards alone, which etcd takes for a serializable
//     transaction and evaluates on the member as it is: one state, but perhaps a past one. That is serializable, and not strictly.
//   - ReadCommitted reads likewise and guards nothing: lost updates, write skew, long forks and half of another's writes are allowed. Its writes
//     take effect at once, in the order of revisions, and what it reads was committed before it commits; so no cycle of ww and wr is
//     possible, real time included.
var stmModels = map[string]string{
	etcd.STMSerializableSnapshot: "strict-serializable",
	etcd.STMSerializable:         "strict-serializable",
	etcd.STMRepeatableReads:      "serializable",
	etcd.STMReadCommitted:        "strong-read-committed",
}

// softwareTransactions is transactions on registers as in writeRead, by way of concurrency.STM: --read is its isolation level.
func softwareTransactions(o Options) (Parts, error) {
	if err := o.check(); err != nil {
		return Parts{}, err
	}
	if o.Read == "" {
		o.Read = etcd.STMSerializableSnapshot
	}
	promised, ok := stmModels[o.Read]
	if !ok {
		return Parts{}, fmt.Errorf("STM has no isolation level %q: %w", o.Read, ErrUnknown)
	}
	if o.Model == "" {
		o.Model = promised
	}
	cycles, err := checker.RWRegister(checker.TransactionOptions{Model: o.Model})
	if err != nil {
		return Parts{}, err
	}
	return transactional(o, "t", "stm", "w", cycles), nil
}
