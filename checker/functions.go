package checker

// What clients' functions do. A function that is not here writes: contention is rather seen where there is none than missed.
var functions = map[string]struct{ reads, writes bool }{
	fRead:  {reads: true},
	fList:  {reads: true},
	fWatch: {reads: true},
	fRange: {reads: true},
	// A candidate reads the lease again and again, and writes it when it may.
	fLead: {reads: true, writes: true},
	// What is declared is read by its name.
	fGet: {reads: true},
	// What is taken from a queue, and whose turn it is, is read and changed at once.
	fDequeue:  {reads: true, writes: true},
	fGenerate: {reads: true, writes: true},
	// Who owns a lock, or leads, looks for its own key.
	fLock:      {reads: true, writes: true},
	fLockedAdd: {reads: true, writes: true},
	fCampaign:  {reads: true, writes: true},
	fObserve:   {reads: true},
	// What a request puts, it returns as it was before.
	fRequest:  {reads: true, writes: true},
	fTransfer: {reads: true, writes: true},
}

// Functions of client operations that checkers know.
const (
	fRead  = "read"
	fWrite = "write"
	fCAS   = "cas"
	fAdd   = "add"
	fTxn   = "txn"

	fCreate = "create"
	fUpdate = "update"
	fDelete = "delete"
	fList   = "list"
	fWatch  = "watch"
	fLead   = "lead"
	fGet    = "get"

	fChange  = "change"
	fRange   = "range"
	fCompact = "compact"

	fEnqueue   = "enqueue"
	fDequeue   = "dequeue"
	fGenerate  = "generate"
	fLock      = "lock"
	fLockedAdd = "locked-add"
	fCampaign  = "campaign"
	fObserve   = "observe"
	fGrant     = "grant"
	fRenew     = "renew"
	fRevoke    = "revoke"

	fRequest      = "request"
	fGrantLease   = "grant-lease"
	fRevokeLease  = "revoke-lease"
	fCompactStore = "compact-store"
	fPut          = "put"
	fAppend       = "append"
	fTransfer     = "transfer"
)

// does tells whether a function reads and whether it writes.
func does(f string) (reads, writes bool) {
	if d, ok := functions[f]; ok {
		return d.reads, d.writes
	}
	return false, true
}
