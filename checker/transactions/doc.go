// Package transactions decides from a history of transactions which isolation levels it rules out: it infers which transaction must have
// come before which, looks for cycles, and says why each edge of a cycle is there. It follows Adya (Weak Consistency: A Generalized
// Theory and Optimistic Implementations for Distributed Transactions, 1999) and Kingsbury and Alvaro (Elle: Inferring Isolation
// Anomalies from Experimental Observations, VLDB 2020).
//
// A transaction is an operation f "txn" whose value is an array of micro-operations: ["append", key, element] and ["r", key, list] over lists
// that are only ever appended to, or ["w", key, value] and ["r", key, value] over registers; nil is the state before the first
// write. A micro-operation may have a fourth element: the version that the system gave to what was read or written (etcd: the mod
// revision). Elements of one list and values of one register are written at most once; what is written twice is named, and
// nothing is inferred from that key.
//
// # What is inferred
//
// Nodes are the ok transactions and those of unknown outcome whose writes were seen. Edges are ww (wrote the next version), wr (read
// what the other wrote), rw (read a version that the other overwrote), the order of a process, and real time: one completed
// before the other was invoked. Everything that follows from a key is sound for every model, except for what registers cannot show:
// an order of versions taken from reads that precede writes in a transaction needs read committed (else there is a G1c), one taken from
// the order of a process or from real time needs a model with sessions or with real time. Such an edge convicts no weaker model.
//
// Edges and nodes grow linearly with the history: real time goes through a chain of barriers, and many readers reach many writers through
// a node of their own. Such nodes are hubs: an edge into one has a kind, the edges out of it pass that kind on.
//
// Nothing depends on the clock: a budget of work bounds the search for small cycles, and the context can only make the verdict unknown.
package transactions
